"""Residual networks: ResNet-18 and its relatives, and ResNeXt with grouped convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kerasd2l.models.vision.image_network import ImageNetwork, scaled

FILTERS = (64, 128, 256, 512)


def residual_block(
    net: ImageNetwork,
    x: Any,
    filters: int,
    *,
    project: bool = False,
    strides: int = 1,
    name: str,
) -> Any:
    """Add to x what two 3 x 3 convolutions make of it.

    y = ReLU(BN(conv(ReLU(BN(conv(x))))) + x), or + conv1x1(x) to another shape. Section: "resnet".

    Args:
        net: the network that the block is part of.
        x: (B, H, W, C).
        filters: int, channels of the result.
        project: bool, bring x to the new shape with a 1 x 1 convolution (without BN, as the book).
        strides: int, of the first convolution and the projection.
        name: str, prefix of the layers' names.

    Returns:
        (B, ceil(H / strides), ceil(W / strides), filters).

    Raises:
        ValueError: a shape that x cannot be added to without a projection.
    """
    if not project and (strides != 1 or x.shape[-1] != filters):
        raise ValueError(
            "`project` must be True where a block changes the shape. Received: project=False, "
            f"{x.shape[-1]} channels in, filters={filters}, strides={strides}."
        )
    y = net.conv(x, filters, 3, strides=strides, padding=1, name=f"{name}_conv_1")
    y = net.batch_norm(y, "relu", name=f"{name}_bn_1")
    y = net.conv(y, filters, 3, padding=1, name=f"{name}_conv_2")
    y = net.batch_norm(y, name=f"{name}_bn_2")
    if project:
        x = net.conv(x, filters, 1, strides=strides, name=f"{name}_project")
    y = keras.layers.Add(name=f"{name}_add")([y, x])
    return keras.layers.Activation("relu", name=name)(y)


def resnext_block(
    net: ImageNetwork,
    x: Any,
    filters: int,
    *,
    group_width: int,
    bottleneck: float = 1.0,
    project: bool = False,
    strides: int = 1,
    name: str,
) -> Any:
    """Add to x what a 1 x 1, a grouped 3 x 3 and a 1 x 1 convolution make of it.

    y = ReLU(BN(conv1x1(...)) + x), or + BN(conv1x1(x)) to another shape. Section: "resnet".

    Args:
        net: the network that the block is part of.
        x: (B, H, W, C).
        filters: int, channels of the result.
        group_width: int, channels of each group of the 3 x 3 convolution (the book's `groups`).
        bottleneck: float > 0, the 3 x 3 convolution has round(filters * bottleneck) channels.
        project: bool, bring x to the new shape with a 1 x 1 convolution and BN.
        strides: int, of the 3 x 3 convolution and the projection.
        name: str, prefix of the layers' names.

    Returns:
        (B, ceil(H / strides), ceil(W / strides), filters).

    Raises:
        ValueError: groups that do not divide the channels, or a shape that x cannot be added to
            without a projection.
    """
    if not 0 < bottleneck < float("inf"):
        raise ValueError(
            f"`bottleneck` must be positive and finite. Received: bottleneck={bottleneck}."
        )
    middle = round(filters * bottleneck)
    if group_width < 1 or middle < 1 or middle % group_width:
        divisors = [n for n in range(1, middle + 1) if middle % n == 0]
        near = sorted(sorted(divisors, key=lambda n: abs(n - group_width))[:3])
        hint = f" Try {', '.join(map(str, near))}." if near else ""
        raise ValueError(
            "`group_width` must divide the channels of the 3 x 3 convolution, "
            f"round(filters * bottleneck) = {middle}. Received: group_width={group_width}, "
            f"filters={filters}, bottleneck={bottleneck}.{hint}"
        )
    if not project and (strides != 1 or x.shape[-1] != filters):
        raise ValueError(
            "`project` must be True where a block changes the shape. Received: project=False, "
            f"{x.shape[-1]} channels in, filters={filters}, strides={strides}."
        )
    y = net.conv(x, middle, 1, name=f"{name}_conv_1")
    y = net.batch_norm(y, "relu", name=f"{name}_bn_1")
    groups = middle // group_width
    y = net.conv(y, middle, 3, strides=strides, padding=1, groups=groups, name=f"{name}_conv_2")
    y = net.batch_norm(y, "relu", name=f"{name}_bn_2")
    y = net.conv(y, filters, 1, name=f"{name}_conv_3")
    y = net.batch_norm(y, name=f"{name}_bn_3")
    if project:
        x = net.conv(x, filters, 1, strides=strides, name=f"{name}_project")
        x = net.batch_norm(x, name=f"{name}_project_bn")
    y = keras.layers.Add(name=f"{name}_add")([y, x])
    return keras.layers.Activation("relu", name=name)(y)


def resnet18(
    input_shape: tuple[int | None, int | None, int] = (96, 96, 1),
    num_classes: int = 10,
    *,
    depths: Sequence[int] = (2, 2, 2, 2),
    width: float = 1.0,
    small_stem: bool = False,
    stddev: float | None = None,
    seed: int | None = None,
    name: str = "resnet18",
) -> keras.Model:
    """Build ResNet-18: a stem and four stages of residual blocks, each stage at half the size.

    1 + 2 * (2 + 2 + 2 + 2) + 1 = 18 layers with weights. Section: "resnet".

    Follows the book: Xavier-uniform weights, momentum 0.9 and epsilon 1e-5, a projection without
    BN, stride-2 windows padded on all sides; 11,178,378 trainable parameters. Biases start at zero;
    Keras' moving variance is that of the batch, PyTorch's is n / (n - 1) times it.

    Args:
        input_shape: (height, width, channels); height and width may be None.
        num_classes: int >= 2, classes K.
        depths: sequence of int, blocks of each stage, at most four stages; (3, 4, 6, 3) is
            ResNet-34.
        width: float > 0, factor on the filters 64, 128, 256, 512 of the stages.
        small_stem: bool, begin with a convolution of 3 x 3 that leaves the size, as the book does
            on pictures of 32 x 32 (section "image-augmentation") and on several GPUs (section
            "multiple-gpus-concise"): 11,175,818 trainable parameters.
        stddev: float or None, of normal weights, 0.01 in section "multiple-gpus-concise". None:
            Xavier-uniform ones.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: no stage or more than four, a stage without blocks, a width that is not
            positive, fewer than two classes.

    Example:
        >>> sum(w.shape.num_elements() for w in resnet18().trainable_variables)
        11178378

    Reference:
        He, Zhang, Ren, Sun, Deep residual learning for image recognition, 2015.
    """
    return _residual_network(
        residual_block,
        input_shape,
        num_classes,
        depths,
        width,
        seed,
        name,
        project_first=False,
        begin=stem_3x3 if small_stem else stem,
        stddev=stddev,
    )


def resnext(
    input_shape: tuple[int | None, int | None, int] = (96, 96, 1),
    num_classes: int = 10,
    *,
    depths: Sequence[int] = (2, 2, 2, 2),
    group_width: int = 16,
    bottleneck: float = 1.0,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "resnext",
) -> keras.Model:
    """Build ResNeXt: the stem and stages of ResNet-18 with grouped convolutions in the blocks.

    Section: "resnet". The book gives the block and leaves the network to the reader; this one has
    the stages of `resnet18`. Xavier-uniform weights, momentum 0.9, epsilon 1e-5, zero biases.

    Args:
        input_shape: (height, width, channels); height and width may be None.
        num_classes: int >= 2, classes K.
        depths: sequence of int, blocks of each stage, at most four stages.
        group_width: int, channels of each group of the 3 x 3 convolutions.
        bottleneck: float > 0, factor on the filters for the 3 x 3 convolutions.
        width: float > 0, factor on the filters 64, 128, 256, 512 of the stages.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: groups that do not divide the channels, and as `resnet18`.

    Example:
        >>> resnext(depths=(1, 1)).output_shape
        (None, 10)

    Reference:
        Xie et al., Aggregated residual transformations for deep neural networks, 2016.
    """

    def block(net: ImageNetwork, x: Any, filters: int, **options: Any) -> Any:
        return resnext_block(
            net, x, filters, group_width=group_width, bottleneck=bottleneck, **options
        )

    return _residual_network(block, input_shape, num_classes, depths, width, seed, name)


def stem(net: ImageNetwork, filters: int, pixels: Any = None) -> Any:
    """Begin as ResNet and DenseNet do: conv 7 x 7 stride 2, BN, ReLU, pool 3 x 3 stride 2."""
    pixels = net.pixels if pixels is None else pixels
    x = net.conv(pixels, filters, 7, strides=2, padding=3, name="stem_conv")
    x = net.batch_norm(x, "relu", name="stem_bn")  # (B, 48, 48, 64)
    return net.max_pool(x, padding=1, name="stem_pool")  # (B, 24, 24, 64)


def stem_3x3(net: ImageNetwork, filters: int, pixels: Any = None) -> Any:
    """Begin with a convolution of 3 x 3 that leaves the size: conv, BN, ReLU."""
    pixels = net.pixels if pixels is None else pixels
    x = net.conv(pixels, filters, 3, padding=1, name="stem_conv")
    return net.batch_norm(x, "relu", name="stem_bn")  # (B, 32, 32, 64)


def _residual_network(
    block: Callable[..., Any],
    input_shape: tuple,
    num_classes: int,
    depths: Sequence[int],
    width: float,
    seed: int | None,
    name: str,
    *,
    project_first: bool = True,
    begin: Callable[[ImageNetwork, int], Any] = stem,
    stddev: float | None = None,
) -> keras.Model:
    net = ImageNetwork(input_shape, num_classes, seed, stddev)
    maps = residual_maps(net, block, depths, width, project_first=project_first, begin=begin)
    return net.model(net.global_pool(maps[-1]), name)  # (B, 512), (B, K)


def residual_maps(
    net: ImageNetwork,
    block: Callable[..., Any],
    depths: Sequence[int],
    width: float,
    *,
    project_first: bool = True,
    begin: Callable[[ImageNetwork, int], Any] = stem,
) -> list[Any]:
    """Add a stem and stages of residual blocks to a network; return what each stage gives.

    Args:
        net: the network.
        block: (net, x, filters, project, strides, name) -> x, such as `residual_block`.
        depths: sequence of int, blocks of each stage, at most four stages.
        width: float > 0, factor on the filters 64, 128, 256, 512 of the stages.
        project_first: bool, whether the first stage, too, begins with a projection.
        begin: (net, filters) -> x, the stem.

    Returns:
        With `stem`, maps at 1/4, 1/8, 1/16 and 1/32 of the pictures' size.

    Raises:
        ValueError: no stage or more than four, a stage without blocks, a width that is not
            positive.
    """
    if not 1 <= len(depths) <= len(FILTERS) or min(depths) < 1:
        raise ValueError(
            f"`depths` must be blocks of one to {len(FILTERS)} stages, all at least 1. "
            f"Received: depths={tuple(depths)}."
        )
    x, maps = begin(net, scaled(FILTERS[0], width)), []
    for i, depth in enumerate(depths):
        filters = scaled(FILTERS[i], width)
        for j in range(depth):
            x = block(
                net,
                x,
                filters,
                project=j == 0 and (i > 0 or project_first),
                strides=2 if j == 0 and i > 0 else 1,
                name=f"stage_{i + 1}_block_{j + 1}",
            )  # (B, 24, 24, 64), (B, 12, 12, 128), (B, 6, 6, 256), (B, 3, 3, 512)
        maps.append(x)
    return maps
