"""U-Net: down to small maps, and up again with what each size had seen on the way down."""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.layers import Conv2D, SidesMultipleOf, TransposedConv2D
from kerasd2l.models.vision.image_network import ImageNetwork, scaled

FILTERS = 64  # of the first level; each level has twice as many


def unet(
    input_shape: tuple[int | None, int | None, int] = (320, 480, 3),
    num_classes: int = 21,
    *,
    levels: int = 4,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "unet",
) -> keras.Model:
    """Build U-Net: each level halves the size and doubles the filters, then all the way back.

    Down: two 3 x 3 convolutions, maxima of 2 x 2. Up: a 2 x 2 transposed convolution with strides
    2, the map of that size from the way down beside it, two 3 x 3 convolutions. Section: "fcn".

    As in most later implementations, convolutions keep the size and are followed by batch
    normalisation; the paper's lose a pixel on each side, and its output is smaller than its input.

    Args:
        input_shape: (height, width, channels); height and width are multiples of 2^levels, or None.
        num_classes: int >= 2, classes K.
        levels: int >= 1, how often the size is halved.
        width: float > 0, factor on the filters 64, 128, 256, 512, 1024.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, H, W, K) float32.

    Raises:
        ValueError: a side that is no multiple of 2^levels, no level, a width that is not positive,
            fewer than two classes.

    Example:
        >>> unet((64, 96, 3), width=0.125).output_shape
        (None, 64, 96, 21)

    Reference:
        Ronneberger, Fischer, Brox, U-Net: convolutional networks for biomedical image segmentation,
        2015.
    """
    if levels < 1:
        raise ValueError(f"`levels` must be at least 1. Received: levels={levels}.")
    net = ImageNetwork(input_shape, num_classes, seed)
    x: Any = SidesMultipleOf(2**levels, name="sides")(net.pixels)
    maps = []
    for i in range(levels):
        x = _two_convs(net, x, scaled(FILTERS * 2**i, width), name=f"down_{i + 1}")
        maps.append(x)  # (B, 320, 480, 64), (B, 160, 240, 128), (B, 80, 120, 256), ...
        x = net.max_pool(x, 2, 2, name=f"pool_{i + 1}")
    x = _two_convs(net, x, scaled(FILTERS * 2**levels, width), name="bottom")  # (B, 20, 30, 1024)
    for i in reversed(range(levels)):
        filters = scaled(FILTERS * 2**i, width)
        x = TransposedConv2D(
            filters,
            2,
            strides=2,
            kernel_initializer=keras.initializers.GlorotUniform(net.next_seed()),
            name=f"up_{i + 1}_enlarge",
        )(x)
        x = keras.layers.Concatenate(name=f"up_{i + 1}_concat")([maps[i], x])
        x = _two_convs(net, x, filters, name=f"up_{i + 1}")
    weights = keras.initializers.GlorotUniform(net.next_seed())
    head = Conv2D(num_classes, 1, kernel_initializer=weights, dtype="float32", name="logits")
    return keras.Model(net.pixels, head(x), name=name)  # (B, 320, 480, K)


def _two_convs(net: ImageNetwork, x: Any, filters: int, *, name: str) -> Any:
    """Convolve 3 x 3, normalise, ReLU; and once more."""
    for i in (1, 2):
        x = net.conv(x, filters, 3, padding=1, name=f"{name}_conv_{i}")
        x = net.batch_norm(x, "relu", name=f"{name}_bn_{i}")
    return x
