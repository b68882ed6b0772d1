"""Cells: priors, boxes in cells and their inverse, matching as a loop over objects does it."""

import numpy as np
import pytest
from keras import ops

from kerasd2l import layers

SHAPES = [[0.1, 0.3], [0.4, 0.2]]


def test_priors_by_hand():
    priors = np.asarray(layers.cell_priors(np.zeros((5, 2, 4, 3)), SHAPES))
    assert priors.shape == (1, 2 * 4 * 2, 6)
    row, column, shape = 1, 3, 0
    expected = [3 / 4, 1 / 2, 1 / 4, 1 / 2, 0.1, 0.3]
    np.testing.assert_allclose(priors[0, (row * 4 + column) * 2 + shape], expected)


def test_boxes_are_the_papers_formula():
    rng = np.random.default_rng(0)
    priors = np.asarray(layers.cell_priors(np.zeros((4, 4, 3)), SHAPES))
    t = rng.normal(size=(2, priors.shape[1], 4))
    x, y, w, h, a, b = np.moveaxis(priors, -1, 0)
    cx, cy = (p + s / (1 + np.exp(-t[..., i])) for i, (p, s) in enumerate(((x, w), (y, h))))
    bw, bh = a * np.exp(t[..., 2]), b * np.exp(t[..., 3])
    expected = np.stack([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2], -1)
    boxes = layers.cell_boxes(priors, t)
    np.testing.assert_allclose(boxes, expected, atol=1e-5)
    back = np.asarray(layers.cell_offsets(priors, boxes))
    np.testing.assert_allclose(back[..., :2], 1 / (1 + np.exp(-t[..., :2])), atol=1e-5)
    np.testing.assert_allclose(back[..., 2:], t[..., 2:], atol=1e-4)
    assert np.isfinite(layers.cell_boxes(priors, t + 1e6)).all()


def test_likeness_of_shapes():
    sizes = np.random.default_rng(0).random((5, 2)) + 0.1
    corners = np.concatenate([-sizes / 2, sizes / 2], 1)  # one centre
    np.testing.assert_allclose(
        layers.shape_iou(sizes, sizes[:3]), layers.box_iou(corners, corners[:3]), rtol=1e-5
    )
    assert float(layers.shape_iou([[0.0, 0.0]], [[0.0, 1.0]])[0, 0]) == 0


def matched(grids, shapes, rows):
    """Match as a program with loops would: number of the object by (grid, row, column, shape)."""
    sizes = np.concatenate(shapes)
    owner, best = {}, {}
    for number, (kind, x1, y1, x2, y2) in enumerate(rows):
        if kind < 0 or x2 <= x1 or y2 <= y1:
            continue
        w, h = x2 - x1, y2 - y1
        shared = np.minimum(sizes[:, 0], w) * np.minimum(sizes[:, 1], h)
        likeness = shared / (w * h + sizes.prod(1) - shared)
        chosen = int(np.argmax(likeness))
        grid, shape = divmod(chosen, len(shapes[0]))
        height, width = grids[grid]
        column, row = int((x1 + x2) / 2 * width), int((y1 + y2) / 2 * height)
        place = (grid, min(row, height - 1), min(column, width - 1), shape)
        if likeness[chosen] > best.get(place, 0):
            owner[place], best[place] = number, likeness[chosen]
    return owner


def test_matching_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    grids = [(6, 8), (3, 4)]
    shapes = [np.array([[0.06, 0.05], [0.1, 0.2]]), np.array([[0.3, 0.2], [0.5, 0.6]])]
    maps = [np.zeros((1, *grid, 1)) for grid in grids]
    parts = [layers.cell_priors(x, s) for x, s in zip(maps, shapes, strict=True)]
    priors = ops.concatenate(parts, axis=1)
    corner = rng.random((50, 9, 2)) * 0.8
    sizes = rng.choice([0.05, 0.1, 0.3, 0.6], (50, 9, 2)) * rng.uniform(0.8, 1.2, (50, 9, 2))
    kinds = rng.integers(-1, 3, (50, 9, 1))
    corners = np.concatenate([corner, np.minimum(corner + sizes, 1)], -1)
    labels = np.concatenate([kinds, corners], -1).astype("float32")
    found = np.asarray(layers.cell_target(priors, labels))
    shared = 0
    for rows, numbers in zip(labels, found, strict=True):
        owner = matched(grids, shapes, rows)
        expected = np.full(len(numbers), -1)
        for (grid, row, column, shape), number in owner.items():
            before = grid * grids[0][0] * grids[0][1] * 2
            expected[before + (row * grids[grid][1] + column) * 2 + shape] = number
        np.testing.assert_array_equal(numbers, expected)
        shared += int((rows[:, 0] >= 0).sum()) - len(owner)
    assert shared > 0  # some objects wanted the same prior


def test_edges_and_rows_that_are_no_object():
    priors = layers.cell_priors(np.zeros((3, 3, 1)), [[0.2, 0.2]])
    corner = [0, 0.9, 0.9, 1.1, 1.1]  # its centre is the picture's last corner
    assert np.asarray(layers.cell_target(priors, [[corner]]))[0].argmax() == 8
    odd = [[-1, 0, 0, 1, 1], [0, 0.5, 0.5, 0.5, 0.9], [0, np.nan, 0, 1, 1]]
    assert (np.asarray(layers.cell_target(priors, [odd])) == -1).all()
    assert (np.asarray(layers.cell_target(priors, np.zeros((2, 0, 5)))) == -1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.cell_priors(np.zeros((2, 2, 1)), [[0.1, 0.0]]), "pairs of positive"),
        (lambda: layers.cell_priors(np.zeros((2, 2, 1)), [0.1, 0.2]), "pairs of positive"),
        (lambda: layers.cell_priors(np.zeros((2, 2)), [[0.1, 0.2]]), r"`data` must be maps"),
        (lambda: layers.cell_boxes(np.zeros((3, 4)), np.zeros((3, 4))), "`priors` must have 6"),
        (lambda: layers.cell_target(np.zeros((3, 6)), np.zeros((3, 5))), r"`labels` \(B, G, 5\)"),
        (lambda: layers.shape_iou([1.0], [[1.0, 1.0]]), "`sizes1` must have 2 numbers"),
    ],
)
def test_wrong_shapes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
