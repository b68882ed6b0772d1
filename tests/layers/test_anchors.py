"""Anchors: the values that the book prints, and its loops written out in numpy."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kerasd2l.layers import (
    assign_anchor_to_bbox,
    box_iou,
    multibox_prior,
    multibox_target,
    offset_boxes,
)

BOOK_LABELS = np.array([[0, 0.1, 0.08, 0.52, 0.92], [1, 0.55, 0.2, 0.9, 0.88]], "f")
BOOK_ANCHORS = np.array(
    [
        [0, 0.1, 0.2, 0.3],
        [0.15, 0.2, 0.4, 0.4],
        [0.63, 0.05, 0.88, 0.98],
        [0.66, 0.45, 0.8, 0.8],
        [0.57, 0.3, 0.92, 0.9],
    ],
    "f",
)


def _anchors(size=8):
    return np.asarray(multibox_prior(np.zeros((1, size, size, 1)), [0.2, 0.4], [1, 2, 0.5]))[0]


def _labels(batch, objects, seed=0):
    """Random objects, some out of the picture, some without area, some rows of padding."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-0.3, 1.0, (batch, objects, 2))
    size = rng.uniform(0.02, 0.7, (batch, objects, 2))
    kind = rng.integers(0, 4, (batch, objects, 1))
    labels = np.concatenate([kind, corner, corner + size], -1).astype("f")
    labels[rng.random((batch, objects)) < 0.15] = -1
    flat = rng.random((batch, objects)) < 0.1
    labels[flat, 3] = labels[flat, 1]
    return labels


def _assigned(boxes, anchors, threshold=0.5):
    """The book's loop, for what is an object and overlaps an anchor."""
    iou = np.asarray(box_iou(anchors, boxes)).copy()
    own = np.where(iou.max(1) >= threshold, iou.argmax(1), -1)
    for _ in boxes:
        anchor, box = divmod(int(iou.argmax()), len(boxes))
        if iou[anchor, box] <= 0:
            break
        own[anchor] = box
        iou[anchor], iou[:, box] = -1, -1
    return own


def _target(anchors, labels):
    classes = np.zeros((len(labels), len(anchors)), int)
    offsets = np.zeros((*classes.shape, 4), "f")
    for i, rows in enumerate(labels):
        real = (rows[:, 0] >= 0) & (rows[:, 3] > rows[:, 1]) & (rows[:, 4] > rows[:, 2])
        rows = rows[real]
        if len(rows):
            own = _assigned(rows[:, 1:], anchors)
            hit = own >= 0
            classes[i, hit] = rows[own[hit], 0] + 1
            offsets[i, hit] = offset_boxes(anchors[hit], rows[own[hit], 1:])
    mask = np.repeat(classes > 0, 4, axis=1)
    return offsets.reshape(len(labels), -1), mask, classes


def test_two_million_anchors_of_the_book():
    boxes = multibox_prior(np.zeros((1, 561, 728, 3)), [0.75, 0.5, 0.25], [1, 2, 0.5])
    assert boxes.shape == (1, 2042040, 4)
    first = np.asarray(boxes).reshape(561, 728, 5, 4)[250, 250, 0]
    np.testing.assert_allclose(first, [0.06, 0.07, 0.63, 0.82], atol=5e-3)


def test_anchors_by_the_formula():
    boxes = np.asarray(multibox_prior(np.zeros((5, 7, 3)), [0.5, 0.3], [2, 1, 0.5]))
    boxes = boxes.reshape(5, 7, 4, 4)
    pairs = [(0.5, 2), (0.3, 2), (0.5, 1), (0.5, 0.5)]  # all sizes first, then the other ratios
    for k, (s, r) in enumerate(pairs):
        w, h = s * np.sqrt(r) * 5 / 7, s / np.sqrt(r)
        for i, j in ((0, 0), (4, 2), (2, 6)):
            x, y = (j + 0.5) / 7, (i + 0.5) / 5
            expected = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
            np.testing.assert_allclose(boxes[i, j, k], expected, atol=1e-6)


def test_anchors_of_maps_of_unknown_size():
    graph = tf.function(
        lambda maps: multibox_prior(maps, [0.5], [1, 2]),
        input_signature=[tf.TensorSpec((None, None, None, 3))],
    )
    np.testing.assert_allclose(
        graph(tf.zeros((2, 3, 4, 3))), multibox_prior(np.zeros((3, 4, 3)), [0.5], [1, 2])
    )


@pytest.mark.parametrize("sizes, ratios", [([], [1]), ([0.5], []), ([0.5, 0], [1]), ([1], [-2])])
def test_sizes_and_ratios_are_positive(sizes, ratios):
    with pytest.raises(ValueError, match="must be positive numbers"):
        multibox_prior(np.zeros((2, 2, 1)), sizes, ratios)


def test_labels_of_the_book():
    offsets, mask, classes = multibox_target(BOOK_ANCHORS[None], BOOK_LABELS[None])
    np.testing.assert_array_equal(classes, [[0, 1, 2, 0, 2]])
    np.testing.assert_array_equal(mask, [[0] * 4 + [1] * 8 + [0] * 4 + [1] * 4])
    expected = [0] * 4 + [1.40, 10.0, 2.59, 7.18, -1.20, 0.269, 1.68, -1.57] + [0] * 4
    expected += [-0.571, -1.00, 4.17e-6, 0.626]
    np.testing.assert_allclose(offsets[0], expected, rtol=5e-3, atol=2e-6)


