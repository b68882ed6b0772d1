"""Adaptive and fractional pooling against loops over bins and regions written out here."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers
from kerasd2l.testing import check_layer

OUTPUT_SIZES = {1: (4,), 2: (4, 7), 3: (3, 2, 5)}
REDUCE = {"Average": np.mean, "Max": np.max}


def _adaptive(x, output_size, reduce):
    """PyTorch's bins: from floor(i n / o) up to, not including, ceil((i + 1) n / o)."""
    for axis, o in enumerate(output_size, start=1):
        n = x.shape[axis]
        bins = [range(i * n // o, math.ceil((i + 1) * n / o)) for i in range(o)]
        x = np.stack([reduce(np.take(x, bin, axis), axis) for bin in bins], axis)
    return x


@pytest.mark.parametrize("kind", ["Average", "Max"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_adaptive_bins(kind, rank):
    x = np.random.default_rng(rank).normal(size=(*(2, 11, 9, 6)[: rank + 1], 3)).astype("f")
    layer = getattr(layers, f"Adaptive{kind}Pooling{rank}D")
    out = check_layer(
        layer, {"output_size": OUTPUT_SIZES[rank]}, x, free_axes=tuple(range(rank + 1))
    )
    np.testing.assert_allclose(out, _adaptive(x, OUTPUT_SIZES[rank], REDUCE[kind]), atol=1e-6)


@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_adaptive_every_size(kind):
    layer = getattr(layers, f"Adaptive{kind}Pooling1D")
    for n in range(1, 9):
        x = np.random.default_rng(n).normal(size=(1, n, 1)).astype("f")
        for o in range(1, 9):  # o > n, too: bins then share values
            np.testing.assert_allclose(layer(o)(x), _adaptive(x, (o,), REDUCE[kind]), atol=1e-6)


@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_adaptive_is_the_keras_layer_where_that_works(kind):
    x = np.random.default_rng(0).normal(size=(2, 11, 9, 3)).astype("f")
    ours = getattr(layers, f"Adaptive{kind}Pooling2D")((4, 7))(x)
    theirs = getattr(keras.layers, f"Adaptive{kind}Pooling2D")((4, 7))(x)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_adaptive_size_1_is_global_pooling():
    x = np.random.default_rng(1).normal(size=(2, 5, 7, 3)).astype("f")
    y = layers.AdaptiveAveragePooling2D(1)(x)
    np.testing.assert_allclose(y[:, 0, 0], keras.layers.GlobalAveragePooling2D()(x), atol=1e-6)
    y = layers.AdaptiveMaxPooling2D((None, 1))(x)  # None keeps the rows
    np.testing.assert_array_equal(y, x.max(2, keepdims=True))


def test_adaptive_keeps_infinities_in_their_bins():
    x = np.array([1, 2, np.inf, 3], "f").reshape(1, 4, 1)
    out = layers.AdaptiveAveragePooling1D(2)(x)
    np.testing.assert_array_equal(np.ravel(out), [1.5, np.inf])


def _fractional(x, axis, count, width, u):
    """PyTorch's regions for a drawn u."""
    last = x.shape[axis] - width
    a = last / (count - 1) if count > 1 else 0
    starts = [math.floor((i + u) * a) - math.floor(u * a) for i in range(count - 1)] + [last]
    return np.stack([np.take(x, range(s, s + width), axis).max(axis) for s in starts], axis)


def test_fractional_regions():
    x = np.random.default_rng(2).normal(size=(2, 11, 9, 3)).astype("f")
    out = layers.FractionalMaxPooling2D((2, 3), (6, 5))(x)
    np.testing.assert_array_equal(out, _fractional(_fractional(x, 1, 6, 2, 0.5), 2, 5, 3, 0.5))
    one = layers.FractionalMaxPooling2D(9, (1, 1))(x)  # a single region ends at the border
    np.testing.assert_array_equal(one[:, 0, 0], x[:, 2:].max((1, 2)))


def test_fractional_draws_in_training():
    x = np.random.default_rng(3).normal(size=(1, 30, 1, 1)).astype("f")
    grid = np.linspace(0, 1, 500, endpoint=False)
    possible = {_fractional(x, 1, 19, 2, u).tobytes() for u in grid}
    layer = layers.FractionalMaxPooling2D((2, 1), (19, 1), seed=4)
    drawn = {np.asarray(layer(x, training=True)).tobytes() for _ in range(60)}
    assert drawn <= possible
    assert len(drawn) > 5
    assert np.array_equal(layer(x), layer(x))  # inference draws nothing


def test_fractional_checks():
    x = np.random.default_rng(5).normal(size=(2, 10, 9, 3)).astype("f")
    size = {"pool_size": (2, 3), "output_size": (7, 5), "seed": 7}
    ratio = {"pool_size": (2, 3), "output_ratio": (0.7, 0.6), "seed": 7}

    def by_size(pool_size, output_size, seed):
        return layers.FractionalMaxPooling2D(pool_size, output_size, seed=seed)

    def by_ratio(pool_size, output_ratio, seed):
        return layers.FractionalMaxPooling2D(pool_size, output_ratio=output_ratio, seed=seed)

    first, second = check_layer(by_size, size, x), check_layer(by_ratio, ratio, x)
    assert first.shape == second.shape == (2, 7, 5, 3)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give one of `output_size` and `output_ratio`"),
        ({"output_size": 2, "output_ratio": 0.5}, "Give one of"),
        ({"output_ratio": 1.5}, "`output_ratio` must be one or two numbers between 0 and 1"),
        ({"output_ratio": (0.5, 0.0)}, "`output_ratio` must be one or two numbers"),
        ({"output_ratio": 0.1}, "0 regions of 2 pixels do not fit 8 pixels"),
        ({"output_size": 8}, r"8 regions of 2 pixels do not fit 8 pixels.*at most 8 - 2 \+ 1"),
    ],
)
def test_fractional_bad_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.FractionalMaxPooling2D(2, **arguments)(np.ones((1, 8, 8, 1)))


def test_fractional_needs_a_known_size():
    with pytest.raises(ValueError, match="needs pictures of a known size"):
        layers.FractionalMaxPooling2D(2, 3)(keras.Input((None, 8, 1)))


@pytest.mark.parametrize("size", [0, (2, 3, 4), (2, 0), 1.5])
def test_adaptive_bad_values(size):
    with pytest.raises(ValueError, match="`output_size` must be a whole number"):
        layers.AdaptiveAveragePooling2D(size)


def test_averages_of_whole_numbers_are_floats_eagerly_and_in_a_graph():
    layer, x = layers.AdaptiveAveragePooling1D(2), np.arange(6, dtype=np.int32).reshape(1, 6, 1)
    eager, graph = layer(x), tf.function(layer)(tf.constant(x))
    assert eager.dtype == graph.dtype == tf.float32
    np.testing.assert_allclose(np.ravel(eager), [1.0, 4.0])
    np.testing.assert_allclose(eager, graph)


def _gradient(layer, x):
    """Return what each place of a picture has of the sum of the maxima."""
    x = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x))
    return tape.gradient(total, x).numpy()


