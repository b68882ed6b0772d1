"""The blocks of a Transformer: attention and a network for each step, tied by residual connections.

Sections: "transformer", "transformer-layers", "bert", "vision-transformer".
"""

from __future__ import annotations

from typing import Any, Literal

import keras

from kerasd2l.layers.cache import new_cache, remember
from kerasd2l.layers.multi_head_attention import MultiHeadAttention
from kerasd2l.layers.transformer_parts import PositionWiseFFN

NORMS = ("post", "pre")


class _Block(keras.layers.Layer):
    """What encoder and decoder blocks share: their arguments, and where the norms stand."""

    parts = 2  # residual connections

    def __init__(
        self,
        num_hiddens: int,
        ffn_num_hiddens: int,
        num_heads: int,
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        norm: Literal["post", "pre"] = "post",
        activation: Any = "relu",
        epsilon: float = 1e-5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        if norm not in NORMS:
            raise ValueError(f"`norm` must be post or pre. Received: norm={norm!r}.")
        super().__init__(**kwargs)
        self.num_hiddens, self.ffn_num_hiddens = num_hiddens, ffn_num_hiddens
        self.num_heads, self.dropout_rate = num_heads, dropout_rate
        self.use_bias, self.norm, self.epsilon, self.seed = use_bias, norm, epsilon, seed
        self.activation = keras.activations.get(activation)
        self.attention = self._attention("attention", 100)
        self.ffn = PositionWiseFFN(
            ffn_num_hiddens,
            num_hiddens,
            self.activation,
            seed=self._seed(300),
            dtype=self.dtype_policy,
            name="ffn",
        )
        self.norms, self.dropouts = [], []
        for i in range(1, self.parts + 1):
            self.norms.append(
                keras.layers.LayerNormalization(
                    epsilon=epsilon, dtype=self.dtype_policy, name=f"norm{i}"
                )
            )
            self.dropouts.append(
                keras.layers.Dropout(
                    dropout_rate, seed=self._seed(i), dtype=self.dtype_policy, name=f"dropout{i}"
                )
            )

    def _seed(self, number: int) -> int | None:
        return None if self.seed is None else self.seed + number

    def _attention(self, name: str, number: int) -> MultiHeadAttention:
        return MultiHeadAttention(
            self.num_hiddens,
            self.num_heads,
            self.dropout_rate,
            self.use_bias,
            seed=self._seed(number),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, inputs_shape):
        if inputs_shape[-1] != self.num_hiddens:
            raise ValueError(
                "the inputs of a block must have its width: residual connections add them. "
                f"Received: num_hiddens={self.num_hiddens}, inputs of shape {tuple(inputs_shape)}."
            )
        self.attention.build(inputs_shape)
        self.ffn.build(inputs_shape)
        for norm in self.norms:
            norm.build(inputs_shape)

    def new_cache(self, batch: Any, max_len: Any) -> dict:
        """Return an empty memory of self-attention for `step`; see `layers.new_cache`."""
        size = self.num_hiddens // self.num_heads
        return new_cache(batch, max_len, self.num_heads, size, self.compute_dtype)

    def _part(self, i: int, x: Any, training: bool, compute: Any) -> tuple[Any, Any]:
        """Return x after part i, and what `compute` returns beside its outputs.

        Post-norm: LayerNorm(x + dropout(f(x))). Pre-norm: x + dropout(f(LayerNorm(x))).
        """
        outputs, other = compute(self.norms[i](x) if self.norm == "pre" else x)
        x = x + self.dropouts[i](outputs, training=training)
        return (x if self.norm == "pre" else self.norms[i](x)), other

    def _self_attention(self, x: Any, training: bool, **options: Any) -> tuple[Any, Any]:
        """Return x after the first part, and the weights or None."""

        def attend(x):
            outputs = self.attention(x, training=training, **options)
            return outputs if options["return_weights"] else (outputs, None)

        return self._part(0, x, training, attend)

    def _cached_self_attention(self, x: Any, cache: dict) -> tuple[Any, dict]:
        """Return x after the first part, which sees what is remembered, and the new cache."""

        def attend(x):
            after, mask = remember(cache, *self.attention.project(x))
            outputs = self.attention.attend(x, after["keys"], after["values"], attention_mask=mask)
            return outputs, after

        return self._part(0, x, False, attend)

    def _network(self, x: Any, training: bool) -> Any:
        """Return x after the last part."""
        last = self.parts - 1
        return self._part(last, x, training, lambda x: (self.ffn(x, training=training), None))[0]

    def get_config(self):
        names = ("num_hiddens", "ffn_num_hiddens", "num_heads", "dropout_rate", "use_bias", "norm")
        config = {name: getattr(self, name) for name in (*names, "epsilon", "seed")}
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), **config, "activation": activation}


