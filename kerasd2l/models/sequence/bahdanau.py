"""A recurrent decoder that looks back at the source before each word.

Section: "bahdanau-attention".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers import AdditiveAttention, Embedding
from kerasd2l.models.sequence.recurrent_stack import RecurrentStack, check_sizes, drawn, taken_over
from kerasd2l.models.sequence.seq2seq import (
    Decoder,
    EncoderDecoder,
    Seq2SeqEncoder,
    source_lengths,
)


@keras.saving.register_keras_serializable("kerasd2l")
class Seq2SeqAttentionDecoder(Decoder):
    """A recurrent decoder with additive attention to the encoder's outputs.

    c_t = attention(h_{t-1}, outputs), h_t = recurrent([c_t, embedding(y_{t-1})], h_{t-1}), h the
    state of the last layer. The context changes from word to word, where `Seq2SeqDecoder` has one
    for all. Section: "bahdanau-attention"; with `cell="lstm"` the notes' decoder.

    Args:
        vocab_size: int >= 1, V, tokens of the target language.
        embed_size: int >= 1, E.
        num_hiddens: int >= 1, H; the same as the encoder's.
        num_layers: int >= 1, the same as the encoder's. Default: 1.
        dropout_rate: float in [0, 1), between the recurrent layers and of the weights of attention.
        cell: "gru" or "lstm", the same as the encoder's. Default: "gru".
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T) int.
        state: from `init_state` or from the call before.
        training: bool.

    Returns:
        ((B, T, V) float32 logits, the next state).

    Raises:
        ValueError: a number out of range, or an encoder with another number of layers.

    Example:
        >>> tokens = ops.zeros((4, 7), "int32")
        >>> decoder = Seq2SeqAttentionDecoder(10, 8, 16, 2)
        >>> state = decoder.init_state(Seq2SeqEncoder(10, 8, 16, 2)(tokens))
        >>> decoder(tokens, state)[0].shape
        TensorShape([4, 7, 10])

    Reference:
        Bahdanau et al., Neural machine translation by jointly learning to align and translate,
        2015.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_size: int,
        num_hiddens: int,
        num_layers: int = 1,
        *,
        dropout_rate: float = 0.0,
        cell: str = "gru",
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_sizes(vocab_size=vocab_size, embed_size=embed_size)
        super().__init__(**kwargs)
        self.vocab_size, self.embed_size, self.num_hiddens = vocab_size, embed_size, num_hiddens
        self.num_layers, self.dropout_rate = num_layers, dropout_rate
        self.cell, self.seed = cell, seed
        policy = self.dtype_policy
        normal = keras.initializers.RandomNormal(0.0, 1.0, seed)
        self.embedding = Embedding(vocab_size, embed_size, normal, dtype=policy, name="embedding")
        self.attention = AdditiveAttention(
            num_hiddens, dropout_rate, seed=drawn(seed, 500), dtype=policy, name="attention"
        )
        self.stack = RecurrentStack(
            num_hiddens,
            num_layers,
            dropout_rate=dropout_rate,
            cell=cell,
            seed=drawn(seed, 1),
            dtype=policy,
            name="stack",
        )
        self.dense = keras.layers.Dense(
            vocab_size,
            kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, 400)),
            dtype="float32",
            name="dense",
        )

    def build(self, input_shape):
        hidden = (*input_shape, self.num_hiddens)
        self.embedding.build(input_shape)
        self.attention.build(hidden, hidden, hidden)
        self.stack.build((*input_shape, self.embed_size + self.num_hiddens))
        self.dense.build(hidden)

    def init_state(self, enc_outputs: Any, enc_valid_lens: Any = None) -> Any:
        """Take over outputs and states of the encoder; keys are projected once."""
        outputs, states = enc_outputs
        return {
            "layers": taken_over(states, self.stack),
            "keys": outputs,
            "lens": source_lengths(outputs, enc_valid_lens),
        }

    def call(self, inputs, state, training=False):
        logits, state, _ = self.write(inputs, state, training=training)
        return logits, state

    def write(self, inputs: Any, state: Any, *, training: bool = False) -> tuple[Any, Any, Any]:
        """Return logits (B, T, V), the next state, and the weights of attention (B, T, S)."""
        x = self.embedding(inputs)  # (B, T, E)
        keys = state["keys"]
        projected = self.attention.project_keys(keys)  # (B, S, H)
        layers, outputs, looks = state["layers"], [], []
        for t in range(_known_steps(inputs)):
            query = layers[-1][0][:, None]  # (B, 1, H)
            context, weights = self.attention.look(
                query, projected, keys, valid_lens=state["lens"], training=training
            )
            step = ops.concatenate([ops.cast(context, x.dtype), x[:, t : t + 1]], axis=-1)
            output, layers = self.stack(step, states=layers, training=training)
            outputs.append(output)
            looks.append(weights)
        logits = self.dense(ops.concatenate(outputs, axis=1))
        return logits, {**state, "layers": layers}, ops.concatenate(looks, axis=1)

    def get_config(self):
        names = ("vocab_size", "embed_size", "num_hiddens", "num_layers", "dropout_rate", "cell")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in (*names, "seed")},
        }


def _known_steps(inputs: Any) -> int:
    """Return the number of steps, which are written out one after the other."""
    steps = inputs.shape[1]
    if steps is None:
        raise ValueError(
            "Seq2SeqAttentionDecoder needs a known number of steps: each of them is written out. "
            f"Received: inputs of shape {tuple(inputs.shape)}."
        )
    return steps


def bahdanau(
    source_vocab_size: int,
    target_vocab_size: int,
    *,
    embed_size: int = 32,
    num_hiddens: int = 32,
    num_layers: int = 2,
    dropout_rate: float = 0.1,
    cell: str = "gru",
    seed: int | None = None,
    name: str = "bahdanau",
) -> EncoderDecoder:
    """Build a recurrent translator with attention.

    Section: "bahdanau-attention". Defaults are the book's; the notes' variant is `cell="lstm"`.

    Args:
        source_vocab_size: int >= 1.
        target_vocab_size: int >= 1, V.
        embed_size: int >= 1. Default: 32.
        num_hiddens: int >= 1. Default: 32.
        num_layers: int >= 1. Default: 2.
        dropout_rate: float in [0, 1). Default: 0.1.
        cell: "gru" or "lstm". Default: "gru".
        seed: int or None, of weights and dropout.
        name: str, name of the model.

    Call arguments:
        inputs: dict, as `EncoderDecoder` says; the number of steps T must be known.

    Returns:
        EncoderDecoder, which maps to (B, T, V) float32 logits.

    Raises:
        ValueError: a number out of range.
    """
    sizes = (embed_size, num_hiddens, num_layers)
    options: dict[str, Any] = {"dropout_rate": dropout_rate, "cell": cell}
    encoder = Seq2SeqEncoder(source_vocab_size, *sizes, **options, seed=seed, name="encoder")
    decoder = Seq2SeqAttentionDecoder(
        target_vocab_size, *sizes, **options, seed=drawn(seed, 1000), name="decoder"
    )
    return EncoderDecoder(encoder, decoder, name=name)
