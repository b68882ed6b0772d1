"""Initialisers of one's own."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasd2l")
class GappedUniform(keras.initializers.Initializer):
    """Draw from U(-high, high), and set what lies within (-low, low) to zero.

    With the book's 5 and 10 a quarter is in (5, 10), a quarter in (-10, -5), and half is zero.
    Section: "parameters".

    Args:
        low: float >= 0, half the width of the gap. Default: 5.
        high: float > low, the largest absolute value. Default: 10.
        seed: int or None.

    Call arguments:
        shape: tuple of int.
        dtype: str or None, Keras' default float.

    Returns:
        A tensor of that shape and dtype.

    Raises:
        ValueError: not 0 <= low < high.

    Example:
        >>> weights = GappedUniform(seed=0)((4, 8))
        >>> bool(ops.all((ops.abs(weights) >= 5) | (weights == 0)))
        True
    """

    def __init__(self, low: float = 5.0, high: float = 10.0, seed: int | None = None):
        if not 0 <= low < high < float("inf"):
            raise ValueError(f"Expected 0 <= low < high. Received: low={low}, high={high}.")
        self.low, self.high, self.seed = low, high, seed
        self._uniform = keras.initializers.RandomUniform(-high, high, seed=seed)

    def __call__(self, shape, dtype=None):
        weights = self._uniform(shape, dtype=dtype)
        return ops.where(ops.abs(weights) >= self.low, weights, ops.zeros_like(weights))

    def get_config(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "seed": self.seed}
