"""Which places of a padded batch are real."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def sequence_mask(inputs: Any, valid_lens: Any, value: float = 0.0) -> Any:
    """Replace what comes after the valid length of each sequence.

    y_bt = x_bt if t < valid_lens_b, else value. Section: "seq2seq".

    Args:
        inputs: (B, T, ...), at least two axes.
        valid_lens: (B,) int, real steps of each sequence.
        value: float, what stands in the padding. Default: 0.

    Returns:
        The inputs' shape and dtype.

    Raises:
        ValueError: fewer than two axes, or another number of lengths than of sequences.

    Example:
        >>> sequence_mask(ops.array([[1, 2, 3], [4, 5, 6]]), [1, 2]).numpy().tolist()
        [[1, 0, 0], [4, 5, 0]]
    """
    inputs, valid_lens = ops.convert_to_tensor(inputs), ops.convert_to_tensor(valid_lens)
    shape, sizes = tuple(inputs.shape), tuple(valid_lens.shape)
    same = None in (shape[:1] + sizes) or shape[:1] == sizes
    if len(shape) < 2 or len(sizes) != 1 or not same:
        raise ValueError(
            "`inputs` must be (B, T, ...) and `valid_lens` (B,). "
            f"Received: shapes {shape} and {sizes}."
        )
    keep = ops.arange(ops.shape(inputs)[1], dtype=valid_lens.dtype) < valid_lens[:, None]  # (B, T)
    keep = ops.reshape(keep, (*ops.shape(inputs)[:2], *[1] * (len(shape) - 2)))
    return ops.where(keep, inputs, ops.cast(value, inputs.dtype))


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
