"""Losses that Keras lacks or that a section writes out; on `keras.ops` only.

The functions work element by element; the classes reduce over examples as Keras' own losses do.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def half_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Compute the book's L2 loss: its gradient by the prediction is the error itself.

    l = (y_pred - y_true)^2 / 2. Sections: "linear-regression-scratch", "loss-functions".

    Args:
        y_true: array of any shape.
        y_pred: array of the same shape.

    Returns:
        Array of that shape.

    Example:
        >>> float(half_squared_error(1.0, 4.0))
        4.5
    """
    return ops.square(ops.subtract(y_pred, y_true)) / 2


def absolute_error(y_true: Any, y_pred: Any) -> Any:
    """Compute the L1 loss: its gradient has the size 1 everywhere but at 0.

    l = |y_pred - y_true|. Section: "loss-functions".

    Args:
        y_true: array of any shape.
        y_pred: array of the same shape.

    Returns:
        Array of that shape.

    Example:
        >>> float(absolute_error(1.0, 4.0))
        3.0
    """
    return ops.abs(ops.subtract(y_pred, y_true))


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Compute Huber's robust loss: L2 near 0, L1 far away, smooth where they meet.

    l = e^2 / 2 if |e| <= delta, else delta (|e| - delta / 2). Section: "loss-functions".

    Args:
        y_true: array of any shape.
        y_pred: array of the same shape.
        delta: float > 0, the error at which the parabola becomes a line. Default: 1.

    Returns:
        Array of that shape.

    Raises:
        ValueError: `delta` is not positive.

    Example:
        >>> float(huber(1.0, 4.0))
        2.5

    Reference:
        Huber, Robust estimation of a location parameter, 1964.
    """
    if delta <= 0:
        raise ValueError(f"`delta` must be positive. Received: delta={delta}.")
    error = ops.abs(ops.subtract(y_pred, y_true))
    return ops.where(error <= delta, ops.square(error) / 2, delta * (error - delta / 2))


@keras.saving.register_keras_serializable(package="kerasd2l")
class HalfSquaredError(keras.losses.Loss):
    """Mean over the examples of half the squared error: half of Keras' MeanSquaredError.

    L = mean (y_pred - y_true)^2 / 2. Section: "linear-regression-scratch".

    Args:
        reduction: str, as in every Keras loss.
        name: str.
        **kwargs: of `keras.losses.Loss`.

    Call arguments:
        y_true: (B, ..., D) float.
        y_pred: the same shape.

    Returns:
        A scalar; (B, ...) with `reduction=None`.

    Raises:
        ValueError: the shapes differ, which broadcasting would turn into a wrong number.

    Example:
        >>> float(HalfSquaredError()([[0.0]], [[3.0]]))
        4.5
    """

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str = "half_squared_error", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_true.shape) != len(y_pred.shape):
            raise ValueError(
                "`y_true` and `y_pred` must have the same shape. "
                f"Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}. Reshape the labels."
            )
        return ops.mean(half_squared_error(y_true, y_pred), axis=-1)
