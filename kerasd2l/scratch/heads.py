"""Attention with heads by hand, as the layer catalogue has it: split and joined by transposition.

Section: "mha-scratch". Beside "multihead-attention" of the book (`scratch.attention`), where heads
lie in the batch: here they have an axis of their own, projections have biases, and a mask says
what may be seen.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.multi_head_attention import check_heads


def split_heads(X: Any, num_heads: int) -> Any:
    """Give the heads an axis: (B, T, D) -> (B, N, T, D / N). Section: "mha-scratch"."""
    batch, steps, width = X.shape
    X = ops.reshape(X, (batch, steps, num_heads, width // num_heads))
    return ops.transpose(X, (0, 2, 1, 3))


def join_heads(X: Any) -> Any:
    """Undo `split_heads`: (B, N, T, D / N) -> (B, T, D). Section: "mha-scratch"."""
    batch, heads, steps, size = X.shape
    return ops.reshape(ops.transpose(X, (0, 2, 1, 3)), (batch, steps, heads * size))


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, mask: Any = None, dropout: Any = None
) -> tuple[Any, Any]:
    """Return softmax(Q K^T / sqrt(d)) V and the weights. Section: "mha-scratch".

    Args:
        query: (..., T, d) float.
        key: (..., S, d) float.
        value: (..., S, any) float.
        mask: bool or 0 and 1, broadcast to (..., T, S); what is 0 is not seen: its score is -1e20.
            A row of zeros gets equal weights, not zeros. None: all is seen.
        dropout: a function of the weights, or None.

    Returns:
        ((..., T, any), the weights (..., T, S) behind the dropout).
    """
    scores = ops.matmul(query, ops.swapaxes(key, -2, -1)) / query.shape[-1] ** 0.5  # (..., T, S)
    if mask is not None:
        scores = ops.where(ops.cast(mask, "bool"), scores, -1e20)
    weights = ops.softmax(scores, axis=-1)
    if dropout is not None:
        weights = dropout(weights)
    return ops.matmul(weights, value), weights


@keras.saving.register_keras_serializable("kerasd2l")
class CatalogueMultiHeadAttention(keras.layers.Layer):
    """Multi-head attention by hand: four linear maps with biases, and a mask for all heads.

    Y = join(head_1 ... head_N) W_o + b_o, head = softmax(Q K^T / sqrt(D / N)) V, where Q = split(q
    W_q + b_q) and likewise K and V. Section: "mha-scratch".

    Args:
        num_heads: int, N; it divides D.
        num_hiddens: int, D, the width of inputs and outputs.
        dropout_rate: float in [0, 1), of the weights. Default: 0.1, as in the catalogue.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: [query (B, T, D), key (B, S, D), value (B, S, D)] float, of known shapes.
        attention_mask: bool or 0 and 1, broadcast to (B, T, S); what is 0 is not seen. None: all
            is seen.
        training: bool.

    Returns:
        (B, T, D).

    Raises:
        ValueError: `num_heads` does not divide `num_hiddens`, or a number below 1.

    Example:
        >>> x = ops.ones((8, 20, 64))
        >>> CatalogueMultiHeadAttention(8, 64)([x, x, x]).shape
        TensorShape([8, 20, 64])

    Reference:
        Vaswani et al., Attention is all you need, 2017.
    """

    def __init__(
        self,
        num_heads: int,
        num_hiddens: int,
        dropout_rate: float = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_heads(num_hiddens, num_heads)
        super().__init__(**kwargs)
        self.num_heads, self.num_hiddens = num_heads, num_hiddens
        self.dropout_rate, self.seed = dropout_rate, seed
        self.dropout = keras.layers.Dropout(dropout_rate, seed=seed, dtype=self.dtype_policy)

    def build(self, inputs_shape):
        D = self.num_hiddens
        for number, name in enumerate("qkvo", start=1):
            glorot = keras.initializers.GlorotUniform(
                None if self.seed is None else self.seed + number
            )
            W = self.add_weight(name=f"W_{name}", shape=(D, D), initializer=glorot)
            b = self.add_weight(name=f"b_{name}", shape=(D,), initializer="zeros")
            setattr(self, f"W_{name}", W)
            setattr(self, f"b_{name}", b)

    def call(self, inputs, attention_mask=None, training=False):
        query, key, value = inputs
        Q = split_heads(ops.matmul(query, self.W_q) + self.b_q, self.num_heads)  # (B, N, T, D / N)
        K = split_heads(ops.matmul(key, self.W_k) + self.b_k, self.num_heads)
        V = split_heads(ops.matmul(value, self.W_v) + self.b_v, self.num_heads)
        mask = attention_mask
        if mask is not None and len(mask.shape) == 3:  # the same for all heads
            mask = ops.expand_dims(mask, 1)
        heads, _ = scaled_dot_product_attention(
            Q, K, V, mask, lambda weights: self.dropout(weights, training=training)
        )
        return ops.matmul(join_heads(heads), self.W_o) + self.b_o  # (B, T, D)

    def compute_output_shape(self, inputs_shape):
        return tuple(inputs_shape[0])

    def get_config(self):
        names = ("num_heads", "num_hiddens", "dropout_rate", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
