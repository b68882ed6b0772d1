"""Attention: a sum of values, weighted by how well their keys answer a query.

Sections: "attention-scoring-functions", "bahdanau-attention". Which keys a query may see is said
by `valid_lens`, counted from the first key, by a boolean `mask` (True: may see), or by both. A
query that may see none gets zeros.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def masked_softmax(inputs: Any, valid_lens: Any = None, *, mask: Any = None) -> Any:
    """Softmax over the last axis, over the places that may be seen only.

    y_k = exp(x_k) / sum of exp(x_j) over the j that may be seen; 0 for all others, and for all
    where none may be seen. Section: "attention-scoring-functions".

    Args:
        inputs: (B, ..., Q, K) float, scores.
        valid_lens: (B,) or (B, Q) int: the first so many keys may be seen. None: all.
        mask: bool, broadcast to the inputs, True: may be seen. None: all.

    Returns:
        The inputs' shape and dtype; computed in float32 at least.

    Raises:
        ValueError: lengths that are neither (B,) nor (B, Q), or of scores with fewer than 3 axes.

    Example:
        >>> masked_softmax(ops.zeros((2, 1, 4)), [2, 0]).numpy().tolist()
        [[[0.5, 0.5, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]]
    """
    inputs = ops.convert_to_tensor(inputs)
    scores = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
    keep = seen(valid_lens, mask, ops.shape(inputs)[-1], len(inputs.shape))
    if keep is None:
        return ops.cast(_softmax(scores), inputs.dtype)
    # the outer `where` is for rows where nothing may be seen: theirs are all alike
    weights = ops.where(keep, _softmax(ops.where(keep, scores, LOWEST)), 0.0)
    return ops.cast(weights, inputs.dtype)


def _softmax(scores: Any) -> Any:
    """Return the softmax over the last axis; of a single key, of which Keras warns, it is 1."""
    return ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)


LOWEST = -1e30  # far below any score, and no infinity: infinities have no differences


def seen(valid_lens: Any, mask: Any, num_keys: Any, rank: int) -> Any:
    """Return which keys may be seen, in a shape that fits scores (B, ..., Q, K); None: all.

    Args:
        valid_lens: (B,) or (B, Q) int, or None.
        mask: bool that broadcasts to the scores, or None.
        num_keys: int or tensor, K.
        rank: int, the number of axes of the scores.

    Raises:
        ValueError: lengths that are neither (B,) nor (B, Q), or of scores with fewer than 3 axes.
    """
    if mask is not None:
        mask = ops.cast(mask, "bool")
    if valid_lens is None:
        return mask
    lens = ops.convert_to_tensor(valid_lens)
    if len(lens.shape) not in (1, 2):
        raise ValueError(f"`valid_lens` must be (B,) or (B, Q). Received: shape {lens.shape}.")
    if rank < 3:
        raise ValueError(
            "`valid_lens` count the keys of scores (B, ..., Q, K). "
            f"Received: scores of {rank} axes. Give each example a query: scores[:, None]."
        )
    if len(lens.shape) == 1:
        lens = lens[:, None]
    lens = ops.reshape(lens, (-1, *[1] * (rank - 3), ops.shape(lens)[1], 1))  # (B, ..., Q | 1, 1)
    short = ops.arange(num_keys, dtype=lens.dtype) < lens
    return short if mask is None else short & mask


class _Attention(keras.layers.Layer):
    """What the scoring functions share: weights from scores, dropout, and the weighted sum."""

    def __init__(self, dropout_rate: float = 0.0, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(
            dropout_rate, seed=seed, dtype=self.dtype_policy, name="dropout"
        )
        self.dropout_rate, self.seed = dropout_rate, seed

    def call(
        self,
        queries,
        keys,
        values,
        valid_lens=None,
        attention_mask=None,
        return_weights=False,
        training=False,
    ):
        scores = self.scores(queries, keys)  # (B, Q, K)
        outputs, weights = self._weigh(scores, values, valid_lens, attention_mask, training)
        return (outputs, weights) if return_weights else outputs

    def _weigh(self, scores, values, valid_lens, attention_mask, training):
        """Return the weighted sum (B, Q, V), and the weights before dropout (B, Q, K)."""
        weights = masked_softmax(scores, valid_lens, mask=attention_mask)
        return ops.matmul(self.dropout(weights, training=training), values), weights

    def scores(self, queries: Any, keys: Any) -> Any:
        """Return how well each key answers each query: (B, Q, K)."""
        raise NotImplementedError

    def compute_output_spec(
        self,
        queries,
        keys,
        values,
        valid_lens=None,
        attention_mask=None,
        return_weights=False,
        training=False,
    ):
        shape = (*queries.shape[:2], values.shape[-1])
        outputs = keras.KerasTensor(shape, self.compute_dtype)
        if not return_weights:
            return outputs
        return outputs, keras.KerasTensor((*queries.shape[:2], keys.shape[1]), self.compute_dtype)

    def get_config(self):
        config = {"dropout_rate": self.dropout_rate, "seed": self.seed}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("kerasd2l")
class DotProductAttention(_Attention):
    """Scaled dot-product attention.

    Y = softmax(Q K^T / sqrt(D)) V. Section: "attention-scoring-functions".

    Args:
        dropout_rate: float in [0, 1), of the weights. Default: 0.
        seed: int or None, of dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        queries: (B, Q, D) float.
        keys: (B, K, D) float.
        values: (B, K, V) float.
        valid_lens: (B,) or (B, Q) int, keys that each query may see; None: all.
        attention_mask: bool, broadcast to (B, Q, K), True: may be seen; None: all.
        return_weights: bool, return the weights (B, Q, K) before dropout, too.
        training: bool.

    Returns:
        (B, Q, V), or a pair with the weights.

    Example:
        >>> queries, keys = ops.ones((2, 1, 2)), ops.ones((2, 10, 2))
        >>> values = ops.tile(ops.reshape(ops.arange(40.0), (1, 10, 4)), (2, 1, 1))
        >>> y = DotProductAttention()(queries, keys, values, valid_lens=[2, 6])
        >>> y.numpy().round(3).tolist()
        [[[2.0, 3.0, 4.0, 5.0]], [[10.0, 11.0, 12.0, 13.0]]]

    Reference:
        Vaswani et al., Attention is all you need, 2017.
    """

    def build(self, queries_shape, keys_shape=None, values_shape=None):
        pass

    def scores(self, queries: Any, keys: Any) -> Any:
        scale = queries.shape[-1] ** -0.5
        return ops.matmul(queries * scale, ops.swapaxes(keys, 1, 2))


@keras.saving.register_keras_serializable("kerasd2l")
class AdditiveAttention(_Attention):
    """Additive attention: a small network scores a query and a key of any widths.

    a(q, k) = w_v . tanh(W_q q + W_k k), y = sum of softmax(a) v. Sections:
    "attention-scoring-functions", "bahdanau-attention"; the notes' MLPAttention is this layer. Its
    hidden array is (B, Q, K, num_hiddens).

    Args:
        num_hiddens: int >= 1, width of the hidden layer.
        dropout_rate: float in [0, 1), of the weights. Default: 0.
        use_bias: bool, add a bias to W_q q + W_k k, as Bahdanau et al. do; the book has none.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        queries: (B, Q, D) float.
        keys: (B, K, E) float.
        values: (B, K, V) float.
        valid_lens: (B,) or (B, Q) int, keys that each query may see; None: all.
        attention_mask: bool, broadcast to (B, Q, K), True: may be seen; None: all.
        return_weights: bool, return the weights (B, Q, K) before dropout, too.
        training: bool.

    Returns:
        (B, Q, V), or a pair with the weights.

    Raises:
        ValueError: `num_hiddens` below 1.

    Example:
        >>> queries, keys = ops.ones((2, 1, 20)), ops.ones((2, 10, 2))
        >>> values = ops.tile(ops.reshape(ops.arange(40.0), (1, 10, 4)), (2, 1, 1))
        >>> y = AdditiveAttention(8)(queries, keys, values, valid_lens=[2, 6])
        >>> y.numpy().round(3).tolist()
        [[[2.0, 3.0, 4.0, 5.0]], [[10.0, 11.0, 12.0, 13.0]]]

    Reference:
        Bahdanau et al., Neural machine translation by jointly learning to align and translate,
        2015.
    """

    def __init__(
        self,
        num_hiddens: int,
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        if num_hiddens < 1:
            raise ValueError(
                f"`num_hiddens` must be at least 1. Received: num_hiddens={num_hiddens}."
            )
        super().__init__(dropout_rate, seed, **kwargs)
        self.num_hiddens, self.use_bias = num_hiddens, use_bias

        def dense(units: int, number: int, name: str, bias: bool = False) -> keras.layers.Dense:
            glorot = keras.initializers.GlorotUniform(None if seed is None else seed + number)
            return keras.layers.Dense(
                units,
                use_bias=bias,
                kernel_initializer=glorot,
                dtype=self.dtype_policy,
                name=name,
            )

        self.W_q = dense(num_hiddens, 1, "W_q", use_bias)
        self.W_k = dense(num_hiddens, 2, "W_k")
        self.w_v = dense(1, 3, "w_v")

    def build(self, queries_shape, keys_shape=None, values_shape=None):
        self.W_q.build(queries_shape)
        self.W_k.build(keys_shape)
        self.w_v.build((*queries_shape[:2], self.num_hiddens))

    def project_keys(self, keys: Any) -> Any:
        """Return W_k k: (B, K, num_hiddens), the same for all queries of a decoder."""
        return self.W_k(keys)

    def scores(self, queries: Any, keys: Any) -> Any:
        return self.scores_of(queries, self.project_keys(keys))

    def scores_of(self, queries: Any, projected_keys: Any) -> Any:
        """Return the scores of keys that are projected already: (B, Q, K)."""
        hidden = ops.tanh(self.W_q(queries)[:, :, None] + projected_keys[:, None])  # (B, Q, K, H)
        return ops.squeeze(self.w_v(hidden), -1)

    def look(
        self,
        queries: Any,
        projected_keys: Any,
        values: Any,
        *,
        valid_lens: Any = None,
        training: bool = False,
    ) -> tuple[Any, Any]:
        """Attend to keys that are projected already: return (B, Q, V) and the weights (B, Q, K)."""
        scores = self.scores_of(queries, projected_keys)
        return self._weigh(scores, values, valid_lens, None, training)

    def get_config(self):
        config = {"num_hiddens": self.num_hiddens, "use_bias": self.use_bias}
        return {**super().get_config(), **config}
