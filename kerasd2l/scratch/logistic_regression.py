"""Logistic regression by hand: the sigmoid, the cross-entropy, and the gradient that comes out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def sigmoid(z: Any) -> Any:
    """Return 1 / (1 + e^-z), without overflow for large |z|.

    sigma'(z) = sigma(z) (1 - sigma(z)). Section: "logistic-regression".
    """
    e = ops.exp(-ops.abs(z))
    return ops.where(z >= 0, 1 / (1 + e), e / (1 + e))


def cross_entropy(z: Any, y: Any) -> Any:
    """Return -y log(y_hat) - (1 - y) log(1 - y_hat) for y_hat = sigmoid(z), from the logit.

    It is written as max(z, 0) - z y + log(1 + e^-|z|), which is the same but never log(0).
    Section: "logistic-regression".

    Args:
        z: logits, any shape.
        y: labels 0 or 1, the same shape.

    Returns:
        The loss of each example, the same shape.
    """
    return ops.maximum(z, 0) - z * y + ops.log1p(ops.exp(-ops.abs(z)))


@keras.saving.register_keras_serializable(package="kerasd2l")
class LogisticRegressionScratch(keras.Model):
    """Logistic regression whose training step uses the gradient derived by hand.

    z = w^T x with x_0 = 1, so w_0 is the bias; d cost / dw = 1/N X^T (y_hat - y).
    Section: "logistic-regression".

    Args:
        num_features: int > 0, D, without x_0.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        The logit z (B, 1).

    Raises:
        ValueError: fewer than one feature.

    Example:
        >>> import numpy as np
        >>> LogisticRegressionScratch(2)(np.zeros((3, 2))).shape
        TensorShape([3, 1])
    """

    def __init__(self, num_features: int, **options: Any):
        super().__init__(**options)
        if num_features < 1:
            raise ValueError(f"`num_features` must be positive. Received: {num_features}.")
        self.num_features = num_features
        self.w = self.add_weight(shape=(num_features + 1, 1), initializer="zeros", name="w")

    def build(self, input_shape):
        if input_shape[-1] != self.num_features:
            raise ValueError(
                f"`inputs` must have {self.num_features} features. Received: {input_shape}."
            )
        self.built = True

    def call(self, inputs):
        return ops.matmul(_with_one(inputs), self.w)

    def gradient(self, x: Any, y: Any) -> Any:
        """Return d cost / dw (D + 1, 1) by the formula, no tape.

        Args:
            x: (B, D) float.
            y: (B, 1) labels 0 or 1.
        """
        X = _with_one(x)  # (B, D + 1)
        y_hat = sigmoid(ops.matmul(X, self.w))
        return ops.matmul(ops.transpose(X), y_hat - y) / ops.cast(ops.shape(X)[0], X.dtype)

    def descend(self, x: Any, y: Any, learning_rate: float) -> Any:
        """Take one step of gradient descent; return the cost before it."""
        loss = ops.mean(cross_entropy(self(x), y))
        self.w.assign(self.w - learning_rate * self.gradient(x, y))
        return loss

    def get_config(self):
        return {**super().get_config(), "num_features": self.num_features}


def _with_one(x: Any) -> Any:
    x = ops.convert_to_tensor(x, "float32")
    return ops.concatenate([ops.ones_like(x[:, :1]), x], axis=1)
