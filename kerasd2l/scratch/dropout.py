"""Dropout by hand: zero some hidden units at random, and enlarge the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.scratch.mlp import MLPScratch


def dropout_layer(X: Any, dropout: float, seed: Any = None) -> Any:
    """Zero each entry with probability `dropout` and divide the others by 1 - dropout.

    The expectation stays X. The mask compares *uniform* numbers with `dropout`. Section: "dropout".

    Args:
        X: float array of any shape.
        dropout: float in [0, 1]; 0 returns X, 1 returns zeros.
        seed: int, `keras.random.SeedGenerator` or None.

    Returns:
        Array of the shape of X.

    Raises:
        ValueError: `dropout` outside [0, 1].
    """
    if not 0 <= dropout <= 1:
        raise ValueError(f"`dropout` must be in [0, 1]. Received: dropout={dropout}.")
    X = ops.convert_to_tensor(X)
    if dropout == 1:
        return ops.zeros_like(X)
    if dropout == 0:
        return X
    mask = keras.random.uniform(ops.shape(X), dtype="float32", seed=seed) >= dropout
    return ops.cast(mask, X.dtype) * X / (1.0 - dropout)


@keras.saving.register_keras_serializable(package="kerasd2l")
class DropoutMLPScratch(MLPScratch):
    """The 784-256-256-10 network with `dropout_layer`: the twin of `models.dropout_mlp`.

    Dropout follows each hidden ReLU while training, never the output. Section: "dropout".

    Args:
        num_classes: int >= 2, classes K. Default: 10.
        hidden_units: sequence of int > 0. Default: (256, 256).
        dropout_rates: sequence of float in [0, 1), one for each hidden layer. Default: (0.2, 0.5).
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None, of the initial weights and the dropout.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, ...) float.
        training: bool, whether units are dropped. Default: False.

    Returns:
        (B, K) logits, float32.

    Raises:
        ValueError: a rate out of range, or not as many rates as hidden layers.

    Example:
        >>> model = DropoutMLPScratch()
        >>> model.build((None, 28, 28, 1))
        >>> model.count_params()
        269322

    Reference:
        Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.
    """

    def __init__(
        self,
        num_classes: int = 10,
        hidden_units: Sequence[int] = (256, 256),
        dropout_rates: Sequence[float] = (0.2, 0.5),
        stddev: float = 0.01,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, hidden_units, stddev, seed, **kwargs)
        if len(dropout_rates) != len(self.hidden_units):
            raise ValueError(
                "`dropout_rates` must have one rate for each hidden layer. "
                f"Received: {tuple(dropout_rates)} for {len(self.hidden_units)} layers."
            )
        if not all(0 <= rate < 1 for rate in dropout_rates):
            raise ValueError(f"`dropout_rates` must be in [0, 1). Received: {dropout_rates}.")
        self.dropout_rates = tuple(dropout_rates)
        self.seed_generators = [
            keras.random.SeedGenerator(None if seed is None else seed + i)
            for i in range(len(dropout_rates))
        ]

    def after_hidden(self, H: Any, layer: int, training: bool) -> Any:
        if not training:
            return H
        return dropout_layer(H, self.dropout_rates[layer], self.seed_generators[layer])

    def get_config(self):
        return {**super().get_config(), "dropout_rates": list(self.dropout_rates)}
