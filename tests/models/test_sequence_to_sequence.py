"""Encoder, decoder and both together: shapes, padding, steps, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kerasd2l.layers import Embedding
from kerasd2l.models import (
    Decoder,
    Encoder,
    EncoderDecoder,
    RecurrentStack,
    Seq2SeqDecoder,
    Seq2SeqEncoder,
    seq2seq,
)
from kerasd2l.testing import check_layer, check_model

VARIANTS = [("gru", True), ("lstm", False)]


def batch(source_steps=7, target_steps=6, seed=0):
    draw = np.random.RandomState(seed).randint
    return {
        "source": draw(4, 11, (4, source_steps)).astype("int32"),
        "source_lengths": np.array([7, 3, 1, 5], "int32"),
        "decoder_input": draw(4, 13, (4, target_steps)).astype("int32"),
    }


def small(cell="gru", use_context=True, **arguments):
    arguments = {"embed_size": 5, "num_hiddens": 6, "seed": 3} | arguments
    return seq2seq(11, 13, cell=cell, use_context=use_context, **arguments)


def test_the_books_shapes():
    tokens = np.zeros((4, 7), "int32")
    encoder = Seq2SeqEncoder(vocab_size=10, embed_size=8, num_hiddens=16, num_layers=2)
    outputs, states = encoder(tokens)
    assert outputs.shape == (4, 7, 16)  # the book's (7, 4, 16), batch first
    assert np.stack([state for (state,) in states]).shape == (2, 4, 16)
    decoder = Seq2SeqDecoder(vocab_size=10, embed_size=8, num_hiddens=16, num_layers=2)
    logits, state = decoder(tokens, decoder.init_state((outputs, states)))
    assert logits.shape == (4, 7, 10)
    assert np.stack([one for (one,) in state["layers"]]).shape == (2, 4, 16)


def test_the_notes_lstm_hands_over_two_states_and_no_context():
    tokens = np.zeros((4, 7), "int32")
    encoder = Seq2SeqEncoder(10, 8, 16, 2, cell="lstm")
    outputs, states = encoder(tokens)
    assert outputs.shape == (4, 7, 16)
    assert [[part.shape for part in layer] for layer in states] == [[(4, 16)] * 2] * 2
    decoder = Seq2SeqDecoder(10, 8, 16, 2, cell="lstm", use_context=False)
    state = decoder.init_state((outputs, states))
    assert set(state) == {"layers"}
    assert decoder(tokens, state)[0].shape == (4, 7, 10)
    assert decoder.stack.layers[0].cell.kernel.shape == (8, 4 * 16)  # the embedding alone


@pytest.mark.parametrize(("cell", "use_context"), VARIANTS)
def test_saving_shapes_and_gradients(cell, use_context):
    gates = 3 if cell == "gru" else 4
    biases = 2 * gates * 6 if cell == "gru" else gates * 6

    def recurrent(inputs):
        return gates * 6 * (inputs + 6) + biases

    first = 5 + (6 if use_context else 0)
    total = 11 * 5 + recurrent(5) + recurrent(6)
    total += 13 * 5 + recurrent(first) + recurrent(6) + 7 * 13
    check_model(
        lambda: small(cell, use_context),
        batch(),
        parameters=total,
        free_axes={"source": (0, 1), "source_lengths": (0,), "decoder_input": (0, 1)},
    )


def test_layers_keep_their_promises():
    arguments = {"num_hiddens": 6, "num_layers": 2, "dropout_rate": 0.3, "cell": "lstm", "seed": 1}
    inputs = np.random.RandomState(0).normal(size=(3, 4, 5)).astype("float32")
    check_layer(RecurrentStack, arguments, inputs, free_axes=(0, 1))
    sizes = {"vocab_size": 11, "embed_size": 5, **arguments}
    lengths = {"valid_lens": np.array([7, 3, 1, 5], "int32")}
    tokens = batch()["source"]
    free = {0: (0, 1), "valid_lens": (0,)}
    check_layer(Seq2SeqEncoder, sizes, tokens, call_arguments=lengths, free_axes=free)


def test_the_embedding_is_normal_and_its_gradient_one_array():
    layer = Embedding(500, 40)
    ids = tf.constant([[1, 1, 3]])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(ids) * tf.constant([1.0, 2.0, 4.0])[:, None])
    gradient = tape.gradient(total, layer.embeddings.value)
    assert isinstance(gradient, tf.Tensor)
    expected = np.zeros((500, 40))
    expected[1], expected[3] = 3, 4
    np.testing.assert_array_equal(gradient, expected)
    table = np.asarray(layer.embeddings)
    assert abs(table.mean()) < 0.03 and abs(table.std() - 1) < 0.02  # N(0, 1)
    np.testing.assert_array_equal(layer(ids)[0, 2], table[3])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("cell", "use_context"), VARIANTS)
def test_padding_changes_nothing(cell, use_context, training):
    model = small(cell, use_context, dropout_rate=0.0)
    x = batch()
    labels = np.random.RandomState(1).randint(4, 13, (4, 6))
    lengths = np.array([6, 2, 4, 5])

    def results(more, filler):
        wide = {
            "source": np.pad(x["source"], ((0, 0), (0, more))),
            "source_lengths": x["source_lengths"],
            "decoder_input": np.pad(x["decoder_input"], ((0, 0), (0, more))),
        }
        for row, length in enumerate(x["source_lengths"]):
            wide["source"][row, length:] = filler
        for row, length in enumerate(lengths):
            wide["decoder_input"][row, length:] = filler
        y = np.pad(labels, ((0, 0), (0, more)))
        real = np.arange(6 + more) < lengths[:, None]
        with tf.GradientTape() as tape:
            logits = model(wide, training=training)
            losses = keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
            loss = tf.reduce_sum(tf.where(real, losses, 0.0)) / real.sum()
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return logits.numpy()[:, :6][real[:, :6]], float(loss), [np.asarray(g) for g in gradients]

    short, long = results(0, 1), results(5, 9)
    np.testing.assert_allclose(long[0], short[0], atol=1e-6)
    assert long[1] == pytest.approx(short[1], abs=1e-6)
    for found, expected in zip(long[2], short[2], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("cell", "use_context"), VARIANTS)
def test_step_by_step_is_as_all_at_once(cell, use_context):
    model, x = small(cell, use_context), batch()
    expected = model(x).numpy()
    state = model.encode(x["source"], x["source_lengths"])
    parts = []
    for step in range(3):
        logits, state = model.decode(x["decoder_input"][:, step : step + 1], state)
        parts.append(logits)
    logits, _ = model.decode(x["decoder_input"][:, 3:], state)
    np.testing.assert_allclose(np.concatenate([*parts, logits], axis=1), expected, atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_states_are_those_of_each_sentence_alone(cell):
    stack = RecurrentStack(6, 2, cell=cell, seed=1)
    inputs = np.random.RandomState(0).normal(size=(4, 7, 5)).astype("float32")
    lengths = [7, 3, 0, 1]
    begin = [[np.full((4, 6), 0.1 * (i + 1), "float32")] * len(VARIANTS) for i in range(2)]
    begin = [layer[: 1 if cell == "gru" else 2] for layer in begin]
    for training in (False, True):
        _, states = stack(inputs, begin, np.array(lengths), training=training)
        for row, length in enumerate(lengths):
            alone = [[part[row : row + 1] for part in layer] for layer in begin]
            if length:
                _, alone = stack(inputs[row : row + 1, :length], alone)
            for layer, expected in zip(states, alone, strict=True):
                for part, wanted in zip(layer, expected, strict=True):
                    np.testing.assert_allclose(part[row], wanted[0], atol=1e-6)


def test_dropout_only_between_the_layers_and_only_in_training():
    x = batch()
    model = small(dropout_rate=0.5)
    assert np.abs(model(x, training=True) - model(x)).max() > 1e-3
    np.testing.assert_array_equal(model(x), small(dropout_rate=0.0)(x))
    single = small(dropout_rate=0.5, num_layers=1)
    np.testing.assert_allclose(single(x, training=True), single(x), atol=1e-6)


def test_the_same_seed_gives_the_same_weights():
    def weights(**arguments):
        model = small(**arguments)
        model(batch())
        return model.get_weights()

    first, again, other = weights(), weights(), weights(seed=4)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(first, other, strict=True))
    drawn = [a for a in first if a.ndim == 2 and a.shape == (6, 18)]  # recurrent kernels
    assert len({a.tobytes() for a in drawn}) == len(drawn)


@keras.saving.register_keras_serializable("test_sequence_to_sequence")
class MeanEncoder(Encoder):
    """The mean of the embeddings of real tokens."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = keras.layers.Embedding(11, 4)

    def call(self, inputs, valid_lens=None, training=False):
        real = ops.arange(inputs.shape[1])[None] < valid_lens[:, None]
        real = ops.cast(real, "float32")[..., None]
        return ops.sum(self.embedding(inputs) * real, axis=1) / ops.sum(real, axis=1)


