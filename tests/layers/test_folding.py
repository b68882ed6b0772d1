"""Unfold and Fold against loops over windows written out here."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasd2l.layers import Fold, Unfold
from kerasd2l.testing import check_layer

CASES = [
    (2, 1, 0, 1),
    ((3, 2), (2, 3), (1, 0), (1, 2)),
    (3, 2, 2, 2),
]


def _windows(kernel, strides, padding, dilation, height, width):
    """Yield, window by window, the pixels (row, column) of the padded picture that it covers."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (
        (v, v) if isinstance(v, int) else v for v in (kernel, strides, padding, dilation)
    )
    for top in range(0, height + 2 * ph - dh * (kh - 1), sh):
        for left in range(0, width + 2 * pw - dw * (kw - 1), sw):
            yield [(top + a * dh, left + b * dw) for a in range(kh) for b in range(kw)]


def _pads(padding):
    return (padding, padding) if isinstance(padding, int) else padding


@pytest.mark.parametrize(("kernel", "strides", "padding", "dilation"), CASES)
def test_unfold_lays_out_windows(kernel, strides, padding, dilation):
    x = np.random.default_rng(0).normal(size=(2, 11, 9, 3)).astype("float32")
    ph, pw = _pads(padding)
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    expected = [
        np.concatenate([padded[:, r, c] for r, c in window], axis=-1)
        for window in _windows(kernel, strides, padding, dilation, 11, 9)
    ]
    out = Unfold(kernel, strides, padding, dilation)(x)
    np.testing.assert_array_equal(out, np.stack(expected, axis=1))


@pytest.mark.parametrize(("kernel", "strides", "padding", "dilation"), CASES)
def test_fold_adds_windows(kernel, strides, padding, dilation):
    windows = list(_windows(kernel, strides, padding, dilation, 11, 9))
    taps = len(windows[0])
    rows = np.random.default_rng(1).normal(size=(2, len(windows), taps * 3)).astype("float32")
    ph, pw = _pads(padding)
    expected = np.zeros((2, 11 + 2 * ph, 9 + 2 * pw, 3))
    for i, window in enumerate(windows):
        for t, (r, c) in enumerate(window):
            expected[:, r, c] += rows[:, i, 3 * t : 3 * t + 3]
    out = Fold((11, 9), kernel, strides, padding, dilation)(rows)
    np.testing.assert_allclose(out, expected[:, ph : ph + 11, pw : pw + 9], atol=1e-5)


@pytest.mark.parametrize(("kernel", "strides", "padding", "dilation"), CASES)
def test_convolution_is_unfold_times_weights_then_fold(kernel, strides, padding, dilation):
    if strides != 1 and dilation != 1:
        dilation = 1  # Keras' convolution has one or the other
    x = keras.random.normal((2, 11, 9, 3), seed=0)
    conv = keras.layers.Conv2D(5, kernel, strides=strides, dilation_rate=dilation)
    y = conv(keras.layers.ZeroPadding2D(_pads(padding))(x))
    columns = Unfold(kernel, strides, padding, dilation)(x)
    product = ops.matmul(columns, ops.reshape(conv.kernel, (-1, 5))) + conv.bias
    folded = Fold(tuple(y.shape[1:3]), 1)(product)  # 1 x 1 windows: rows back to a picture
    np.testing.assert_allclose(folded, y, atol=1e-5)


def test_fold_of_unfolded_ones_counts_the_windows():
    counts = Fold(4, 3, padding=1)(Unfold(3, padding=1)(ops.ones((1, 4, 4, 1))))
    along = np.array([2, 3, 3, 2])  # windows of 3 with padding 1 that cover each of 4 places
    np.testing.assert_array_equal(counts[0, ..., 0], np.outer(along, along))


def test_checks():
    x = np.random.default_rng(2).normal(size=(2, 9, 8, 2)).astype("float32")
    arguments = {"kernel_size": (3, 2), "strides": (2, 1), "padding": (1, 2), "dilation_rate": 2}
    columns = check_layer(Unfold, arguments, x, free_axes=(0, 1, 2))
    check_layer(Fold, {"output_size": (9, 8), **arguments}, np.asarray(columns))


def test_fold_is_the_transpose_of_unfold():
    x = keras.random.normal((1, 6, 7, 2), seed=3)
    unfold = Unfold((2, 3), strides=2, padding=1)
    columns = unfold(x)
    weights = keras.random.normal(columns.shape, seed=4)
    there = ops.sum(columns * weights)
    back = ops.sum(x * Fold((6, 7), (2, 3), strides=2, padding=1)(weights))
    np.testing.assert_allclose(there, back, rtol=1e-4)


def test_bad_inputs():
    with pytest.raises(ValueError, match="kernel is larger than the padded input"):
        Unfold(5)(ops.ones((1, 4, 9, 1)))
    with pytest.raises(ValueError, match="kernel is larger than the padded input"):
        Fold(4, 5)
    with pytest.raises(ValueError, match=r"has 3 x 3 windows.*Received: 8 of them"):
        Fold(4, 2)(ops.ones((1, 8, 4)))
    with pytest.raises(ValueError, match=r"`kernel_size` \(4 values\) times the channels"):
        Fold(4, 2)(ops.ones((1, 9, 6)))
    with pytest.raises(ValueError, match="`strides` must be a whole number of at least 1"):
        Unfold(2, strides=0)
