"""Fully convolutional networks: the class of every pixel, from a classifier without its head."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from kerasd2l.layers import BilinearKernel, SidesMultipleOf, TransposedConv2D
from kerasd2l.models.vision.image_network import ImageNetwork
from kerasd2l.models.vision.resnet import residual_block, residual_maps, stem

STRIDE = 32  # pixels of the picture to one of the last map


def fcn(
    input_shape: tuple[int | None, int | None, int] = (320, 480, 3),
    num_classes: int = 21,
    *,
    depths: Sequence[int] = (2, 2, 2, 2),
    width: float = 1.0,
    seed: int | None = None,
    name: str = "fcn",
) -> keras.Model:
    """Build FCN-32s: ResNet-18 without its head, scores at 1/32 of the size, enlarged at once.

    logits = upsample32(conv1x1(features)), upsample32 a transposed convolution with a kernel of
    64 x 64, strides 32 and padding 16 that begins as bilinear interpolation. Section: "fcn".

    Follows the book, whose ResNet-18 is torchvision's with weights of ImageNet; this one is
    `resnet18`, with random weights.

    Args:
        input_shape: (height, width, channels); height and width are multiples of 32, or None.
        num_classes: int >= 2, classes K.
        depths: sequence of four ints, blocks of each stage; (3, 4, 6, 3) is ResNet-34.
        width: float > 0, factor on the filters 64, 128, 256, 512 of the stages.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, H, W, K) float32.

    Raises:
        ValueError: a side that is no multiple of 32, other than four stages, and as `resnet18`.

    Example:
        >>> fcn((64, 96, 3), width=0.125).output_shape
        (None, 64, 96, 21)

    Reference:
        Long, Shelhamer, Darrell, Fully convolutional networks for semantic segmentation, 2015.
    """
    net, maps = _features(input_shape, num_classes, depths, width, seed)
    scores = _scores(net, maps[-1], 32)  # (B, 10, 15, K)
    return keras.Model(net.pixels, _enlarge(scores, 32), name=name)  # (B, 320, 480, K)


def fcn8s(
    input_shape: tuple[int | None, int | None, int] = (320, 480, 3),
    num_classes: int = 21,
    *,
    depths: Sequence[int] = (2, 2, 2, 2),
    width: float = 1.0,
    seed: int | None = None,
    name: str = "fcn8s",
) -> keras.Model:
    """Build FCN-8s: as `fcn`, with the scores of finer maps added on the way back to the size.

    logits = upsample8(s8 + upsample2(s16 + upsample2(s32))), s_n = conv1x1(features at 1/n).
    Section: "fcn". The book names it; borders are finer than those of FCN-32s.

    Args:
        input_shape: (height, width, channels); height and width are multiples of 32, or None.
        num_classes: int >= 2, classes K.
        depths: sequence of four ints, blocks of each stage.
        width: float > 0, factor on the filters 64, 128, 256, 512 of the stages.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, H, W, K) float32.

    Raises:
        ValueError: as `fcn`.

    Example:
        >>> fcn8s((64, 96, 3), width=0.125).output_shape
        (None, 64, 96, 21)

    Reference:
        Long, Shelhamer, Darrell, Fully convolutional networks for semantic segmentation, 2015.
    """
    net, (_, eighth, sixteenth, last) = _features(input_shape, num_classes, depths, width, seed)
    scores = _scores(net, last, 32)  # (B, 10, 15, K)
    for stride, finer in ((16, sixteenth), (8, eighth)):
        larger = _enlarge(scores, 2, name=f"upsample_{stride}")
        add = keras.layers.Add(name=f"scores_{stride}")
        scores = add([larger, _scores(net, finer, stride)])  # (B, 20, 30, K), (B, 40, 60, K)
    return keras.Model(net.pixels, _enlarge(scores, 8), name=name)  # (B, 320, 480, K)


def _features(
    input_shape: tuple, num_classes: int, depths: Sequence[int], width: float, seed: int | None
) -> tuple[ImageNetwork, list[Any]]:
    """Return a ResNet without its head, and its maps at 1/4, 1/8, 1/16 and 1/32 of the size."""
    if len(depths) != 4:
        raise ValueError(
            "`depths` must be blocks of four stages: the last one is at 1/32 of the size. "
            f"Received: depths={tuple(depths)}."
        )
    net = ImageNetwork(input_shape, num_classes, seed)
    pixels = SidesMultipleOf(STRIDE, name="sides")(net.pixels)
    begin = functools.partial(stem, pixels=pixels)
    options: dict[str, Any] = {"project_first": False, "begin": begin}
    return net, residual_maps(net, residual_block, depths, width, **options)


def _scores(net: ImageNetwork, x: Any, stride: int) -> Any:
    """Return the K classes' scores of every place of a map."""
    return net.conv(x, net.num_classes, 1, name=f"score_{stride}")


def _enlarge(scores: Any, factor: int, *, name: str = "logits") -> Any:
    """Make maps larger by an even factor: at first bilinear interpolation, then what is learned."""
    return TransposedConv2D(
        scores.shape[-1],
        2 * factor,
        strides=factor,
        padding=factor // 2,
        kernel_initializer=BilinearKernel(),
        dtype="float32",
        name=name,
    )(scores)
