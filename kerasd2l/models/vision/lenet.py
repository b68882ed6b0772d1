"""The first convolutional network: LeNet-5."""

from __future__ import annotations

from collections.abc import Callable

import keras

from kerasd2l.models.vision.image_network import check_classes

_POOLING = {"average": keras.layers.AveragePooling2D, "max": keras.layers.MaxPooling2D}


def lenet(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    activation: str | Callable = "sigmoid",
    pooling: str = "average",
    seed: int | None = None,
    name: str = "lenet",
) -> keras.Model:
    """Build LeNet: two convolutions with pooling, then three dense layers.

    conv 6@5x5 (padding 2) - pool 2 - conv 16@5x5 - pool 2 - 120 - 84 - K. Section: "lenet".

    Follows the book: sigmoid, average pooling, Xavier-uniform weights, zero biases; 61,706
    parameters. Flattening is channels-last, so the rows of `dense_1` are ordered (H, W, C)
    where the book's PyTorch code has (C, H, W).

    Args:
        input_shape: (height, width, channels), at least 12 x 12 pixels.
        num_classes: int >= 2, classes K.
        activation: str or callable, nonlinearity of every hidden layer.
        pooling: "average" or "max", 2 x 2 with stride 2.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: an unknown pooling, too small a picture, or fewer than two classes.

    Example:
        >>> lenet().count_params()
        61706

    Reference:
        LeCun et al., Gradient-based learning applied to document recognition, 1998.
    """
    if pooling not in _POOLING:
        raise ValueError(f'`pooling` must be "average" or "max". Received: pooling={pooling!r}.')
    check_classes(num_classes)
    if min(input_shape[:2]) < 12:
        raise ValueError(
            "`input_shape` must be at least 12 x 12 pixels: two 5 x 5 convolutions and two "
            f"poolings shrink smaller pictures to nothing. Received: input_shape={input_shape}."
        )
    layers = keras.layers

    def xavier(layer: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=None if seed is None else seed + layer)

    pool = _POOLING[pooling]
    pixels = keras.Input(input_shape, name="pixels")
    x = layers.Conv2D(
        6,
        5,
        padding="same",
        data_format="channels_last",
        activation=activation,
        kernel_initializer=xavier(0),
        name="conv_1",
    )(pixels)  # (B, H, W, 6)
    x = pool(2, 2, data_format="channels_last", name="pool_1")(x)  # (B, H // 2, W // 2, 6)
    x = layers.Conv2D(
        16,
        5,
        data_format="channels_last",
        activation=activation,
        kernel_initializer=xavier(1),
        name="conv_2",
    )(x)
    x = pool(2, 2, data_format="channels_last", name="pool_2")(x)  # (B, 5, 5, 16) for 28 x 28
    x = layers.Flatten(data_format="channels_last", name="flatten")(x)  # (B, 400)
    x = layers.Dense(120, activation, kernel_initializer=xavier(2), name="dense_1")(x)
    x = layers.Dense(84, activation, kernel_initializer=xavier(3), name="dense_2")(x)
    logits = layers.Dense(
        num_classes, kernel_initializer=xavier(4), dtype="float32", name="logits"
    )(x)  # (B, K)
    return keras.Model(pixels, logits, name=name)
