"""The transposed convolution by hand equals its twin, and is the transpose of a convolution."""

import numpy as np
import pytest

from kerasd2l.layers import TransposedConv2D
from kerasd2l.scratch import corr2d, kernel2matrix, trans_conv


def test_values_of_the_book():
    X = K = np.array([[0, 1], [2, 3]], "f")
    np.testing.assert_array_equal(trans_conv(X, K), [[0, 0, 1], [0, 4, 6], [4, 12, 9]])
    np.testing.assert_array_equal(trans_conv(X, K, padding=1), [[4]])
    expected = [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]]
    np.testing.assert_array_equal(trans_conv(X, K, strides=2), expected)


def test_rows_of_the_books_matrix():
    W = kernel2matrix([[1, 2], [3, 4]])
    assert W.shape == (4, 9)
    np.testing.assert_array_equal(W[0], [1, 2, 0, 3, 4, 0, 0, 0, 0])
    np.testing.assert_array_equal(W[3], [0, 0, 0, 0, 1, 2, 0, 3, 4])


@pytest.mark.parametrize("shape, size", [((2, 2), 3), ((3, 2), 5), ((1, 4), 4)])
def test_the_matrix_convolves_and_its_transpose_goes_back(shape, size):
    rng = np.random.default_rng(0)
    X, K = rng.normal(size=(size, size)).astype("f"), rng.normal(size=shape).astype("f")
    W, Y = kernel2matrix(K, size), np.asarray(corr2d(X, K))
    np.testing.assert_allclose(W @ X.ravel(), Y.ravel(), atol=1e-5)
    back = np.asarray(trans_conv(Y, K))
    np.testing.assert_allclose((W.T @ Y.ravel()).reshape(size, size), back, atol=1e-5)


@pytest.mark.parametrize("strides, padding", [(1, 0), (1, 1), (2, 0), (3, 1)])
def test_twin_of_the_layer(strides, padding):
    rng = np.random.default_rng(1)
    X, K = rng.normal(size=(4, 5)).astype("f"), rng.normal(size=(3, 3)).astype("f")
    layer = TransposedConv2D(1, 3, strides=strides, padding=padding, use_bias=False)
    layer.build((None, 4, 5, 1))
    layer.kernel.assign(K[..., None, None])
    expected = layer(X[None, ..., None])[0, ..., 0]
    np.testing.assert_allclose(trans_conv(X, K, strides, padding), expected, atol=1e-5)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="The padding leaves nothing of 3 x 3 pixels"):
        trans_conv(np.ones((2, 2)), np.ones((2, 2)), padding=2)
    with pytest.raises(ValueError, match="X and K must have two axes"):
        trans_conv(np.ones((2, 2, 1)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="at most 3 numbers"):
        kernel2matrix(np.ones((4, 2)))
