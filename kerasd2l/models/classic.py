"""Networks of plain convolutions: AlexNet, VGG, NiN, and LeNet with batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kerasd2l.models.symmetric import ImageNetwork, scaled

VGG11 = ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))


def alexnet(
    input_shape: tuple[int, int, int] = (224, 224, 1),
    num_classes: int = 10,
    *,
    dense_units: Sequence[int] = (4096, 4096),
    first_padding: int = 1,
    dropout_rate: float = 0.5,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "alexnet",
) -> keras.Model:
    """Build AlexNet: five convolutions, three poolings, two wide dense layers with dropout.

    conv 96@11x11 stride 4 - pool - 256@5x5 - pool - 384@3x3 - 384@3x3 - 256@3x3 - pool - 4096 -
    4096 - K, ReLU throughout, pool 3 stride 2. Section: "alexnet".

    Follows the book: Xavier-uniform weights; 46,764,746 parameters. Biases start at zero.

    Args:
        input_shape: (height, width, channels), at least 65 x 65 pixels.
        num_classes: int >= 2, classes K.
        dense_units: sequence of int, units of the hidden dense layers. The smaller variant of the
            course notes is `dense_units=(4096,), first_padding=0` with 29,983,434 parameters.
        first_padding: int >= 0, zeros around the picture.
        dropout_rate: float in [0, 1), after each hidden dense layer.
        width: float > 0, factor on the filters of all convolutions.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: too small a picture, a width that is not positive, fewer than two classes.

    Example:
        >>> alexnet().count_params()
        46764746

    Reference:
        Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural
        networks, 2012.
    """
    net = ImageNetwork(input_shape, num_classes, seed)
    options: dict[str, Any] = {"activation": "relu"}
    x = net.conv(
        net.pixels,
        scaled(96, width),
        11,
        strides=4,
        padding=first_padding,
        name="conv_1",
        **options,
    )  # (B, 54, 54, 96)
    x = net.max_pool(x, name="pool_1")  # (B, 26, 26, 96)
    x = net.conv(x, scaled(256, width), 5, padding=2, name="conv_2", **options)
    x = net.max_pool(x, name="pool_2")  # (B, 12, 12, 256)
    for i, filters in enumerate((384, 384, 256)):
        x = net.conv(x, scaled(filters, width), 3, padding=1, name=f"conv_{i + 3}", **options)
    x = net.max_pool(x, name="pool_3")  # (B, 5, 5, 256)
    return net.model(_dense_layers(net, x, dense_units, dropout_rate), name)


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
    return net.model(_dense_layers(net, x, dense_units, dropout_rate), name)


def nin(
    input_shape: tuple[int, int, int] = (224, 224, 1),
    num_classes: int = 10,
    *,
    dropout_rate: float = 0.5,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "nin",
) -> keras.Model:
    """Build NiN: a small network at every pixel (1 x 1 convolutions), and no dense layer.

    block(c, k) = conv c@kxk, c@1x1, c@1x1, each with ReLU; blocks of 96, 256, 384 and K filters
    with pooling between them, then the mean of each map. Section: "nin".

    Follows the book: Xavier-uniform weights, 1,992,166 parameters, a ReLU at the very end, so
    that no logit is negative. Biases start at zero.

    Args:
        input_shape: (height, width, channels), at least 67 x 67 pixels.
        num_classes: int >= 2, classes K.
        dropout_rate: float in [0, 1), before the last block.
        width: float > 0, factor on the filters of all blocks but the last.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: too small a picture, a width that is not positive, fewer than two classes.

    Example:
        >>> nin().count_params()
        1992166

    Reference:
        Lin, Chen, Yan, Network in network, 2013.
    """
    net = ImageNetwork(input_shape, num_classes, seed)

    def block(x: Any, filters: int, kernel_size: int, number: int, **options: int) -> Any:
        names = [f"block_{number}_conv_{i}" for i in (1, 2, 3)]
        x = net.conv(x, filters, kernel_size, activation="relu", name=names[0], **options)
        x = net.conv(x, filters, 1, activation="relu", name=names[1])
        return net.conv(x, filters, 1, activation="relu", name=names[2])

    x = block(net.pixels, scaled(96, width), 11, 1, strides=4)  # (B, 54, 54, 96)
    x = net.max_pool(x, name="pool_1")  # (B, 26, 26, 96)
    x = block(x, scaled(256, width), 5, 2, padding=2)
    x = net.max_pool(x, name="pool_2")  # (B, 12, 12, 256)
    x = block(x, scaled(384, width), 3, 3, padding=1)
    x = net.max_pool(x, name="pool_3")  # (B, 5, 5, 384)
    x = net.dropout(x, dropout_rate, name="dropout")
    x = block(x, num_classes, 3, 4, padding=1)  # (B, 5, 5, K)
    logits = keras.layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)  # (B, K)
    return keras.Model(net.pixels, logits, name=name)


def batch_norm_lenet(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    batch_norm: Callable[..., keras.layers.Layer] | None = None,
    seed: int | None = None,
    name: str = "batch_norm_lenet",
) -> keras.Model:
    """Build LeNet with batch normalisation before each sigmoid, and no padding.

    conv 6@5x5 - BN - pool - conv 16@5x5 - BN - pool - 120 - BN - 84 - BN - K, sigmoid after each
    BN, average pooling. Section: "batch-norm".

    Follows the book: Xavier-uniform weights, momentum 0.9, epsilon 1e-5; 44,878 trainable
    parameters. Keras' moving variance is that of the batch; PyTorch's is n / (n - 1) times it.

    Args:
        input_shape: (height, width, channels), at least 16 x 16 pixels.
        num_classes: int >= 2, classes K.
        batch_norm: (name=...) -> layer, e.g. `scratch.BatchNorm`. None: Keras' layer.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: too small a picture, or fewer than two classes.

    Example:
        >>> sum(w.shape.num_elements() for w in batch_norm_lenet().trainable_variables)
        44878

    Reference:
        Ioffe, Szegedy, Batch normalization, 2015.
    """
    net = ImageNetwork(input_shape, num_classes, seed)

    def normalise(x: Any, number: int) -> Any:
        layer = f"batch_norm_{number}"
        x = net.batch_norm(x, name=layer) if batch_norm is None else batch_norm(name=layer)(x)
        return keras.layers.Activation("sigmoid", name=f"sigmoid_{number}")(x)

    x = normalise(net.conv(net.pixels, 6, 5, name="conv_1"), 1)  # (B, 24, 24, 6)
    x = net.average_pool(x, name="pool_1")  # (B, 12, 12, 6)
    x = normalise(net.conv(x, 16, 5, name="conv_2"), 2)  # (B, 8, 8, 16)
    x = net.average_pool(x, name="pool_2")  # (B, 4, 4, 16)
    x = keras.layers.Flatten(name="flatten")(x)  # (B, 256)
    x = normalise(net.dense(x, 120, name="dense_1"), 3)
    x = normalise(net.dense(x, 84, name="dense_2"), 4)
    return net.model(x, name)


def _dense_layers(net: ImageNetwork, x: Any, units: Sequence[int], dropout_rate: float) -> Any:
    """Flatten, then dense layers with ReLU and dropout."""
    if any(number < 1 for number in units):
        raise ValueError(f"`dense_units` must be positive. Received: {tuple(units)}.")
    x = keras.layers.Flatten(name="flatten")(x)
    for i, number in enumerate(units, 1):
        x = net.dense(x, number, "relu", name=f"dense_{i}")
        x = net.dropout(x, dropout_rate, name=f"dropout_{i}")
    return x
