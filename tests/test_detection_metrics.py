"""COCO's figures by pycocotools are those that we compute ourselves."""

import numpy as np
import pytest

from kerasd2l.metrics import average_precision

pytest.importorskip("pycocotools")

from kerasd2l.detection_metrics import coco_average_precision


def random_pictures(seed, num_classes):
    """Objects, boxes near them and boxes anywhere."""
    rng = np.random.default_rng(seed)

    def boxes(number):
        corner = rng.random((number, 2)) * 0.7
        return np.concatenate([corner, corner + 0.02 + rng.random((number, 2)) * 0.3], 1)

    labels, detections = [], []
    for _ in range(rng.integers(1, 8)):
        objects = boxes(rng.integers(0, 6))
        kinds = rng.integers(0, num_classes, (len(objects), 1))
        labels.append(np.concatenate([kinds, objects], 1))
        wrong = boxes(rng.integers(0, 5))
        found = np.concatenate([objects + rng.normal(0, 0.02, objects.shape), wrong])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 0.001)
        kinds = np.concatenate([kinds, rng.integers(0, num_classes, (len(wrong), 1))])
        detections.append(np.concatenate([kinds, rng.random((len(found), 1)), found], 1))
    return labels, detections


def test_ours_at_each_overlap_is_pycocotools():
    for seed in range(60):
        labels, detections = random_pictures(seed, 3)
        theirs = coco_average_precision(labels, detections, 3)
        for row, threshold in zip(theirs, np.linspace(0.5, 0.95, 10), strict=True):
            ours = average_precision(labels, detections, 3, iou_threshold=threshold)
            np.testing.assert_allclose(ours, row, atol=1e-12)


def test_by_hand(capfd):
    # IoU 0.8: right at seven of the ten overlaps; the second object is missed
    labels = [[[1, 0, 0, 1, 1], [1, 0.5, 0.5, 1, 1], [-1] * 5]]
    detections = [[[1, 0.9, 0, 0, 1, 0.8], [-1, 0, 0, 0, 0, 0]]]
    found = coco_average_precision(labels, detections, 2)
    assert np.isnan(found[:, 0]).all()
    np.testing.assert_allclose(found[:, 1], [51 / 101] * 7 + [0] * 3)
    assert capfd.readouterr() == ("", "")


def test_nothing_there_and_nothing_found():
    one, nothing = [[[0, 0, 0, 1, 1]]], [np.zeros((0, 6))]
    missed = coco_average_precision(one, nothing, 2)
    assert (missed[:, 0] == 0).all() and np.isnan(missed[:, 1]).all()
    assert np.isnan(coco_average_precision([[[-1] * 5]], [[[0, 0.5, 0, 0, 1, 1]]], 1)).all()
    with pytest.raises(ValueError, match="Received: 1 and 0 pictures"):
        coco_average_precision(one, [], 1)
