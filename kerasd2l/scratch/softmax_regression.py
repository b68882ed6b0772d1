"""Softmax regression by hand: softmax, cross-entropy and accuracy, naive and stable."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def softmax(X: Any) -> Any:
    """Return the softmax of each row as its formula says: exp overflows float32 above 88.7.

    Section: "softmax-regression-scratch". `stable_softmax` is the one to use.

    Args:
        X: (B, K) float.

    Returns:
        (B, K), rows sum to 1.
    """
    X_exp = ops.exp(X)
    return X_exp / ops.sum(X_exp, axis=1, keepdims=True)  # broadcasting over the columns


def stable_softmax(X: Any) -> Any:
    """Return the softmax of each row, its largest entry taken away first: exp never overflows.

    softmax(x) = softmax(x - max x). Section: "softmax-regression-concise".

    Args:
        X: (B, K) float.

    Returns:
        (B, K), rows sum to 1.
    """
    return softmax(X - ops.max(X, axis=1, keepdims=True))


def log_softmax(X: Any) -> Any:
    """Return the logarithm of the softmax without ever taking the logarithm of 0.

    log softmax(x) = x - max x - log sum exp(x - max x). Section: "softmax-regression-concise".

    Args:
        X: (B, K) float.

    Returns:
        (B, K), not above 0.
    """
    X = X - ops.max(X, axis=1, keepdims=True)
    return X - ops.log(ops.sum(ops.exp(X), axis=1, keepdims=True))


def cross_entropy(y_hat: Any, y: Any) -> Any:
    """Return -log of the probability of the true class: infinite where that is 0.

    Section: "softmax-regression-scratch".

    Args:
        y_hat: (B, K) probabilities.
        y: (B,) int, the true classes.

    Returns:
        (B,) float.
    """
    return -ops.log(_pick(y_hat, y))


def accuracy(y_hat: Any, y: Any) -> float:
    """Count the right predictions: a number of examples, not a ratio.

    Section: "softmax-regression-scratch".

    Args:
        y_hat: (B, K) scores, or (B,) classes.
        y: (B,) int, the true classes.
    """
    y_hat = ops.convert_to_tensor(y_hat)
    if len(y_hat.shape) > 1 and y_hat.shape[1] > 1:
        y_hat = ops.argmax(y_hat, axis=1)
    right = ops.equal(ops.cast(y_hat, "int32"), ops.cast(y, "int32"))
    return float(ops.sum(ops.cast(right, "float32")))


def _pick(values: Any, y: Any) -> Any:
    """Return values[i, y[i]] for each row: (B, K), (B,) -> (B,)."""
    y = ops.reshape(ops.cast(y, "int32"), (-1, 1))
    return ops.take_along_axis(values, y, axis=1)[:, 0]


@keras.saving.register_keras_serializable(package="kerasd2l")
class CrossEntropyScratch(keras.losses.Loss):
    """Cross-entropy of logits: the twin of SparseCategoricalCrossentropy(from_logits=True).

    L = -mean log softmax(o)_y; its gradient by o is softmax(o) - onehot(y), over B.
    Section: "softmax-regression-scratch".

    Args:
        reduction: str, as in every Keras loss.
        name: str.
        **kwargs: of `keras.losses.Loss`.

    Call arguments:
        y_true: (B,) int classes.
        y_pred: (B, K) logits.

    Returns:
        A scalar; (B,) with `reduction=None`.

    Example:
        >>> round(float(CrossEntropyScratch()([0], [[0.0, 0.0]])), 4)
        0.6931
    """

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str = "cross_entropy", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        return -_pick(log_softmax(ops.convert_to_tensor(y_pred)), y_true)


@keras.saving.register_keras_serializable(package="kerasd2l")
class SoftmaxRegressionScratch(keras.Model):
    """Softmax regression with its own W and b: the twin of `models.softmax_regression`.

    o = flatten(X) W + b, logits; W from N(0, stddev^2), b = 0. Section:
    "softmax-regression-scratch". (The book's network returns softmax(o); here, as everywhere in
    this library, the softmax belongs to the loss and to the endpoint.)

    Args:
        num_classes: int >= 2, classes K. Default: 10.
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None, of the initial weights.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, ...) float.
        training: bool, without effect.

    Returns:
        (B, K) logits, float32.

    Raises:
        ValueError: fewer than two classes.

    Example:
        >>> SoftmaxRegressionScratch()(keras.ops.ones((3, 28, 28, 1))).shape
        TensorShape([3, 10])
    """

    def __init__(
        self, num_classes: int = 10, stddev: float = 0.01, seed: int | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        if num_classes < 2:
            raise ValueError(
                f"`num_classes` must be at least 2. Received: num_classes={num_classes}."
            )
        self.num_classes, self.stddev, self.seed = num_classes, stddev, seed

    def build(self, input_shape):
        self.num_inputs = 1
        for size in input_shape[1:]:
            self.num_inputs *= size
        normal = keras.initializers.RandomNormal(stddev=self.stddev, seed=self.seed)
        shape = (self.num_inputs, self.num_classes)
        self.W = self.add_weight(shape=shape, initializer=normal, name="W")
        self.b = self.add_weight(shape=(self.num_classes,), initializer="zeros", name="b")
        super().build(input_shape)

    def call(self, inputs, training=False):
        X = ops.reshape(inputs, (-1, self.num_inputs))  # (B, H * W * C)
        return ops.cast(ops.matmul(X, self.W) + self.b, "float32")  # (B, K)

    def get_config(self):
        own = {"num_classes": self.num_classes, "stddev": self.stddev, "seed": self.seed}
        return {**super().get_config(), **own}
