"""Xavier's numbers, measured on matrices and through 50 layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import scratch


@pytest.mark.parametrize(("fan_in", "fan_out"), [(100, 300), (784, 256)])
def test_bound_and_variance_fit(fan_in, fan_out):
    bound = scratch.xavier_bound(fan_in, fan_out)
    assert bound == pytest.approx((6 / (fan_in + fan_out)) ** 0.5)  # S3:82
    assert bound**2 / 3 == pytest.approx(scratch.xavier_variance(fan_in, fan_out))  # of U(-a, a)
    W = np.asarray(scratch.XavierUniformScratch(seed=1)((fan_in, fan_out)))
    assert W.var() == pytest.approx(2 / (fan_in + fan_out), rel=0.02)
    assert np.abs(W).max() == pytest.approx(bound, rel=0.01)


def test_initializer_equals_its_twin():
    mine = scratch.XavierUniformScratch(seed=3)
    np.testing.assert_allclose(
        mine((40, 30)), keras.initializers.GlorotUniform(seed=3)((40, 30)), atol=1e-6
    )
    again = keras.initializers.deserialize(keras.initializers.serialize(mine))
    np.testing.assert_array_equal(again((4, 3)), mine((4, 3)))
    layer = keras.layers.Dense(30, kernel_initializer=mine)
    layer.build((None, 40))
    np.testing.assert_array_equal(layer.kernel, mine((40, 30)))
    with pytest.raises(ValueError, match=r"must be \(fan_in, fan_out\)\. Received: \(3, 3, 1, 2\)"):
        mine((3, 3, 1, 2))


def test_scaled_sigmoid_is_the_identity_near_zero():
    x = tf.constant([-6.0, -0.01, 0.0, 0.01, 6.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = scratch.scaled_sigmoid(x)
    np.testing.assert_allclose(y, 4 / (1 + np.exp(-x)) - 2, atol=1e-6)
    np.testing.assert_allclose(y[1:4], [-0.01, 0, 0.01], atol=1e-6)
    assert float(tape.gradient(y, x)[2]) == pytest.approx(1)


def xavier(fan_in, fan_out, random):
    bound = np.sqrt(6 / (fan_in + fan_out))
    return random.uniform(-bound, bound, (fan_in, fan_out))


def normal(stddev):
    return lambda fan_in, fan_out, random: random.normal(0, stddev, (fan_in, fan_out))


def test_xavier_keeps_the_signal_through_50_layers():
    signal = scratch.propagate(xavier, keras.activations.linear)
    assert len(signal.forward) == len(signal.backward) == 51
    for values in (signal.forward, signal.backward):
        assert 0.3 < min(values) and max(values) < 3
    tanh = scratch.propagate(xavier, keras.activations.tanh)
    assert 1e-6 < tanh.backward[0] ** 0.5 < 1e3  # the range of S1:1070


@pytest.mark.parametrize("stddev", [0.01, 1.0])
def test_other_deviations_multiply_by_the_variance_in_every_layer(stddev):
    layers, width = 10, 256
    signal = scratch.propagate(normal(stddev), keras.activations.linear, num_layers=layers)
    expected = (width * stddev**2) ** layers  # each layer multiplies by fan_in times the variance
    assert signal.forward[-1] / signal.forward[0] == pytest.approx(expected, rel=0.5)
    assert signal.backward[0] / signal.backward[-1] == pytest.approx(expected, rel=0.5)


def test_gradients_are_those_of_the_chain_rule():
    matrices = []

    def remember(fan_in, fan_out, random):
        matrices.append(random.normal(size=(fan_in, fan_out)))
        return matrices[-1]

    signal = scratch.propagate(
        remember, keras.activations.linear, num_layers=3, width=5, batch_size=4, seed=2
    )
    random = np.random.default_rng(2)
    h, g = random.normal(size=(4, 5)), random.normal(size=(4, 5))
    W = matrices[0] @ matrices[1] @ matrices[2]
    assert signal.forward[-1] == pytest.approx(np.mean((h @ W) ** 2))
    assert signal.backward[0] == pytest.approx(np.mean((g @ W.T) ** 2))


def test_product_of_matrices():
    sizes = scratch.product_of_matrices(3, 4, seed=5)
    random, product = np.random.default_rng(5), np.eye(4)
    for size in sizes:
        product = product @ random.normal(size=(4, 4))
        assert size == pytest.approx(np.abs(product).max())
    assert scratch.product_of_matrices(100)[-1] > 1e18  # d2l-zh: 1e25-1e26, another draw
    assert scratch.product_of_matrices(100, scale=0.25)[-1] < 1e-18
