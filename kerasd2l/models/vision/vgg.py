"""VGG: blocks of 3 x 3 convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasd2l.models.vision.image_network import ImageNetwork, scaled

VGG11 = ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))


def vgg(
    input_shape: tuple[int, int, int] = (224, 224, 1),
    num_classes: int = 10,
    *,
    conv_arch: Sequence[tuple[int, int]] = VGG11,
    dense_units: Sequence[int] = (4096, 4096),
    dropout_rate: float = 0.5,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "vgg",
) -> keras.Model:
    """Build VGG: blocks of 3 x 3 convolutions that each end in halving the map, then dense layers.

    block(n, c) = n times conv c@3x3 ReLU, then pool 2 stride 2. Section: "vgg".

    Follows the book: Xavier-uniform weights; 128,806,154 parameters, 43,093,322 with width 1/4.
    Biases start at zero.

    Args:
        input_shape: (height, width, channels), at least 2 pixels to the power of the blocks.
        num_classes: int >= 2, classes K.
        conv_arch: (convolutions, filters) of each block. Default: VGG-11.
        dense_units: sequence of int, units of the hidden dense layers. The course notes call them
            fc_hidden_units; what they call fc_features follows from the picture.
        dropout_rate: float in [0, 1), after each hidden dense layer.
        width: float > 0, factor on the filters of all convolutions; the book trains with 1/4.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: blocks that shrink the map below one pixel, a block without convolution, a
            width that is not positive, fewer than two classes.

    Example:
        >>> vgg(width=0.25).count_params()
        43093322

    Reference:
        Simonyan, Zisserman, Very deep convolutional networks for large-scale image recognition,
        2014.
    """
    if not conv_arch or any(len(block) != 2 or min(block) < 1 for block in conv_arch):
        raise ValueError(
            "`conv_arch` must be pairs (convolutions, filters), all at least 1. "
            f"Received: conv_arch={tuple(conv_arch)}."
        )
    net = ImageNetwork(input_shape, num_classes, seed)
    x = net.pixels
    for i, (num_convs, filters) in enumerate(conv_arch, 1):
        for j in range(1, num_convs + 1):
            x = net.conv(
                x,
                scaled(filters, width),
                3,
                padding=1,
                activation="relu",
                name=f"block_{i}_conv_{j}",
            )
        x = net.max_pool(x, 2, 2, name=f"block_{i}_pool")  # (B, H / 2^i, W / 2^i, filters)
    return net.model(net.dense_layers(x, dense_units, dropout_rate), name)
