"""A dense layer by hand, and a step function."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kerasd2l.layers.sizes import per_axis


@keras.saving.register_keras_serializable("kerasd2l")
class Linear(keras.layers.Layer):
    """An affine map, written by hand, that starts with PyTorch's weights.

    y = x W + b, all weights and biases from U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)): what Kaiming's
    uniform rule with a = sqrt(5) comes to. Keras' Dense starts with Glorot's rule and zero biases.
    Section: "linear-from-scratch".

    Args:
        units: int >= 1, width of the output.
        use_bias: bool, add b; default True.
        seed: int or None, of the initial weights.

    Call arguments:
        inputs: (..., D) float.

    Returns:
        (..., units), same dtype as inputs.

    Raises:
        ValueError: `units` below 1, or a width D that is not known.

    Example:
        >>> Linear(3)(ops.ones((2, 4))).shape
        TensorShape([2, 3])
    """

    def __init__(self, units: int, use_bias: bool = True, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        (self.units,) = per_axis("units", units, 1)
        self.use_bias = use_bias
        self.seed = seed
        self.bias = None
        self.supports_masking = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "units": self.units,
            "use_bias": self.use_bias,
            "seed": self.seed,
        }

    def build(self, input_shape):
        fan_in = input_shape[-1]
        if not fan_in:
            raise ValueError(
                f"Linear needs inputs of a known width. Received: shape {tuple(input_shape)}."
            )
        bound = 1 / math.sqrt(fan_in)

        def uniform(number: int) -> keras.initializers.Initializer:
            seed = None if self.seed is None else self.seed + number
            return keras.initializers.RandomUniform(-bound, bound, seed=seed)

        self.kernel = self.add_weight(
            name="kernel", shape=(fan_in, self.units), initializer=uniform(0)
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer=uniform(1))

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], self.units

    def call(self, inputs):
        y = ops.matmul(inputs, self.kernel)
        return y if self.bias is None else y + self.bias


@keras.saving.register_keras_serializable("kerasd2l")
class Threshold(keras.layers.Layer):
    """Replace every value that does not exceed a threshold.

    y = x if x > threshold, else value; ReLU is Threshold(0, 0). Section: "basic-layers".

    Args:
        threshold: float.
        value: float, what takes the place of values up to the threshold.

    Call arguments:
        inputs: tensor of any shape.

    Returns:
        The shape and dtype of inputs.

    Example:
        >>> Threshold(1.0, -7.0)(ops.arange(3.0)).numpy().tolist()
        [-7.0, -7.0, 2.0]
    """

    def __init__(self, threshold: float, value: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.threshold = float(threshold)
        self.value = float(value)
        self.supports_masking = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"threshold": self.threshold, "value": self.value}

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs):
        # this way round NaN stays NaN
        return ops.where(inputs <= self.threshold, ops.cast(self.value, inputs.dtype), inputs)
