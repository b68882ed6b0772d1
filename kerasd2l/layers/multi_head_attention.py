"""Multi-head attention: several attentions side by side, each in a space of its own.

Sections: "multihead-attention", "self-attention-and-positional-encoding", "transformer-layers".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.attention import masked_softmax, seen
from kerasd2l.layers.cpu import on_tensorflow_cpu


@keras.saving.register_keras_serializable("kerasd2l")
class MultiHeadAttention(keras.layers.Layer):
    """Dot-product attention in `num_heads` spaces at once.

    head_i = softmax(Q W_q,i (K W_k,i)^T / sqrt(D / N)) V W_v,i; Y = [head_1 ... head_N] W_o. The
    number of weights does not depend on the number of heads. Section: "multihead-attention".

    The weights of attention are computed apart only if asked for, or for dropout; else the
    backend's own fused attention is used where there is one.

    Args:
        num_hiddens: int, D, the width of the output and of all heads together.
        num_heads: int, N; it divides D.
        dropout_rate: float in [0, 1), of the weights of attention. Default: 0.
        use_bias: bool, in all four projections. Default: False, as in the book.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        queries: (B, T, any) float.
        keys: (B, S, any) float; None: the queries.
        values: (B, S, any) float; None: the keys.
        valid_lens: (B,) or (B, T) int, keys that each query may see; None: all.
        attention_mask: bool, broadcast to (B, T, S), True: may be seen; None: all.
        causal: bool, query t sees the keys 0..t only.
        return_weights: bool, return the weights (B, N, T, S) before dropout, too.
        training: bool.

    Returns:
        (B, T, D), or a pair with the weights. A query that may see no key gets zeros from the
        heads.

    Raises:
        ValueError: `num_heads` does not divide `num_hiddens`, or a number below 1.

    Example:
        >>> attention = MultiHeadAttention(100, 5)
        >>> attention(ops.ones((2, 4, 100)), ops.ones((2, 6, 100)), valid_lens=[3, 2]).shape
        TensorShape([2, 4, 100])

    Reference:
        Vaswani et al., Attention is all you need, 2017.
    """

    def __init__(
        self,
        num_hiddens: int,
        num_heads: int,
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_heads(num_hiddens, num_heads)
        super().__init__(**kwargs)
        self.num_hiddens, self.num_heads = num_hiddens, num_heads
        self.dropout_rate, self.use_bias, self.seed = dropout_rate, use_bias, seed
        self.dropout = keras.layers.Dropout(
            dropout_rate, seed=seed, dtype=self.dtype_policy, name="dropout"
        )

        def dense(number: int, name: str) -> keras.layers.Dense:
            glorot = keras.initializers.GlorotUniform(None if seed is None else seed + number)
            return keras.layers.Dense(
                num_hiddens,
                use_bias=use_bias,
                kernel_initializer=glorot,
                dtype=self.dtype_policy,
                name=name,
            )

        self.W_q, self.W_k = dense(1, "W_q"), dense(2, "W_k")
        self.W_v, self.W_o = dense(3, "W_v"), dense(4, "W_o")

    def build(self, queries_shape, keys_shape=None, values_shape=None):
        keys_shape = keys_shape or queries_shape
        self.W_q.build(queries_shape)
        self.W_k.build(keys_shape)
        self.W_v.build(values_shape or keys_shape)
        self.W_o.build((*queries_shape[:2], self.num_hiddens))

    def call(
        self,
        queries,
        keys=None,
        values=None,
        valid_lens=None,
        attention_mask=None,
        causal=False,
        return_weights=False,
        training=False,
    ):
        keys = queries if keys is None else keys
        keys, values = self.project(keys, values)
        return self.attend(
            queries,
            keys,
            values,
            valid_lens=valid_lens,
            attention_mask=attention_mask,
            causal=causal,
            return_weights=return_weights,
            training=training,
        )

    def project(self, keys: Any, values: Any = None) -> tuple[Any, Any]:
        """Return keys and values of all heads, (B, N, S, D / N) each: what a decoder remembers."""
        values = keys if values is None else values
        return self.heads(self.W_k(keys)), self.heads(self.W_v(values))

    def heads(self, x: Any) -> Any:
        """Cut the last axis into heads: (B, T, D) -> (B, N, T, D / N)."""
        if x.shape[1] == 1:  # nothing moves: what is written token by token is quicker
            return ops.reshape(x, (-1, self.num_heads, 1, self.num_hiddens // self.num_heads))
        steps = x.shape[1] if x.shape[1] is not None else ops.shape(x)[1]
        x = ops.reshape(x, (-1, steps, self.num_heads, self.num_hiddens // self.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def attend(
        self,
        queries: Any,
        keys: Any,
        values: Any,
        *,
        valid_lens: Any = None,
        attention_mask: Any = None,
        causal: bool = False,
        return_weights: bool = False,
        training: bool = False,
    ) -> Any:
        """Attend to keys and values of heads, as `project` gives them; else as a call."""
        heads = self.heads(self.W_q(queries))  # (B, N, T, D / N)
        mask = attention_mask
        if mask is not None:
            mask = ops.convert_to_tensor(mask)
            mask = mask[:, None] if len(mask.shape) == 3 else mask  # the same for all heads
            mask = mask[None, None] if len(mask.shape) == 2 else mask
        keep = seen(valid_lens, mask, ops.shape(keys)[2], 4)  # (B, 1, T | 1, S)
        if causal:
            before = ops.arange(ops.shape(keys)[2]) <= ops.arange(ops.shape(heads)[2])[:, None]
            keep = before[None, None] if keep is None else before & keep
        by_hand = on_tensorflow_cpu() or return_weights or (training and self.dropout_rate)
        attention = self._by_hand if by_hand else _fused
        outputs, weights = attention(heads, keys, values, keep, training)  # (B, T, N, D / N)
        steps = outputs.shape[1] if outputs.shape[1] is not None else ops.shape(outputs)[1]
        outputs = self.W_o(ops.reshape(outputs, (-1, steps, self.num_hiddens)))  # (B, T, D)
        return (outputs, weights) if return_weights else outputs

    def _by_hand(self, queries, keys, values, keep, training):
        """Attend by two products: (B, T, N, D / N) and the weights (B, N, T, S)."""
        scale = (self.num_hiddens // self.num_heads) ** -0.5
        scores = ops.matmul(queries * scale, ops.swapaxes(keys, 2, 3))  # (B, N, T, S)
        weights = masked_softmax(scores, mask=keep)
        outputs = ops.matmul(self.dropout(weights, training=training), values)  # (B, N, T, D / N)
        if queries.shape[2] == 1:
            return ops.reshape(outputs, (-1, 1, *outputs.shape[1::2])), weights
        return ops.transpose(outputs, (0, 2, 1, 3)), weights

    def compute_output_spec(
        self,
        queries,
        keys=None,
        values=None,
        valid_lens=None,
        attention_mask=None,
        causal=False,
        return_weights=False,
        training=False,
    ):
        batch, steps = queries.shape[:2]
        outputs = keras.KerasTensor((batch, steps, self.num_hiddens), self.compute_dtype)
        if not return_weights:
            return outputs
        others = (queries if keys is None else keys).shape[1]
        weights = keras.KerasTensor((batch, self.num_heads, steps, others), self.compute_dtype)
        return outputs, weights

    def get_config(self):
        names = ("num_hiddens", "num_heads", "dropout_rate", "use_bias", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def check_heads(num_hiddens: int, num_heads: int) -> None:
    """Refuse widths that heads cannot share.

    Raises:
        ValueError: a number below 1, or `num_heads` does not divide `num_hiddens`.
    """
    for name, value in (("num_hiddens", num_hiddens), ("num_heads", num_heads)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    if num_hiddens % num_heads:
        near = [n for n in range(1, num_hiddens + 1) if num_hiddens % n == 0]
        near = sorted(sorted(near, key=lambda n: abs(n - num_heads))[:2])
        raise ValueError(
            "`num_hiddens` must be divisible by `num_heads`. Received: "
            f"num_hiddens={num_hiddens}, num_heads={num_heads}. Try num_heads="
            f"{' or '.join(map(str, near))}."
        )


def _fused(queries, keys, values, keep, training):
    """Attend by the backend's own attention, which knows no row without keys: zeros are put in."""
    queries, keys, values = (ops.swapaxes(part, 1, 2) for part in (queries, keys, values))
    outputs = ops.dot_product_attention(queries, keys, values, mask=keep)
    if keep is not None:
        some = ops.swapaxes(ops.any(keep, axis=-1), 1, 2)[..., None]  # (B | 1, T | 1, N | 1, 1)
        outputs = ops.where(some, outputs, 0.0)
    return outputs, None
