"""Networks from a design space: AnyNet, and RegNet found in it."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasd2l.models.vision.image_network import ImageNetwork, scaled
from kerasd2l.models.vision.resnet import resnext_block


def anynet(
    input_shape: tuple[int | None, int | None, int] = (96, 96, 1),
    num_classes: int = 10,
    *,
    stem_filters: int = 32,
    depths: Sequence[int] = (4, 6),
    filters: Sequence[int] = (32, 80),
    group_width: int = 16,
    bottleneck: float = 1.0,
    seed: int | None = None,
    name: str = "anynet",
) -> keras.Model:
    """Build AnyNet: a stem, then stages of ResNeXt blocks, each at half the size, then the head.

    stem: conv 3 x 3 stride 2, BN, ReLU. Section: "cnn-design".

    Xavier-uniform weights, momentum 0.9, epsilon 1e-5, zero biases.

    Args:
        input_shape: (height, width, channels); height and width may be None.
        num_classes: int >= 2, classes K.
        stem_filters: int, channels of the stem.
        depths: sequence of int, blocks of each stage.
        filters: sequence of int, channels of each stage.
        group_width: int, channels of each group of the 3 x 3 convolutions.
        bottleneck: float > 0, factor on the filters for the 3 x 3 convolutions.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: depths and filters of different length or below 1, groups that do not divide
            the channels, fewer than two classes.

    Example:
        >>> anynet(depths=(1,), filters=(32,)).get_layer("stage_1_block_1").output.shape
        (None, 24, 24, 32)

    Reference:
        Radosavovic et al., Designing network design spaces, 2020.
    """
    if len(depths) != len(filters) or min((stem_filters, *depths, *filters)) < 1:
        raise ValueError(
            "`depths` and `filters` must be one number for each stage, all at least 1. "
            f"Received: depths={tuple(depths)}, filters={tuple(filters)}, {stem_filters=}."
        )
    net = ImageNetwork(input_shape, num_classes, seed)
    x = net.conv(net.pixels, stem_filters, 3, strides=2, padding=1, name="stem_conv")
    x = net.batch_norm(x, "relu", name="stem_bn")  # (B, 48, 48, stem_filters)
    for i, (depth, channels) in enumerate(zip(depths, filters, strict=True), 1):
        for j in range(1, depth + 1):
            x = resnext_block(
                net,
                x,
                channels,
                group_width=group_width,
                bottleneck=bottleneck,
                project=j == 1,
                strides=2 if j == 1 else 1,
                name=f"stage_{i}_block_{j}",
            )  # (B, 24, 24, 32), (B, 12, 12, 80)
    x = net.global_pool(x)
    return net.model(x, name)


def regnet(
    input_shape: tuple[int | None, int | None, int] = (96, 96, 1),
    num_classes: int = 10,
    *,
    depths: Sequence[int] = (4, 6),
    width: float = 1.0,
    seed: int | None = None,
    name: str = "regnet",
) -> keras.Model:
    """Build the book's RegNetX: AnyNet with 32 and 80 channels in groups of 16, no bottleneck.

    Section: "cnn-design". Xavier-uniform weights, momentum 0.9, epsilon 1e-5, zero biases.

    Args:
        input_shape: (height, width, channels); height and width may be None.
        num_classes: int >= 2, classes K.
        depths: (int, int), blocks of the two stages.
        width: float > 0, factor on channels and group width; 1/16 is the smallest that keeps
            their ratios.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: other than two depths, a width by which the groups do not divide the channels,
            fewer than two classes.

    Example:
        >>> regnet().get_layer("stage_2_block_6").output.shape
        (None, 12, 12, 80)

    Reference:
        Radosavovic et al., Designing network design spaces, 2020.
    """
    return anynet(
        input_shape,
        num_classes,
        stem_filters=scaled(32, width),
        depths=depths,
        filters=(scaled(32, width), scaled(80, width)),
        group_width=scaled(16, width),
        seed=seed,
        name=name,
    )
