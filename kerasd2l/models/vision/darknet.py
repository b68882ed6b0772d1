"""Darknet: the residual network under YOLO. Section: "ssd"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasd2l.models.vision.image_network import HeNetwork, scaled

FILTERS = (64, 128, 256, 512, 1024)  # of the stages
DARKNET_53 = (1, 2, 8, 8, 4)  # blocks of the stages


class Darknet(HeNetwork):
    """Makes the layers of a network without classes of its own; its convolutions have no bias.

    Args:
        seed: int or None. Layer i draws its weights with seed + i.
    """

    use_bias = False  # a normalisation follows

    def __init__(self, seed: int | None):
        super().__init__((None, None, 3), 2, seed)

    def conv_bn(
        self, x: Any, filters: int, kernel_size: int, *, strides: int = 1, name: str
    ) -> Any:
        """Convolve with zeros around, normalise, leaky ReLU of slope 0.1."""
        padding = kernel_size // 2
        x = self.conv(
            x, filters, kernel_size, strides=strides, padding=padding, name=f"{name}_conv"
        )
        x = self.batch_norm(x, name=f"{name}_bn")
        return keras.layers.LeakyReLU(0.1, name=f"{name}_leaky")(x)

    def squeeze(self, x: Any, filters: int, number: int, *, name: str) -> Any:
        """Convolve 1 x 1 to `filters` channels and 3 x 3 to twice as many, in turns."""
        for i in range(number):
            wide = i % 2
            x = self.conv_bn(x, filters * (1 + wide), 1 + 2 * wide, name=f"{name}_{i + 1}")
        return x


def darknet_maps(net: Darknet, depths: Sequence[int], width: float) -> list[Any]:
    """Add a convolution of 3 x 3 and stages of residual blocks; return what each stage gives.

    A stage halves height and width by a convolution of 3 x 3, which doubles the channels; a block
    is x + conv 3 x 3 (conv 1 x 1 (x)), with half the channels between. Section: "ssd".

    Args:
        net: the network.
        depths: five ints >= 1, blocks of the stages; (1, 2, 8, 8, 4) is Darknet-53.
        width: float > 0, factor on the filters 32 and 64, 128, 256, 512, 1024.

    Returns:
        Five maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the pictures' size.

    Raises:
        ValueError: not five stages, a stage without blocks, a width that is not positive.

    Example:
        >>> maps = darknet_maps(Darknet(None), (1, 1, 1, 1, 1), width=0.125)
        >>> [x.shape[-1] for x in maps]
        [8, 16, 32, 64, 128]

    Reference:
        Redmon, Farhadi, YOLOv3: an incremental improvement, 2018.
    """
    if len(depths) != len(FILTERS) or min(depths) < 1:
        raise ValueError(
            f"`depths` must be blocks of {len(FILTERS)} stages, all at least 1. "
            f"Received: depths={tuple(depths)}."
        )
    x = net.conv_bn(net.pixels, scaled(FILTERS[0] // 2, width), 3, name="stem")
    maps = []
    for i, (depth, number) in enumerate(zip(depths, FILTERS, strict=True), 1):
        filters = scaled(number, width)
        x = net.conv_bn(x, filters, 3, strides=2, name=f"stage_{i}_down")
        for j in range(1, depth + 1):
            name = f"stage_{i}_block_{j}"
            y = net.conv_bn(x, scaled(number // 2, width), 1, name=f"{name}_a")
            y = net.conv_bn(y, filters, 3, name=f"{name}_b")
            x = keras.layers.Add(name=f"{name}_add")([x, y])
        maps.append(x)
    return maps
