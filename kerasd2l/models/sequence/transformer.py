"""The Transformer: an encoder and a decoder made of attention, without recurrence.

Section: "transformer".
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from kerasd2l.layers import (
    Embedding,
    PositionalEncoding,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn
from kerasd2l.models.sequence.seq2seq import Decoder, Encoder, EncoderDecoder, source_lengths


class _Stack(keras.layers.Layer):
    """What encoder and decoder share: embedding, positions and blocks on top of each other."""

    block_class: Any = None

    def __init__(
        self,
        vocab_size: int,
        num_hiddens: int,
        num_layers: int,
        ffn_num_hiddens: int,
        num_heads: int,
        *,
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        norm: Literal["post", "pre"] = "post",
        max_len: int = 1000,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_sizes(vocab_size=vocab_size, num_layers=num_layers)
        super().__init__(**kwargs)
        self.vocab_size, self.num_hiddens, self.num_layers = vocab_size, num_hiddens, num_layers
        self.ffn_num_hiddens, self.num_heads = ffn_num_hiddens, num_heads
        self.dropout_rate, self.use_bias, self.norm = dropout_rate, use_bias, norm
        self.max_len, self.seed = max_len, seed
        policy = self.dtype_policy
        normal = keras.initializers.RandomNormal(0.0, 1.0, seed)
        self.embedding = Embedding(vocab_size, num_hiddens, normal, dtype=policy, name="embedding")
        self.positions = PositionalEncoding(
            max_len, dropout_rate, drawn(seed, 1), dtype=policy, name="positions"
        )
        self.blocks = [
            self.block_class(
                num_hiddens,
                ffn_num_hiddens,
                num_heads,
                dropout_rate,
                use_bias,
                norm,
                seed=drawn(seed, 1000 * i),
                dtype=policy,
                name=f"block{i}",
            )
            for i in range(1, num_layers + 1)
        ]
        self.last_norm = None
        if norm == "pre":  # the sum of all blocks has no norm yet
            self.last_norm = keras.layers.LayerNormalization(
                epsilon=1e-5, dtype=policy, name="last_norm"
            )

    def build(self, input_shape):
        shape = (*input_shape, self.num_hiddens)
        self.embedding.build(input_shape)
        for part in (self.positions, *self.blocks, self.last_norm):
            if part is not None:
                part.build(shape)

    def embed(self, tokens: Any, offset: Any = 0, training: bool = False) -> Any:
        """Return embedding times sqrt(D), so that it is not small beside positions, and those."""
        x = self.embedding(tokens) * self.num_hiddens**0.5  # (B, T, D)
        return self.positions(x, offset=offset, training=training)

    def _normed(self, x: Any) -> Any:
        return x if self.last_norm is None else self.last_norm(x)

    def get_config(self):
        names = ["vocab_size", "num_hiddens", "num_layers", "ffn_num_hiddens", "num_heads"]
        names += ["dropout_rate", "use_bias", "norm", "max_len", "seed"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kerasd2l")
class TransformerEncoder(_Stack, Encoder):
    """A Transformer's encoder: every token becomes a vector that knows the others.

    Embedding times sqrt(D), positions, blocks. Padding changes nothing. Section: "transformer".

    Args:
        vocab_size: int >= 1.
        num_hiddens: int, D.
        num_layers: int >= 1, blocks.
        ffn_num_hiddens: int >= 1, width inside the network of a block.
        num_heads: int; it divides D.
        dropout_rate: float in [0, 1). Default: 0.
        use_bias: bool, in the projections of attention. Default: False, as in the book.
        norm: "post" or "pre". Default: "post".
        max_len: int, the longest sequence. Default: 1000.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, S) int.
        valid_lens: (B,) int, tokens that are no padding; None: all.
        training: bool.

    Returns:
        (B, S, D).

    Raises:
        ValueError: a number out of range.

    Example:
        >>> encoder = TransformerEncoder(200, 24, 2, 48, 8)
        >>> encoder(ops.ones((2, 100), "int32"), valid_lens=[3, 2]).shape
        TensorShape([2, 100, 24])

    Reference:
        Vaswani et al., Attention is all you need, 2017.
    """

    block_class = TransformerEncoderBlock

    def call(self, inputs, valid_lens=None, training=False):
        x = self.embed(inputs, training=training)
        for block in self.blocks:
            x = block(x, valid_lens=valid_lens, training=training)
        return self._normed(x)

    def attention_weights(self, inputs: Any, valid_lens: Any = None) -> list[Any]:
        """Return the weights (B, N, S, S) of each block, for a look at them."""
        x, found = self.embed(inputs), []
        for block in self.blocks:
            x, weights = block(x, valid_lens=valid_lens, return_weights=True)
            found.append(weights)
        return found


@keras.saving.register_keras_serializable("kerasd2l")
class TransformerDecoder(_Stack, Decoder):
    """A Transformer's decoder: each token sees those before it, and what the encoder made.

    Embedding times sqrt(D), positions, blocks, a dense layer. Each token is at its own position in
    writing, too; the book gives every written token position 0. Section: "transformer".

    Args:
        vocab_size: int >= 1, V.
        num_hiddens: int, D.
        num_layers: int >= 1, blocks.
        ffn_num_hiddens: int >= 1, width inside the network of a block.
        num_heads: int; it divides D.
        dropout_rate: float in [0, 1). Default: 0.
        use_bias: bool, in the projections of attention. Default: False, as in the book.
        norm: "post" or "pre". Default: "post".
        max_len: int, the longest sequence. Default: 1000.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T) int.
        state: from `init_state`, for whole sequences; from `with_memory`, or from the call before,
            for the next tokens.
        training: bool.

    Returns:
        ((B, T, V) float32 logits, the next state).

    Raises:
        ValueError: a number out of range.

    Example:
        >>> encoder, decoder = (kind(200, 24, 2, 48, 8) for kind in
        ...                     (TransformerEncoder, TransformerDecoder))
        >>> tokens = ops.ones((2, 10), "int32")
        >>> logits, _ = decoder(tokens, decoder.init_state(encoder(tokens)))
        >>> logits.shape
        TensorShape([2, 10, 200])

    Reference:
        Vaswani et al., Attention is all you need, 2017.
    """

    block_class = TransformerDecoderBlock

    def build(self, input_shape):
        super().build(input_shape)
        self.dense = keras.layers.Dense(
            self.vocab_size,
            kernel_initializer=keras.initializers.GlorotUniform(drawn(self.seed, 2)),
            dtype="float32",
            name="dense",
        )
        self.dense.build((*input_shape, self.num_hiddens))

    def init_state(self, enc_outputs: Any, enc_valid_lens: Any = None) -> Any:
        """Take over the encoder's outputs (B, S, D) and their lengths."""
        lens = source_lengths(enc_outputs, enc_valid_lens)
        return {"enc_outputs": enc_outputs, "enc_valid_lens": lens}

    def with_memory(self, state: Any, max_steps: int) -> Any:
        """Turn a state for whole sequences into one that goes on token by token.

        Keys and values of the encoder are computed once; those of the decoder are remembered.
        """
        outputs = state["enc_outputs"]
        rows = ops.shape(outputs)[0]
        return {
            "enc_valid_lens": state["enc_valid_lens"],
            "memory": [list(block.cross_attention.project(outputs)) for block in self.blocks],
            "caches": [block.new_cache(rows, max_steps) for block in self.blocks],
        }

    def call(self, inputs, state, training=False):
        lens = state["enc_valid_lens"]
        if "caches" not in state:
            x = self.embed(inputs, training=training)
            for block in self.blocks:
                x = block(x, state["enc_outputs"], enc_valid_lens=lens, training=training)
            return self.dense(self._normed(x)), state
        x, caches = self.embed(inputs, state["caches"][0]["place"]), []
        for block, cache, memory in zip(self.blocks, state["caches"], state["memory"], strict=True):
            x, cache = block.step(x, cache, memory, lens)
            caches.append(cache)
        return self.dense(self._normed(x)), {**state, "caches": caches}

    def attention_weights(self, inputs: Any, state: Any) -> tuple[list[Any], list[Any]]:
        """Return the weights of each block on whole sequences (B, T), for a look at them.

        Returns:
            Lists of (B, N, T, T), to the tokens before, and of (B, N, T, S), to the encoder.
        """
        x, own, cross = self.embed(inputs), [], []
        lens = state["enc_valid_lens"]
        for block in self.blocks:
            x, *weights = block(x, state["enc_outputs"], enc_valid_lens=lens, return_weights=True)
            own.append(weights[0])
            cross.append(weights[1])
        return own, cross


