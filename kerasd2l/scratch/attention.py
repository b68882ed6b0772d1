"""Attention by hand: softmax with lengths, heads cut and joined by transposition.

Sections: "attention-scoring-functions", "multihead-attention".
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


def masked_softmax_scratch(X: Any, valid_lens: Any = None) -> Any:
    """Return the softmax of scores with -1e6 in the place of keys that must not be seen.

    As the book: a row without any key gets equal weights, not zeros. Section:
    "attention-scoring-functions".

    Args:
        X: (B, Q, K) float.
        valid_lens: (B,) or (B, Q) int, or None.

    Returns:
        (B, Q, K).
    """
    if valid_lens is None:
        return ops.softmax(X, axis=-1)
    batch, queries, keys = X.shape
    lens = ops.convert_to_tensor(valid_lens)
    lens = ops.repeat(lens, queries) if len(lens.shape) == 1 else ops.reshape(lens, (-1,))
    rows = ops.reshape(X, (-1, keys))  # (B Q, K)
    rows = ops.where(ops.arange(keys, dtype=lens.dtype) < lens[:, None], rows, -1e6)
    return ops.softmax(ops.reshape(rows, (batch, queries, keys)), axis=-1)


def dot_product_attention_scratch(
    queries: Any, keys: Any, values: Any, valid_lens: Any = None
) -> Any:
    """Return softmax(Q K^T / sqrt(D)) V. Section: "attention-scoring-functions".

    Args:
        queries: (B, Q, D) float.
        keys: (B, K, D) float.
        values: (B, K, V) float.
        valid_lens: (B,) or (B, Q) int, or None.

    Returns:
        (B, Q, V).
    """
    d = queries.shape[-1]
    scores = ops.matmul(queries, ops.transpose(keys, (0, 2, 1))) / math.sqrt(d)
    return ops.matmul(masked_softmax_scratch(scores, valid_lens), values)


def transpose_qkv(X: Any, num_heads: int) -> Any:
    """Put heads into the batch: (B, T, D) -> (B N, T, D / N). Section: "multihead-attention"."""
    batch, steps, width = X.shape
    X = ops.reshape(X, (batch, steps, num_heads, width // num_heads))
    X = ops.transpose(X, (0, 2, 1, 3))  # (B, N, T, D / N)
    return ops.reshape(X, (-1, steps, width // num_heads))


def transpose_output(X: Any, num_heads: int) -> Any:
    """Undo `transpose_qkv`: (B N, T, D / N) -> (B, T, D). Section: "multihead-attention"."""
    _, steps, size = X.shape
    X = ops.reshape(X, (-1, num_heads, steps, size))
    X = ops.transpose(X, (0, 2, 1, 3))  # (B, T, N, D / N)
    return ops.reshape(X, (-1, steps, num_heads * size))


@keras.saving.register_keras_serializable("kerasd2l")
class MultiHeadAttentionScratch(keras.layers.Layer):
    """Multi-head attention by hand: four matrices, and heads in the batch.

    Y = [head_1 ... head_N] W_o, head_i = attention(Q W_q,i, K W_k,i, V W_v,i). Section:
    "multihead-attention".

    Args:
        num_hiddens: int, D.
        num_heads: int, N; it divides D.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: [queries (B, T, any), keys (B, S, any), values (B, S, any)] float, of known shapes.
        valid_lens: (B,) int, keys that may be seen; None: all.

    Returns:
        (B, T, D).

    Example:
        >>> x = ops.ones((2, 4, 10))
        >>> MultiHeadAttentionScratch(10, 5)([x, x, x]).shape
        TensorShape([2, 4, 10])
    """

    def __init__(self, num_hiddens: int, num_heads: int, **kwargs: Any):
        if num_heads < 1 or num_hiddens % num_heads:
            raise ValueError(
                "`num_heads` must divide `num_hiddens`. "
                f"Received: num_hiddens={num_hiddens}, num_heads={num_heads}."
            )
        super().__init__(**kwargs)
        self.num_hiddens, self.num_heads = num_hiddens, num_heads

    def build(self, inputs_shape):
        widths = [shape[-1] for shape in inputs_shape]
        matrices = {"W_q": widths[0], "W_k": widths[1], "W_v": widths[2], "W_o": self.num_hiddens}
        for name, width in matrices.items():
            setattr(self, name, self.add_weight(name=name, shape=(width, self.num_hiddens)))

    def call(self, inputs, valid_lens=None):
        queries, keys, values = inputs
        Q = transpose_qkv(ops.matmul(queries, self.W_q), self.num_heads)  # (B N, T, D / N)
        K = transpose_qkv(ops.matmul(keys, self.W_k), self.num_heads)
        V = transpose_qkv(ops.matmul(values, self.W_v), self.num_heads)
        if valid_lens is not None:  # the same for all heads
            valid_lens = ops.repeat(ops.convert_to_tensor(valid_lens), self.num_heads, axis=0)
        output = dot_product_attention_scratch(Q, K, V, valid_lens)
        return ops.matmul(transpose_output(output, self.num_heads), self.W_o)  # (B, T, D)

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[0][:2], self.num_hiddens)

    def get_config(self):
        own = {"num_hiddens": self.num_hiddens, "num_heads": self.num_heads}
        return {**super().get_config(), **own}
