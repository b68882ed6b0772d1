"""COCO's average precision: values by hand, values of pycocotools, odd input."""

import numpy as np
import pytest

from kerasd2l.metrics import average_precision

TWO = [[0, 0, 0, 2, 2], [0, 5, 5, 7, 7]]


def _ap(labels, detections, num_classes=1, **more):
    return average_precision(labels, detections, num_classes, **more).tolist()


def test_all_found():
    assert _ap([TWO], [[[0, 0.9, *TWO[0][1:]], [0, 0.8, *TWO[1][1:]]]]) == [pytest.approx(1)]


def test_a_wrong_one_in_front_halves_the_precision():
    wrong = [0, 0.95, 10, 10, 12, 12]
    found = [[0, 0.9, *TWO[0][1:]], [0, 0.8, *TWO[1][1:]]]
    # precisions 0, 1/2, 2/3: the best at any recall is 2/3
    assert _ap([TWO], [[wrong, *found]]) == [pytest.approx(2 / 3)]
    # only the first is found: 1/2 at recalls up to 0.5, which are 51 of 101
    assert _ap([TWO], [[wrong, found[0]]]) == [pytest.approx(51 / 101 / 2)]


def test_an_object_is_found_once():
    twice = [[0, 0.9, 0, 0, 2, 2], [0, 0.8, 0, 0, 2, 2], [0, 0.7, 5, 5, 7, 7]]
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert _ap([TWO], [twice]) == [pytest.approx(expected)]


def test_pictures_classes_and_thresholds():
    labels = [TWO, [[1, 0, 0, 4, 4]], []]
    # the second picture's detection overlaps its object by 3/4
    detections = [[[0, 0.9, 0, 0, 2, 2], [1, 0.9, 5, 5, 7, 7]], [[1, 0.95, 0, 0, 4, 3]], []]
    first, second, third = _ap(labels, detections, 3)
    assert first == pytest.approx(51 / 101) and second == pytest.approx(1) and np.isnan(third)
    assert _ap(labels, detections, 3, iou_threshold=0.8)[1] == 0
    assert _ap(labels, detections, 3, iou_threshold=0.75)[1] == pytest.approx(1)


def test_values_of_pycocotools():
    rng = np.random.default_rng(0)
    labels, detections = [], []
    for _ in range(5):
        corner = rng.integers(0, 20, (4, 2))
        boxes = np.concatenate([corner, corner + rng.integers(2, 12, (4, 2))], 1)
        labels.append(np.concatenate([rng.integers(0, 2, (4, 1)), boxes], 1))
        moved = boxes + rng.integers(-1, 2, (4, 4))
        scores = rng.integers(1, 20, (4, 1)) / 20
        detections.append(np.concatenate([labels[-1][:, :1], scores, moved], 1))
    pycocotools = {  # 2.0.11
        0.5: [0.5956152758132952, 1.0],
        0.65: [0.27864214992927894, 0.7199434229137186],
        0.75: [0.14191419141914197, 0.30127298444130146],
    }
    for threshold, expected in pycocotools.items():
        np.testing.assert_allclose(
            average_precision(labels, detections, 2, iou_threshold=threshold), expected, atol=1e-9
        )


def test_padding_and_suppressed_boxes_do_not_count():
    labels = [[*TWO, [-1, -1, -1, -1, -1]]]
    detections = [[[-1, 0.99, 9, 9, 10, 10], [0, 0.9, 0, 0, 2, 2], [0, 0.8, 5, 5, 7, 7]]]
    assert _ap(labels, detections) == [pytest.approx(1)]


def test_only_the_surest_count():
    many = [[0, 0.9 - i / 1000, 10, 10, 12, 12] for i in range(3)] + [[0, 0.5, 0, 0, 2, 2]]
    assert _ap([TWO[:1]], [many], max_detections=3) == [0]
    assert _ap([TWO[:1]], [many], max_detections=4) == [pytest.approx(1 / 4)]


def test_nothing_found_and_nothing_there():
    assert _ap([TWO], [[]]) == [0]
    assert np.isnan(_ap([[]], [[[0, 0.9, 0, 0, 1, 1]]])[0])


def test_odd_input_is_refused():
    with pytest.raises(ValueError, match=r"of the same pictures.*1 and 2 pictures"):
        average_precision([TWO], [[], []], 1)
    with pytest.raises(ValueError, match=r"`detections` must be \(n, 6\)"):
        average_precision([TWO], [TWO], 1)
