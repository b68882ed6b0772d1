"""The book's networks in PyTorch, to compare ours with; written from its tables of layers.

PyTorch is no dependency: only this package and `torch_reference` import it. Pictures are
channels-first. A module's path, with "_" for ".", is the name of the Keras layer with the same
weights. Each builder takes channels, num_classes, and arguments named as its recipe's.
"""

from torch_networks.inception import googlenet, mnist_cnn, mnist_inception, mnist_resnet
from torch_networks.plain import (
    alexnet,
    batch_norm_lenet,
    lenet,
    mlp,
    nin,
    softmax_regression,
    vgg,
)
from torch_networks.residual import densenet, regnet, resnet18, resnext

NETWORKS = {
    "softmax_regression": softmax_regression,
    "mlp": mlp,
    "dropout_mlp": mlp,
    "lenet": lenet,
    "batch_norm_lenet": batch_norm_lenet,
    "alexnet": alexnet,
    "vgg": vgg,
    "nin": nin,
    "googlenet": googlenet,
    "resnet18": resnet18,
    "resnext": resnext,
    "densenet": densenet,
    "regnet": regnet,
    "mnist_cnn": mnist_cnn,
    "mnist_inception": mnist_inception,
    "mnist_resnet": mnist_resnet,
}
