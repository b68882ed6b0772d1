"""The usual shapes of boxes: groups are found, rounds end where k-means ends, odd input."""

import numpy as np
import pytest

from kerasd2l.data.box_shapes import usual_shapes


def labels_of(sizes):
    corner = np.zeros_like(sizes)
    return np.concatenate([np.zeros((len(sizes), 1)), corner, sizes], 1)


def overlap(sizes, shapes):
    shared = np.minimum(sizes[:, None], shapes).prod(-1)
    return shared / (sizes.prod(1)[:, None] + shapes.prod(1) - shared)


def test_groups_are_found():
    rng = np.random.default_rng(0)
    middles = np.array([[0.05, 0.1], [0.2, 0.1], [0.3, 0.6]])
    sizes = np.repeat(middles, 50, axis=0) * rng.uniform(0.95, 1.05, (150, 2))
    shapes = usual_shapes(rng.permutation(labels_of(sizes)).reshape(5, 30, 5), 3)
    np.testing.assert_allclose(shapes, middles, rtol=0.02)


def test_each_shape_is_the_mean_of_its_boxes_and_more_shapes_fit_better():
    sizes = np.random.default_rng(1).uniform(0.02, 0.5, (300, 2))
    fit = []
    for count in (1, 3, 9):
        shapes = usual_shapes(labels_of(sizes), count)
        nearest = overlap(sizes, shapes).argmax(1)
        for i in range(count):
            np.testing.assert_allclose(shapes[i], sizes[nearest == i].mean(0))
        fit.append(overlap(sizes, shapes).max(1).mean())
    assert fit[0] < fit[1] < fit[2] and fit[2] > 0.6


def test_few_boxes_and_none():
    one = labels_of(np.array([[0.25, 0.5]]))
    np.testing.assert_allclose(usual_shapes(one, 4), [[0.25, 0.5]] * 4)
    for rows in (np.full((2, 5), -1.0), np.zeros((0, 5)), [[0, 0.5, 0.5, 0.5, 1.0]]):
        with pytest.raises(ValueError, match="must have an object"):
            usual_shapes(rows, 3)
    with pytest.raises(ValueError, match="`count` must be at least 1"):
        usual_shapes(one, 0)
    with pytest.raises(ValueError, match=r"must be \(..., 5\) numbers"):
        usual_shapes(np.zeros((3, 4)), 1)
