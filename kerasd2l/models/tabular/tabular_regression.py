"""Models on the rows of a table."""

from __future__ import annotations

import math

import keras


def tabular_regression(
    num_features: int,
    *,
    weight_decay: float = 0.0,
    seed: int | None = None,
    name: str = "tabular_regression",
) -> keras.Model:
    """Build a linear regression on an encoded row: one number from F.

    y = x W + b. Section: "kaggle-house-price".

    Follows the book, whose PyTorch layer draws weights and bias from U(-1/sqrt(F), 1/sqrt(F)).
    Decay is its L2 penalty: it adds `weight_decay` * W to the gradient before the optimizer sees
    it. The bias, which the book's optimizer decays with the rest, is left alone here.

    Args:
        num_features: int >= 1, F.
        weight_decay: float >= 0, strength of the penalty. Default: 0, as in the book.
        seed: int or None. The weights are drawn with `seed`, the bias with `seed + 1`.
        name: str, name of the model.

    Call arguments:
        inputs: (B, F) float.

    Returns:
        A functional `keras.Model` that maps to (B, 1) float32. All of it computes in float32:
        prices have more digits than half precision holds.

    Raises:
        ValueError: no features, or a decay below 0.

    Example:
        >>> tabular_regression(331).count_params()
        332
    """
    if num_features < 1:
        raise ValueError(f"`num_features` must be at least 1. Received: {num_features}.")
    if not 0 <= weight_decay < math.inf:
        raise ValueError(
            f"`weight_decay` must be 0 or a positive number. Received: weight_decay={weight_decay}."
        )
    limit = 1.0 / math.sqrt(num_features)

    def uniform(offset: int) -> keras.initializers.Initializer:
        own_seed = None if seed is None else seed + offset
        return keras.initializers.RandomUniform(-limit, limit, seed=own_seed)

    features = keras.Input((num_features,), name="features")
    prediction = keras.layers.Dense(
        1,
        kernel_initializer=uniform(0),
        bias_initializer=uniform(1),
        # L2(c) penalises c * ||W||^2, whose gradient is 2 c W
        kernel_regularizer=keras.regularizers.L2(weight_decay / 2) if weight_decay else None,
        dtype="float32",
        name="prediction",
    )(features)  # (B, 1)
    return keras.Model(features, prediction, name=name)
