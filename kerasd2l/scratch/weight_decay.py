"""Weight decay by hand: a penalty on the weights, the step it means, and the hard constraint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerasd2l.scratch.linear_regression import (
    LinearRegressionScratch,
    data_iter,
    linreg,
    sgd,
    squared_loss,
)


def l2_penalty(w: Any) -> Any:
    """Return half the squared norm of w: its gradient is w. Section: "weight-decay"."""
    return ops.sum(ops.square(w)) / 2


@keras.saving.register_keras_serializable(package="kerasd2l")
class WeightDecayScratch(LinearRegressionScratch):
    """Linear regression whose loss has the penalty lambda |w|^2 / 2; b is free.

    L = mean loss + lambda |w|^2 / 2, and so w <- (1 - lr lambda) w - lr g. Section: "weight-decay".
    The twin of `models.linear_regression` under SGD(weight_decay=lambda) with the bias excluded.
    The penalty counts while training only: the evaluated loss is that of the data, as in the book.

    Args:
        weight_decay: float >= 0, lambda. Default: 3.
        stddev: float >= 0, standard deviation of the initial weights. Default: 1.
        seed: int or None, of the initial weights.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, D) float.
        training: bool, whether the penalty is added to `losses`. Default: False.

    Returns:
        (B, 1).

    Raises:
        ValueError: `weight_decay` or `stddev` is negative.

    Example:
        >>> WeightDecayScratch(weight_decay=3.0)(keras.ops.ones((4, 200))).shape
        TensorShape([4, 1])
    """

    def __init__(
        self, weight_decay: float = 3.0, stddev: float = 1.0, seed: int | None = None, **kwargs
    ):
        super().__init__(stddev=stddev, seed=seed, **kwargs)
        if weight_decay < 0:
            raise ValueError(
                f"`weight_decay` must not be negative. Received: weight_decay={weight_decay}."
            )
        self.weight_decay = weight_decay

    def call(self, inputs, training=False):
        if training:
            self.add_loss(self.weight_decay * l2_penalty(self.w))
        return super().call(inputs, training=training)

    def get_config(self):
        return {**super().get_config(), "weight_decay": self.weight_decay}


@dataclass
class Trained:
    """What `train_weight_decay` found, and the losses on its way (one per epoch)."""

    w: np.ndarray
    b: float
    train_losses: list[float] = field(default_factory=list)
    test_losses: list[float] = field(default_factory=list)

    @property
    def norm(self) -> float:
        """The length |w|, not half its square."""
        return float(np.linalg.norm(self.w))


def train_weight_decay(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    lambd: float,
    *,
    num_epochs: int = 100,
    lr: float = 0.003,
    batch_size: int = 5,
    seed: int = 0,
) -> Trained:
    """Train with the penalty by a GradientTape: the book's loop.

    Args:
        train: X (n, D), y (n, 1), float32.
        test: the same.
        lambd: float >= 0, strength of the penalty.
        num_epochs: int.
        lr: float, learning rate.
        batch_size: int.
        seed: int, of the initial w (N(0, 1)) and the order.

    Returns:
        Trained; its losses are those of the data, without the penalty.
    """
    features, labels = train
    start = np.random.default_rng(seed).normal(size=(features.shape[1], 1))
    w, b = tf.Variable(start.astype(np.float32)), tf.Variable(tf.zeros(1))

    @tf.function(reduce_retracing=True)
    def step(X, y):
        with tf.GradientTape() as tape:
            # the penalty is added to the loss of each example, then all are summed
            loss = tf.reduce_sum(squared_loss(linreg(X, w, b), y) + lambd * l2_penalty(w))
        sgd([w, b], tape.gradient(loss, [w, b]), lr, tf.cast(tf.shape(X)[0], tf.float32))

    def mean_loss(X, y):
        return float(tf.reduce_mean(squared_loss(linreg(X, w, b), y)))

    result = Trained(w.numpy(), 0.0)
    for epoch in range(num_epochs):
        for X, y in data_iter(batch_size, features, labels, seed=seed + epoch):
            step(tf.constant(X), tf.constant(y))
        result.train_losses.append(mean_loss(*train))
        result.test_losses.append(mean_loss(*test))
    result.w, result.b = w.numpy().reshape(-1), float(b.numpy()[0])
    return result


def ridge(X: np.ndarray, y: np.ndarray, lambd: float) -> tuple[np.ndarray, float]:
    """Solve min mean (Xw + b - y)^2 / 2 + lambda |w|^2 / 2 at once; b is not penalised.

    w = (X~^T X~ / n + lambda I)^-1 X~^T y~ / n with X~, y~ centred. Section: "weight-decay".

    Args:
        X: (n, D).
        y: (n,) or (n, 1).
        lambd: float > 0.

    Returns:
        w (D,) and b.
    """
    X, y = np.asarray(X, float), np.asarray(y, float).reshape(-1)
    centred, mean, n = X - X.mean(0), y.mean(), len(X)
    matrix = centred.T @ centred / n + lambd * np.eye(X.shape[1])
    w = np.linalg.solve(matrix, centred.T @ (y - mean) / n)
    return w, float(mean - X.mean(0) @ w)


def project(w: np.ndarray, radius: float) -> np.ndarray:
    """Return the point of the ball |w| <= radius that is nearest to w."""
    norm = np.linalg.norm(w)
    return w if norm <= radius else w * (radius / norm)


def constrained(
    X: np.ndarray, y: np.ndarray, radius: float, *, steps: int = 2000
) -> tuple[np.ndarray, float]:
    """Solve min mean (Xw + b - y)^2 / 2 subject to |w| <= radius by projected gradient descent.

    The hard constraint of the section: for each radius there is a lambda for which `ridge` has the
    same solution. Section: "weight-decay".

    Args:
        X: (n, D).
        y: (n,) or (n, 1).
        radius: float > 0.
        steps: int, gradient steps of size 1 / (largest curvature).

    Returns:
        w (D,) and b.

    Raises:
        ValueError: `radius` is not positive.
    """
    if radius <= 0:
        raise ValueError(f"`radius` must be positive. Received: radius={radius}.")
    X, y = np.asarray(X, float), np.asarray(y, float).reshape(-1)
    centred, mean, n = X - X.mean(0), y.mean(), len(X)
    rate = n / np.linalg.norm(centred, 2) ** 2
    w = np.zeros(X.shape[1])
    for _ in range(steps):
        w = project(w - rate * centred.T @ (centred @ w - (y - mean)) / n, radius)
    return w, float(mean - X.mean(0) @ w)
