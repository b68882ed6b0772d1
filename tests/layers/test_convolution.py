"""Transposed and grouped convolutions against loops, and the shapes and counts of S2."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.layers import Conv2D, GroupedConv2D, TransposedConv2D
from kerasd2l.testing import check_layer


def _transposed(x, kernel, strides, padding, output_padding):
    """Every input pixel adds its value times the kernel; then the borders are cut off."""
    (kh, kw, filters, _), (batch, height, width, _) = kernel.shape, x.shape
    (sh, sw), (ph, pw), (qh, qw) = (
        (v, v) if isinstance(v, int) else v for v in (strides, padding, output_padding)
    )
    full = np.zeros((batch, sh * (height - 1) + kh + qh, sw * (width - 1) + kw + qw, filters))
    for i in range(height):
        for j in range(width):
            spread = np.einsum("bc,hwfc->bhwf", x[:, i, j], kernel)
            full[:, sh * i : sh * i + kh, sw * j : sw * j + kw] += spread
    return full[:, ph : full.shape[1] - ph, pw : full.shape[2] - pw]


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "output_padding"),
    [
        (3, 1, 0, 0),
        (5, 3, 2, 0),
        ((4, 2), 2, 1, 1),
        (2, 3, 0, 2),  # strides beyond the kernel
        ((3, 2), (1, 4), (1, 0), (0, 3)),
        (4, 2, 1, 0),
        # all s x s places at once
        (64, 32, 16, 0),
        (16, 8, 4, 0),
        ((17, 9), (8, 16), (0, 3), (7, 5)),
        (5, 9, 0, 8),
    ],
)
def test_transposed_convolution(kernel, strides, padding, output_padding):
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("f")
    layer = TransposedConv2D(6, kernel, strides, padding, output_padding)
    layer.build(x.shape)
    bias = np.arange(6, dtype="f")
    layer.bias.assign(bias)
    expected = _transposed(x, layer.kernel.numpy(), strides, padding, output_padding) + bias
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    assert layer.compute_output_shape((2, 4, 5, 3)) == expected.shape


def test_transposed_convolution_checks():
    x = np.random.default_rng(1).normal(size=(2, 4, 5, 3)).astype("f")
    arguments = {
        "filters": 2,
        "kernel_size": (4, 3),
        "strides": (3, 2),
        "padding": (1, 2),
        "output_padding": 1,
    }
    check_layer(TransposedConv2D, arguments, x, free_axes=(0, 1, 2))
    quick = {"filters": 2, "kernel_size": (19, 8), "strides": (9, 8), "padding": (2, 1)}
    check_layer(TransposedConv2D, {**quick, "output_padding": (3, 4)}, x, free_axes=(0, 1, 2))


def test_transposed_convolution_undoes_the_size_of_a_convolution():
    # The book's round trip: (1, 10, 16, 16) through k 5, p 2, s 3 and back.
    x = np.ones((1, 16, 16, 10), "f")
    down = keras.layers.Conv2D(20, 5, strides=3)(keras.layers.ZeroPadding2D(2)(x))
    assert down.shape == (1, 6, 6, 20)
    assert TransposedConv2D(10, 5, strides=3, padding=2)(down).shape == x.shape


def test_transposed_convolution_is_the_gradient_of_a_convolution():
    rng = np.random.default_rng(2)
    x, y = (rng.normal(size=(1, n, n, 1)).astype("f") for n in (7, 5))
    kernel = rng.normal(size=(3, 3, 1, 1)).astype("f")
    conv, back = keras.layers.Conv2D(1, 3, use_bias=False), TransposedConv2D(1, 3, use_bias=False)
    conv.build(x.shape)
    back.build(y.shape)
    conv.kernel.assign(kernel)
    back.kernel.assign(kernel)
    np.testing.assert_allclose(np.vdot(conv(x), y), np.vdot(x, back(y)), rtol=1e-4)


VARIANTS = {  # S2:304-340: layer, weight shapes in Keras' layout, parameters, output
    "conv": (lambda: keras.layers.Conv2D(32, 3), [(3, 3, 64, 32)], 18464),
    "grouped": (lambda: keras.layers.Conv2D(32, 3, groups=8), [(3, 3, 8, 32)], 2336),
    "grouped without XLA": (lambda: GroupedConv2D(32, 3, groups=8), [(3, 3, 8, 32)], 2336),
    "separable": (
        lambda: keras.Sequential([keras.layers.DepthwiseConv2D(3), keras.layers.Conv2D(32, 1)]),
        [(3, 3, 64, 1), (1, 1, 64, 32)],
        640 + 2080,
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_convolution(name):
    make, shapes, parameters = VARIANTS[name]
    layer = make()
    assert layer(np.zeros((1, 128, 128, 64), "f")).shape == (1, 126, 126, 32)
    assert [w.shape for w in layer.weights if len(w.shape) == 4] == shapes
    assert layer.count_params() == parameters


def test_transposed_variant_restores_the_size():
    layer = TransposedConv2D(64, 3)
    assert layer(np.zeros((1, 126, 126, 32), "f")).shape == (1, 128, 128, 64)  # S2:336-340
    assert layer.kernel.shape == (3, 3, 64, 32)
    assert layer.count_params() == 18496


def test_bias_counts_kernels_not_pixels():
    # S2:184 adds k * k biases; there is one for each kernel.
    assert keras.layers.Conv2D(32, 3).build((None, 9, 9, 64)) is None
    for rank, kernel in ((1, 3), (2, 9), (3, 27)):
        layer = getattr(keras.layers, f"Conv{rank}D")(32, 3)
        layer.build((None, *(9,) * rank, 64))
        assert layer.count_params() == 64 * kernel * 32 + 32


def test_separable_weights_without_biases():
    layer = keras.layers.SeparableConv2D(32, 3, use_bias=False)
    layer.build((None, 9, 9, 64))
    assert layer.count_params() == 576 + 2048  # S2:239: m k k + n m
    whole = keras.layers.Conv2D(32, 3, use_bias=False)
    whole.build((None, 9, 9, 64))
    assert whole.count_params() == 18432  # m n k k


def test_outputs_of_the_catalogue():
    # S2:268-278, on 0..24 with a kernel of ones.
    x = np.arange(25, dtype="f").reshape(1, 5, 5, 1)

    def conv(padding=0, **arguments):
        layer = keras.layers.Conv2D(1, 2, kernel_initializer="ones", **arguments)
        return np.asarray(layer(keras.layers.ZeroPadding2D(padding)(x)))[0, ..., 0]

    np.testing.assert_array_equal(conv()[[0, 3]], [[12, 16, 20, 24], [72, 76, 80, 84]])
    np.testing.assert_array_equal(conv()[:, 0], [12, 32, 52, 72])
    np.testing.assert_array_equal(conv(strides=2), [[12, 20], [52, 60]])
    np.testing.assert_array_equal(
        conv(padding=1)[[0, 5]], [[0, 1, 3, 5, 7, 4], [20, 41, 43, 45, 47, 24]]
    )
    np.testing.assert_array_equal(conv(dilation_rate=2), [[24, 28, 32], [44, 48, 52], [64, 68, 72]])


def test_grouped_convolution_is_keras_grouped_convolution():
    x = np.random.default_rng(3).normal(size=(2, 7, 6, 6)).astype("f")
    arguments = {"strides": (2, 1), "padding": "same", "activation": "tanh"}
    ours = GroupedConv2D(9, (3, 2), groups=3, **arguments)
    theirs = keras.layers.Conv2D(9, (3, 2), groups=3, **arguments)
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights([w + 0.1 for w in ours.get_weights()])
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)


def test_grouped_convolution_sees_its_own_group_only():
    x = np.random.default_rng(4).normal(size=(1, 5, 5, 4)).astype("f")
    layer = GroupedConv2D(6, 3, groups=2)
    before = np.asarray(layer(x))
    x[..., 2:] += 1  # the second group
    after = np.asarray(layer(x))
    np.testing.assert_array_equal(before[..., :3], after[..., :3])
    assert (before[..., 3:] != after[..., 3:]).all()


def test_grouped_convolution_checks():
    x = np.random.default_rng(5).normal(size=(2, 5, 4, 6)).astype("f")
    arguments = {"filters": 4, "kernel_size": 3, "groups": 2}
    check_layer(GroupedConv2D, arguments, x, free_axes=(0, 1, 2))


def test_grouped_convolution_is_exported_without_xla(tmp_path):
    inputs = keras.Input((5, 5, 4))
    model = keras.Model(inputs, GroupedConv2D(6, 3, groups=2)(inputs))
    model.export(tmp_path / "grouped", verbose=False)
    # A function that must be compiled says so with the attribute true ("(\x01" in the protobuf).
    assert b"_XlaMustCompile\x12\x02(\x01" not in (tmp_path / "grouped/saved_model.pb").read_bytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupedConv2D(9, 3, groups=2), "must divide the filters.*Try groups=1 or 3"),
        (
            lambda: GroupedConv2D(6, 3, groups=3)(np.ones((1, 5, 5, 4))),
            "must divide the input channels.*Try groups=2 or 4",
        ),
        (lambda: GroupedConv2D(6, 3, groups=0), "`groups` must be a whole number"),
        (
            lambda: TransposedConv2D(2, 3, strides=2, output_padding=2),
            "`output_padding` must be smaller than `strides`",
        ),
        (
            lambda: TransposedConv2D(2, 3, padding=2)(np.ones((1, 1, 1, 1))),
            "`padding` cuts off everything",
        ),
        (lambda: TransposedConv2D(2, 3, dilation_rate=2), "has no dilation"),
        (lambda: TransposedConv2D(2, 3, padding=-1), "`padding` must be a whole number"),
    ],
)
def test_bad_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("strides", "padding"), [((2, 2), "same"), ((3, 2), "valid")])
def test_a_pointwise_kernel_with_strides_learns_what_keras_has_it_learn(strides, padding):
    """51 pictures of 8 channels: of this size TensorFlow's own gradient destroyed its memory."""
    x = tf.constant(np.random.default_rng(0).standard_normal((51, 28, 28, 8)), tf.float32)
    layer = Conv2D(16, 1, strides=strides, padding=padding)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.sin(y))
    kernel_gradient, x_gradient = tape.gradient(loss, [layer.kernel.value, x])
    np.testing.assert_allclose(y, layer(x), atol=1e-5)
    slope = np.cos(y.numpy())
    some = x.numpy()[:, :: strides[0], :: strides[1]]
    expected = np.einsum("bhwc,bhwf->cf", some, slope)
    np.testing.assert_allclose(kernel_gradient[0, 0], expected, rtol=1e-4, atol=1e-3)
    back = np.zeros_like(x)
    back[:, :: strides[0], :: strides[1]] = slope @ layer.kernel.numpy()[0, 0].T
    np.testing.assert_allclose(x_gradient, back, atol=1e-5)
