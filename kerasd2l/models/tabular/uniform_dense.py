"""Dense layers that start as the course's framework starts a linear layer.

Weights and bias come from U(-1 / sqrt(n), 1 / sqrt(n)) for n inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras


def hidden_layers(x, hidden_units: Sequence[int], activation: str | Callable, seed: int | None):
    """Stack Dense layers with an activation."""
    for i, units in enumerate(hidden_units):
        positive("hidden_units", units)
        x = uniform_dense(
            x, units, next_seed(seed, 2 * i), f"hidden_{i + 1}", activation=activation
        )
    return x


def uniform_dense(x, units: int, seed: int | None, name: str, **options):
    """Apply a Dense layer that starts from U(-1 / sqrt(n), 1 / sqrt(n)), n inputs."""
    limit = 1 / math.sqrt(x.shape[-1])
    uniform = keras.initializers.RandomUniform
    return keras.layers.Dense(
        units,
        kernel_initializer=uniform(-limit, limit, seed=seed),
        bias_initializer=uniform(-limit, limit, seed=next_seed(seed, 1)),
        name=name,
        **options,
    )(x)


def next_seed(seed: int | None, step: int) -> int | None:
    """Return the seed `step` places further on."""
    return None if seed is None else seed + step


def positive(name: str, value: int) -> int:
    """Return a number that is at least 1, or say which is not."""
    if value < 1:
        raise ValueError(f"`{name}` must be positive. Received: {value}.")
    return value
