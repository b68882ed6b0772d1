"""The first convolutional network: LeNet-5."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras

from kerasd2l.models.vision.image_network import check_classes

_POOLING = {"average": keras.layers.AveragePooling2D, "max": keras.layers.MaxPooling2D}
_WEIGHTS = {"mnist": Path(__file__).parents[1] / "weights" / "lenet_mnist.weights.h5"}


def lenet(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    activation: str | Callable = "sigmoid",
    pooling: str = "average",
    weights: str | None = None,
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
            weights: None, drawn by `seed`; or "mnist", those of savedmodels/lenet_mnist, trained on
    <<<<<<< .merge_file_Ee8NHW
                MNIST's handwritten digits, light on dark: for the book's network with 10 classes.
    =======
                handwritten digits, light on dark: for the book's network with 10 classes.
    >>>>>>> .merge_file_Pf6w8g
            seed: int or None. Layer i draws its weights with seed + i.
            name: str, name of the model.

        Call arguments:
            inputs: (B, H, W, C) float in [0, 1].

        Returns:
            A functional `keras.Model` that maps to logits (B, K) float32.

        Raises:
            ValueError: an unknown pooling, too small a picture, fewer than two classes, unknown
                weights, or weights of another network.

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
    if weights is not None:
        _check_weights(weights, input_shape, num_classes, activation, pooling)
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
    model = keras.Model(pixels, logits, name=name)
    if weights is not None:
        model.load_weights(_WEIGHTS[weights])
    return model


def _check_weights(
    weights: str,
    input_shape: tuple[int, ...],
    num_classes: int,
    activation: str | Callable,
    pooling: str,
) -> None:
    """Refuse weights that are not there, or that were trained in another network."""
    if weights not in _WEIGHTS:
        raise ValueError(
            f"`weights` must be None or one of {sorted(_WEIGHTS)}. Received: weights={weights!r}. "
            "Weights of your own: build without, then `model.load_weights(path)`."
        )
    trained = {
        "input_shape": (28, 28, 1),
        "num_classes": 10,
        "activation": "sigmoid",
        "pooling": "average",
    }
    sigmoid = activation in ("sigmoid", keras.activations.sigmoid)
    asked = {
        "input_shape": tuple(input_shape),
        "num_classes": num_classes,
        "activation": "sigmoid" if sigmoid else activation,
        "pooling": pooling,
    }
    other = [key for key, value in asked.items() if value != trained[key]]
    if other:
        raise ValueError(
            f"`weights={weights!r}` are of a network with "
            f"{', '.join(f'{key}={trained[key]!r}' for key in other)}. Received: "
            f"{', '.join(f'{key}={asked[key]!r}' for key in other)}. Leave these arguments out, or "
            "`weights`."
        )