# Of equal maxima the first has the gradient, row by row: PyTorch's, asked with the same numbers.


@pytest.mark.parametrize(
    ("output_size", "x", "gradient"),
    [
        (2, [[1, 1, 1], [1, 1, 1], [1, 1, 1]], [[1, 1, 0], [1, 1, 0], [0, 0, 0]]),
        (1, [[0, 1, 0], [1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]),
        ((1, 2), [[0, 0, 2, 5, 5], [5, 0, 2, 0, 0]], [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]),
        ((1, 2), [[0, 0, 0, 0, 7], [1, 1, 1, 7, 7]], [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]),
        ((3, None), [[2], [2], [1], [1]], [[1], [1], [1], [0]]),
    ],
)
def test_of_equal_maxima_one_has_the_gradient(output_size, x, gradient):
    x = np.array(x, "f")[None, ..., None]
    layer = layers.AdaptiveMaxPooling2D(output_size)
    np.testing.assert_array_equal(_gradient(layer, x)[0, ..., 0], gradient)


@pytest.mark.parametrize("rank", [1, 3])
def test_the_first_of_equal_maxima_on_any_number_of_axes(rank):
    x = np.ones((1, *(5, 4, 3)[:rank], 2), "f")
    layer = getattr(layers, f"AdaptiveMaxPooling{rank}D")(1)
    expected = np.zeros_like(x)
    expected[(0,) * (rank + 1)] = 1
    np.testing.assert_array_equal(_gradient(layer, x), expected)


def test_of_equal_maxima_of_a_fractional_region_one_has_the_gradient():
    layer = layers.FractionalMaxPooling2D(2, (3, 2))
    gradient = _gradient(layer, np.ones((1, 4, 4, 1), "f"))[0, ..., 0]
    # rows begin at 0, 1, 2; columns at 0 and 2
    np.testing.assert_array_equal(gradient, [[1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0], [0] * 4])
    x = np.array([[0, 1], [1, 1]], "f")[None, ..., None]
    one = layers.FractionalMaxPooling2D(2, 1)
    np.testing.assert_array_equal(_gradient(one, x)[0, ..., 0], [[0, 1], [0, 0]])


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float16"])
def test_maxima_keep_their_dtype(dtype):
    x = np.arange(6).astype(dtype).reshape(1, 6, 1)
    layer = layers.AdaptiveMaxPooling1D(2, dtype=dtype if dtype == "float16" else None)
    out = layer(tf.constant(x))
    assert out.dtype == dtype
    assert np.ravel(out).tolist() == [2, 5]


def test_maxima_of_nan_and_infinity():
    x = np.array([1, np.nan, 2, np.inf, -np.inf, -np.inf], "f").reshape(1, 6, 1)
    out = np.ravel(layers.AdaptiveMaxPooling1D(3)(x))
    np.testing.assert_array_equal(out, [np.nan, np.inf, -np.inf])
