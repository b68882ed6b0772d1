"""ResNet-18, 34 and 50 as they are trained on ImageNet: torchvision's, timm's and Keras' layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasd2l.models.vision.image_network import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    HeNetwork,
    ImageNetwork,
    scaled,
)
from kerasd2l.models.vision.resnet import FILTERS, stem, stem_3x3

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
_EXPANSION = 4  # of the last convolution of a bottleneck


def imagenet_resnet(
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    num_classes: int = 1000,
    *,
    num_layers: int = 18,
    depths: Sequence[int] | None = None,
    width: float = 1.0,
    include_top: bool = True,
    small_stem: bool = False,
    stride_first: bool = False,
    pixel_mean: Sequence[float] = IMAGENET_MEAN,
    pixel_std: Sequence[float] = IMAGENET_STD,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Build a ResNet whose weights may come from torchvision, timm or `keras.applications`.

    x = (pixels - mean) / std; a stem; four stages of blocks ReLU(F(x) + x), F two convolutions of
    3 x 3 (18, 34) or 1 x 1, 3 x 3, 1 x 1 (50). Section: "fine-tuning".

    What the book's `resnet18` has and this one has not: biases of the convolutions, projections
    without BN. He-normal weights as in torchvision; momentum 0.9 and epsilon 1e-5. The network
    normalises the pixels itself, so that training and serving cannot differ.

    Args:
        input_shape: (height, width, channels); height and width may be None.
        num_classes: int >= 2, classes K.
        num_layers: 18, 34 or 50.
        depths: sequence of int, blocks of each stage, at most four; None: those of `num_layers`.
        width: float > 0, factor on the filters of the stages.
        include_top: bool; False ends with the map of the last stage, (B, h, w, C).
        small_stem: bool, begin with a convolution of 3 x 3 that leaves the size, for pictures of
            32 x 32.
        stride_first: bool, of ResNet-50: the first convolution of a block has the stride, as in the
            paper and Keras; False: the one of 3 x 3, as in torchvision.
        pixel_mean: what is subtracted from each channel of the pixels in [0, 1].
        pixel_std: what the difference is divided by.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model. Default: "resnet18" and so on.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32, or to a map.

    Raises:
        ValueError: another number of layers, no stage or more than four, a stage without blocks, a
            mean that has not the pictures' channels.

    Example:
        >>> imagenet_resnet(num_layers=18).count_params()
        11699112

    Reference:
        He, Zhang, Ren, Sun, Deep residual learning for image recognition, 2015.
    """
    _check_layers(num_layers)
    depths = BLOCKS[num_layers] if depths is None else depths
    if not 1 <= len(depths) <= len(FILTERS) or min(depths) < 1:
        raise ValueError(
            f"`depths` must be blocks of one to {len(FILTERS)} stages, all at least 1. "
            f"Received: depths={tuple(depths)}."
        )
    net = _Network(input_shape, num_classes, seed)
    x = net.standardise(pixel_mean, pixel_std)
    begin = stem_3x3 if small_stem else stem
    x = begin(net, scaled(FILTERS[0], width), x)
    for i, depth in enumerate(depths):
        filters = scaled(FILTERS[i], width)
        for j in range(depth):
            strides = 2 if j == 0 and i > 0 else 1
            block = f"stage_{i + 1}_block_{j + 1}"
            if num_layers == 50:
                x = _bottleneck(net, x, filters, strides, stride_first, block)
            else:
                x = _basic(net, x, filters, strides, block)
            # (B, 56, 56, 64), (B, 28, 28, 128), (B, 14, 14, 256), (B, 7, 7, 512) of 224 x 224
    name = name or f"resnet{num_layers}"
    if not include_top:
        return keras.Model(net.pixels, x, name=name)
    return net.model(net.global_pool(x), name)


def resnet_blocks(num_layers: int) -> list[tuple[int, int, bool]]:
    """Return (stage from 1, block from 1, whether x is projected) of every block of a ResNet.

    Raises:
        ValueError: another number of layers.

    Example:
        >>> resnet_blocks(18)[:3]
        [(1, 1, False), (1, 2, False), (2, 1, True)]
    """
    _check_layers(num_layers)
    return [
        (stage, block, block == 1 and (stage > 1 or num_layers == 50))
        for stage, depth in enumerate(BLOCKS[num_layers], 1)
        for block in range(1, depth + 1)
    ]


def _check_layers(num_layers: int) -> None:
    if num_layers not in BLOCKS:
        raise ValueError(
            f"`num_layers` must be one of {', '.join(map(str, BLOCKS))}. "
            f"Received: num_layers={num_layers}."
        )


class _Network(HeNetwork):
    use_bias = False  # batch normalization follows


def _basic(net: ImageNetwork, x: Any, filters: int, strides: int, name: str) -> Any:
    y = net.conv(x, filters, 3, strides=strides, padding=1, name=f"{name}_conv_1")
    y = net.batch_norm(y, "relu", name=f"{name}_bn_1")
    y = net.conv(y, filters, 3, padding=1, name=f"{name}_conv_2")
    y = net.batch_norm(y, name=f"{name}_bn_2")
    return _added(net, x, y, strides, name)


def _bottleneck(
    net: ImageNetwork, x: Any, filters: int, strides: int, stride_first: bool, name: str
) -> Any:
    first, second = (strides, 1) if stride_first else (1, strides)
    y = net.conv(x, filters, 1, strides=first, name=f"{name}_conv_1")
    y = net.batch_norm(y, "relu", name=f"{name}_bn_1")
    y = net.conv(y, filters, 3, strides=second, padding=1, name=f"{name}_conv_2")
    y = net.batch_norm(y, "relu", name=f"{name}_bn_2")
    y = net.conv(y, _EXPANSION * filters, 1, name=f"{name}_conv_3")
    y = net.batch_norm(y, name=f"{name}_bn_3")
    return _added(net, x, y, strides, name)


def _added(net: ImageNetwork, x: Any, y: Any, strides: int, name: str) -> Any:
    """Add x, where the shape has changed after a projection and BN."""
    if strides != 1 or x.shape[-1] != y.shape[-1]:
        x = net.conv(x, y.shape[-1], 1, strides=strides, name=f"{name}_project")
        x = net.batch_norm(x, name=f"{name}_project_bn")
    y = keras.layers.Add(name=f"{name}_add")([y, x])
    return keras.layers.Activation("relu", name=name)(y)