def transformer(
    source_vocab_size: int,
    target_vocab_size: int,
    *,
    num_hiddens: int = 32,
    num_layers: int = 2,
    ffn_num_hiddens: int = 64,
    num_heads: int = 4,
    dropout_rate: float = 0.1,
    use_bias: bool = False,
    norm: Literal["post", "pre"] = "post",
    max_len: int = 1000,
    seed: int | None = None,
    name: str = "transformer",
) -> EncoderDecoder:
    """Build a translator: `TransformerEncoder` and `TransformerDecoder` of the same sizes.

    Section: "transformer". Defaults are the book's.

    Args:
        source_vocab_size: int >= 1.
        target_vocab_size: int >= 1, V.
        num_hiddens: int, D. Default: 32.
        num_layers: int >= 1, blocks of each side. Default: 2.
        ffn_num_hiddens: int >= 1, width inside the network of a block. Default: 64.
        num_heads: int; it divides D. Default: 4.
        dropout_rate: float in [0, 1). Default: 0.1.
        use_bias: bool, in the projections of attention. Default: False.
        norm: "post" or "pre". Default: "post".
        max_len: int, the longest sequence. Default: 1000.
        seed: int or None, of weights and dropout.
        name: str, name of the model.

    Call arguments:
        inputs: dict, as `EncoderDecoder` says.

    Returns:
        EncoderDecoder, which maps to (B, T, V) float32 logits.

    Raises:
        ValueError: a number out of range.

    Reference:
        Vaswani et al., Attention is all you need, 2017.
    """
    sizes = (num_hiddens, num_layers, ffn_num_hiddens, num_heads)
    options: dict[str, Any] = {"dropout_rate": dropout_rate, "use_bias": use_bias, "norm": norm}
    options["max_len"] = max_len
    encoder = TransformerEncoder(source_vocab_size, *sizes, **options, seed=seed, name="encoder")
    decoder = TransformerDecoder(
        target_vocab_size, *sizes, **options, seed=drawn(seed, 100_000), name="decoder"
    )
    return EncoderDecoder(encoder, decoder, name=name)
