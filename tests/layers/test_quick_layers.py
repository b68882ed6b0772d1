"""Layers with a quick way on a CPU compute what Keras' own do: outputs, gradients, statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers
from kerasd2l.layers import BatchNormalization, Conv2D, GroupedConv2D

OPERATIONS = {"FusedBatchNormV3", "MatMul", "Conv2D"}


def step(layer, x, upstream):
    """Return the outputs, all gradients, and the weights after a training step of the layer."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.function(lambda x: layer(x, training=True), autograph=False)(x)
    sources = [x, *(w.value for w in layer.trainable_weights)]
    gradients = tape.gradient(y, sources, output_gradients=upstream)
    return [np.asarray(a) for a in (y, *gradients, *layer.weights)]


def operations(layer, x, **options):
    """Return the kinds of operations in the graph of a layer."""
    graph = tf.function(lambda x: layer(x, **options), autograph=False).get_concrete_function(x)
    return {op.type for op in graph.graph.get_operations()} & OPERATIONS


def compare(ours, keras_own, x, upstream_seed=2):
    """Compare a training step of two layers with the same weights."""
    random = np.random.default_rng(1)
    for layer in (ours, keras_own):
        layer.build(x.shape)
    for one, two in zip(ours.weights, keras_own.weights, strict=True):
        assert (one.name, one.shape) == (two.name, two.shape)
        one.assign(random.uniform(0.5, 1.5, one.shape))
        two.assign(one)
    upstream = np.random.default_rng(upstream_seed).normal(size=keras_own(x).shape)
    upstream = tf.constant(upstream, keras_own.compute_dtype)
    for fast, slow in zip(step(ours, x, upstream), step(keras_own, x, upstream), strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-5 * max(1.0, np.abs(slow).max()))


def batch(*shape):
    return tf.constant(np.random.default_rng(0).normal(2, 3, shape), tf.float32)


@pytest.mark.parametrize(
    ("shape", "operation"),
    [
        ((8, 6, 6, 32), "FusedBatchNormV3"),
        ((4, 5, 7, 16), "FusedBatchNormV3"),
        ((8, 6, 6, 6), "MatMul"),
        ((8, 6, 5, 1), "MatMul"),
        ((16, 20), "MatMul"),
        ((5, 3), "MatMul"),
    ],
)
def test_batch_norm(shape, operation):
    options = {"momentum": 0.9, "epsilon": 1e-5}
    ours = BatchNormalization(**options)
    compare(ours, keras.layers.BatchNormalization(**options), batch(*shape))
    assert operations(ours, batch(*shape), training=True) == {operation}, "the quick way"
    assert not operations(ours, batch(*shape), training=False), "a server gets Keras' graph"


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"scale": False}, {"center": False}, {"trainable": False}]
)
def test_other_batch_norms_stay_keras_own(options):
    ours = BatchNormalization(**options)
    compare(ours, keras.layers.BatchNormalization(**options), batch(4, 6, 6, 16))
    assert not operations(ours, batch(4, 6, 6, 16), training=True)


def test_batch_norm_with_a_mask_stays_keras_own():
    x, mask = batch(4, 5, 16), tf.sequence_mask([1, 5, 2, 4], 5)
    ours, other = BatchNormalization(), keras.layers.BatchNormalization()
    given = {"training": True, "mask": mask}
    np.testing.assert_allclose(ours(x, **given), other(x, **given), atol=1e-6)
    np.testing.assert_allclose(ours.moving_mean, other.moving_mean, atol=1e-6)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kind", [GroupedConv2D, Conv2D])
def test_grouped_convolution(kind, strides):
    options = {"groups": 4, "strides": strides, "padding": "same", "activation": "relu"}
    ours = kind(8, 3, **options)
    compare(ours, keras.layers.Conv2D(8, 3, **options), batch(4, 6, 6, 12))
    graph = tf.function(lambda x: ours(x, training=True)).get_concrete_function(batch(4, 6, 6, 12))
    convolutions = [op for op in graph.graph.get_operations() if op.type == "Conv2D"]
    if layers.cpu.groups_at_once():
        assert len(convolutions) == 1, "the quick way"


@pytest.mark.parametrize(
    ("options", "operation"),
    [
        ({}, "MatMul"),
        ({"padding": "same", "use_bias": False, "activation": "relu"}, "MatMul"),
        ({"strides": 2}, "MatMul"),
        ({"dtype": "mixed_bfloat16"}, "Conv2D"),
    ],
)
def test_convolution_1_x_1(options, operation):
    ours, x = Conv2D(5, 1, **options), batch(4, 7, 7, 6)
    if "dtype" not in options:
        compare(ours, keras.layers.Conv2D(5, 1, **options), x)
    assert operations(ours, x, training=True) == {operation}
    assert operations(ours, x, training=False) == {"Conv2D"}, "a server gets Keras' graph"


def test_convolution_3_x_3_is_keras_own():
    compare(
        Conv2D(5, 3, padding="same"), keras.layers.Conv2D(5, 3, padding="same"), batch(2, 6, 6, 3)
    )


def test_layers_of_keras_and_of_others_stay_as_they_are():
    """Training a model of ours changes no other model of the process."""
    before = keras.layers.BatchNormalization.call, keras.layers.Conv2D.convolution_op
    compare(BatchNormalization(), keras.layers.BatchNormalization(), batch(8, 6, 6, 32))
    assert (keras.layers.BatchNormalization.call, keras.layers.Conv2D.convolution_op) == before


@pytest.mark.parametrize("layer", [BatchNormalization(momentum=0.9), Conv2D(5, 1)])
def test_saved_and_loaded_like_any_layer(layer, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is type(layer)
    assert loaded.layers[0].get_config() == layer.get_config()
    np.testing.assert_array_equal(loaded(batch(2, 6, 6, 3)), model(batch(2, 6, 6, 3)))


def test_fit_does_without_xla_which_is_slower_here():
    model = keras.Sequential([keras.Input((6, 6, 1)), Conv2D(2, 3), keras.layers.Flatten()])
    model.compile("sgd", "mse")
    assert model.jit_compile is False


def test_groups_are_convolved_at_once_only_where_their_gradients_are_computed():
    """oneDNN has them, which TensorFlow leaves off on older processors."""
    x, kernel = tf.ones((1, 4, 4, 6)), tf.ones((3, 3, 2, 6))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
    try:
        works = tape.gradient(y, x) is not None
    except tf.errors.OpError:
        works = False
    assert layers.cpu.groups_at_once() == works
