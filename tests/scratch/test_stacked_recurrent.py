"""Stacked and bidirectional recurrent layers and the language model by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers, scratch
from kerasd2l.testing import check_layer, check_model

CONCISE = {
    "rnn": layers.SimpleRNN,
    "gru": lambda units, **kw: layers.GRU(units, reset_after=False, **kw),
    "lstm": layers.LSTM,
}
X = np.random.default_rng(0).normal(size=(3, 6, 5)).astype("float32")


def louden(layer):
    """Large weights and biases: with N(0, 0.01) all layers would agree."""
    rng = np.random.default_rng(3)
    layer.set_weights([w + rng.normal(0, 0.4, w.shape) for w in layer.get_weights()])


def results(layer, inputs=X):
    """Outputs, and the gradients of their weighted sum for the inputs and all weights."""
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = keras.tree.flatten(layer(inputs))
        rng = np.random.default_rng(5)
        loss = sum(tf.reduce_sum(y * rng.normal(size=y.shape).astype("float32")) for y in outputs)
    gradient, *weights = tape.gradient(loss, [inputs, *layer.trainable_weights])
    return outputs, gradient, weights


def same(ours, twin, number_of_weights):
    (mine, my_gradient, my_weights), (theirs, their_gradient, their_weights) = ours, twin
    for one, other in zip([*mine, my_gradient], [*theirs, their_gradient], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)
        assert np.abs(other).max() > 1e-2
    assert len(my_weights) == number_of_weights
    # the same gradients, whatever the layout: all those of matrices, and all those of biases
    for rank in (1, 2):
        mine, theirs = (
            np.sort(np.concatenate([np.ravel(w) for w in weights if len(w.shape) == rank]))
            for weights in (my_weights, their_weights)
        )
        np.testing.assert_allclose(mine, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", CONCISE)
def test_stack_equals_layers_in_a_row(kind):
    ours = scratch.StackedRNNScratch(4, 3, kind, return_sequences=True)
    ours.build((None, None, 5))
    louden(ours)
    twin = keras.Sequential(
        [keras.Input((None, 5)), *(CONCISE[kind](4, return_sequences=True) for _ in range(3))]
    )
    scratch.copy_to_keras(ours, twin)
    same(results(ours), results(twin), 3 * {"rnn": 3, "gru": 9, "lstm": 12}[kind])


def test_stack_equals_the_recursion_of_the_section():
    ours = scratch.StackedRNNScratch(4, 2, return_sequences=True, return_state=True)
    ours.build((None, None, 5))
    louden(ours)
    w = [weight.numpy() for weight in ours.weights]
    below, above, tops = np.zeros((3, 4)), np.zeros((3, 4)), []
    for t in range(6):  # S3:235-241
        below = np.tanh(X[:, t] @ w[0] + below @ w[1] + w[2])
        above = np.tanh(below @ w[3] + above @ w[4] + w[5])
        tops.append(above)
    outputs, *states = ours(X)
    np.testing.assert_allclose(outputs, np.stack(tops, axis=1), atol=1e-5)
    np.testing.assert_allclose(states, [below, above], atol=1e-5)


@pytest.mark.parametrize("kind", CONCISE)
def test_a_stack_goes_on_from_its_state(kind):
    ours = scratch.StackedRNNScratch(4, 2, kind, return_sequences=True, return_state=True)
    ours.build((None, None, 5))
    louden(ours)
    whole, *last = ours(X)
    first, *state = ours(X[:, :2])
    rest, *end = ours(X[:, 2:], initial_state=state)
    np.testing.assert_allclose(tf.concat([first, rest], axis=1), whole, atol=1e-6)
    for one, other in zip(end, last, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match=r"for each of 2 layers\. Received: 1"):
        ours(X, initial_state=state[:1])


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("kind", CONCISE)
def test_both_directions_equal_keras(kind, return_sequences):
    arguments = {"return_sequences": return_sequences, "return_state": True}
    ours = scratch.BiRNNScratch(4, kind, **arguments)
    ours.build((None, None, 5))
    louden(ours)
    twin = keras.layers.Bidirectional(CONCISE[kind](4, **arguments))
    twin.build((None, None, 5))
    scratch.copy_to_keras(ours, twin)
    same(results(ours), results(twin), 2 * {"rnn": 3, "gru": 9, "lstm": 12}[kind])


def test_both_directions_equal_two_runs_by_hand():
    ours = scratch.BiRNNScratch(4, return_sequences=True, return_state=True)
    ours.build((None, None, 5))
    louden(ours)
    W_xf, W_hf, b_f, W_xb, W_hb, b_b = (weight.numpy() for weight in ours.weights)
    forward, backward = np.zeros((7, 3, 4)), np.zeros((8, 3, 4))  # index: steps 1..6
    for t in range(1, 7):  # S3:245-249
        forward[t] = np.tanh(X[:, t - 1] @ W_xf + forward[t - 1] @ W_hf + b_f)
    for t in range(6, 0, -1):
        backward[t] = np.tanh(X[:, t - 1] @ W_xb + backward[t + 1] @ W_hb + b_b)
    outputs, f_state, b_state = ours(X)
    expected = np.concatenate([forward[1:7], backward[1:7]], axis=-1).swapaxes(0, 1)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(f_state, forward[6], atol=1e-5)
    np.testing.assert_allclose(b_state, backward[1], atol=1e-5)


def test_layers_keep_their_promises():
    shared = {"return_sequences": True, "return_state": True, "stddev": 0.5, "seed": 3}
    check_layer(
        scratch.StackedRNNScratch,
        {"units": 4, "num_layers": 3, "kind": "lstm", **shared},
        X,
        free_axes=(0, 1),
    )
    check_layer(scratch.BiRNNScratch, {"units": 4, "kind": "gru", **shared}, X, free_axes=(0, 1))


# vocabulary 28; units; parameters with the output layer
SIZES = [("rnn", 512, 291_356), ("gru", 256, 226_076), ("lstm", 256, 299_036)]


@pytest.mark.parametrize(("kind", "units", "parameters"), SIZES)
def test_language_model_has_the_books_sizes(kind, units, parameters):
    model = scratch.RNNModelScratch(28, units, kind)
    tokens = np.arange(10).reshape(2, 5)
    logits, state = model.forward(tokens, model.begin_state(2))
    assert tf.reshape(logits, (-1, 28)).shape == (10, 28)
    assert state[0].shape == (2, units)  # (2, 512) for the RNN
    assert model.count_params() == parameters
    # S1:3964, with the batch first here
    assert keras.ops.one_hot(tokens, 28).shape == (2, 5, 28)


def test_parameters_are_small_and_in_the_books_order():
    model = scratch.RNNModelScratch(28, 512, seed=0)
    model.build((None, None))
    names = [weight.name for weight in model.get_params()]
    assert names == ["W_xh", "W_hh", "b_h", "W_hq", "b_q"]
    for weight in model.get_params():
        spread = 0.01 if weight.name.startswith("W") else 0
        assert np.std(weight) == pytest.approx(spread, rel=0.05)
    assert (
        len({float(np.ravel(weight)[0]) for weight in model.get_params()}) == 4
    )  # both biases are 0


@pytest.mark.parametrize("kind", CONCISE)
def test_language_model_equals_its_twin(kind):
    ours = scratch.RNNModelScratch(7, 4, kind)
    ours.build((None, None))
    louden(ours)
    inputs = keras.Input((None,), dtype="int32")
    one_hot = keras.layers.CategoryEncoding(7, output_mode="one_hot")
    rnn = CONCISE[kind](4, return_sequences=True)
    dense = keras.layers.Dense(7)
    twin = keras.Model(inputs, dense(rnn(one_hot(keras.ops.expand_dims(inputs, -1)))))
    scratch.copy_to_keras(ours.rnn, rnn)
    dense.set_weights([ours.W_hq, ours.b_q])
    tokens = np.random.default_rng(0).integers(0, 7, (3, 5))
    losses, outputs, gradients = [], [], []
    for model in (ours, twin):
        with tf.GradientTape() as tape:
            logits = model(tokens)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tokens, logits))
        outputs.append(logits)
        losses.append(loss)
        flat = [np.ravel(g) for g in tape.gradient(loss, model.trainable_weights)]
        gradients.append(np.sort(np.concatenate(flat)))
    np.testing.assert_allclose(*outputs, atol=1e-5)
    np.testing.assert_allclose(*gradients, atol=1e-5)
    assert float(losses[0]) > 0.1


def test_language_model_keeps_its_promises():
    check_model(
        lambda: scratch.RNNModelScratch(7, 4, "lstm", stddev=0.5, seed=3),
        np.random.default_rng(0).integers(0, 7, (3, 5)).astype("int32"),
        parameters=4 * (7 * 4 + 4 * 4 + 4) + 4 * 7 + 7,
        fresh=False,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scratch.StackedRNNScratch(4, 0), "`num_layers` must be positive"),
        (lambda: scratch.StackedRNNScratch(0), "`units` must be positive. Received: units=0"),
        (lambda: scratch.BiRNNScratch(4, "cnn"), "`kind` must be one of rnn, gru, lstm"),
        (lambda: scratch.BiRNNScratch(4, stddev=-1), "`stddev` must not be negative"),
        (lambda: scratch.RNNModelScratch(0), "`vocab_size` must be positive"),
        (lambda: scratch.RNNScratch(4)(np.ones((2, 3))), "must be .B, T, D."),
        (lambda: scratch.RNNScratch(4)(np.ones((2, 0, 3))), "must have steps"),
        (
            lambda: scratch.LSTMScratch(4)(X, initial_state=np.zeros((3, 4))),
            r"must be 2 tensor\(s\): H, C. Received: 1",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_copying_refuses_what_does_not_fit():
    ours = scratch.GRUScratch(4)
    twin = layers.GRU(4)  # reset_after=True: a bias of two rows
    with pytest.raises(ValueError, match="must be built"):
        scratch.copy_to_keras(ours, twin)
    for layer in (ours, twin):
        layer.build((None, None, 5))
    with pytest.raises(ValueError, match=r"do not fit .* `reset_after`"):
        scratch.copy_to_keras(ours, twin)


def test_the_concise_section_s_shapes():
    rnn = layers.SimpleRNN(256, return_sequences=True, return_state=True)  # S1:4114
    by_hand = scratch.RNNScratch(256, return_sequences=True, return_state=True)
    for layer in (rnn, by_hand):
        Y, state = layer(np.zeros((32, 35, 28), "float32"))  # S1:3957: batches of 32 x 35
        # the book has (35, 32, 256) and (1, 32, 256): time first, layers in front
        assert (Y.shape, state.shape) == ((32, 35, 256), (32, 256))
