"""GoogLeNet: blocks of parallel convolutions of several sizes."""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.models.vision.image_network import ImageNetwork, scaled

# Filters of each block: 1x1; 1x1 and 3x3; 1x1 and 5x5; 1x1 after the pooling. They add up to 256,
# 480, 512, 512, 512, 528, 832, 832 and 1024.
BLOCKS = (
    ((64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)),
    (
        (192, (96, 208), (16, 48), 64),
        (160, (112, 224), (24, 64), 64),
        (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64),
        (256, (160, 320), (32, 128), 128),
    ),
    ((256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)),
)


def inception_block(
    net: ImageNetwork,
    x: Any,
    c1: int,
    c2: tuple[int, int],
    c3: tuple[int, int],
    c4: int,
    *,
    name: str,
) -> Any:
    """Look at the map through four windows at once and stack what they see.

    1x1; 1x1 - 3x3; 1x1 - 5x5; pool 3x3 - 1x1; ReLU after every convolution. Section: "googlenet".

    Args:
        net: the network that the block is part of.
        x: (B, H, W, C).
        c1: int, filters of the first path.
        c2: (int, int), filters of the second path.
        c3: (int, int), filters of the third path.
        c4: int, filters of the fourth path.
        name: str, prefix of the layers' names.

    Returns:
        (B, H, W, c1 + c2[1] + c3[1] + c4).
    """
    relu: dict[str, Any] = {"activation": "relu"}
    one = net.conv(x, c1, 1, name=f"{name}_path_1", **relu)
    two = net.conv(x, c2[0], 1, name=f"{name}_path_2_reduce", **relu)
    two = net.conv(two, c2[1], 3, padding=1, name=f"{name}_path_2", **relu)
    three = net.conv(x, c3[0], 1, name=f"{name}_path_3_reduce", **relu)
    three = net.conv(three, c3[1], 5, padding=2, name=f"{name}_path_3", **relu)
    four = net.max_pool(x, 3, 1, padding=1, name=f"{name}_pool")
    four = net.conv(four, c4, 1, name=f"{name}_path_4", **relu)
    return keras.layers.Concatenate(name=name)([one, two, three, four])


def googlenet(
    input_shape: tuple[int | None, int | None, int] = (96, 96, 1),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "googlenet",
) -> keras.Model:
    """Build GoogLeNet: two plain stages, then nine Inception blocks in three stages.

    Section: "googlenet". Follows the book: Xavier-uniform weights, pooling 3 x 3 with stride 2
    padded by one pixel on all sides; 5,977,530 parameters. Biases start at zero.

    Args:
        input_shape: (height, width, channels); height and width may be None.
        num_classes: int >= 2, classes K.
        width: float > 0, factor on the filters of all convolutions.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: a width that is not positive, or fewer than two classes.

    Example:
        >>> googlenet().count_params()
        5977530

    Reference:
        Szegedy et al., Going deeper with convolutions, 2014.
    """
    net = ImageNetwork(input_shape, num_classes, seed)
    relu: dict[str, Any] = {"activation": "relu"}
    x = net.conv(
        net.pixels, scaled(64, width), 7, strides=2, padding=3, name="stage_1_conv", **relu
    )  # (B, 48, 48, 64)
    x = net.max_pool(x, padding=1, name="stage_1_pool")  # (B, 24, 24, 64)
    x = net.conv(x, scaled(64, width), 1, name="stage_2_reduce", **relu)
    x = net.conv(x, scaled(192, width), 3, padding=1, name="stage_2_conv", **relu)
    x = net.max_pool(x, padding=1, name="stage_2_pool")  # (B, 12, 12, 192)
    for i, stage in enumerate(BLOCKS, 3):
        for j, filters in enumerate(stage, 1):
            c1, c2, c3, c4 = _scale(filters, width)
            x = inception_block(net, x, c1, c2, c3, c4, name=f"stage_{i}_inception_{j}")
        if i < 5:
            x = net.max_pool(x, padding=1, name=f"stage_{i}_pool")  # (B, 6, 6, 480), (B, 3, 3, 832)
    x = net.global_pool(x)  # (B, 1024)
    return net.model(x, name)


def _scale(filters: Any, width: float) -> Any:
    if isinstance(filters, int):
        return scaled(filters, width)
    return tuple(_scale(item, width) for item in filters)
