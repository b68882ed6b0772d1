"""Batch normalisation by hand; the twin of `keras.layers.BatchNormalization`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops


def batch_moments(X: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Return mean and variance (divided by n) of a batch over the axes."""
    mean = ops.mean(X, axis=axes)
    return mean, ops.mean((X - mean) ** 2, axis=axes)


def batch_normalize(
    X: Any,
    gamma: Any,
    beta: Any,
    moving_mean: Any,
    moving_var: Any,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training: bool = True,
    moments: Callable[[Any, tuple[int, ...]], tuple[Any, Any]] = batch_moments,
) -> tuple[Any, Any, Any]:
    """Normalise each feature over the batch, each channel over batch and place.

    Y = gamma (X - mean) / sqrt(var + epsilon) + beta; moving <- momentum moving +
    (1 - momentum) batch. Section: "batch-norm".

    Args:
        X: (B, D) or (B, H, W, C) float.
        gamma: (D,) or (C,), scale.
        beta: (D,) or (C,), shift.
        moving_mean: (D,) or (C,), what inference uses as mean.
        moving_var: (D,) or (C,), what inference uses as variance.
        epsilon: float > 0, keeps the root from zero.
        momentum: float in [0, 1], share of the old moving statistics that is kept.
        training: bool, True: statistics of this batch; False: the moving ones.
        moments: (X, axes) -> (mean, var), how the statistics of the batch are taken.

    Returns:
        (Y with the shape of X, new moving mean, new moving variance).

    Raises:
        ValueError: X has neither two nor four axes.
    """
    if len(X.shape) not in (2, 4):
        raise ValueError(f"`X` must have 2 or 4 axes. Received: X of shape {tuple(X.shape)}.")
    mean, var = moving_mean, moving_var
    if training:
        mean, var = moments(X, tuple(range(len(X.shape) - 1)))  # all axes but the last
        moving_mean = momentum * moving_mean + (1 - momentum) * mean
        moving_var = momentum * moving_var + (1 - momentum) * var
    Y = gamma * (X - mean) / ops.sqrt(var + epsilon) + beta
    return Y, moving_mean, moving_var


@keras.saving.register_keras_serializable(package="kerasd2l")
class BatchNormScratch(keras.layers.Layer):
    """Batch normalisation with its four vectors, made by hand.

    Y = gamma (X - mean) / sqrt(var + epsilon) + beta. Section: "batch-norm".

    Follows the book: momentum 0.9 is the share that is kept, the moving variance starts at one and
    is that of the batch. Replicas that share a batch take its statistics together, as Keras' layer
    does with `synchronized=True`.

    Args:
        momentum: float in [0, 1], share of the old moving statistics that is kept.
        epsilon: float > 0, keeps the root from zero.

    Call arguments:
        inputs: (B, D) or (B, H, W, C) float.
        training: bool, normalise by the batch and update the moving statistics.

    Returns:
        The shape and dtype of the inputs.

    Raises:
        ValueError: a momentum or epsilon out of range; inputs without two or four axes.

    Example:
        >>> layer = BatchNormScratch()
        >>> layer(keras.ops.ones((4, 3)), training=True).shape
        TensorShape([4, 3])

    Reference:
        Ioffe, Szegedy, Batch normalization, 2015.
    """

    def __init__(self, *, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be in [0, 1]. Received: momentum={momentum}.")
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive. Received: epsilon={epsilon}.")
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape):
        if len(input_shape) not in (2, 4):
            raise ValueError(f"`inputs` must have 2 or 4 axes. Received: shape {input_shape}.")
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        moving = {"shape": shape, "trainable": False, "aggregation": "mean", "autocast": False}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **moving)
        self.moving_var = self.add_weight(initializer="ones", name="moving_var", **moving)

    def call(self, inputs, training=False):
        X = ops.cast(inputs, "float32")  # sums over a batch need the precision
        Y, moving_mean, moving_var = batch_normalize(
            X,
            ops.cast(self.gamma, "float32"),
            ops.cast(self.beta, "float32"),
            self.moving_mean,
            self.moving_var,
            epsilon=self.epsilon,
            momentum=self.momentum,
            training=training,
            moments=_moments_of_all_replicas,
        )
        if training:
            self.moving_mean.assign(moving_mean)
            self.moving_var.assign(moving_var)
        return ops.cast(Y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def _moments_of_all_replicas(X: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the moments of the whole batch where several replicas have a piece of it each."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return batch_moments(X, axes)
    add = tf.distribute.ReduceOp.SUM
    count = tf.cast(tf.reduce_prod([tf.shape(X)[axis] for axis in axes]), X.dtype)
    total, count = replica.all_reduce(add, [ops.sum(X, axis=axes), count])
    mean = total / count
    # The deviations sum to zero over the whole batch: the mean gets no gradient through them.
    squares = ops.sum((X - ops.stop_gradient(mean)) ** 2, axis=axes)
    return mean, replica.all_reduce(add, squares) / count
