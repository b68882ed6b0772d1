"""Boxes: their two ways to be written, how much two of them overlap, and offsets between them.

A box is (x1, y1, x2, y2), its upper left and lower right corner, x to the right and y downwards, in
pixels or as parts of the picture; or (cx, cy, w, h), its centre, width and height.
"""

from __future__ import annotations

from typing import Any

from keras import ops


def box_corner_to_center(boxes: Any) -> Any:
    """Turn (x1, y1, x2, y2) into (cx, cy, w, h).

    c = (p1 + p2) / 2, size = p2 - p1. Section: "bounding-box".

    Args:
        boxes: (..., 4) numbers.

    Returns:
        (..., 4) float32.

    Raises:
        ValueError: the last axis has not four numbers.

    Example:
        >>> box_corner_to_center([[60, 45, 378, 516]]).numpy().tolist()
        [[219.0, 280.5, 318.0, 471.0]]
    """
    x1, y1, x2, y2 = columns_of(boxes)
    return ops.stack(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), axis=-1)


def box_center_to_corner(boxes: Any) -> Any:
    """Turn (cx, cy, w, h) into (x1, y1, x2, y2).

    p = c -+ size / 2. Section: "bounding-box".

    Args:
        boxes: (..., 4) numbers.

    Returns:
        (..., 4) float32.

    Raises:
        ValueError: the last axis has not four numbers.

    Example:
        >>> box_center_to_corner([[219, 280.5, 318, 471]]).numpy().tolist()
        [[60.0, 45.0, 378.0, 516.0]]
    """
    cx, cy, w, h = columns_of(boxes)
    return ops.stack((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), axis=-1)


def box_iou(boxes1: Any, boxes2: Any) -> Any:
    """Compute how much each box of one set overlaps each box of another: 0 apart, 1 the same.

    IoU(a, b) = |a and b| / |a or b|, areas. Section: "anchor". A box without area overlaps nothing,
    itself neither.

    Args:
        boxes1: (..., N, 4) numbers, corners.
        boxes2: (..., M, 4) numbers, corners; the axes in front are those of boxes1 or broadcast.

    Returns:
        (..., N, M) float32 in [0, 1].

    Raises:
        ValueError: the last axis has not four numbers.

    Example:
        >>> box_iou([[0, 0, 2, 2]], [[0, 0, 2, 1], [1, 1, 3, 3], [5, 5, 6, 6]]).numpy().round(4)
        array([[0.5   , 0.1429, 0.    ]], dtype=float32)
    """
    one = [column[..., :, None] for column in columns_of(boxes1)]
    other = [column[..., None, :] for column in columns_of(boxes2)]
    intersection = intersection_of_columns(one, other)
    area = area_of_columns(one)
    area = ops.where(area > 0, area, ops.ones_like(area))  # 0 / 1 for a box without area, not 0 / 0
    return intersection / (area + area_of_columns(other) - intersection)


def intersection_of_columns(one: Any, other: Any) -> Any:
    """Compute the area that boxes share; their four coordinates are arrays that broadcast."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = one, other
    width = ops.relu(ops.minimum(x2, u2) - ops.maximum(x1, u1))
    return width * ops.relu(ops.minimum(y2, v2) - ops.maximum(y1, v1))


def area_of_columns(boxes: Any) -> Any:
    """Compute the areas of boxes given by four arrays; a box whose corners are swapped has none."""
    x1, y1, x2, y2 = boxes
    return ops.relu(x2 - x1) * ops.relu(y2 - y1)


def offset_boxes(anchors: Any, assigned_bb: Any, eps: float = 1e-6) -> Any:
    """Compute what a network must predict to turn anchors into the boxes assigned to them.

    10 (c_box - c_anchor) / size_anchor and 5 log(eps + size_box / size_anchor): numbers of about
    the same spread. Section: "anchor". `offset_inverse` undoes it.

    Args:
        anchors: (..., A, 4) numbers, corners.
        assigned_bb: (..., A, 4) numbers, corners of the box of each anchor.
        eps: float, keeps the logarithm of a box without size finite. Default: 1e-6.

    Returns:
        (..., A, 4) float32; 0 for an anchor without area, from which no box can be reached.

    Raises:
        ValueError: the last axis has not four numbers.

    Example:
        >>> offset_boxes([[0, 0, 2, 2]], [[1, 0, 3, 2]]).numpy().round(2).tolist()
        [[5.0, 0.0, 0.0, 0.0]]
    """
    u1, v1, u2, v2 = columns_of(anchors)
    x1, y1, x2, y2 = columns_of(assigned_bb)
    flat = (u2 <= u1) | (v2 <= v1)
    offsets = []
    for a1, a2, b1, b2 in ((u1, u2, x1, x2), (v1, v2, y1, y2)):
        size = ops.where(flat, 1.0, a2 - a1)
        shift = 10 * ((b1 + b2) / 2 - (a1 + a2) / 2) / size
        growth = 5 * ops.log(eps + ops.relu(b2 - b1) / size)
        offsets.append([ops.where(flat, 0.0, x) for x in (shift, growth)])
    (x, w), (y, h) = offsets
    return ops.stack((x, y, w, h), axis=-1)


def offset_inverse(anchors: Any, offset_preds: Any) -> Any:
    """Turn anchors and predicted offsets into predicted boxes.

    c = c_anchor + o_xy size_anchor / 10, size = size_anchor exp(o_wh / 5). Section: "anchor".

    Args:
        anchors: (..., A, 4) numbers, corners.
        offset_preds: (..., A, 4) float.

    Returns:
        (..., A, 4) float32, corners.

    Raises:
        ValueError: the last axis has not four numbers.

    Example:
        >>> offset_inverse([[0, 0, 2, 2]], [[5.0, 0, 0, 0]]).numpy().tolist()
        [[1.0, 0.0, 3.0, 2.0]]
    """
    cx, cy, w, h = columns_of(box_corner_to_center(anchors))
    dx, dy, dw, dh = columns_of(offset_preds)
    w_half, h_half = ops.exp(dw / 5) * w / 2, ops.exp(dh / 5) * h / 2
    x, y = dx * w / 10 + cx, dy * h / 10 + cy
    return ops.stack((x - w_half, y - h_half, x + w_half, y + h_half), axis=-1)


def as_boxes(boxes: Any, name: str = "boxes", numbers: int | None = 4) -> Any:
    """Return numbers as a float32 tensor; its last axis must have that many, if any are given."""
    boxes = ops.cast(ops.convert_to_tensor(boxes), "float32")
    if numbers is not None and (not boxes.shape or boxes.shape[-1] != numbers):
        raise ValueError(
            f"`{name}` must have {numbers} numbers in its last axis. "
            f"Received: shape {tuple(boxes.shape)}."
        )
    return boxes


def columns_of(boxes: Any) -> list[Any]:
    """Return the four coordinates, each (...)."""
    boxes = as_boxes(boxes)
    return [boxes[..., i] for i in range(4)]
