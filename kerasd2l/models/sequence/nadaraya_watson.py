"""Kernel regression as attention: one weight, the width of the kernel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasd2l")
class NWKernelRegression(keras.Model):
    """Predict the value at a query from keys and values by a Gaussian kernel of learned width.

    f(q) = sum over i of softmax(-((q - k_i) w)^2 / 2) v_i; w begins in U(0, 1). Section:
    "nadaraya-watson".

    Args:
        seed: int or None, of w.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: [queries (B,), keys (B, K), values (B, K)] float.

    Returns:
        (B,) float32.

    Example:
        >>> x = ops.ones((2, 3))
        >>> NWKernelRegression()([ops.ones((2,)), x, x]).numpy().round(3).tolist()
        [1.0, 1.0]

    Reference:
        Nadaraya, On estimating regression, 1964.
    """

    def __init__(self, *, seed: int | None = None, name: str = "nadaraya_watson", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.seed = seed

    def build(self, input_shape):
        uniform = keras.initializers.RandomUniform(0.0, 1.0, self.seed)
        self.w = self.add_weight(shape=(), initializer=uniform, name="w")

    def weights_of(self, queries: Any, keys: Any) -> Any:
        """Return the weights of attention (B, K)."""
        return ops.softmax(-(((ops.expand_dims(queries, -1) - keys) * self.w) ** 2) / 2)

    def call(self, inputs):
        queries, keys, values = inputs
        mean = ops.sum(self.weights_of(queries, keys) * values, axis=-1)
        return ops.cast(mean, "float32")

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