@pytest.mark.parametrize("objects", [1, 3, 12])
def test_targets_are_those_of_the_loop(objects):
    anchors, labels = _anchors(), _labels(8, objects, objects)
    graph = tf.function(
        multibox_target,
        input_signature=[tf.TensorSpec((1, None, 4)), tf.TensorSpec((None, None, 5))],
    )
    for function in (multibox_target, graph):
        offsets, mask, classes = function(ops.convert_to_tensor(anchors[None]), tf.constant(labels))
        expected = _target(anchors, labels)
        np.testing.assert_array_equal(classes, expected[2])
        np.testing.assert_array_equal(mask, expected[1])
        np.testing.assert_allclose(offsets, expected[0], atol=1e-4)


def test_objects_that_want_the_same_anchor():
    # five alike boxes, and one more: each gets an anchor of its own, the first one the best
    boxes = np.array([[0.1, 0.1, 0.5, 0.5]] * 5 + [[0.1, 0.1, 0.52, 0.5]], "f")
    own = np.asarray(assign_anchor_to_bbox(boxes, _anchors(4)))
    np.testing.assert_array_equal(own, _assigned(boxes, _anchors(4)))
    assert set(own) - {-1} == set(range(6))


def test_the_first_anchor_belongs_to_one_object_while_another_has_none():
    boxes = np.array([[5, 5, 6, 6], [0, 0, 0.4, 1], [5, 5, 6, 6]], "f")
    anchors = np.array([[0, 0, 1, 1], [2, 2, 3, 3]], "f")
    np.testing.assert_array_equal(assign_anchor_to_bbox(boxes, anchors), [1, -1])


def test_refused_objects_take_their_next_best_of_each_picture():
    # both want anchor 0; of the second picture's all overlap it alike, and anchors 1 and 2, too
    anchors = np.array([[0, 0, 4, 4], [0, 0, 4, 2], [0, 2, 4, 4], [8, 8, 9, 9]], "f")
    one = [[0, 0, 4, 4], [0, 0, 4, 3.5], [0, 0.1, 4, 4]]
    boxes = np.array([one, [[0, 0, 4, 4]] * 3, [[0, 0, 4, 2]] * 2 + [[8, 8, 9, 9]]], "f")
    own = np.asarray(assign_anchor_to_bbox(boxes, anchors))
    np.testing.assert_array_equal(own, [_assigned(b, anchors) for b in boxes])
    np.testing.assert_array_equal(own[1], [0, 1, 2, -1])


def test_more_objects_than_anchors():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.9, 1], [0, 0, 0.8, 1]], "f")
    own = assign_anchor_to_bbox(boxes, np.array([[0, 0, 0.9, 1], [0, 0, 0.1, 0.1]], "f"))
    np.testing.assert_array_equal(own, [1, 2])  # the smallest one overlaps the second most


def test_another_threshold():
    boxes, anchors = _labels(1, 6, 5)[0, :, 1:], _anchors()
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    for threshold in (0.2, 0.7):
        np.testing.assert_array_equal(
            assign_anchor_to_bbox(boxes, anchors, threshold), _assigned(boxes, anchors, threshold)
        )


@pytest.mark.parametrize(
    "row",
    [
        [-1, -1, -1, -1, -1],
        [-1, 0.1, 0.1, 0.6, 0.6],  # padding whose box looks real
        [0, 0, 0, 0, 0],
        [1, 0.3, 0.3, 0.3, 0.8],  # no width
        [1, 0.6, 0.6, 0.3, 0.3],  # corners swapped
        [1, 5, 5, 6, 6],  # out of the picture
        [1, np.nan, 0.1, 0.6, 0.6],
        [1, 0.1, 0.1, np.inf, 0.6],
    ],
)
def test_what_is_no_object_gets_no_anchor(row):
    anchors = _anchors(4).copy()
    anchors[5] = 0.5  # an anchor without area
    offsets, mask, classes = multibox_target(anchors, np.array([[row, row]], "f"))
    assert not np.asarray(offsets).any() and not np.asarray(mask).any()
    assert not np.asarray(classes).any()
    both = np.array([[row, BOOK_LABELS[0]]], "f")
    for got, expected in zip(
        multibox_target(anchors, both), multibox_target(anchors, BOOK_LABELS[None, :1]), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_pictures_without_any_row():
    for labels in (tf.zeros((2, 0, 5)), tf.zeros((0, 3, 5)), tf.zeros((0, 0, 5))):
        offsets, mask, classes = multibox_target(_anchors(2), labels)
        assert offsets.shape == mask.shape == (labels.shape[0], 64)
        assert classes.shape == (labels.shape[0], 16) and not np.asarray(classes).any()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"`labels` must have 5 numbers"):
        multibox_target(np.zeros((1, 4, 4)), np.zeros((1, 2, 4)))
    with pytest.raises(ValueError, match=r"`labels` \(B, G, 5\)"):
        multibox_target(np.zeros((2, 4, 4)), np.zeros((2, 2, 5)))
    with pytest.raises(ValueError, match=r"`anchors` \(A, 4\)"):
        assign_anchor_to_bbox(np.zeros((2, 4)), np.zeros((1, 2, 4)))


def test_no_anchor_is_refused():
    with pytest.raises(ValueError, match="one anchor at least"):
        multibox_target(np.zeros((1, 0, 4)), np.zeros((2, 1, 5)))
    with pytest.raises(ValueError, match="one anchor at least"):
        assign_anchor_to_bbox(np.zeros((1, 4)), np.zeros((0, 4)))
