"""Modern convolutional networks: from AlexNet to networks out of a design space."""

from kerasd2l.chapters.convolutional_modern.demos import layer_shapes
from kerasd2l.chapters.convolutional_modern.normalized import (
    batch_norm_lenet,
    batch_norm_lenet_scratch,
    densenet,
    regnet,
    resnet18,
    resnext,
)
from kerasd2l.chapters.convolutional_modern.plain import alexnet, googlenet, nin, vgg

__all__ = [
    "alexnet",
    "batch_norm_lenet",
    "batch_norm_lenet_scratch",
    "densenet",
    "googlenet",
    "layer_shapes",
    "nin",
    "regnet",
    "resnet18",
    "resnext",
    "vgg",
]
