"""Texts through recurrent layers of both directions: what their ends say."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers import LSTM, Embedding, LengthMask
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn


@keras.saving.register_keras_serializable("kerasd2l")
class FirstAndLast(keras.layers.Layer):
    """Join the outputs of the first step and of the last one that counts.

    y_b = [x_b0; x_b(lengths_b - 1)]. Section: "sentiment-analysis-rnn".

    Call arguments:
        inputs: (B, T, D).
        lengths: (B,) int, steps that count; below 1 is taken as 1.

    Returns:
        (B, 2 D).

    Example:
        >>> x = ops.reshape(ops.arange(6.0), (1, 3, 2))
        >>> FirstAndLast()(x, ops.array([2])).numpy().tolist()
        [[0.0, 1.0, 2.0, 3.0]]
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True  # the lengths say what the mask says

    def build(self, inputs_shape, lengths_shape=None):
        pass

    def compute_mask(self, *inputs: Any, **masks: Any) -> None:
        return None

    def call(self, inputs, lengths):
        places = ops.clip(ops.cast(lengths, "int32") - 1, 0, ops.shape(inputs)[1] - 1)
        last = ops.take_along_axis(inputs, places[:, None, None], axis=1)  # (B, 1, D)
        return ops.concatenate([inputs[:, 0], last[:, 0]], axis=-1)

    def compute_output_spec(self, inputs: Any, lengths: Any) -> keras.KerasTensor:
        return keras.KerasTensor((inputs.shape[0], 2 * inputs.shape[-1]), self.compute_dtype)


def birnn(
    vocab_size: int,
    *,
    num_classes: int = 2,
    embed_size: int = 100,
    num_hiddens: int = 100,
    num_layers: int = 2,
    vectors: Any = None,
    seed: int | None = None,
    name: str = "birnn",
) -> keras.Model:
    """Build the book's BiRNN: an embedding, LSTMs of both directions, logits of their ends.

    o = W [x_0; x_(T - 1)] + b, where x_t joins both directions' outputs of the last layer. Section:
    "sentiment-analysis-rnn".

    Follows the book: two layers of 100 units, weights Xavier-uniform, an embedding that is not
    trained where it has vectors from a file; without them it is drawn from N(0, 0.3) and learned.
    Unlike the book's, a text ends at its length: padding changes nothing. One bias of each gate,
    that of the forget gate begins at 1, as in Keras. 402,402 parameters and the embedding's.

    Args:
        vocab_size: int >= 2, V.
        num_classes: int >= 2, K.
        embed_size: int >= 1, without `vectors`.
        num_hiddens: int >= 1, of each layer and direction.
        num_layers: int >= 1.
        vectors: (V, embed_size) array, the embedding, not trained; None: it is learned.
        seed: int or None, of the initial weights.
        name: str, name of the model.

    Call arguments:
        inputs: dict of tokens (B, T) int32 and lengths (B,) int32.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: a number out of range, or vectors of another shape.

    Example:
        >>> birnn(1000).count_params()
        502402

    Reference:
        Schuster, Paliwal, Bidirectional recurrent neural networks, 1997.
    """
    check_sizes(num_hiddens=num_hiddens, num_layers=num_layers, embed_size=embed_size)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    lengths = keras.Input((), dtype="int32", name="lengths")
    counted = ops.maximum(lengths, 1)  # a text without words is one step of padding
    mask = LengthMask(name="mask")(tokens, counted)  # (B, T)
    embedding = word_embedding(
        vocab_size, embed_size, vectors, trainable=vectors is None, seed=seed, name="embedding"
    )
    x: Any = embedding(tokens)  # (B, T, embed_size)
    for i in range(num_layers):
        forwards, backwards = (
            LSTM(
                num_hiddens,
                return_sequences=True,
                go_backwards=bool(direction),
                kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, 4 * i + place)),
                recurrent_initializer=keras.initializers.GlorotUniform(
                    drawn(seed, 4 * i + place + 1)
                ),
                name=f"{('forward', 'backward')[direction]}_{i + 1}",
            )
            for direction, place in ((0, 1), (1, 3))
        )
        layer = keras.layers.Bidirectional(forwards, backward_layer=backwards, name=f"lstm_{i + 1}")
        x = layer(x, mask=mask)  # (B, T, 2 num_hiddens)
    ends = FirstAndLast(name="ends")(x, counted)  # (B, 4 num_hiddens)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, 4 * num_layers + 1)),
        dtype="float32",
        name="logits",
    )(ends)
    return keras.Model({"tokens": tokens, "lengths": lengths}, logits, name=name)


def word_embedding(
    vocab_size: int,
    embed_size: int,
    vectors: Any,
    *,
    trainable: bool,
    seed: int | None,
    name: str,
) -> Embedding:
    """Make the embedding of words, with vectors that are given or drawn.

    Without vectors it is drawn from N(0, 0.3), which is about as wide as GloVe's: from N(0, 1) the
    first answers are so large that attention and convolutions learn slowly.

    Args:
        vocab_size: int, V.
        embed_size: int, its width without vectors.
        vectors: (V, E) array or None.
        trainable: bool.
        seed: int or None, of the first values.
        name: str.

    Raises:
        ValueError: fewer than two words, or vectors of another shape.
    """
    if vocab_size < 2:
        raise ValueError(f"`vocab_size` must be at least 2. Received: vocab_size={vocab_size}.")
    if vectors is not None:
        shape = tuple(vectors.shape)
        if len(shape) != 2 or shape[0] != vocab_size:
            raise ValueError(
                f"`vectors` must be ({vocab_size}, width), a row for each word. "
                f"Received: shape {shape}."
            )
        embed_size = shape[1]
    normal = keras.initializers.RandomNormal(stddev=0.3, seed=seed)
    embedding = Embedding(
        vocab_size, embed_size, embeddings_initializer=normal, trainable=trainable, name=name
    )
    if vectors is not None:  # set, not an initializer: a file of the model has them once
        embedding.build((None, None))
        embedding.set_weights([vectors])
    return embedding
