"""scratch.convolution: the numbers that the seeds print, and the Keras twins."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasd2l import scratch
from kerasd2l.testing import check_layer

X = ops.reshape(ops.arange(9, dtype="float32"), (3, 3))
K = ops.convert_to_tensor([[0.0, 1.0], [2.0, 3.0]])


def _edges():
    image = np.ones((6, 8), "f")
    image[:, 2:6] = 0
    return image  # S1:1483-1488: rows 1, 1, 0, 0, 0, 0, 1, 1


def test_corr2d():
    np.testing.assert_array_equal(scratch.corr2d(X, K), [[19, 25], [37, 43]])  # S3:535


def test_edges():
    Y = scratch.corr2d(_edges(), np.array([[-1.0, 1.0]], "f"))
    np.testing.assert_array_equal(Y, [[0, -1, 0, 0, 0, 1, 0]] * 6)  # S1:1496-1501
    turned = scratch.corr2d(_edges().T, np.array([[-1.0, 1.0]], "f"))
    np.testing.assert_array_equal(turned, np.zeros((8, 5)))  # S1:1508-1515, as tall as it is


def test_learned_kernel_reproduces_the_table():
    target = scratch.corr2d(_edges(), np.array([[-1.0, 1.0]], "f"))
    kernel, losses = scratch.learn_kernel(
        _edges(), target, [[-0.4498, -0.1932]], learning_rate=0.06, halved=True
    )
    np.testing.assert_allclose(  # S1:1534-1538
        losses[1::2], [3.852, 1.126, 0.386, 0.145, 0.057], atol=6e-4
    )
    np.testing.assert_allclose(kernel, [[-1, 1]], atol=0.15)


def test_learned_kernel_is_gradient_descent_on_a_quadratic():
    # The squared error is (k - k*) A (k - k*), A the products of the patches.
    target = scratch.corr2d(_edges(), np.array([[1.0, -1.0]], "f"))
    start, rate, steps = np.array([0.3, 0.5]), 0.02, 7
    kernel, losses = scratch.learn_kernel(
        _edges(), target, start[None], learning_rate=rate, steps=steps
    )
    A, wanted, k, expected = np.array([[18, 12], [12, 18]]), np.array([1, -1]), start, []
    for _ in range(steps):
        expected.append((k - wanted) @ A @ (k - wanted))
        k = k - rate * 2 * A @ (k - wanted)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(kernel[0], k, atol=1e-5)


def test_channels():
    several = ops.stack([X, X + 1], axis=-1)
    kernels = ops.stack([K, K + 1], axis=-1)
    first = [[56, 72], [104, 120]]
    np.testing.assert_array_equal(scratch.corr2d_multi_in(several, kernels), first)
    stacked = ops.stack([kernels, kernels + 1, kernels + 2], axis=-1)
    out = scratch.corr2d_multi_in_out(several, stacked)
    expected = [first, [[76, 100], [148, 172]], [[96, 128], [192, 224]]]
    np.testing.assert_array_equal(np.moveaxis(np.asarray(out), -1, 0), expected)


def test_1x1_convolution_is_a_matrix_product():
    image = keras.random.normal((3, 3, 3), seed=0)
    kernel = keras.random.normal((1, 1, 3, 2), seed=1)
    product = scratch.corr2d_multi_in_out_1x1(image, kernel)
    np.testing.assert_allclose(product, scratch.corr2d_multi_in_out(image, kernel), atol=1e-6)


def test_pool2d():
    np.testing.assert_array_equal(scratch.pool2d(X, (2, 2)), [[4, 5], [7, 8]])  # S3:642
    np.testing.assert_array_equal(scratch.pool2d(X, (2, 2), "avg"), [[2, 3], [5, 6]])


@pytest.mark.parametrize("mode", ["max", "avg"])
def test_pool2d_is_keras_pooling(mode):
    image = keras.random.normal((6, 7), seed=2)
    kind = {"max": keras.layers.MaxPooling2D, "avg": keras.layers.AveragePooling2D}[mode]
    twin = kind((2, 3), strides=1)(image[None, ..., None])[0, ..., 0]
    np.testing.assert_allclose(scratch.pool2d(image, (2, 3), mode), twin, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_corr2d_is_keras_convolution(channels):
    image = keras.random.normal((6, 7, channels), seed=3)
    twin = keras.layers.Conv2D(2, (2, 3), use_bias=False)
    expected = twin(image[None])[0]
    out = scratch.corr2d_multi_in_out(image, twin.kernel)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def _outputs_and_gradients(layer, x):
    import tensorflow as tf

    x = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = layer(x)
        loss = tf.reduce_sum(tf.sin(y))
    return [y, *tape.gradient(loss, [x, layer.kernel.value, layer.bias.value])]


def test_layer_equals_its_keras_twin():
    x = np.random.default_rng(4).normal(size=(2, 6, 7, 3)).astype("f")
    ours, twin = scratch.Conv2DScratch((2, 3), filters=4), keras.layers.Conv2D(4, (2, 3))
    for layer in (ours, twin):
        layer.build(x.shape)
    twin.set_weights([ours.get_weights()[0], np.arange(4, dtype="f")])
    ours.set_weights(twin.get_weights())
    for mine, theirs in zip(
        _outputs_and_gradients(ours, x), _outputs_and_gradients(twin, x), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_layer_starts_as_in_the_book():
    layer = scratch.Conv2DScratch(20, filters=20, seed=0)
    layer.build((None, 30, 30, 1))
    kernel, bias = layer.get_weights()
    assert 0 <= kernel.min() < 0.01 and 0.99 < kernel.max() < 1
    assert not bias.any()


def test_layer_checks():
    x = np.random.default_rng(5).normal(size=(2, 6, 7, 3)).astype("f")
    arguments = {"kernel_size": (2, 3), "filters": 4, "use_bias": False, "seed": 1}
    check_layer(scratch.Conv2DScratch, arguments, x, free_axes=(0, 1, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scratch.corr2d(X, ops.ones((4, 1))), "must not be larger than X"),
        (lambda: scratch.corr2d(X[None], K), "must have two axes"),
        (lambda: scratch.pool2d(X, (0, 1)), "at least one row and column"),
        (lambda: scratch.pool2d(X, (2, 2), "min"), '`mode` must be "max" or "avg"'),
        (
            lambda: scratch.corr2d_multi_in(X[..., None], ops.ones((2, 2, 3))),
            "same number of channels",
        ),
        (
            lambda: scratch.corr2d_multi_in_out_1x1(X[..., None], ops.ones((2, 1, 1, 1))),
            r"K must be \(1, 1, 1, filters\)",
        ),
        (lambda: scratch.learn_kernel(X, X, [[1.0, 2.0]]), "Y must have the shape"),
        (lambda: scratch.Conv2DScratch(0), "whole numbers of at least 1"),
        (lambda: scratch.Conv2DScratch(4)(ops.ones((1, 3, 9, 1))), "larger than the picture"),
    ],
)
def test_bad_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_along_a_sequence_they_are_the_books_numbers():
    steps = np.arange(7.0)
    assert scratch.corr1d(steps, np.array([1.0, 2.0])).numpy().tolist() == [2, 5, 8, 11, 14, 17]
    X = np.stack([steps, steps + 1, steps + 2], axis=1)
    K = np.array([[1.0, 3.0, -1.0], [2.0, 4.0, -3.0]])
    found = scratch.corr1d_multi_in(X, K).numpy()
    assert found.tolist() == [2, 8, 14, 20, 26, 32]
    assert scratch.corr2d(X, K).numpy()[:, 0].tolist() == found.tolist()
    with pytest.raises(ValueError, match="same number of channels"):
        scratch.corr1d_multi_in(X, K[:, :2])
    with pytest.raises(ValueError, match="one axis"):
        scratch.corr1d(X, K)
