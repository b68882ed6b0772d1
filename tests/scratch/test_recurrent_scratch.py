"""The recurrent layers by hand: equal to Keras' in outputs, states and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers, scratch
from kerasd2l.testing import check_layer

PAIRS = {
    "rnn": (scratch.RNNScratch, layers.SimpleRNN, {}, {}),
    "gru": (scratch.GRUScratch, layers.GRU, {}, {"reset_after": False}),
    "gru, reset after": (
        scratch.GRUScratch,
        layers.GRU,
        {"reset_after": True},
        {"reset_after": True},
    ),
    "lstm": (scratch.LSTMScratch, layers.LSTM, {}, {}),
}


def twins(kind, units=6, size=5, **arguments):
    """The hand-made layer with large weights and biases, and Keras' with the same ones."""
    by_hand, concise, mine, theirs = PAIRS[kind]
    ours = by_hand(units, stddev=0.5, seed=1, **mine, **arguments)
    keras_layer = concise(units, **theirs, **arguments)
    for layer in (ours, keras_layer):
        layer.build((None, None, size))
    rng = np.random.default_rng(3)
    ours.set_weights([w + rng.normal(0, 0.3, w.shape) for w in ours.get_weights()])
    scratch.copy_to_keras(ours, keras_layer)
    return ours, keras_layer


def example(kind, batch=4, steps=7, size=5, units=6):
    rng = np.random.default_rng(0)
    states = len(PAIRS[kind][0].state_names)
    return (
        rng.normal(size=(batch, steps, size)).astype("float32"),
        [rng.normal(size=(batch, units)).astype("float32") for _ in range(states)],
    )


def outputs_and_gradients(layer, x, state):
    """All results, and the gradients of a weighted sum of them for inputs, states and weights."""
    x, state = tf.constant(x), [tf.constant(one) for one in state]
    with tf.GradientTape() as tape:
        tape.watch([x, *state])
        results = keras.tree.flatten(layer(x, initial_state=state))
        rng = np.random.default_rng(5)
        loss = sum(tf.reduce_sum(y * rng.normal(size=y.shape).astype("float32")) for y in results)
    found = tape.gradient(loss, [x, *state, *layer.trainable_weights])
    inner = 1 + len(state)
    return (
        results,
        found[:inner],
        dict(
            zip(
                [w.name for w in layer.trainable_weights],
                map(np.asarray, found[inner:]),
                strict=True,
            )
        ),
    )


def gates(gradients, part, order):
    return np.concatenate([gradients[part + gate] for gate in order], axis=-1)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("kind", PAIRS)
def test_equals_keras_in_outputs_states_and_gradients(kind, return_sequences, go_backwards):
    ours, concise = twins(
        kind, return_sequences=return_sequences, return_state=True, go_backwards=go_backwards
    )
    results = [outputs_and_gradients(layer, *example(kind)) for layer in (ours, concise)]
    (mine, my_inputs, gradients), (theirs, their_inputs, expected) = results
    assert len(mine) == 1 + len(ours.state_names)
    order = {"rnn": "h", "gru": "zrh", "gru, reset after": "zrh", "lstm": "ifco"}[kind]
    pairs = [
        *zip(mine, theirs, strict=True),
        *zip(my_inputs, their_inputs, strict=True),
        (gates(gradients, "W_x", order), expected["kernel"]),
        (gates(gradients, "W_h", order), expected["recurrent_kernel"]),
    ]
    bias = gates(gradients, "b_", order)
    if kind == "gru, reset after":
        past = np.concatenate([gates(gradients, "b_", "zr"), gradients["b_hh"]])
        bias = np.stack([bias, past])
    pairs.append((bias, expected["bias"]))
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)
        assert np.abs(other).max() > 1e-2


def numpy_step(kind, w, x, state):
    """The formulas of the sections, written out."""

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    def linear(gate, h):
        return x @ w[f"W_x{gate}"] + h @ w[f"W_h{gate}"] + w[f"b_{gate}"]

    h = state[0]
    if kind == "rnn":
        return (np.tanh(linear("h", h)),)
    if kind == "lstm":
        i, f, o = (sigmoid(linear(gate, h)) for gate in "ifo")
        c = f * state[1] + i * np.tanh(linear("c", h))
        return o * np.tanh(c), c
    z, r = (sigmoid(linear(gate, h)) for gate in "zr")
    if kind == "gru":
        new = np.tanh(linear("h", r * h))
    else:
        new = np.tanh(x @ w["W_xh"] + w["b_h"] + r * (h @ w["W_hh"] + w["b_hh"]))
    return (z * h + (1 - z) * new,)


@pytest.mark.parametrize("kind", PAIRS)
def test_equals_the_formula_in_numpy(kind):
    ours, _ = twins(kind, return_sequences=True, return_state=True)
    w = {weight.name: weight.numpy().astype("float64") for weight in ours.weights}
    x, state = example(kind)
    expected = []
    outputs, *last = ours(x, initial_state=state)
    for t in range(x.shape[1]):
        state = numpy_step(kind, w, x[:, t], state)
        expected.append(state[0])
    np.testing.assert_allclose(outputs, np.stack(expected, axis=1), atol=1e-5)
    for mine, other in zip(last, state, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


@pytest.mark.parametrize("kind", ["rnn", "gru, reset after", "lstm"])
def test_layer(kind):
    by_hand, _, arguments, _ = PAIRS[kind]
    x, _ = example(kind)
    y = check_layer(
        by_hand,
        {
            "units": 6,
            "return_sequences": True,
            "return_state": True,
            "go_backwards": True,
            "stddev": 0.5,
            "seed": 3,
            **arguments,
        },
        x,
        free_axes=(0, 1),
    )
    assert y[0].shape == (4, 7, 6)
