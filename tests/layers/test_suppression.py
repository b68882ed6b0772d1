"""Non-maximum suppression: what the book prints, and its loops written out in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.layers import (
    box_iou,
    multibox_detection,
    multibox_prior,
    nms,
    non_max_suppression,
    offset_inverse,
    suppression,
)

ANCHORS = np.array(
    [
        [0.1, 0.08, 0.52, 0.92],
        [0.08, 0.2, 0.56, 0.95],
        [0.15, 0.3, 0.62, 0.91],
        [0.55, 0.2, 0.9, 0.88],
    ],
    "f",
)
PROBS = np.array([[0, 0, 0, 0], [0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.9]], "f")


@pytest.fixture(params=["one call", "rounds"])
def way(request, monkeypatch):
    """Both ways: TensorFlow's operation on a CPU, and the one for every other machine."""
    if request.param == "rounds":
        monkeypatch.setattr(suppression, "_quick_suppression", suppression._in_rounds)
        for name in ("_suppress", "_detect"):  # not the graphs that were made with the other way
            monkeypatch.setattr(suppression, name, getattr(suppression, name).__wrapped__)


def _boxes(batch, number, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.integers(-4, 30, (batch, number, 2))
    size = rng.integers(0, 14, (batch, number, 2))  # whole numbers: IoU on the threshold, no area
    scores = rng.integers(0, 50, (batch, number)) / 64  # many are equal
    return np.concatenate([corner, corner + size], -1).astype("f"), scores.astype("f")


def _nms(boxes, scores, threshold):
    order, keep = list(np.argsort(-scores, kind="stable")), []
    iou = np.asarray(box_iou(boxes, boxes))
    while order:
        best = order.pop(0)
        keep.append(best)
        order = [i for i in order if iou[best, i] <= np.float32(threshold)]
    return keep


def _detection(probs, offsets, anchors, nms_threshold=0.5, pos_threshold=0.009999999):
    rows = []
    for p, o in zip(probs, offsets, strict=True):
        confidence, kind = p[1:].max(0), p[1:].argmax(0)
        boxes = np.asarray(offset_inverse(anchors, o.reshape(-1, 4)))
        keep = _nms(boxes, confidence, nms_threshold)
        rest = [i for i in range(len(anchors)) if i not in set(keep)]
        kind[rest] = -1
        order = keep + rest
        kind, confidence, boxes = kind[order], confidence[order], boxes[order]
        low = confidence < pos_threshold
        kind[low], confidence[low] = -1, 1 - confidence[low]
        rows.append(np.concatenate([kind[:, None], confidence[:, None], boxes], 1))
    return np.stack(rows)


def test_detections_of_the_book(way):
    out = multibox_detection(PROBS[None], np.zeros((1, 16), "f"), ANCHORS[None])
    expected = [
        [0, 0.9, 0.1, 0.08, 0.52, 0.92],
        [1, 0.9, 0.55, 0.2, 0.9, 0.88],
        [-1, 0.8, 0.08, 0.2, 0.56, 0.95],
        [-1, 0.7, 0.15, 0.3, 0.62, 0.91],
    ]
    np.testing.assert_allclose(out[0], expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("number", [1, 7, 200])
def test_what_stays_is_what_the_loop_keeps(way, number, threshold):
    boxes, scores = _boxes(3, number, number)
    keep = np.asarray(non_max_suppression(boxes, scores, threshold))
    for i in range(3):
        expected = _nms(boxes[i], scores[i], threshold)
        assert list(np.nonzero(keep[i])[0]) == sorted(expected)
        assert list(np.asarray(nms(boxes[i], scores[i], threshold))) == expected


def test_boxes_of_other_classes_do_not_compete(way):
    boxes, scores = _boxes(2, 90)
    kinds = np.random.default_rng(1).integers(0, 4, (2, 90))
    keep = np.asarray(non_max_suppression(boxes, scores, 0.4, class_ids=kinds, score_threshold=0.2))
    expected = np.zeros_like(keep)
    for i in range(2):
        for kind in range(4):
            mine = np.nonzero((kinds[i] == kind) & (scores[i] > 0.2))[0]
            expected[i, mine[_nms(boxes[i, mine], scores[i, mine], 0.4)]] = True
    np.testing.assert_array_equal(keep, expected)


def test_detections_are_those_of_the_loop_for_any_batch(way):
    rng = np.random.default_rng(3)
    anchors = np.asarray(multibox_prior(np.zeros((6, 6, 1)), [0.3, 0.5], [1, 2]))[0]
    logits = rng.normal(size=(5, 3, len(anchors)))
    logits[:, 0] += 4 * (rng.random((5, len(anchors))) < 0.3)  # some are below pos_threshold
    probs = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype("f")
    offsets = rng.normal(size=(5, 4 * len(anchors))).astype("f")
    graph = tf.function(
        lambda p, o: multibox_detection(p, o, anchors[None], 0.4, 0.05),
        input_signature=[tf.TensorSpec((None, 3, None)), tf.TensorSpec((None, None))],
    )
    expected = _detection(probs, offsets, anchors, 0.4, 0.05)
    assert (expected[..., 0] >= 0).any() and (expected[..., 1] > 0.95).any()
    eager = multibox_detection(probs, offsets, anchors[None], 0.4, 0.05)
    for out in (eager, graph(probs, offsets)):
        np.testing.assert_allclose(out, expected, atol=1e-5)
    assert graph(probs[:0], offsets[:0]).shape == (0, len(anchors), 6)


def test_gradients_reach_offsets_and_probabilities(way):
    probs, offsets = tf.constant(PROBS[None]), tf.zeros((1, 16))
    with tf.GradientTape() as tape:
        tape.watch([probs, offsets])
        total = tf.reduce_sum(multibox_detection(probs, offsets, ANCHORS[None]))
    for gradient in tape.gradient(total, [probs, offsets]):
        assert np.isfinite(gradient).all() and np.any(gradient)


def test_nothing_to_suppress(way):
    assert non_max_suppression(np.zeros((2, 0, 4)), np.zeros((2, 0)), 0.5).shape == (2, 0)
    assert nms(np.zeros((0, 4)), np.zeros((0,)), 0.5).shape == (0,)


def test_shapes_and_thresholds_are_checked():
    with pytest.raises(ValueError, match=r"`boxes` must be \(B, N, 4\)"):
        non_max_suppression(np.zeros((3, 4)), np.zeros((3,)), 0.5)
    with pytest.raises(ValueError, match="`iou_threshold` must be at least 0"):
        non_max_suppression(np.zeros((1, 3, 4)), np.zeros((1, 3)), -0.5)
    with pytest.raises(ValueError, match=r"`boxes` must be \(N, 4\)"):
        nms(np.zeros((1, 3, 4)), np.zeros((3,)), 0.5)
    with pytest.raises(ValueError, match=r"`cls_probs` must be \(B, K \+ 1, A\)"):
        multibox_detection(PROBS, np.zeros((16,)), ANCHORS)
    with pytest.raises(ValueError, match="`nms_threshold` must be at least 0"):
        multibox_detection(PROBS[None], np.zeros((1, 16)), ANCHORS, -1)


def test_another_threshold_or_size_makes_no_new_graph_each_time():
    traces = []

    @suppression.as_one_graph
    def function(boxes, threshold):
        traces.append(boxes.shape)
        return boxes * threshold

    for size in range(2, 12):
        result = function(tf.ones((size, 4)), size / 10)
        np.testing.assert_allclose(result, np.full((size, 4), size / 10), rtol=1e-6)
    assert len(traces) <= 2