@keras.saving.register_keras_serializable("test_sequence_to_sequence")
class PlainDecoder(Decoder):
    """Adds the state to the embeddings."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = keras.layers.Embedding(13, 4)
        self.dense = keras.layers.Dense(13)

    def init_state(self, enc_outputs, enc_valid_lens=None):
        return enc_outputs

    def call(self, inputs, state, training=False):
        return self.dense(self.embedding(inputs) + state[:, None]), state


def test_ones_own_encoder_and_decoder(tmp_path):
    model, x = EncoderDecoder(MeanEncoder(), PlainDecoder()), batch()
    expected = model(x)
    assert expected.shape == (4, 6, 13)
    model.save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(again(x), expected)


def test_as_a_part_of_a_functional_model():
    inputs = {
        "source": keras.Input((None,), dtype="int32", name="source"),
        "source_lengths": keras.Input((), dtype="int32", name="source_lengths"),
        "decoder_input": keras.Input((None,), dtype="int32", name="decoder_input"),
    }
    inner, x = small(), batch()
    model = keras.Model(inputs, ops.softmax(inner(inputs)))
    np.testing.assert_allclose(model(x), ops.softmax(inner(x)), atol=1e-6)
    assert np.allclose(np.sum(model(x), axis=-1), 1)


def test_without_lengths_all_tokens_count():
    model, x = small(), batch()
    full = {**x, "source_lengths": np.full(4, 7, "int32")}
    without = {key: x[key] for key in ("source", "decoder_input")}
    np.testing.assert_allclose(small()(without), model(full), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embed_size": 0}, "`embed_size` must be at least 1. Received: embed_size=0"),
        ({"num_hiddens": -1}, "`num_hiddens` must be at least 1"),
        ({"num_layers": 0}, "`num_layers` must be at least 1"),
        ({"dropout_rate": 1.0}, r"`dropout_rate` must be in \[0, 1\)"),
        ({"cell": "rnn"}, "`cell` must be gru or lstm. Received: cell='rnn'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)


def test_parts_that_do_not_fit():
    encoder, decoder = Seq2SeqEncoder(10, 8, 16, 1), Seq2SeqDecoder(10, 8, 16, 2)
    with pytest.raises(ValueError, match=r"same number of layers. Received: 1 and 2"):
        decoder.init_state(encoder(np.zeros((4, 7), "int32")))
    with pytest.raises(TypeError, match=r"`decoder` must be a Decoder. Received: Seq2SeqEncoder"):
        EncoderDecoder(encoder, encoder)
    for part in (Encoder, Decoder):
        with pytest.raises(NotImplementedError, match=f"{part.__name__} must implement `call`"):
            part().call(None, None)
