"""Boxes: the numbers of the book, and formulas written out in numpy."""

import numpy as np
import pytest
from keras import ops

from kerasd2l.layers import (
    box_center_to_corner,
    box_corner_to_center,
    box_iou,
    offset_boxes,
    offset_inverse,
)


def _boxes(number, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-0.2, 0.9, (number, 2))
    return np.concatenate([corner, corner + rng.uniform(0.01, 0.6, (number, 2))], 1).astype("f")


def test_dog_and_cat_of_the_book():
    boxes = [[60.0, 45.0, 378.0, 516.0], [400.0, 112.0, 655.0, 493.0]]
    centers = box_corner_to_center(boxes)
    np.testing.assert_array_equal(centers, [[219, 280.5, 318, 471], [527.5, 302.5, 255, 381]])
    np.testing.assert_array_equal(box_center_to_corner(centers), boxes)


def test_any_axes_in_front():
    boxes = _boxes(24).reshape(2, 3, 4, 4)
    back = box_center_to_corner(box_corner_to_center(boxes))
    np.testing.assert_allclose(back, boxes, atol=1e-6)
    one = box_corner_to_center(boxes[0, 0, 0])
    np.testing.assert_allclose(one, box_corner_to_center(boxes)[0, 0, 0])


def test_iou_is_the_share_of_pixels():
    rng = np.random.default_rng(1)
    corners = rng.integers(-3, 10, (40, 2))
    boxes = np.concatenate([corners, corners + rng.integers(0, 8, (40, 2))], 1)  # some are flat
    y, x = np.mgrid[-3:20, -3:20]
    inside = np.array([(x >= a) & (y >= b) & (x < c) & (y < d) for a, b, c, d in boxes])
    shared = (inside[:, None] & inside).sum((2, 3))
    covered = (inside[:, None] | inside).sum((2, 3))
    expected = shared / np.maximum(covered, 1)
    np.testing.assert_allclose(box_iou(boxes, boxes), expected, atol=1e-6)
    assert not np.asarray(box_iou(boxes[:, [2, 3, 0, 1]], boxes)).any()  # corners swapped: no area


def test_iou_of_batches():
    boxes, others = _boxes(12).reshape(3, 4, 4), _boxes(15, 1).reshape(3, 5, 4)
    iou = np.asarray(box_iou(boxes, others))
    assert iou.shape == (3, 4, 5)
    for one, a, b in zip(iou, boxes, others, strict=True):
        np.testing.assert_allclose(one, box_iou(a, b), atol=1e-7)
    np.testing.assert_allclose(box_iou(boxes, others[0])[2], box_iou(boxes[2], others[0]))


def test_offsets_there_and_back():
    anchors, boxes = _boxes(50), _boxes(50, 1)
    offsets = np.asarray(offset_boxes(anchors, boxes))
    a, b = (np.asarray(box_corner_to_center(x)) for x in (anchors, boxes))
    np.testing.assert_allclose(offsets[:, :2], 10 * (b - a)[:, :2] / a[:, 2:], rtol=1e-4, atol=1e-5)
    expected = 5 * np.log(1e-6 + b[:, 2:] / a[:, 2:])
    np.testing.assert_allclose(offsets[:, 2:], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(offset_inverse(anchors, offsets), boxes, atol=1e-5)


def test_offsets_of_boxes_without_area_are_numbers():
    flat = np.array([[0.2, 0.2, 0.2, 0.6], [0.5, 0.5, 0.5, 0.5], [0.6, 0.6, 0.4, 0.4]], "f")
    for anchors, boxes in ((flat, _boxes(3)), (_boxes(3), flat), (flat, flat)):
        offsets = np.asarray(offset_boxes(anchors, boxes))
        assert np.isfinite(offsets).all()
        assert np.isfinite(np.asarray(offset_inverse(anchors, offsets))).all()


@pytest.mark.parametrize(
    "function",
    [
        box_corner_to_center,
        box_center_to_corner,
        lambda x: box_iou(x, x),
        lambda x: offset_inverse(x, x),
    ],
)
def test_boxes_of_five_numbers_are_refused(function):
    with pytest.raises(ValueError, match=r"must have 4 numbers in its last axis.*\(2, 5\)"):
        function(ops.zeros((2, 5)))
