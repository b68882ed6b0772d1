"""Positions: what tells a Transformer in which order its tokens stand.

Section: "self-attention-and-positional-encoding".
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


def positional_encoding(max_len: int, width: int) -> np.ndarray:
    """Return P (max_len, width) float32: waves whose length grows along the width.

    P[i, 2j] = sin(i / 10000^(2j / width)), P[i, 2j + 1] = cos(i / 10000^(2j / width)). An odd width
    leaves out the last cosine. Section: "self-attention-and-positional-encoding".

    Example:
        >>> positional_encoding(2, 3)[0].tolist()
        [0.0, 1.0, 0.0]
    """
    angles = np.arange(max_len)[:, None] / 10000 ** (np.arange(0, width, 2) / width)
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1)  # (max_len, pairs, 2)
    return waves.reshape(max_len, -1)[:, :width].astype(np.float32)


class _Positions(keras.layers.Layer):
    """Adds a row of a table to each step; subclasses have the table (max_len, D)."""

    def __init__(self, max_len: int, dropout_rate: float, seed: int | None, **kwargs: Any):
        if max_len < 1:
            raise ValueError(f"`max_len` must be at least 1. Received: max_len={max_len}.")
        super().__init__(**kwargs)
        self.max_len, self.dropout_rate, self.seed = max_len, dropout_rate, seed
        self.dropout = keras.layers.Dropout(
            dropout_rate, seed=seed, dtype=self.dtype_policy, name="dropout"
        )
        self.supports_masking = True

    def call(self, inputs, offset=0, training=False):
        steps = inputs.shape[1] if inputs.shape[1] is not None else ops.shape(inputs)[1]
        if isinstance(offset, int) and isinstance(steps, int):
            if offset + steps > self.max_len:
                raise ValueError(
                    f"there are positions for {self.max_len} steps (`max_len`), not for "
                    f"{offset + steps}. Cut the sequence, or build the model with a larger max_len."
                )
            rows = self.table()[offset : offset + steps]
        else:
            offset = ops.cast(ops.convert_to_tensor(offset), "int32")
            rows = ops.take(self.table(), offset[..., None] + ops.arange(steps), axis=0)
        return self.dropout(inputs + ops.cast(rows, inputs.dtype), training=training)

    def compute_output_shape(self, inputs_shape, offset_shape=None):
        return inputs_shape

    def get_config(self):
        names = ("max_len", "dropout_rate", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kerasd2l")
class PositionalEncoding(_Positions):
    """Add waves that tell the position, and drop some of the sum.

    y_i = dropout(x_i + P_i), P as `positional_encoding`. Section:
    "self-attention-and-positional-encoding".

    Args:
        max_len: int >= 1, the longest sequence. Default: 1000.
        dropout_rate: float in [0, 1). Default: 0.
        seed: int or None, of dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float, D even or odd.
        offset: int, or () or (B,) int tensor: the position of the first step. Default: 0.
        training: bool.

    Returns:
        (B, T, D), same dtype as inputs.

    Raises:
        ValueError: `max_len` below 1, or a sequence that is longer.

    Example:
        >>> PositionalEncoding()(ops.zeros((1, 1, 3))).numpy().tolist()
        [[[0.0, 1.0, 0.0]]]

    Reference:
        Vaswani et al., Attention is all you need, 2017.
    """

    def __init__(
        self, max_len: int = 1000, dropout_rate: float = 0.0, seed: int | None = None, **kwargs: Any
    ):
        super().__init__(max_len, dropout_rate, seed, **kwargs)

    def build(self, inputs_shape, offset_shape=None):
        self.waves = positional_encoding(self.max_len, inputs_shape[-1])

    def table(self) -> Any:
        return ops.convert_to_tensor(self.waves)


@keras.saving.register_keras_serializable("kerasd2l")
class PositionEmbedding(_Positions):
    """Add a vector that is learned for each position, and drop some of the sum.

    y_i = dropout(x_i + W_i). Sections: "bert", "vision-transformer".

    Args:
        max_len: int >= 1, the longest sequence.
        dropout_rate: float in [0, 1). Default: 0.
        initializer: of W. Default: N(0, 1), as the book.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float.
        offset: int, or () or (B,) int tensor: the position of the first step. Default: 0.
        training: bool.

    Returns:
        (B, T, D), same dtype as inputs.

    Raises:
        ValueError: `max_len` below 1, or a sequence that is longer.

    Example:
        >>> PositionEmbedding(5, initializer="ones")(ops.zeros((1, 2, 1))).numpy().tolist()
        [[[1.0], [1.0]]]

    Reference:
        Devlin et al., BERT, 2018.
    """

    def __init__(
        self,
        max_len: int,
        dropout_rate: float = 0.0,
        initializer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(max_len, dropout_rate, seed, **kwargs)
        if initializer is None:
            initializer = keras.initializers.RandomNormal(0.0, 1.0, seed)
        self.initializer = keras.initializers.get(initializer)

    def build(self, inputs_shape, offset_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.max_len, inputs_shape[-1]),
            initializer=self.initializer,
        )

    def table(self) -> Any:
        return ops.convert_to_tensor(self.embeddings)

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "initializer": initializer}
