"""Encoder and decoder: one reads a sequence, the other writes one; here both are recurrent.

Sections: "encoder-decoder", "seq2seq".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers import Embedding
from kerasd2l.models.sequence.recurrent_stack import RecurrentStack, check_sizes, drawn, taken_over


class Encoder(keras.layers.Layer):
    """Base class: reads sequences and returns what the decoder's `init_state` takes.

    Section: "encoder-decoder".

    Call arguments:
        inputs: (B, S) int, the source, padded.
        valid_lens: (B,) int, tokens of each source that are no padding; None: all.
        training: bool.
    """

    def call(self, inputs, valid_lens=None, training=False):
        raise NotImplementedError(f"{type(self).__name__} must implement `call`.")


class Decoder(keras.layers.Layer):
    """Base class: writes sequences, one or many steps in a call, and remembers where it is.

    The state that `init_state` and `call` return is a nest of tensors whose first axis is the
    batch, of the same structure and shapes before and after a call: a search may copy and reorder
    its rows. Section: "encoder-decoder".

    Call arguments:
        inputs: (B, T) int, the tokens before those to predict.
        state: from `init_state` or from the call before.
        training: bool.

    Returns:
        ((B, T, V) logits, the state after the last step).
    """

    def init_state(self, enc_outputs: Any, enc_valid_lens: Any = None) -> Any:
        """Turn the outputs of the encoder into the state before the first step."""
        raise NotImplementedError(f"{type(self).__name__} must implement `init_state`.")

    def with_memory(self, state: Any, max_steps: int) -> Any:
        """Return the state from which to write at most `max_steps` tokens, one after the other.

        A recurrent state is one already; attention needs room for what is to be remembered.
        """
        return state

    def call(self, inputs, state, training=False):
        raise NotImplementedError(f"{type(self).__name__} must implement `call`.")


@keras.saving.register_keras_serializable("kerasd2l")
class EncoderDecoder(keras.Model):
    """An encoder and a decoder, trained together with the true tokens as the decoder's input.

    decoder(decoder_input, decoder.init_state(encoder(source))). Section: "encoder-decoder".

    Args:
        encoder: Encoder.
        decoder: Decoder.
        name: str, name of the model.

    Call arguments:
        inputs: dict of "source" (B, S) int, "decoder_input" (B, T) int, which is `<bos>` and the
            labels but the last, and maybe "source_lengths" (B,) int, tokens that are no padding.
        training: bool.

    Returns:
        (B, T, V) float, the decoder's logits.

    Raises:
        TypeError: something else than an encoder and a decoder.

    Example:
        >>> model = seq2seq(10, 10, embed_size=8, num_hiddens=16)
        >>> tokens = keras.ops.zeros((4, 7), "int32")
        >>> tuple(model({"source": tokens, "decoder_input": tokens}).shape)
        (4, 7, 10)
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, *, name: str | None = None, **kwargs):
        for argument, value, kind in (("encoder", encoder, Encoder), ("decoder", decoder, Decoder)):
            if not isinstance(value, kind):
                raise TypeError(
                    f"`{argument}` must be a {kind.__name__}. Received: {type(value).__name__}."
                )
        super().__init__(name=name, **kwargs)
        self.encoder, self.decoder = encoder, decoder

    def build(self, input_shape):
        tokens = {key: keras.KerasTensor(shape, "int32") for key, shape in input_shape.items()}
        state = self.encode(tokens["source"], tokens.get("source_lengths"))
        self.decode(tokens["decoder_input"], state)
        self.built = True

    def call(self, inputs, training=False):
        state = self.encode(inputs["source"], inputs.get("source_lengths"), training=training)
        return self.decode(inputs["decoder_input"], state, training=training)[0]

    def encode(self, source: Any, source_lengths: Any = None, *, training: bool = False) -> Any:
        """Read sources (B, S) and return the decoder's state before the first step."""
        outputs = self.encoder(source, source_lengths, training=training)
        return self.decoder.init_state(outputs, source_lengths)

    def begin(self, source: Any, source_lengths: Any = None, *, max_steps: int) -> Any:
        """Read sources (B, S) and return the state from which to write at most `max_steps` tokens.

        `decode` goes on from it, token by token.
        """
        return self.decoder.with_memory(self.encode(source, source_lengths), max_steps)

    def decode(self, tokens: Any, state: Any, *, training: bool = False) -> tuple[Any, Any]:
        """Go on from a state with tokens (B, T); return logits (B, T, V) and the next state."""
        return self.decoder(tokens, state, training=training)

    def get_config(self):
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        config = {key: keras.saving.serialize_keras_object(part) for key, part in parts.items()}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("encoder", "decoder")
        }
        return cls(**{**config, **parts})


