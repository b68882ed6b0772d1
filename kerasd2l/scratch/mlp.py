"""The multilayer perceptron by hand: ReLU and two or more matrices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def relu(X: Any) -> Any:
    """Return the larger of each number and 0. Section: "mlp-scratch"."""
    return ops.maximum(X, 0)


def backpropagate(
    X: np.ndarray, y: np.ndarray, W1: np.ndarray, W2: np.ndarray, lambd: float = 0.0
) -> tuple[float, np.ndarray, np.ndarray]:
    """Compute the objective of a one-hidden-layer perceptron and its gradients, by the chain rule.

    z = X W1, h = relu(z), o = h W2, J = mean |o - y|^2 / 2 + lambda (|W1|^2 + |W2|^2) / 2; then
    backwards dJ/do, dJ/dW2, dJ/dh, dJ/dz, dJ/dW1. Section: "backprop".

    Args:
        X: (n, D).
        y: (n, K).
        W1: (D, H).
        W2: (H, K).
        lambd: float, strength of the penalty. Default: 0.

    Returns:
        J, dJ/dW1 (D, H), dJ/dW2 (H, K).
    """
    z = X @ W1  # (n, H)
    h = np.maximum(z, 0)
    o = h @ W2  # (n, K)
    penalty = lambd * (np.sum(W1**2) + np.sum(W2**2)) / 2
    objective = float(np.sum((o - y) ** 2) / (2 * len(X)) + penalty)
    do = (o - y) / len(X)
    dW2 = h.T @ do + lambd * W2
    dh = do @ W2.T  # (n, H)
    dz = dh * (z > 0)
    return objective, X.T @ dz + lambd * W1, dW2


@keras.saving.register_keras_serializable(package="kerasd2l")
class MLPScratch(keras.Model):
    """A multilayer perceptron with its own W1, b1, W2, b2: the twin of `models.mlp`.

    H = relu(X W1 + b1), O = H W2 + b2. W from N(0, stddev^2), b = 0. Section: "mlp-scratch".

    Args:
        num_classes: int >= 2, classes K. Default: 10.
        hidden_units: sequence of int > 0, units of each hidden layer. Default: (256,).
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None. Layer i draws its weights with seed + i.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, ...) float.
        training: bool, without effect.

    Returns:
        (B, K) logits, float32.

    Raises:
        ValueError: fewer than two classes, or a hidden layer without units.

    Example:
        >>> model = MLPScratch()
        >>> model.build((None, 28, 28, 1))
        >>> model.count_params()
        203530
    """

    def __init__(
        self,
        num_classes: int = 10,
        hidden_units: Sequence[int] = (256,),
        stddev: float = 0.01,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_classes < 2:
            raise ValueError(
                f"`num_classes` must be at least 2. Received: num_classes={num_classes}."
            )
        if any(units < 1 for units in hidden_units):
            raise ValueError(f"`hidden_units` must be positive. Received: {tuple(hidden_units)}.")
        self.num_classes, self.hidden_units = num_classes, tuple(hidden_units)
        self.stddev, self.seed = stddev, seed

    def build(self, input_shape):
        size = 1
        for axis in input_shape[1:]:
            size *= axis
        sizes = [size, *self.hidden_units, self.num_classes]
        self.params = []
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            seed = None if self.seed is None else self.seed + i
            normal = keras.initializers.RandomNormal(stddev=self.stddev, seed=seed)
            W = self.add_weight(shape=(fan_in, fan_out), initializer=normal, name=f"W{i + 1}")
            b = self.add_weight(shape=(fan_out,), initializer="zeros", name=f"b{i + 1}")
            self.params.append((W, b))
        super().build(input_shape)

    def call(self, inputs, training=False):
        H = ops.reshape(inputs, (-1, self.params[0][0].shape[0]))  # (B, H * W * C)
        for i, (W, b) in enumerate(self.params[:-1]):
            H = self.after_hidden(relu(ops.matmul(H, W) + b), i, training)  # (B, units)
        W, b = self.params[-1]
        return ops.cast(ops.matmul(H, W) + b, "float32")  # (B, K)

    def after_hidden(self, H: Any, layer: int, training: bool) -> Any:
        """Return what hidden layer `layer` (0-based) passes on: here H itself."""
        return H

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "hidden_units": list(self.hidden_units),
            "stddev": self.stddev,
            "seed": self.seed,
        }
