"""Linear regression by hand: the data iterator, the model, the loss, the optimizer, the loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops


def data_iter(
    batch_size: int, features: Any, labels: Any, *, seed: int | None = None
) -> Iterator[tuple[Any, Any]]:
    """Walk once through the examples in random order; the last batch may be shorter.

    Section: "linear-regression-scratch".

    Args:
        batch_size: int >= 1.
        features: (n, D) array.
        labels: (n, 1) array.
        seed: int or None, of the order.

    Raises:
        ValueError: a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")
    indices = np.random.default_rng(seed).permutation(len(features))
    for start in range(0, len(indices), batch_size):
        batch = indices[start : start + batch_size]
        yield features[batch], labels[batch]


def linreg(X: Any, w: Any, b: Any) -> Any:
    """Return X w + b: (B, D), (D, 1), (1,) -> (B, 1)."""
    return ops.matmul(X, w) + b


def squared_loss(y_hat: Any, y: Any) -> Any:
    """Return half the squared errors; `y` is given the shape of `y_hat` first."""
    return (y_hat - ops.reshape(y, ops.shape(y_hat))) ** 2 / 2


def sgd(
    params: Sequence[tf.Variable], grads: Sequence[Any], lr: float, batch_size: int = 1
) -> None:
    """Step against the gradients of a loss that was summed over the batch.

    Args:
        params: variables to change.
        grads: their gradients.
        lr: float, learning rate.
        batch_size: int, examples that the loss was summed over.
    """
    for param, grad in zip(params, grads, strict=True):
        param.assign_sub(lr * grad / batch_size)


def closed_form(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Solve linear regression in one step: w* = (X^T X)^-1 X^T y, with a column of ones for b.

    The system is solved, not inverted; more unknowns than examples get the shortest solution.
    Section: "linear-regression".

    Args:
        X: (n, D).
        y: (n,) or (n, 1).

    Returns:
        w (D,) float64 and b.

    Raises:
        ValueError: X and y of different length.
    """
    X, y = np.asarray(X, float), np.asarray(y, float).reshape(-1)
    if len(X) != len(y):
        raise ValueError(
            f"`X` and `y` must have the same length. Received: {len(X)} and {len(y)} examples."
        )
    X = np.column_stack([X, np.ones(len(X))])  # (n, D + 1)
    solution = np.linalg.lstsq(X, y, rcond=None)[0]
    return solution[:-1], float(solution[-1])


def train_linear_regression(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    lr: float = 0.03,
    num_epochs: int = 3,
    batch_size: int = 10,
    seed: int = 0,
) -> tuple[np.ndarray, float, list[float]]:
    """Train linear regression with nothing but a GradientTape: the book's loop.

    Args:
        features: (n, D) float32.
        labels: (n, 1) float32.
        lr: float, learning rate.
        num_epochs: int.
        batch_size: int.
        seed: int, of the initial weights and the order.

    Returns:
        w (D,), b, and the mean loss over all examples after each epoch.
    """
    random = np.random.default_rng(seed)
    w = tf.Variable(random.normal(0, 0.01, (features.shape[1], 1)).astype(np.float32))
    b = tf.Variable(tf.zeros(1))
    losses = []
    for epoch in range(num_epochs):
        for X, y in data_iter(batch_size, features, labels, seed=seed + epoch):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(squared_loss(linreg(X, w, b), y))
            sgd([w, b], tape.gradient(loss, [w, b]), lr, len(X))
        losses.append(float(tf.reduce_mean(squared_loss(linreg(features, w, b), labels))))
    return w.numpy().reshape(-1), float(b.numpy()[0]), losses


def train_least_squares(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    lr: float = 0.01,
    num_epochs: int = 400,
    batch_size: int = 10,
    seed: int = 0,
) -> tuple[np.ndarray, list[float], list[float]]:
    """Fit w by SGD on the mean squared error without a bias: the book's `train` of polynomials.

    w starts from U(-1/sqrt(D), 1/sqrt(D)), as PyTorch's linear layer does. All epochs are one graph
    call, so that hundreds of them take seconds. Section: "underfit-overfit".

    Args:
        train: X (n, D), y (n, 1), float32.
        test: the same.
        lr: float, learning rate.
        num_epochs: int.
        batch_size: int.
        seed: int, of the initial w and the order.

    Returns:
        w (D,), and the mean squared errors on both sets after each epoch.
    """
    features, labels = (tf.constant(array) for array in train)
    size, width = train[0].shape
    random = np.random.default_rng(seed)
    w = tf.Variable((random.uniform(-1, 1, (width, 1)) / np.sqrt(width)).astype(np.float32))

    @tf.function
    def descend(orders):  # (epochs, n)
        weights = tf.TensorArray(tf.float32, num_epochs)
        for epoch in tf.range(num_epochs):
            for start in tf.range(0, size, batch_size):
                batch = orders[epoch, start : start + batch_size]
                X, y = tf.gather(features, batch), tf.gather(labels, batch)
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean((tf.matmul(X, w) - y) ** 2)
                sgd([w], tape.gradient(loss, [w]), lr)
            weights = weights.write(epoch, w[:, 0])
        return weights.stack()

    path = descend(np.stack([random.permutation(size) for _ in range(num_epochs)])).numpy()
    curves = [np.mean((X @ path.T - y) ** 2, axis=0).tolist() for X, y in (train, test)]
    return w.numpy()[:, 0], *curves


@keras.saving.register_keras_serializable(package="kerasd2l")
class SGDScratch(keras.optimizers.Optimizer):
    """Plain gradient descent as an optimizer of three lines: the twin of `keras.optimizers.SGD`.

    w <- w - lr g. Section: "linear-regression-scratch".

    Args:
        learning_rate: float or schedule. Default: 0.03.
        name: str.
        **kwargs: of `keras.optimizers.Optimizer`.

    Example:
        >>> SGDScratch(0.5).get_config()["learning_rate"]
        0.5
    """

    def __init__(self, learning_rate: Any = 0.03, name: str = "sgd_scratch", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * gradient)


@keras.saving.register_keras_serializable(package="kerasd2l")
class LinearRegressionScratch(keras.Model):
    """Linear regression with its own W and b: the twin of `models.linear_regression`.

    y = X w + b, w from N(0, stddev^2), b = 0. Section: "linear-regression-scratch".

    Args:
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None, of the initial weights.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, D) float.
        training: bool, without effect.

    Returns:
        (B, 1) float32.

    Raises:
        ValueError: `stddev` is negative.

    Example:
        >>> LinearRegressionScratch()(keras.ops.ones((3, 2))).shape
        TensorShape([3, 1])
    """

    def __init__(self, stddev: float = 0.01, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if stddev < 0:
            raise ValueError(f"`stddev` must not be negative. Received: stddev={stddev}.")
        self.stddev, self.seed = stddev, seed

    def build(self, input_shape):
        normal = keras.initializers.RandomNormal(stddev=self.stddev, seed=self.seed)
        self.w = self.add_weight(shape=(input_shape[-1], 1), initializer=normal, name="w")
        self.b = self.add_weight(shape=(1,), initializer="zeros", name="b")
        super().build(input_shape)

    def call(self, inputs, training=False):
        return ops.cast(linreg(inputs, self.w, self.b), "float32")

    def get_config(self):
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}