@keras.saving.register_keras_serializable("kerasd2l")
class TransformerEncoderBlock(_Block):
    """Self-attention and a network for each step, each with a residual connection and a norm.

    Post-norm, the book's: x = LN(x + attention(x)), y = LN(x + FFN(x)). Pre-norm: x = x +
    attention(LN(x)), y = x + FFN(LN(x)), which needs a norm behind the last block. Section:
    "transformer".

    Args:
        num_hiddens: int, D, width of inputs and outputs.
        ffn_num_hiddens: int >= 1, width inside the network.
        num_heads: int; it divides D.
        dropout_rate: float in [0, 1), of weights of attention and before additions. Default: 0.
        use_bias: bool, in the projections of attention. Default: False, as in the book.
        norm: "post" or "pre". Default: "post".
        activation: of the network. Default: "relu".
        epsilon: float > 0, of the norms. Default: 1e-5, PyTorch's; BERT's own is 1e-12.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float.
        valid_lens: (B,) int, steps that are no padding; None: all.
        attention_mask: bool, broadcast to (B, T, T), True: may be seen; None: all.
        causal: bool, each step sees those before it and itself only.
        return_weights: bool, return the weights of attention (B, N, T, T), too.
        training: bool.

    Returns:
        (B, T, D), or a pair with the weights.

    Raises:
        ValueError: widths that do not fit, or another `norm`.

    Example:
        >>> block = TransformerEncoderBlock(24, 48, 8, dropout_rate=0.5)
        >>> block(keras.ops.ones((2, 100, 24)), valid_lens=[3, 2]).shape
        TensorShape([2, 100, 24])

    Reference:
        Vaswani et al., Attention is all you need, 2017; Xiong et al., On layer normalization in
        the Transformer architecture, 2020.
    """

    def call(
        self,
        inputs,
        valid_lens=None,
        attention_mask=None,
        causal=False,
        return_weights=False,
        training=False,
    ):
        options = {"valid_lens": valid_lens, "attention_mask": attention_mask, "causal": causal}
        options["return_weights"] = return_weights
        x, weights = self._self_attention(inputs, training, **options)
        x = self._network(x, training)
        return (x, weights) if return_weights else x

    def step(self, inputs: Any, cache: dict) -> tuple[Any, dict]:
        """Go on with steps that see those remembered: as a causal call on all of them.

        Args:
            inputs: (B, T, D), the next steps.
            cache: from `new_cache`, or from the step before.

        Returns:
            (B, T, D), and the new cache.
        """
        x, cache = self._cached_self_attention(inputs, cache)
        return self._network(x, False), cache

    def compute_output_spec(
        self,
        inputs,
        valid_lens=None,
        attention_mask=None,
        causal=False,
        return_weights=False,
        training=False,
    ):
        outputs = keras.KerasTensor(inputs.shape, self.compute_dtype)
        if not return_weights:
            return outputs
        batch, steps = inputs.shape[:2]
        return outputs, keras.KerasTensor((batch, self.num_heads, steps, steps), self.compute_dtype)


