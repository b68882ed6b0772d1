"""Cells of a grid: boxes as YOLO writes them, and which cell has to find which object.

A prior is (x, y, w, h, a, b): the upper left corner of a cell, its width and height, and the width
and height of a box that is usual in the data; all as parts of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from kerasd2l.layers.boxes import as_boxes, box_center_to_corner, box_corner_to_center
from kerasd2l.layers.cpu import as_one_graph

_MOST_LOG = 4.0  # a box is at most exp(4), 55 times, as wide and high as its prior


def cell_priors(data: Any, shapes: Sequence[Sequence[float]]) -> Any:
    """Lay a grid over a picture, a cell for each pixel of a map, and n shapes into each cell.

    Section: "ssd", as `multibox_prior`, but for boxes whose centre lies anywhere in the cell.

    Args:
        data: (..., H, W, C), a feature map. H and W may be unknown.
        shapes: n pairs of floats > 0, width and height as parts of the picture's.

    Returns:
        (1, H * W * n, 6) float, row by row, cell by cell.

    Raises:
        ValueError: no shape, or one that is not two positive numbers; data with fewer than three
            axes.

    Example:
        >>> cell_priors(ops.zeros((1, 2, 2, 3)), [[0.25, 0.75]])[0, 1].numpy().tolist()
        [0.5, 0.0, 0.5, 0.5, 0.25, 0.75]
    """
    sizes = np.asarray(shapes, "float32")
    if sizes.ndim != 2 or sizes.shape[1] != 2 or not np.all((sizes > 0) & np.isfinite(sizes)):
        raise ValueError(f"`shapes` must be pairs of positive numbers. Received: shapes={shapes}.")
    if len(data.shape) < 3:
        raise ValueError(
            "`data` must be maps (..., H, W, C). "
            f"Received: shape {tuple(data.shape)}. Add an axis for the channels."
        )
    height, width = ops.shape(data)[-3:-1]
    rows, columns = (ops.cast(n, "float32") for n in (height, width))
    x = (ops.arange(width, dtype="float32") / columns)[None, :, None]
    y = (ops.arange(height, dtype="float32") / rows)[:, None, None]
    numbers = (x, y, 1 / columns, 1 / rows, sizes[:, 0], sizes[:, 1])
    shape = (height, width, len(sizes))
    return ops.reshape(ops.stack([ops.broadcast_to(n, shape) for n in numbers], -1), (1, -1, 6))


def cell_boxes(priors: Any, offsets: Any) -> Any:
    """Turn priors and predicted offsets into predicted boxes, each with its centre in its cell.

    c = cell + sigmoid(o_xy) size_cell, size = shape exp(o_wh). Section: "ssd". o_wh above 4 count
    as 4, which keeps boxes finite.

    Args:
        priors: (..., A, 6) numbers, as `cell_priors` makes them.
        offsets: (..., A, 4) float.

    Returns:
        (..., A, 4) float32, corners.

    Raises:
        ValueError: the last axis has another size.

    Example:
        >>> cell_boxes([[0.0, 0.0, 0.5, 0.5, 0.5, 0.25]], [[0.0, 0, 0, 0]]).numpy().tolist()
        [[0.0, 0.125, 0.5, 0.375]]

    Reference:
        Redmon, Farhadi, YOLOv3: an incremental improvement, 2018.
    """
    priors, offsets = as_boxes(priors, "priors", 6), as_boxes(offsets, "offsets")
    centers = priors[..., :2] + ops.sigmoid(offsets[..., :2]) * priors[..., 2:4]
    sizes = priors[..., 4:] * ops.exp(ops.minimum(offsets[..., 2:], _MOST_LOG))
    return box_center_to_corner(ops.concatenate((centers, sizes), axis=-1))


def cell_offsets(priors: Any, boxes: Any) -> Any:
    """Compute what a network must predict of boxes, the first two numbers after the sigmoid.

    (c_box - cell) / size_cell and log(size_box / shape). Section: "ssd". `cell_boxes` undoes it.

    Args:
        priors: (..., A, 6) numbers.
        boxes: (..., A, 4) numbers, corners of the box of each prior.

    Returns:
        (..., A, 4) float32; the first two are in [0, 1] for a box whose centre is in the cell.

    Raises:
        ValueError: the last axis has another size.

    Example:
        >>> prior = [[0.0, 0.0, 0.5, 0.5, 0.5, 0.25]]
        >>> cell_offsets(prior, [[0.0, 0.125, 0.5, 0.375]]).numpy().tolist()
        [[0.5, 0.5, 0.0, 0.0]]
    """
    priors, boxes = as_boxes(priors, "priors", 6), box_corner_to_center(boxes)
    places = (boxes[..., :2] - priors[..., :2]) / priors[..., 2:4]
    sizes = ops.log(ops.maximum(boxes[..., 2:], 1e-6) / priors[..., 4:])
    return ops.concatenate((places, sizes), axis=-1)


def shape_iou(sizes1: Any, sizes2: Any) -> Any:
    """Compute how much boxes would overlap if they had the same centre.

    IoU = m / (a + b - m), areas; m has the lesser width and height. Section: "ssd".

    Args:
        sizes1: (..., N, 2) numbers, widths and heights.
        sizes2: (..., M, 2) numbers; the axes in front are those of sizes1 or broadcast.

    Returns:
        (..., N, M) float32 in [0, 1]; 0 for a box without area.

    Raises:
        ValueError: the last axis has not two numbers.

    Example:
        >>> shape_iou([[2, 2]], [[2, 1], [4, 4]]).numpy().tolist()
        [[0.5, 0.25]]
    """
    one = as_boxes(sizes1, "sizes1", 2)[..., :, None, :]
    other = as_boxes(sizes2, "sizes2", 2)[..., None, :, :]
    shared = ops.prod(ops.relu(ops.minimum(one, other)), axis=-1)
    union = ops.prod(ops.relu(one), axis=-1) + ops.prod(ops.relu(other), axis=-1) - shared
    return shared / ops.where(union > 0, union, ops.ones_like(union))


def cell_target(priors: Any, labels: Any) -> Any:
    """Say which object each prior of each picture has to find: -1 is none.

    Of the cells that the object's centre lies in, one of each grid, and of the shapes there, an
    object takes the shape that is likest to its own (`shape_iou`). Of objects that take the same
    prior the likest one has it, the others have none. Section: "ssd". Rows of `labels` that are no
    object are passed over: a negative class, no area, or numbers that are not finite.

    Args:
        priors: (1, A, 6) or (A, 6) numbers, as `cell_priors` makes them, of one or more grids.
        labels: (B, G, 5) numbers: class, x1, y1, x2, y2; rows of -1 fill up pictures with fewer
            objects. G may be 0 or unknown.

    Returns:
        (B, A) int32: numbers of objects, or -1.

    Raises:
        ValueError: shapes that are not those above.

    Example:
        >>> priors = cell_priors(ops.zeros((1, 1, 2, 3)), [[0.2, 0.2], [0.5, 0.5]])
        >>> cell_target(priors, [[[3, 0.5, 0.3, 0.9, 0.7]]]).numpy().tolist()
        [[-1, -1, -1, 0]]

    Reference:
        Redmon, Farhadi, YOLOv3: an incremental improvement, 2018.
    """
    priors, labels = as_boxes(priors, "priors", 6), as_boxes(labels, "labels", 5)
    if len(priors.shape) == 3 and priors.shape[0] == 1:
        priors = priors[0]
    if len(labels.shape) != 3 or len(priors.shape) != 2:
        raise ValueError(
            "`priors` must be (1, A, 6) or (A, 6) and `labels` (B, G, 5). "
            f"Received: shapes {tuple(priors.shape)} and {tuple(labels.shape)}."
        )
    return _target(priors, labels)


def in_cells(priors: Any, boxes: Any) -> Any:
    """Say which cells the centre of each box lies in: one of each grid.

    A centre outside the picture belongs to the cell at the edge.

    Args:
        priors: (A, 6) numbers, as `cell_priors` makes them.
        boxes: (..., G, 4) numbers, corners.

    Returns:
        (..., G, A) bool.

    Example:
        >>> priors = cell_priors(ops.zeros((1, 1, 2, 3)), [[1.0, 1.0]])[0]
        >>> in_cells(priors, [[0.5, 0.0, 0.5, 1.0], [0.9, 0.0, 1.1, 2.0]]).numpy().tolist()
        [[False, True], [False, True]]
    """
    priors = as_boxes(priors, "priors", 6)
    cells = priors[:, 2:4]
    centers = ops.clip(box_corner_to_center(boxes)[..., None, :2], 0.0, 1 - 1e-6)
    here = ops.floor(centers / cells) == ops.round(priors[:, :2] / cells)  # (..., G, A, 2)
    return ops.all(here, axis=-1)


def real_objects(labels: Any) -> tuple[Any, Any]:
    """Tell objects from rows that fill up: labels (B, G, 5), 0 where there is none; (B, G) bool."""
    real = (labels[..., 0] >= 0) & ops.all(ops.isfinite(labels), axis=-1)
    real = real & ops.all(labels[..., 3:] > labels[..., 1:3], axis=-1)
    return ops.where(real[..., None], labels, ops.zeros_like(labels)), real


def with_one_more(x: Any) -> Any:
    """Add a row of zeros to (B, G, ...): where G is 0 there is one to look at."""
    return ops.pad(x, ((0, 0), (0, 1), *[(0, 0)] * (len(x.shape) - 2)))


@as_one_graph
def _target(priors, labels):
    if not labels.shape[1]:  # unknown or 0: the maximum needs an object to begin with
        labels = ops.pad(labels, ((0, 0), (0, 1), (0, 0)), constant_values=-1)
    labels, real = real_objects(labels)
    likeness = shape_iou(labels[..., 3:] - labels[..., 1:3], priors[:, 4:])  # (B, G, A)
    likeness = ops.where(in_cells(priors, labels[..., 1:]) & real[..., None], likeness, 0.0)
    best = ops.cast(ops.argmax(likeness, axis=-1), "int32")  # (B, G)
    taken = ops.arange(ops.shape(priors)[0], dtype="int32") == best[..., None]
    likeness = ops.where(taken, likeness, 0.0)
    number = ops.cast(ops.argmax(likeness, axis=1), "int32")  # (B, A)
    return ops.where(ops.max(likeness, axis=1) > 0, number, -1)
