"""The quick layers of the loop compute what Keras' own do: outputs, gradients, statistics."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.layers import GroupedConv2D
from kerasd2l.training.quick import quick_layers


def step(layer, x, upstream, quick):
    """Return the outputs, all gradients, and the weights after a training step of the layer."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    context = quick_layers(model) if quick else contextlib.nullcontext()
    with context, tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.function(lambda x: layer(x, training=True), autograph=False)(x)
    sources = [x, *(w.value for w in layer.trainable_weights)]
    gradients = tape.gradient(y, sources, output_gradients=upstream)
    return [np.asarray(a) for a in (y, *gradients, *layer.weights)]


def compare(make, shape, tolerance=1e-5):
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(2, 3, shape), tf.float32)
    results = []
    for quick in (False, True):
        layer = make()
        layer.build((None, *shape[1:]))
        weights = np.random.default_rng(1)
        for weight in layer.weights:
            weight.assign(weights.uniform(0.5, 1.5, weight.shape))
        upstream = np.random.default_rng(2).normal(size=(*shape[:-1], layer(x).shape[-1]))
        results.append(step(layer, x, tf.constant(upstream, tf.float32), quick))
    for slow, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, slow, atol=tolerance * np.abs(slow).max())


def norm(**options):
    return lambda: keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, **options)


@pytest.mark.parametrize(
    "shape", [(8, 6, 6, 32), (4, 5, 7, 16), (8, 6, 6, 6), (8, 6, 5, 1), (16, 20), (5, 3)]
)
def test_batch_norm(shape):
    compare(norm(), shape)


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"scale": False}, {"center": False}, {"trainable": False}]
)
def test_other_batch_norms_stay_keras_own(options):
    compare(norm(**options), (4, 6, 6, 16))


@pytest.mark.parametrize(
    ("kind", "strides"), [(GroupedConv2D, 1), (GroupedConv2D, 2), (keras.layers.Conv2D, 1)]
)
def test_grouped_convolution(kind, strides):
    def layer():
        return kind(8, 3, groups=4, strides=strides, padding="same", activation="relu")

    x = tf.constant(np.random.default_rng(0).normal(size=(4, 6, 6, 12)), tf.float32)
    one, two = layer(), layer()
    one(x)
    two(x)
    two.set_weights(one.get_weights())
    upstream = tf.ones((4, 6 // strides, 6 // strides, 8))
    slow, fast = (step(a, x, upstream, quick) for a, quick in ((one, False), (two, True)))
    for a, b in zip(slow, fast, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5 * max(1.0, np.abs(a).max()))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same", "use_bias": False, "activation": "relu"},
        {"strides": 2},
        {"data_format": "channels_first"},
    ],
)
def test_convolution_1_x_1(options):
    kernel = np.random.default_rng(1).normal(size=(1, 1, 6, 5)).astype("f")
    shape = (4, 6, 7, 7) if "data_format" in options else (4, 7, 7, 6)
    x = tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)
    results = []
    for quick in (False, True):
        layer = keras.layers.Conv2D(5, 1, **options)
        layer.build(shape)
        layer.kernel.assign(kernel)
        upstream = tf.cast(tf.random.stateless_normal(layer(x).shape, (1, 2)), layer.compute_dtype)
        results.append(step(layer, x, upstream, quick))
    for slow, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-5 * max(1.0, np.abs(slow).max()))


def test_everything_is_as_before_afterwards():
    before = keras.layers.BatchNormalization.call
    inherited = "convolution_op" in vars(keras.layers.Conv2D)
    model = keras.Sequential([keras.Input((4, 4, 4)), GroupedConv2D(4, 3, groups=2)])
    own = GroupedConv2D.convolution_op
    with pytest.raises(RuntimeError, match="planted"), quick_layers(model):
        assert keras.layers.BatchNormalization.call is not before
        assert GroupedConv2D.convolution_op is not own
        raise RuntimeError("planted")
    assert keras.layers.BatchNormalization.call is before
    assert GroupedConv2D.convolution_op is own
    assert ("convolution_op" in vars(keras.layers.Conv2D)) == inherited


def small_network(**options):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="tanh", **options),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@pytest.fixture
def three_cores(monkeypatch):
    """One thread for an operation, on a machine of three cores."""
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    monkeypatch.setattr("kerasd2l.training.quick._cores", lambda: 3)


@pytest.mark.parametrize("size", [1, 2, 7, 48])
def test_a_batch_in_pieces_has_the_same_outputs_and_gradients(three_cores, size):
    model = small_network()
    x = tf.constant(np.random.default_rng(0).normal(size=(size, 6, 6, 2)), tf.float32)
    whole = step_of(model, x)
    with quick_layers(model, batch_size=48):
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
        with quick_layers(model, batch_size=48):
            assert "call" not in vars(model)


def test_pieces_want_one_thread_for_an_operation_and_enough_examples(three_cores, monkeypatch):
    model = small_network()
    with quick_layers(model, batch_size=31):
        assert "call" not in vars(model)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0)
    with quick_layers(model, batch_size=48):
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
    inputs = ({"one": x[0], "unused": tf.constant(1.0)}, tuple(x), {"one": x[0], "two": x[1]})
    for model, given in zip(models, inputs, strict=True):
        whole = model(given)
        with quick_layers(model, batch_size=48):
            assert "call" in vars(model)
            pieces = model(given)
        keras.tree.assert_same_structure(whole, pieces)
        for a, b in zip(keras.tree.flatten(whole), keras.tree.flatten(pieces), strict=True):
            np.testing.assert_allclose(b, a, atol=1e-6)