def source_lengths(enc_outputs: Any, enc_valid_lens: Any) -> Any:
    """Return the lengths (B,) of sources with outputs (B, S, D); None: S each."""
    if enc_valid_lens is not None:
        return enc_valid_lens
    return ops.sum(ops.ones_like(enc_outputs[..., 0], "int32"), axis=1)


@keras.saving.register_keras_serializable("kerasd2l")
class Seq2SeqEncoder(Encoder):
    """A recurrent encoder: an embedding and a stack of GRU or LSTM layers.

    Padding changes nothing: the states are those after the last real token (the book's are those
    after the padding). Section: "seq2seq". The embedding is drawn from N(0, 1), as in PyTorch.

    Args:
        vocab_size: int >= 1, tokens of the source language.
        embed_size: int >= 1, E.
        num_hiddens: int >= 1, H.
        num_layers: int >= 1. Default: 1.
        dropout_rate: float in [0, 1), between the recurrent layers. Default: 0.
        cell: "gru" or "lstm". Default: "gru".
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, S) int.
        valid_lens: (B,) int, tokens that are no padding; None: all.
        training: bool.

    Returns:
        ((B, S, H) outputs of the last layer, states as `RecurrentStack` returns them).

    Raises:
        ValueError: a number out of range.

    Example:
        >>> outputs, states = Seq2SeqEncoder(10, 8, 16, 2)(keras.ops.zeros((4, 7), "int32"))
        >>> tuple(outputs.shape), tuple(states[1][0].shape)
        ((4, 7, 16), (4, 16))

    Reference:
        Sutskever et al., Sequence to sequence learning with neural networks, 2014.
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
        **kwargs,
    ):
        check_sizes(vocab_size=vocab_size, embed_size=embed_size)
        super().__init__(**kwargs)
        self.embedding = _embedding(vocab_size, embed_size, seed, self.dtype_policy)
        self.stack = RecurrentStack(
            num_hiddens,
            num_layers,
            dropout_rate=dropout_rate,
            cell=cell,
            seed=drawn(seed, 1),
            dtype=self.dtype_policy,
            name="stack",
        )
        self.vocab_size, self.embed_size, self.seed = vocab_size, embed_size, seed

    def build(self, input_shape):
        self.embedding.build(input_shape)
        self.stack.build((*input_shape, self.embed_size))
        self.built = True

    def call(self, inputs, valid_lens=None, training=False):
        return self.stack(self.embedding(inputs), valid_lens=valid_lens, training=training)

    def get_config(self):
        return {**super().get_config(), **_arguments(self)}


@keras.saving.register_keras_serializable("kerasd2l")
class Seq2SeqDecoder(Decoder):
    """A recurrent decoder that begins where the encoder ended.

    With `use_context`, the last layer's final state of the encoder is joined to the embedding of
    every step (Cho et al., the book); without, it is there at the beginning only (Sutskever et al.,
    the LSTM of the notes). The context stays what it is, as in the English edition, which takes the
    encoder's output at the last place, be it padding; here it is that at the last real token. The
    Chinese edition takes the decoder's own state, the encoder's only before the first step, so that
    translating step by step differs from training. Section: "seq2seq".

    Args:
        vocab_size: int >= 1, V, tokens of the target language.
        embed_size: int >= 1, E.
        num_hiddens: int >= 1, H; the same as the encoder's.
        num_layers: int >= 1, the same as the encoder's. Default: 1.
        dropout_rate: float in [0, 1), between the recurrent layers. Default: 0.
        cell: "gru" or "lstm", the same as the encoder's. Default: "gru".
        use_context: bool. Default: True.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T) int.
        state: dict of "layers" (states of the stack) and, with `use_context`, "context" (B, H).
        training: bool.

    Returns:
        ((B, T, V) float32 logits, the next state).

    Raises:
        ValueError: a number out of range, or an encoder with another number of layers.

    Example:
        >>> tokens = keras.ops.zeros((4, 7), "int32")
        >>> decoder = Seq2SeqDecoder(10, 8, 16, 2)
        >>> state = decoder.init_state(Seq2SeqEncoder(10, 8, 16, 2)(tokens))
        >>> tuple(decoder(tokens, state)[0].shape)
        (4, 7, 10)

    Reference:
        Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.
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
        use_context: bool = True,
        seed: int | None = None,
        **kwargs,
    ):
        check_sizes(vocab_size=vocab_size, embed_size=embed_size)
        super().__init__(**kwargs)
        self.embedding = _embedding(vocab_size, embed_size, seed, self.dtype_policy)
        self.stack = RecurrentStack(
            num_hiddens,
            num_layers,
            dropout_rate=dropout_rate,
            cell=cell,
            seed=drawn(seed, 1),
            dtype=self.dtype_policy,
            name="stack",
        )
        self.dense = keras.layers.Dense(
            vocab_size,
            kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, 3 * num_layers + 1)),
            dtype="float32",
            name="dense",
        )
        self.vocab_size, self.embed_size, self.seed = vocab_size, embed_size, seed
        self.use_context = use_context

    def build(self, input_shape):
        hiddens = self.stack.num_hiddens
        self.embedding.build(input_shape)
        self.stack.build((*input_shape, self.embed_size + (hiddens if self.use_context else 0)))
        self.dense.build((*input_shape, hiddens))
        self.built = True

    def init_state(self, enc_outputs: Any, enc_valid_lens: Any = None) -> Any:
        """Take over the states of the encoder; `enc_outputs` is what Seq2SeqEncoder returns."""
        layers = taken_over(enc_outputs[1], self.stack)
        return {"layers": layers, **({"context": layers[-1][0]} if self.use_context else {})}

    def call(self, inputs, state, training=False):
        x = self.embedding(inputs)  # (B, T, E)
        if self.use_context:
            context = ops.expand_dims(state["context"], 1)
            context = ops.repeat(context, x.shape[1] or ops.shape(x)[1], axis=1)
            x = ops.concatenate([x, ops.cast(context, x.dtype)], axis=-1)  # (B, T, E + H)
        outputs, layers = self.stack(x, states=state["layers"], training=training)
        return self.dense(outputs), {**state, "layers": layers}

    def get_config(self):
        return {**super().get_config(), **_arguments(self), "use_context": self.use_context}


