"""How far back a gradient reaches through a recurrent layer: what the sections on gates measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from kerasd2l.scratch.stacked import RNNModelScratch


def gate_inputs(units: int, num_steps: int, seed: int):
    """Return inputs (8, T, D) and a first state (8, D), D = units."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(8, num_steps, units)).astype("float32")  # (B, T, D)
    return X, rng.uniform(-0.9, 0.9, (8, units)).astype("float32")


def gate_layer(
    kind, units: int, seed: int, weights: Mapping[str, Any] | None = None, **arguments: Any
):
    """Make a layer with weights of a usual size for `units` inputs, some of them as given."""
    layer = kind(units, stddev=0.7 * units**-0.5, seed=seed, **arguments)
    layer.build((None, None, units))
    for name, value in (weights or {}).items():
        getattr(layer, name).assign(value)
    return layer


def weights_by_name(layer) -> dict[str, Any]:
    """Return the weights of a layer as arrays, by their names."""
    return {weight.name: np.asarray(weight) for weight in layer.weights}


def apart(one: Any, other: Any) -> float:
    """Return the largest difference of two arrays."""
    return float(np.abs(np.asarray(one) - np.asarray(other)).max())


def book_parameters(kind: Literal["rnn", "gru", "lstm"]) -> int:
    """Return the parameters of the book's language model: 28 tokens, 256 units."""
    model = RNNModelScratch(28, 256, kind)
    model.build((None, None))
    return model.count_params()


def gradient_by_lag(layer, X):
    """Return (T,) lengths of the gradient of v H_T for X_{T-k}, relative to k = 0."""
    X = tf.constant(X)
    v = np.random.default_rng(0).normal(size=layer.units).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(X)
        last = keras.tree.flatten(layer(X))[0]
        goal = tf.reduce_sum(last * v)
    lengths = np.sqrt(np.sum(np.square(tape.gradient(goal, X)), axis=(0, 2)))[::-1]  # (T,)
    return lengths / lengths[0]
