"""Convolutional neural networks: from an edge detector to LeNet."""

from kerasd2l.chapters.convolutional_neural_networks.kernels import (
    cross_correlation,
    edge_detection,
    learned_kernel,
    why_convolutions,
)
from kerasd2l.chapters.convolutional_neural_networks.networks import lenet, lenet_layers
from kerasd2l.chapters.convolutional_neural_networks.windows import (
    channels,
    padding_and_strides,
    pooling,
)

__all__ = [
    "channels",
    "cross_correlation",
    "edge_detection",
    "learned_kernel",
    "lenet",
    "lenet_layers",
    "padding_and_strides",
    "pooling",
    "why_convolutions",
]
