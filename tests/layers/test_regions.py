"""RoI pooling and RoIAlign: what the book prints, loops in numpy, values of torchvision."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.layers import RoIAlign, RoIPooling
from kerasd2l.testing import check_layer

BOOK_X = np.arange(16, dtype="f").reshape(1, 4, 4, 1)
# in pixels of a picture of 40 x 40, ten times the size of the map
BOOK_BOXES = np.array([[[0, 0, 20, 20], [0, 10, 30, 30]]], "f") / 40


def _example(seed, batch=2, regions=6, size=(7, 9), channels=3):
    """Maps and boxes, some out of the picture, some tiny, some over all of it."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-0.4, 1.1, (batch, regions, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0, 0.9, corner.shape)], -1).astype("f")
    boxes[:, 0] = [0, 0, 1, 1]
    return rng.normal(size=(batch, *size, channels)).astype("f"), boxes


def _pool(x, box, bins):
    (height, width, channels), out = x.shape, np.zeros((*bins, x.shape[-1]), "f")
    edges = np.float32(box) * np.float32([width, height, width, height])
    x1, y1, x2, y2 = (np.sign(edges) * np.floor(np.abs(edges) + np.float32(0.5))).astype(int)
    h = np.float32(max(y2 - y1 + 1, 1)) / np.float32(bins[0])
    w = np.float32(max(x2 - x1 + 1, 1)) / np.float32(bins[1])
    for i in range(bins[0]):
        for j in range(bins[1]):
            top, bottom = y1 + int(np.floor(i * h)), y1 + int(np.ceil((i + 1) * h))
            left, right = x1 + int(np.floor(j * w)), x1 + int(np.ceil((j + 1) * w))
            part = x[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
            if part.size:
                out[i, j] = part.reshape(-1, channels).max(0)
    return out


def _sample(x, row, column):
    height, width, channels = x.shape
    if not (-1 <= row <= height and -1 <= column <= width):
        return np.zeros(channels)
    row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    i, j = int(row), int(column)
    k, m = min(i + 1, height - 1), min(j + 1, width - 1)
    a, b = row - i, column - j
    return (1 - a) * ((1 - b) * x[i, j] + b * x[i, m]) + a * ((1 - b) * x[k, j] + b * x[k, m])


def _align(x, box, bins, ratio, aligned):
    height, width, _ = x.shape
    x1, y1, x2, y2 = np.float64(box) * [width, height, width, height] - 0.5 * aligned
    h, w = (y2 - y1, x2 - x1) if aligned else (max(y2 - y1, 1), max(x2 - x1, 1))
    steps = [(np.arange(n * ratio) + 0.5) / (n * ratio) for n in bins]
    samples = np.array([[_sample(x, y1 + h * a, x1 + w * b) for b in steps[1]] for a in steps[0]])
    return samples.reshape(bins[0], ratio, bins[1], ratio, -1).mean((1, 3))


def test_roi_pooling_of_the_book():
    out = RoIPooling(2)(BOOK_X, BOOK_BOXES)
    np.testing.assert_array_equal(out[0, ..., 0], [[[5, 6], [9, 10]], [[9, 11], [13, 15]]])


@pytest.mark.parametrize("bins", [(1, 1), (2, 3), (7, 7)])
def test_roi_pooling_is_the_loop(bins):
    for seed in range(4):
        x, boxes = _example(seed)
        expected = [[_pool(a, box, bins) for box in b] for a, b in zip(x, boxes, strict=True)]
        np.testing.assert_array_equal(RoIPooling(bins)(x, boxes), expected)


def test_halves_are_rounded_away_from_zero():
    boxes = np.array([[[-0.625, -0.125, 0.375, 0.625], [0.125, 0.375, 0.875, 1.125]]], "f")
    expected = [_pool(BOOK_X[0], box, (2, 2)) for box in boxes[0]]
    np.testing.assert_array_equal(RoIPooling(2)(BOOK_X, boxes)[0], expected)


def test_gradients_of_roi_pooling_go_to_the_maxima():
    x, boxes = _example(1)
    with tf.GradientTape() as tape:
        tape.watch(maps := tf.constant(x))
        out = RoIPooling(2)(maps, boxes)
        total = tf.reduce_sum(out)
    expected = np.zeros_like(x)
    for b, c in np.ndindex(x.shape[0], x.shape[-1]):
        for value in np.ravel(out[b, ..., c]):
            expected[b, ..., c] += (x[b, ..., c] == value) & (value != 0)
    np.testing.assert_allclose(tape.gradient(total, maps), expected)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("bins, ratio", [((2, 3), 2), ((7, 7), 1), ((1, 2), 3)])
def test_roi_align_is_the_loop(bins, ratio, aligned):
    x, boxes = _example(ratio)
    expected = [
        [_align(a, box, bins, ratio, aligned) for box in b] for a, b in zip(x, boxes, strict=True)
    ]
    np.testing.assert_allclose(RoIAlign(bins, ratio, aligned)(x, boxes), expected, atol=2e-5)


def test_roi_align_of_torchvision():
    # torchvision 0.28: roi_align(x, boxes, 2, spatial_scale=0.1, sampling_ratio=2, aligned=...)
    expected = {
        True: [[[0.625, 1.5], [4.125, 5.0]], [[4.3125, 5.75], [8.3125, 9.75]]],
        False: [[[2.5, 3.5], [6.5, 7.5]], [[6.75, 8.25], [10.75, 12.25]]],
    }
    for aligned, values in expected.items():
        out = RoIAlign(2, aligned=aligned)(BOOK_X, BOOK_BOXES)
        np.testing.assert_allclose(out[0, ..., 0], values, atol=1e-5)


def test_maps_of_unknown_size():
    x, boxes = _example(0)
    for layer in (RoIPooling(3), RoIAlign(3)):
        graph = tf.function(
            layer,
            input_signature=[
                tf.TensorSpec((None, None, None, 3)),
                tf.TensorSpec((None, None, 4)),
            ],
        )
        np.testing.assert_allclose(graph(x, boxes), layer(x, boxes), atol=1e-6)


def test_checks():
    inputs = _example(0)
    check_layer(RoIPooling, {"pool_size": (2, 3)}, inputs, free_axes={0: (0, 1, 2), 1: (0, 1)})
    arguments = {"pool_size": 3, "sampling_ratio": 3, "aligned": False}
    check_layer(
        RoIAlign, arguments, inputs, free_axes={0: (0, 1, 2), 1: (0, 1)}, mixed_precision=False
    )


def test_boxes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"`boxes` \(B, R, 4\)"):
        RoIAlign(2)(BOOK_X, np.zeros((1, 2, 5)))
    with pytest.raises(ValueError, match="`pool_size` must be a whole number"):
        RoIPooling(0)


@pytest.mark.parametrize("layer", [RoIAlign, RoIPooling])
def test_half_precision_leaves_the_boxes_where_they_are(layer):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, (1, 300, 300, 1)).astype("float32")  # whole numbers: exact in half
    box = np.float32([[[0.9045, 0.9045, 0.9495, 0.9495]]])  # not a multiple of 1/256
    exact = np.asarray(layer(2)(x, box))
    half = np.asarray(layer(2, dtype="mixed_bfloat16")(x, box)).astype("float32")
    np.testing.assert_allclose(half, exact, rtol=0.02)
