"""Softmax regression: one Dense layer, a logit for each class."""

from __future__ import annotations

import keras

from kerasd2l.models.vision.image_network import check_classes


def softmax_regression(
    input_shape: tuple[int, ...] = (28, 28, 1),
    num_classes: int = 10,
    *,
    stddev: float = 0.01,
    seed: int | None = None,
    name: str = "softmax_regression",
) -> keras.Model:
    """Build softmax regression: flatten the image, one affine map to the logits.

    o = flatten(x) W + b. Section: "softmax-regression-concise".

    Follows the book: W from N(0, stddev^2), b zero. 7,850 parameters for 28 x 28 and 10 classes.

    Args:
        input_shape: tuple of int, shape of one example.
        num_classes: int >= 2, classes K.
        stddev: float > 0, standard deviation of the initial weights.
        seed: int or None, seed of the initial weights.
        name: str, name of the model.

    Call arguments:
        inputs: (B, *input_shape) float.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: fewer than two classes.

    Example:
        >>> softmax_regression().count_params()
        7850
    """
    check_classes(num_classes)
    pixels = keras.Input(input_shape, name="pixels")
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(pixels)  # (B, H * W * C)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.RandomNormal(stddev=stddev, seed=seed),
        dtype="float32",
        name="logits",
    )(x)  # (B, K)
    return keras.Model(pixels, logits, name=name)
