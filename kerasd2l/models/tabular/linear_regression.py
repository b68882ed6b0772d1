"""Linear regression: one Dense layer."""

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
