"""The quick layers of the loop compute what Keras' own do: outputs, gradients, statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.layers import GroupedConv2D
from kerasd2l.training.quick import quick_layers


def step(layer, x, upstream, quick):
    """Return the outputs, all gradients, and the weights after a training step of the layer."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    with quick_layers(model, quick), tf.GradientTape() as tape:
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


@pytest.mark.parametrize("shape", [(8, 6, 6, 32), (4, 5, 7, 16), (8, 6, 6, 6), (16, 20), (5, 3)])
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
