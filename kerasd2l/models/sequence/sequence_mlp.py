"""Models of a series of numbers that have no state: the next value from the last few."""

from __future__ import annotations

import keras


def sequence_mlp(
    num_lags: int = 4,
    *,
    hidden_units: int = 10,
    seed: int | None = None,
    name: str = "sequence_mlp",
) -> keras.Model:
    """Build an autoregression: the next value from the last tau ones, through one hidden layer.

    x_t = W2 relu(W1 (x_{t-tau}, ..., x_{t-1}) + b1) + b2. Section: "sequence".

    Follows the book: Xavier weights; biases zero (PyTorch's default draws them). 61 parameters.

    Args:
        num_lags: int >= 1, tau.
        hidden_units: int >= 1, units of the hidden layer. Default: 10.
        seed: int or None. The layers draw their weights with seed and seed + 1.
        name: str, name of the model.

    Call arguments:
        inputs: (B, tau) float, oldest value first.

    Returns:
        A functional `keras.Model` that maps to (B, 1) float32.

    Raises:
        ValueError: no lags or no hidden units.

    Example:
        >>> sequence_mlp().count_params()
        61
    """
    for argument, value in (("num_lags", num_lags), ("hidden_units", hidden_units)):
        if value < 1:
            raise ValueError(f"`{argument}` must be at least 1. Received: {argument}={value}.")

    def xavier(layer: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(None if seed is None else seed + layer)

    history = keras.Input((num_lags,), name="history")
    x = keras.layers.Dense(
        hidden_units, activation="relu", kernel_initializer=xavier(0), name="hidden"
    )(history)  # (B, hidden_units)
    prediction = keras.layers.Dense(
        1, kernel_initializer=xavier(1), dtype="float32", name="prediction"
    )(x)  # (B, 1)
    return keras.Model(history, prediction, name=name)
