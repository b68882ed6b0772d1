"""Attention whose cost grows with the length of a text, not with its square."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.multi_head_attention import MultiHeadAttention


@keras.saving.register_keras_serializable("kerasd2l")
class LinformerAttention(keras.layers.Layer):
    """Multi-head self-attention to k mixtures of the steps instead of all T.

    K' = E K, V' = F V, E and F (k, T) learned; Y = attention(Q, K', V'): T k products in place of
    T^2. A sequence may be shorter than `max_len`, T; padding is left out of the mixtures. It cannot
    be causal: a mixture knows all steps. Section: "bert" in the notes, which describe it.

    Args:
        num_hiddens: int, D, the width of the output and of all heads together.
        num_heads: int; it divides D.
        max_len: int >= 1, T, the most steps.
        num_mixtures: int >= 1, k. Default: 64.
        dropout_rate: float in [0, 1), of the weights of attention. Default: 0.
        use_bias: bool, in all four projections. Default: False.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, S, any) float, S <= T.
        valid_lens: (B,) int, steps that are no padding; None: all.
        training: bool.

    Returns:
        (B, S, D).

    Raises:
        ValueError: a number below 1, heads that do not divide the width, a sequence that is longer.

    Example:
        >>> LinformerAttention(8, 2, max_len=100, num_mixtures=4)(ops.ones((2, 50, 8))).shape
        TensorShape([2, 50, 8])

    Reference:
        Wang et al., Linformer: self-attention with linear complexity, 2020.
    """

    def __init__(
        self,
        num_hiddens: int,
        num_heads: int,
        max_len: int,
        num_mixtures: int = 64,
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        for name, number in (("max_len", max_len), ("num_mixtures", num_mixtures)):
            if number < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={number}.")
        super().__init__(**kwargs)
        self.attention = MultiHeadAttention(
            num_hiddens,
            num_heads,
            dropout_rate,
            use_bias,
            seed,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.seed = seed
        self.max_len, self.num_mixtures = max_len, num_mixtures

    def build(self, inputs_shape):
        self.attention.build(inputs_shape)
        for i, name in enumerate(("mix_keys", "mix_values")):
            seed = None if self.seed is None else self.seed + 10 + i
            weight = self.add_weight(
                name=name,
                shape=(self.num_mixtures, self.max_len),
                initializer=keras.initializers.GlorotUniform(seed),
            )
            setattr(self, name, weight)

    def call(self, inputs, valid_lens=None, training=False):
        steps = inputs.shape[1] if inputs.shape[1] is not None else ops.shape(inputs)[1]
        if isinstance(steps, int) and steps > self.max_len:
            raise ValueError(
                f"there are mixtures of {self.max_len} steps (`max_len`), not of {steps}. "
                "Cut the sequence, or build the layer with a larger max_len."
            )
        keys, values = self.attention.project(inputs)  # (B, N, S, D / N)
        if valid_lens is not None:
            lens = ops.convert_to_tensor(valid_lens)
            real = (ops.arange(steps, dtype=lens.dtype) < lens[:, None])[:, None, :, None]
            keys, values = ops.where(real, keys, 0), ops.where(real, values, 0)
        keys = ops.matmul(self._mixtures(self.mix_keys, steps, keys), keys)  # (B, N, K, D / N)
        values = ops.matmul(self._mixtures(self.mix_values, steps, keys), values)
        return self.attention.attend(inputs, keys, values, training=training)

    def _mixtures(self, weight: Any, steps: Any, like: Any) -> Any:
        return ops.cast(weight, like.dtype)[:, :steps]

    def compute_output_shape(self, inputs_shape, valid_lens_shape=None):
        return (*inputs_shape[:2], self.attention.num_hiddens)

    def get_config(self):
        names = ("num_hiddens", "num_heads", "dropout_rate", "use_bias", "seed")
        shared = {name: getattr(self.attention, name) for name in names}
        own = {"max_len": self.max_len, "num_mixtures": self.num_mixtures}
        return {**super().get_config(), **shared, **own}
