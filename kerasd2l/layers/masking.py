"""Which places of a padded batch are real."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasd2l")
class LengthMask(keras.layers.Layer):
    """Turn the lengths of padded sequences into the mask that recurrent layers take.

    mask_bt = t < lengths_b. Section: "rnn-names-classifier".

    Call arguments:
        inputs: (B, T, ...), the padded sequences; only their number of steps counts.
        lengths: (B,) int, real steps of each; the padding is on the right.

    Returns:
        (B, T) bool, True: real.

    Example:
        >>> LengthMask()(ops.zeros((2, 3)), ops.array([1, 3])).numpy().tolist()
        [[True, False, False], [True, True, True]]
    """

    def call(self, inputs, lengths):
        steps = ops.arange(ops.shape(inputs)[1], dtype=lengths.dtype)
        return steps[None] < lengths[:, None]  # (B, T)

    def compute_output_spec(self, inputs: Any, lengths: Any) -> keras.KerasTensor:
        return keras.KerasTensor(tuple(inputs.shape[:2]), dtype="bool")
