"""Layers of one's own: without weights, and with weights that learn."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasd2l")
class CenteredLayer(keras.layers.Layer):
    """Subtract the mean of all numbers of a batch: a layer without weights.

    y = x - mean(x). Section: "custom-layer".

    Call arguments:
        inputs: tensor of any shape.

    Returns:
        The shape and dtype of inputs; its mean is 0 up to rounding.

    Example:
        >>> CenteredLayer()(ops.arange(1.0, 6.0)).numpy().tolist()
        [-2.0, -1.0, 0.0, 1.0, 2.0]
    """

    def build(self, input_shape):
        pass  # no weights

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs):
        return inputs - ops.mean(inputs)


@keras.saving.register_keras_serializable(package="kerasd2l")
class MyLinear(keras.layers.Layer):
    """A dense layer with ReLU, written by hand, whose weights learn.

    y = max(x W + b, 0), W and b from N(0, stddev^2). Section: "custom-layer".

    The book's PyTorch tab multiplies by `weight.data`, so no gradient ever reaches it; here one
    does. The width of the inputs is found when the layer is built.

    Args:
        units: int >= 1, width of the output.
        stddev: float > 0, standard deviation of the initial weights. Default: 1.
        seed: int or None. W is drawn with `seed`, b with `seed + 1`.

    Call arguments:
        inputs: (..., D) float.

    Returns:
        (..., units), same dtype as inputs.

    Raises:
        ValueError: `units` below 1, `stddev` not positive, or a width D that is not known.

    Example:
        >>> MyLinear(3)(ops.ones((2, 5))).shape
        TensorShape([2, 3])
    """

    def __init__(self, units: int, stddev: float = 1.0, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be at least 1. Received: units={units}.")
        if not 0 < stddev < float("inf"):
            raise ValueError(f"`stddev` must be a positive number. Received: stddev={stddev}.")
        self.units, self.stddev, self.seed = units, stddev, seed

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "units": self.units,
            "stddev": self.stddev,
            "seed": self.seed,
        }

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                "The width of the inputs must be known. "
                f"Received: input_shape={tuple(input_shape)}."
            )

        def normal(offset: int) -> keras.initializers.Initializer:
            seed = None if self.seed is None else self.seed + offset
            return keras.initializers.RandomNormal(stddev=self.stddev, seed=seed)

        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.units), initializer=normal(0)
        )
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer=normal(1))

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], self.units

    def call(self, inputs):
        return ops.relu(ops.matmul(inputs, self.kernel) + self.bias)
