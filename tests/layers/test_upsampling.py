"""Upsampling: the values of S2, numpy.interp, and Keras' own layer."""

import keras
import numpy as np
import pytest

from kerasd2l.layers import BilinearUpSampling2D
from kerasd2l.testing import check_layer

SQUARE = np.array([[1, 2], [3, 4]], "f").reshape(1, 2, 2, 1)


def test_nearest_of_s2_is_keras_upsampling():
    out = keras.layers.UpSampling2D(2)(SQUARE)[0, ..., 0]
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]  # S2:350-362
    np.testing.assert_array_equal(out, expected)


def test_bilinear_of_s2():
    out = BilinearUpSampling2D(2)(SQUARE)[0, ..., 0]
    expected = [  # S2:350-362
        [1, 1.3333, 1.6667, 2],
        [1.6667, 2, 2.3333, 2.6667],
        [2.3333, 2.6667, 3, 3.3333],
        [3, 3.3333, 3.6667, 4],
    ]
    np.testing.assert_allclose(out, expected, atol=5e-5)


def test_keras_bilinear_does_not_keep_the_corners():
    out = keras.layers.UpSampling2D(2, interpolation="bilinear")(SQUARE)
    np.testing.assert_allclose(out[0, 0, :, 0], [1, 1.25, 1.75, 2])
    ours = BilinearUpSampling2D(2, align_corners=False)(SQUARE)
    np.testing.assert_allclose(ours, out, atol=1e-6)


def test_interpolation_against_numpy():
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("f")
    rows, columns = np.linspace(0, 3, 12), np.linspace(0, 4, 10)  # places in the input
    along = np.apply_along_axis(lambda v: np.interp(rows, np.arange(4), v), 1, x)
    expected = np.apply_along_axis(lambda v: np.interp(columns, np.arange(5), v), 2, along)
    np.testing.assert_allclose(BilinearUpSampling2D((3, 2))(x), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 4)])
def test_half_pixels_are_keras_bilinear(size):
    x = np.random.default_rng(1).normal(size=(2, 4, 5, 3)).astype("f")
    theirs = keras.layers.UpSampling2D(size, interpolation="bilinear")(x)
    np.testing.assert_allclose(BilinearUpSampling2D(size, False)(x), theirs, atol=1e-5)


def test_one_pixel_spreads():
    np.testing.assert_array_equal(BilinearUpSampling2D(3)(np.full((1, 1, 1, 1), 7.0))[0, ..., 0], 7)


def test_checks():
    x = np.random.default_rng(2).normal(size=(2, 4, 5, 3)).astype("f")
    arguments = {"size": (3, 2), "align_corners": False}
    check_layer(BilinearUpSampling2D, arguments, x, free_axes=(0, 1, 2))


def test_bad_size():
    with pytest.raises(ValueError, match="`size` must be a whole number of at least 1 or 2"):
        BilinearUpSampling2D(0.5)