def seq2seq(
    source_vocab_size: int,
    target_vocab_size: int,
    *,
    embed_size: int = 32,
    num_hiddens: int = 32,
    num_layers: int = 2,
    dropout_rate: float = 0.1,
    cell: str = "gru",
    use_context: bool = True,
    seed: int | None = None,
    name: str = "seq2seq",
) -> EncoderDecoder:
    """Build a translator: `Seq2SeqEncoder` and `Seq2SeqDecoder` of the same sizes.

    Section: "seq2seq". Defaults are the book's; the notes' variant is `cell="lstm",
    use_context=False`.

    Args:
        source_vocab_size: int >= 1.
        target_vocab_size: int >= 1, V.
        embed_size: int >= 1. Default: 32.
        num_hiddens: int >= 1. Default: 32.
        num_layers: int >= 1. Default: 2.
        dropout_rate: float in [0, 1), between the recurrent layers. Default: 0.1.
        cell: "gru" or "lstm". Default: "gru".
        use_context: bool, join the encoder's final state to every step of the decoder.
        seed: int or None, of weights and dropout.
        name: str, name of the model.

    Call arguments:
        inputs: dict, as `EncoderDecoder` says.

    Returns:
        EncoderDecoder, which maps to (B, T, V) float32 logits.

    Raises:
        ValueError: a number out of range.
    """
    sizes = (embed_size, num_hiddens, num_layers)
    options: dict[str, Any] = {"dropout_rate": dropout_rate, "cell": cell}
    encoder = Seq2SeqEncoder(source_vocab_size, *sizes, **options, seed=seed, name="encoder")
    decoder = Seq2SeqDecoder(
        target_vocab_size,
        *sizes,
        **options,
        use_context=use_context,
        seed=drawn(seed, 1000),
        name="decoder",
    )
    return EncoderDecoder(encoder, decoder, name=name)


def _embedding(size: int, width: int, seed: int | None, policy: Any) -> Embedding:
    normal = keras.initializers.RandomNormal(0.0, 1.0, seed)
    return Embedding(size, width, normal, dtype=policy, name="embedding")


def _arguments(layer: Any) -> dict[str, Any]:
    """Return the constructor arguments that encoder and decoder share."""
    own = {name: getattr(layer, name) for name in ("vocab_size", "embed_size", "seed")}
    names = ("num_hiddens", "num_layers", "dropout_rate", "cell")
    return {**own, **{name: getattr(layer.stack, name) for name in names}}