@keras.saving.register_keras_serializable("kerasd2l")
class TransformerDecoderBlock(_Block):
    """Causal self-attention, attention to an encoder's outputs, and a network for each step.

    Post-norm: x = LN(x + self(x)), x = LN(x + cross(x, e)), y = LN(x + FFN(x)); pre-norm as in the
    encoder's block. Section: "transformer".

    Args:
        num_hiddens: int, D, width of inputs and outputs.
        ffn_num_hiddens: int >= 1, width inside the network.
        num_heads: int; it divides D.
        dropout_rate: float in [0, 1), of weights of attention and before additions. Default: 0.
        use_bias: bool, in the projections of attention. Default: False, as in the book.
        norm: "post" or "pre". Default: "post".
        activation: of the network. Default: "relu".
        epsilon: float > 0, of the norms. Default: 1e-5, PyTorch's; BERT's own is 1e-12.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float.
        enc_outputs: (B, S, any) float.
        enc_valid_lens: (B,) int, steps of the encoder that are no padding; None: all.
        return_weights: bool, return the weights (B, N, T, T) and (B, N, T, S), too.
        training: bool.

    Returns:
        (B, T, D); with the weights: ((B, T, D), of self-attention, of attention to the encoder).

    Raises:
        ValueError: widths that do not fit, or another `norm`.

    Example:
        >>> x = keras.ops.ones((2, 100, 24))
        >>> TransformerDecoderBlock(24, 48, 8)(x, x, enc_valid_lens=[3, 2]).shape
        TensorShape([2, 100, 24])

    Reference:
        Vaswani et al., Attention is all you need, 2017.
    """

    parts = 3

    def __init__(
        self,
        num_hiddens: int,
        ffn_num_hiddens: int,
        num_heads: int,
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        norm: Literal["post", "pre"] = "post",
        activation: Any = "relu",
        epsilon: float = 1e-5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        sizes = (num_hiddens, ffn_num_hiddens, num_heads)
        options: Any = (dropout_rate, use_bias, norm, activation, epsilon, seed)
        super().__init__(*sizes, *options, **kwargs)
        self.cross_attention = self._attention("cross_attention", 200)

    def build(self, inputs_shape, enc_outputs_shape=None):
        super().build(inputs_shape)
        self.cross_attention.build(inputs_shape, enc_outputs_shape or inputs_shape)

    def call(self, inputs, enc_outputs, enc_valid_lens=None, return_weights=False, training=False):
        options = {"causal": True, "return_weights": return_weights}
        x, own = self._self_attention(inputs, training, **options)
        memory = self.cross_attention.project(enc_outputs)
        x, cross = self._cross(x, memory, enc_valid_lens, return_weights, training)
        x = self._network(x, training)
        return (x, own, cross) if return_weights else x

    def step(
        self, inputs: Any, cache: dict, memory: Any, enc_valid_lens: Any = None
    ) -> tuple[Any, dict]:
        """Go on with steps that see those remembered.

        Args:
            inputs: (B, T, D), the next steps.
            cache: from `new_cache`, or from the step before.
            memory: the encoder's keys and values: `cross_attention.project(enc_outputs)`.
            enc_valid_lens: (B,) int, or None.

        Returns:
            (B, T, D), and the new cache.
        """
        x, cache = self._cached_self_attention(inputs, cache)
        x, _ = self._cross(x, memory, enc_valid_lens, False, False)
        return self._network(x, False), cache

    def _cross(self, x, memory, enc_valid_lens, return_weights, training):
        def attend(x):
            outputs = self.cross_attention.attend(
                x,
                *memory,
                valid_lens=enc_valid_lens,
                return_weights=return_weights,
                training=training,
            )
            return outputs if return_weights else (outputs, None)

        return self._part(1, x, training, attend)

    def compute_output_spec(
        self, inputs, enc_outputs, enc_valid_lens=None, return_weights=False, training=False
    ):
        outputs = keras.KerasTensor(inputs.shape, self.compute_dtype)
        if not return_weights:
            return outputs
        batch, steps = inputs.shape[:2]
        weights = [
            keras.KerasTensor((batch, self.num_heads, steps, others), self.compute_dtype)
            for others in (steps, enc_outputs.shape[1])
        ]
        return outputs, *weights
