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


@keras.saving.register_keras_serializable(package="kerasd2l")
class BilinearKernel(keras.initializers.Initializer):
    """Kernel with which a transposed convolution enlarges pictures by bilinear interpolation.

    K[i, j, c, c] = (1 - |i - m| / f) (1 - |j - m| / f), f = (k + 1) // 2, m = f - 1 for an odd k,
    else f - 1/2; 0 between different channels. With strides s, k = 2 s and padding s / 2 pictures
    grow s times. Section: "fcn".

    Call arguments:
        shape: (kh, kw, channels, channels).
        dtype: str or None, Keras' default float.

    Returns:
        A tensor of that shape and dtype.

    Raises:
        ValueError: a shape of other than four axes, or with two numbers of channels.

    Example:
        >>> BilinearKernel()((4, 4, 1, 1))[1, :, 0, 0].numpy().tolist()
        [0.1875, 0.5625, 0.5625, 0.1875]

    Reference:
        Long et al., Fully convolutional networks for semantic segmentation, 2015.
    """

    def __call__(self, shape, dtype=None):
        if len(shape) != 4 or shape[2] != shape[3]:
            raise ValueError(
                "A bilinear kernel is (kh, kw, channels, channels): as many come out as go in. "
                f"Received: shape {tuple(shape)}."
            )
        rows, columns = (_tent(size) for size in shape[:2])
        kernel = rows[:, None, None, None] * columns[:, None, None] * ops.eye(shape[2])
        return ops.cast(kernel, dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        return {}


def _tent(size: int) -> Any:
    """Return (size,) numbers that fall from the middle to both ends."""
    factor = (size + 1) // 2
    middle = factor - 1 if size % 2 else factor - 0.5
    return 1 - ops.abs(ops.arange(size, dtype="float32") - middle) / factor
