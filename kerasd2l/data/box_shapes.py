"""Which widths and heights boxes have: the shapes that a detector begins from."""

from __future__ import annotations

from typing import Any

import numpy as np

_MOST_ROUNDS = 300


def usual_shapes(labels: Any, count: int = 9) -> np.ndarray:
    """Find the usual shapes of boxes: k-means of widths and heights, far is 1 - IoU.

    A shape is the mean of the boxes that it overlaps more than the other shapes do, all with one
    centre. It begins with boxes of evenly spaced areas, and has no chance in it. Section: "ssd".

    Args:
        labels: (..., 5) numbers: class, x1, y1, x2, y2 of each object; rows with a negative class
            or without area are no object.
        count: int >= 1, shapes.

    Returns:
        (count, 2) float64, width and height, the smallest area first. With fewer different boxes
        than shapes some shapes are the same.

    Raises:
        ValueError: no object, a count below 1, or labels of another shape.

    Example:
        >>> labels = [[0, 0, 0, 0.1, 0.3], [0, 0, 0, 0.1, 0.1], [0, 0.2, 0.2, 0.4, 0.5]]
        >>> usual_shapes(labels, 2).round(2).tolist()
        [[0.1, 0.1], [0.15, 0.3]]

    Reference:
        Redmon, Farhadi, YOLO9000: better, faster, stronger, 2017.
    """
    rows = np.asarray(labels, "float64")
    if rows.ndim < 1 or rows.shape[-1] != 5:
        raise ValueError(f"`labels` must be (..., 5) numbers. Received: shape {rows.shape}.")
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}.")
    rows = rows.reshape(-1, 5)
    sizes = rows[:, 3:] - rows[:, 1:3]
    sizes = sizes[(rows[:, 0] >= 0) & np.all(np.isfinite(sizes) & (sizes > 0), axis=1)]
    if not len(sizes):
        raise ValueError("`labels` must have an object. Received: none with a class and an area.")
    sizes = sizes[np.argsort(sizes.prod(axis=1), kind="stable")]
    shapes = sizes[((np.arange(count) + 0.5) / count * len(sizes)).astype(int)]
    nearest = np.full(len(sizes), -1)
    for _ in range(_MOST_ROUNDS):
        before, nearest = nearest, np.argmax(_overlap(sizes, shapes), axis=1)
        if np.array_equal(before, nearest):
            break
        for i in np.unique(nearest):
            shapes[i] = sizes[nearest == i].mean(axis=0)
    return shapes[np.argsort(shapes.prod(axis=1), kind="stable")]


def _overlap(sizes: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Return the IoU of boxes with one centre: (N, 2) and (M, 2) give (N, M)."""
    shared = np.minimum(sizes[:, None], shapes[None]).prod(axis=-1)
    return shared / (sizes.prod(axis=1)[:, None] + shapes.prod(axis=1) - shared)
