"""Linear models: one Dense layer and nothing hidden."""

from __future__ import annotations

import keras


def linear_regression(
    num_inputs: int = 2,
    *,
    use_bias: bool = True,
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    bias_initializer: str | keras.initializers.Initializer = "zeros",
    seed: int | None = None,
    name: str = "linear_regression",
) -> keras.Model:
    """Build linear regression: one number from D numbers.

    y = X w + b. Section: "linear-regression-concise".

    Follows the book: w from N(0, 0.01^2), b zero.

    Args:
        num_inputs: int >= 1, D.
        use_bias: bool, whether there is a b. Default: True.
        kernel_initializer: of w; None: N(0, 0.01^2) with `seed`.
        bias_initializer: of b. Default: zeros.
        seed: int or None, seed of the default w.
        name: str, name of the model.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        A functional `keras.Model` that maps to predictions (B, 1) float32.

    Raises:
        ValueError: no inputs.

    Example:
        >>> linear_regression(2).count_params()
        3
    """
    if num_inputs < 1:
        raise ValueError(f"`num_inputs` must be at least 1. Received: num_inputs={num_inputs}.")
    if kernel_initializer is None:
        kernel_initializer = keras.initializers.RandomNormal(stddev=0.01, seed=seed)
    features = keras.Input((num_inputs,), name="features")
    prediction = keras.layers.Dense(
        1,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        dtype="float32",
        name="prediction",
    )(features)  # (B, 1)
    return keras.Model(features, prediction, name=name)


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
    if num_classes < 2:
        raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}.")
    pixels = keras.Input(input_shape, name="pixels")
    x = keras.layers.Flatten(name="flatten")(pixels)  # (B, H * W * C)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.RandomNormal(stddev=stddev, seed=seed),
        dtype="float32",
        name="logits",
    )(x)  # (B, K)
    return keras.Model(pixels, logits, name=name)
