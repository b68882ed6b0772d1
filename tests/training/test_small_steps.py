"""A batch in pieces side by side has the outputs and gradients of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.layers import Conv2D
from kerasd2l.training.small_steps import in_pieces


def small_network(**options):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            Conv2D(4, 3, activation="tanh", **options),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@pytest.fixture
def three_cores(monkeypatch):
    """One thread for an operation, on a machine of three cores."""
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    monkeypatch.setattr("kerasd2l.training.small_steps._cores", lambda: 3)


@pytest.mark.parametrize("size", [1, 2, 7, 48])
def test_a_batch_in_pieces_has_the_same_outputs_and_gradients(three_cores, size):
    model = small_network()
    x = tf.constant(np.random.default_rng(0).normal(size=(size, 6, 6, 2)), tf.float32)
    whole = step_of(model, x)
    with in_pieces(model, 48):
        assert "call" in vars(model)
        pieces = step_of(model, x)
    assert "call" not in vars(model)
    for one, several in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(several, one, atol=1e-6)


def step_of(model, x):
    with tf.GradientTape() as tape:
        y = tf.function(lambda x: model(x, training=True), autograph=False)(x)
        loss = tf.reduce_mean(y**2)
    return [np.asarray(a) for a in (y, *tape.gradient(loss, [w.value for w in model.weights]))]


def test_networks_that_look_at_the_whole_batch_are_not_cut(three_cores):
    inputs = keras.Input((4,))
    whole = [
        keras.Model(inputs, keras.layers.BatchNormalization()(inputs)),
        keras.Model(inputs, keras.layers.Lambda(lambda x: x - keras.ops.mean(x))(inputs)),
        small_network(activity_regularizer="l2"),
    ]
    for model in whole:
        with in_pieces(model, 48):
            assert "call" not in vars(model)


def test_pieces_want_one_thread_for_an_operation_and_enough_examples(three_cores, monkeypatch):
    model = small_network()
    with in_pieces(model, 31):
        assert "call" not in vars(model)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0)
    with in_pieces(model, 48):
        assert "call" not in vars(model)


def test_inputs_and_outputs_of_any_structure_are_cut_and_joined(three_cores):
    one, two = (keras.Input((4,), name=name) for name in ("one", "two"))
    both = keras.layers.Concatenate()([one, two])
    models = [
        keras.Model({"one": one}, keras.layers.Dense(2)(one)),
        keras.Model((one, two), [keras.layers.Dense(2)(both)]),
        keras.Model({"one": one, "two": two}, {"a": both, "b": keras.layers.Dense(2)(two)}),
    ]
    x = [tf.constant(np.random.default_rng(i).normal(size=(7, 4)), tf.float32) for i in range(2)]
    inputs = ({"one": x[0]}, tuple(x), {"one": x[0], "two": x[1]})
    for model, given in zip(models, inputs, strict=True):
        whole = model(given)
        with in_pieces(model, 48):
            assert "call" in vars(model)
            pieces = model(given)
        keras.tree.assert_same_structure(whole, pieces)
        for a, b in zip(keras.tree.flatten(whole), keras.tree.flatten(pieces), strict=True):
            np.testing.assert_allclose(b, a, atol=1e-6)
