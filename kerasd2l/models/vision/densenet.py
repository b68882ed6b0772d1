"""DenseNet: every convolution sees the maps of all convolutions before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasd2l.models.vision.image_network import ImageNetwork, scaled
from kerasd2l.models.vision.resnet import stem


def dense_block(net: ImageNetwork, x: Any, num_convs: int, growth_rate: int, *, name: str) -> Any:
    """Append `growth_rate` maps to x, `num_convs` times.

    x <- [x, conv3x3(ReLU(BN(x)))]. Section: "densenet".

    Args:
        net: the network that the block is part of.
        x: (B, H, W, C).
        num_convs: int, convolutions.
        growth_rate: int, filters of each.
        name: str, prefix of the layers' names.

    Returns:
        (B, H, W, C + num_convs * growth_rate).
    """
    for i in range(1, num_convs + 1):
        y = net.batch_norm(x, "relu", name=f"{name}_bn_{i}")
        y = net.conv(y, growth_rate, 3, padding=1, name=f"{name}_conv_{i}")
        x = keras.layers.Concatenate(name=f"{name}_concat_{i}")([x, y])
    return x


def transition_block(net: ImageNetwork, x: Any, filters: int, *, name: str) -> Any:
    """Make the map smaller: BN, ReLU, 1 x 1 convolution, average pooling 2 x 2.

    Section: "densenet".

    Args:
        net: the network that the block is part of.
        x: (B, H, W, C).
        filters: int, channels of the result.
        name: str, prefix of the layers' names.

    Returns:
        (B, H // 2, W // 2, filters).
    """
    x = net.batch_norm(x, "relu", name=f"{name}_bn")
    x = net.conv(x, filters, 1, name=f"{name}_conv")
    return net.average_pool(x, name=f"{name}_pool")


def densenet(
    input_shape: tuple[int | None, int | None, int] = (96, 96, 1),
    num_classes: int = 10,
    *,
    depths: Sequence[int] = (4, 4, 4, 4),
    growth_rate: int = 32,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "densenet",
) -> keras.Model:
    """Build DenseNet: a stem, then dense blocks with a transition to half the channels between.

    64 -> 192 -> 96 -> 224 -> 112 -> 240 -> 120 -> 248 channels. Section: "densenet".

    Follows the book: Xavier-uniform weights, momentum 0.9, epsilon 1e-5; 758,226 trainable
    parameters. Biases start at zero; Keras' moving variance is that of the batch, PyTorch's is
    n / (n - 1) times it.

    Args:
        input_shape: (height, width, channels), at least 29 x 29 pixels for four blocks; height and
            width may be None.
        num_classes: int >= 2, classes K.
        depths: sequence of int, convolutions of each dense block.
        growth_rate: int, channels that each convolution adds.
        width: float > 0, factor on the 64 filters of the stem and on the growth rate.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: too small a picture, no block or an empty one, a width that is not positive,
            fewer than two classes.

    Example:
        >>> sum(w.shape.num_elements() for w in densenet().trainable_variables)
        758226

    Reference:
        Huang, Liu, van der Maaten, Weinberger, Densely connected convolutional networks, 2016.
    """
    if not depths or min(depths) < 1 or growth_rate < 1:
        raise ValueError(
            "`depths` and `growth_rate` must be at least 1. "
            f"Received: depths={tuple(depths)}, growth_rate={growth_rate}."
        )
    net = ImageNetwork(input_shape, num_classes, seed)
    x = stem(net, scaled(64, width))
    for i, depth in enumerate(depths, 1):
        x = dense_block(net, x, depth, scaled(growth_rate, width), name=f"stage_{i}")
        if i < len(depths):
            x = transition_block(net, x, max(1, x.shape[-1] // 2), name=f"transition_{i}")
    x = net.batch_norm(x, "relu", name="last_bn")
    x = net.global_pool(x)  # (B, 248)
    return net.model(x, name)
