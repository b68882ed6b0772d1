"""Xavier initialisation, and what any initialisation does to a deep network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops


def xavier_variance(fan_in: int, fan_out: int) -> float:
    """Return 2 / (fan_in + fan_out), halfway between what outputs and what gradients need.

    Section: "numerical-stability-and-init".
    """
    return 2 / (fan_in + fan_out)


def xavier_bound(fan_in: int, fan_out: int) -> float:
    """Return sqrt(6 / (fan_in + fan_out)): U(-bound, bound) has the variance of Xavier.

    Section: "numerical-stability-and-init".
    """
    return math.sqrt(6 / (fan_in + fan_out))


@keras.saving.register_keras_serializable(package="kerasd2l")
class XavierUniformScratch(keras.initializers.Initializer):
    """Draw a matrix from U(-a, a), a = sqrt(6 / (fan_in + fan_out)): the twin of GlorotUniform.

    Section: "numerical-stability-and-init".

    Args:
        seed: int or None. As in Keras, an initializer with a seed always draws the same.

    Call arguments:
        shape: (fan_in, fan_out).
        dtype: str or None.

    Returns:
        A matrix of that shape.

    Raises:
        ValueError: `shape` is not that of a matrix.

    Reference:
        Glorot, Bengio, Understanding the difficulty of training deep feedforward networks, 2010.
    """

    def __init__(self, seed: int | None = None):
        self.seed = seed

    def __call__(self, shape, dtype=None):
        if len(shape) != 2:
            raise ValueError(f"`shape` must be (fan_in, fan_out). Received: {tuple(shape)}.")
        bound = xavier_bound(*shape)
        return keras.random.uniform(shape, -bound, bound, dtype=dtype, seed=self.seed)

    def get_config(self):
        return {"seed": self.seed}


def scaled_sigmoid(x: Any) -> Any:
    """Return 4 sigmoid(x) - 2, which is x near 0, as tanh and ReLU are (for x > 0).

    Section: "numerical-stability-and-init".
    """
    return 4 * ops.sigmoid(x) - 2


@dataclass(frozen=True)
class Signal:
    """Mean squares of the signal in a deep network.

    Args:
        forward: per layer, of the activations; the first entry is the input's.
        backward: per layer, of the gradient by the activations; the last entry is the output's.
    """

    forward: list[float]
    backward: list[float]


def propagate(
    initializer: Callable[[int, int, np.random.Generator], np.ndarray],
    activation: Callable[[Any], Any],
    *,
    num_layers: int = 50,
    width: int = 256,
    batch_size: int = 256,
    seed: int = 0,
) -> Signal:
    """Send N(0, 1) numbers forwards, and N(0, 1) gradients backwards, through equal Dense layers.

    h_t = act(h_{t-1} W_t). Section: "numerical-stability-and-init".

    Args:
        initializer: (fan_in, fan_out, generator) -> matrix.
        activation: function of a tensor.
        num_layers: int.
        width: int, units of each layer.
        batch_size: int, examples.
        seed: int.

    Returns:
        Signal, num_layers + 1 numbers each way.
    """
    random = np.random.default_rng(seed)
    # float64: what float32 would round to 0 or infinity can still be measured
    h = tf.constant(random.normal(size=(batch_size, width)))
    output_gradient = tf.constant(random.normal(size=(batch_size, width)))
    layers = [h]
    with tf.GradientTape() as tape:
        tape.watch(h)
        for _ in range(num_layers):
            W = tf.constant(initializer(width, width, random))
            h = activation(h @ W)  # (B, width)
            layers.append(h)
        target = tf.reduce_sum(h * output_gradient)
    gradients = tape.gradient(target, layers)

    def mean_square(tensor):
        return float(tf.reduce_mean(tf.square(tensor)))

    return Signal([mean_square(h) for h in layers], [mean_square(g) for g in gradients])


def product_of_matrices(
    count: int = 100, size: int = 4, *, scale: float = 1.0, seed: int = 0
) -> list[float]:
    """Multiply random N(0, scale^2) matrices; return the largest entry, in size, after each.

    Section: "numerical-stability-and-init".

    Args:
        count: int, matrices.
        size: int, rows and columns.
        scale: float, standard deviation of the entries.
        seed: int.
    """
    random = np.random.default_rng(seed)
    product, sizes = np.eye(size), []
    for _ in range(count):
        product = product @ random.normal(0, scale, (size, size))
        sizes.append(float(np.max(np.abs(product))))
    return sizes
