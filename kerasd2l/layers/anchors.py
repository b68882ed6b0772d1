"""Anchors: boxes laid out over a picture beforehand, and what each of them has to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import backend, ops

from kerasd2l.layers.boxes import as_boxes, box_iou, offset_boxes
from kerasd2l.layers.cpu import as_one_graph, fused


def multibox_prior(data: Any, sizes: Sequence[float], ratios: Sequence[float]) -> Any:
    """Lay boxes of n sizes and m ratios around the middle of every pixel, n + m - 1 a pixel.

    h = s / sqrt(r), w = s sqrt(r) H / W, for all sizes with the first ratio, then the first size
    with the other ratios. Section: "anchor". Of pictures only height and width count.

    Args:
        data: (..., H, W, C), pictures or feature maps. H and W may be unknown.
        sizes: floats > 0, of a square box as a part of the picture's height.
        ratios: floats > 0, width over height.

    Returns:
        (1, H * W * (n + m - 1), 4) float: corners as parts of the picture, row by row, pixel by
        pixel. Boxes near the border reach out of [0, 1].

    Raises:
        ValueError: no size or ratio, or one that is not positive; data with fewer than three axes.

    Example:
        >>> multibox_prior(ops.zeros((1, 2, 2, 3)), [0.5], [1, 4])[0, :2].numpy().tolist()
        [[0.0, 0.0, 0.5, 0.5], [-0.25, 0.125, 0.75, 0.375]]
    """
    check_prior(sizes, ratios)
    if len(data.shape) < 3:
        raise ValueError(
            "`data` must be pictures (..., H, W, C). "
            f"Received: shape {tuple(data.shape)}. Add an axis for the channels."
        )
    height, width = ops.shape(data)[-3:-1]
    s, r = np.asarray(sizes, "float32"), np.sqrt(np.asarray(ratios, "float32"))
    w = np.concatenate([s * r[0], s[0] * r[1:]])
    h = np.concatenate([s / r[0], s[0] / r[1:]])
    rows, columns = (ops.cast(n, "float32") for n in (height, width))
    half_w = ops.convert_to_tensor(w) * rows / columns / 2  # the picture may be no square
    half_h = ops.convert_to_tensor(h) / 2
    x = (ops.arange(width, dtype="float32") + 0.5) / columns
    y = (ops.arange(height, dtype="float32") + 0.5) / rows
    x, y = x[None, :, None], y[:, None, None]
    corners = (x - half_w, y - half_h, x + half_w, y + half_h)
    shape = (height, width, len(w))
    boxes = ops.stack([ops.broadcast_to(c, shape) for c in corners], axis=-1)
    return ops.reshape(boxes, (1, -1, 4))


def assign_anchor_to_bbox(ground_truth: Any, anchors: Any, iou_threshold: float = 0.5) -> Any:
    """Give anchors the object they should find: -1 is none.

    An anchor gets the object that it overlaps most, if by `iou_threshold` at least. Before that,
    every object gets an anchor: of all pairs that overlap the one that overlaps most, then the next
    one among the other anchors and objects, and so on. Section: "anchor". As the book, but for what
    is no object: a box without area gets no anchor, nor one that no (free) anchor overlaps, to
    which the book gives an anchor anywhere.

    Args:
        ground_truth: (G, 4) or (B, G, 4) numbers, corners. G may be 0 or unknown.
        anchors: (A, 4) numbers, corners.
        iou_threshold: float. Default: 0.5.

    Returns:
        (A,) or (B, A) int32: numbers of objects, or -1.

    Raises:
        ValueError: shapes that are not those above, no anchor.

    Example:
        >>> boxes, anchors = [[0, 0, 2, 2]], [[0, 0, 1, 1], [0, 0, 2, 1.5], [3, 3, 4, 4]]
        >>> assign_anchor_to_bbox(boxes, anchors).numpy().tolist()
        [-1, 0, -1]
    """
    ground_truth = as_boxes(ground_truth, "ground_truth")
    anchors = as_boxes(anchors, "anchors")
    if len(ground_truth.shape) not in (2, 3) or len(anchors.shape) != 2:
        raise ValueError(
            "`ground_truth` must be (G, 4) or (B, G, 4) and `anchors` (A, 4). "
            f"Received: shapes {tuple(ground_truth.shape)} and {tuple(anchors.shape)}."
        )
    _check_some(anchors)
    if len(ground_truth.shape) == 2:
        return _assign(ground_truth[None], anchors, float(iou_threshold))[0]
    return _assign(ground_truth, anchors, float(iou_threshold))


def _check_some(anchors: Any) -> None:
    """Refuse an empty set of anchors: no object could be found with it."""
    if anchors.shape[-2] == 0:
        raise ValueError(
            f"There must be one anchor at least. Received: anchors of shape {tuple(anchors.shape)}."
        )


@as_one_graph
def _assign(ground_truth, anchors, iou_threshold):
    rows, number = _matched(ground_truth, anchors, iou_threshold)
    shape = (ops.shape(ground_truth)[0], ops.shape(anchors)[0])
    return ops.reshape(_spread(number + 1, rows, shape[0] * shape[1]), shape) - 1


def _matched(ground_truth: Any, anchors: Any, iou_threshold: Any) -> tuple[Any, Any]:
    """Say which anchors have an object, and which: few, so that all that follows is quick.

    Args:
        ground_truth: (B, G, 4) float, corners.
        anchors: (A, 4) float, corners.
        iou_threshold: float.

    Returns:
        rows (P,) int32, places in B * A, each once, in order; numbers of objects (P,) int32. JAX,
        whose shapes are fixed, takes all rows, with -1 for those that have none.
    """
    if not ground_truth.shape[1]:  # unknown or 0: the maximum needs an object to begin with
        ground_truth = ops.pad(ground_truth, ((0, 0), (0, 1), (0, 0)))
    # objects in front: what is done to all of them is quick
    iou, most = _overlaps(ops.transpose(ground_truth, (1, 0, 2)), anchors)  # (G, B, A), (B, A)
    objects, batch, count = ops.shape(iou)
    anchor_of = _anchor_of_each(iou)  # (G, B)
    there = anchor_of >= 0
    place = ops.where(there, anchor_of + count * ops.arange(batch, dtype="int32"), -1)
    iou = ops.reshape(iou, (objects, batch * count))
    most = ops.reshape(most, (batch * count,))
    asked = _spread(
        ops.cast(ops.reshape(there, (-1,)), "int32"),
        ops.reshape(ops.maximum(place, 0), (-1,)),
        batch * count,
    )
    wanted = (asked > 0) | ((most >= iou_threshold) & (most > 0))
    rows = _rows_where(wanted)
    own = ops.take(place, rows // count, axis=1) == rows  # (G, P)
    number = ops.argmax(ops.where(own, float("inf"), ops.take(iou, rows, axis=1)), axis=0)
    return rows, ops.where(ops.take(wanted, rows), ops.cast(number, "int32"), -1)


@fused
def _overlaps(ground_truth, anchors):
    iou = box_iou(ground_truth, anchors)
    return iou, ops.max(iou, axis=0)


def _anchor_of_each(iou: Any) -> Any:
    """Match objects with anchors by overlap, the largest first: (G, B) from (G, B, A), -1 for none.

    Each object asks for its best anchor; an anchor that is asked by several takes the one that it
    overlaps most, the others ask for their next best, until none is refused. That is the same
    matching as taking the largest IoU of all pairs again and again, for all pictures at once, and
    seldom takes more than two rounds, of which the later ones look at the refused only.
    """
    objects, batch, count = ops.shape(iou)
    column, order = (ops.arange(n, dtype="int32") for n in (count, objects))
    first = (order[:, None] < order)[..., None]  # (G, G, 1): of two alike the first one wins
    table = ops.reshape(iou, (-1, count))

    def refused(overlap, place):  # (G, B)
        rival, mine = overlap[:, None], overlap[None]
        stronger = (rival > mine) | ((rival == mine) & first)
        return ops.any((place[:, None] == place) & stronger, axis=0) & (overlap > 0)

    def ask_again(overlap, place, lost):
        rows = _rows_where(ops.reshape(lost, (-1,)))
        numbers, places = ops.reshape(overlap, (-1,)), ops.reshape(place, (-1,))
        line = ops.take(table, rows, axis=0)  # (L, A)
        last, where = (ops.take(x, rows)[:, None] for x in (numbers, places))
        after = (line < last) | ((line == last) & (column > where))
        asked = _best(ops.where(after, line, 0.0))
        overlap, place = (
            ops.reshape(ops.scatter_update(old, rows[:, None], new), (objects, batch))
            for old, new in zip((numbers, places), asked, strict=True)
        )
        return overlap, place, refused(overlap, place)

    overlap, place = _best(iou)
    overlap, place, _ = ops.while_loop(
        lambda overlap, place, lost: ops.any(lost),
        ask_again,
        (overlap, place, refused(overlap, place)),
    )
    return ops.where(overlap > 0, place, -1)


def _best(line: Any) -> tuple[Any, Any]:
    """Return the largest number along the last axis, and where the first of them is."""
    number, place = ops.top_k(line, 1)  # much quicker than `ops.argmax`
    return number[..., 0], ops.cast(place[..., 0], "int32")


def _spread(x: Any, rows: Any, count: Any) -> Any:
    """Write x (P, ...) into zeros (count, ...) at its rows: much quicker than `ops.scatter`."""
    return ops.segment_sum(x, rows, count)


def _rows_where(mask: Any) -> Any:
    """Return where a mask (N,) is true, in order. JAX, whose shapes are fixed, takes all."""
    if backend.backend() == "jax":
        return ops.arange(mask.shape[0], dtype="int32")
    return ops.cast(ops.nonzero(mask)[0], "int32")


def check_prior(sizes: Sequence[float], ratios: Sequence[float]) -> None:
    """Refuse sizes and ratios of anchors that are missing or not positive."""
    for name, values in (("sizes", sizes), ("ratios", ratios)):
        if not len(values) or not all(0 < float(v) < float("inf") for v in values):
            raise ValueError(f"`{name}` must be positive numbers. Received: {name}={values}.")


def multibox_target(anchors: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Say what each anchor of each picture has to predict: a class, and offsets to its object.

    Section: "anchor". As the book, for the whole batch at once. Rows of `labels` that are no object
    are passed over: a negative class, no area, or numbers that are not finite.

    Args:
        anchors: (1, A, 4) or (A, 4) numbers, corners, as `multibox_prior` makes them.
        labels: (B, G, 5) numbers: class (0 is the first one), x1, y1, x2, y2; rows of -1 fill up
            pictures with fewer objects. G may be 0 or unknown.

    Returns:
        offsets (B, 4 A) float, 0 where there is no object; mask (B, 4 A) float, 1 where there is
        one; classes (B, A) int32: 0 background, else the class + 1.

    Raises:
        ValueError: shapes that are not those above, no anchor.

    Example:
        >>> anchors = [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]
        >>> offsets, mask, classes = multibox_target(anchors, [[[2, 0.5, 0.5, 1, 1]]])
        >>> classes.numpy().tolist(), mask.numpy().tolist()
        ([[0, 3]], [[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]])
    """
    anchors, labels = as_boxes(anchors, "anchors"), as_boxes(labels, "labels", 5)
    one_set = len(anchors.shape) == 2 or (len(anchors.shape) == 3 and anchors.shape[0] == 1)
    if len(labels.shape) != 3 or not one_set:
        raise ValueError(
            "`anchors` must be (1, A, 4) or (A, 4) and `labels` (B, G, 5). "
            f"Received: shapes {tuple(anchors.shape)} and {tuple(labels.shape)}."
        )
    _check_some(anchors)
    return _targets(anchors, labels)


@as_one_graph
def _targets(anchors, labels):
    anchors = ops.reshape(anchors, (-1, 4))  # in the graph: an operation on its own is slow
    real = (labels[..., 0] >= 0) & ops.all(ops.isfinite(labels), axis=-1)
    labels = ops.where(real[..., None], labels, ops.zeros_like(labels))
    rows, number = _matched(labels[..., 1:], anchors, 0.5)
    (batch, objects), count = ops.shape(labels)[:2], ops.shape(anchors)[0]
    mine = ops.cast(number >= 0, "float32")[:, None]  # (P, 1)
    number = ops.maximum(number, 0) + objects * (rows // count)
    own = ops.take(ops.reshape(labels, (-1, 5)), number, axis=0)  # (P, 5)
    offsets = mine * offset_boxes(ops.take(anchors, rows % count, axis=0), own[:, 1:])
    classes = ops.cast(mine[:, 0] * (own[:, 0] + 1), "int32")
    mask = ops.broadcast_to(mine, ops.shape(offsets))
    offsets, mask, classes = (_spread(x, rows, batch * count) for x in (offsets, mask, classes))
    shape = (batch, 4 * count)
    return (
        ops.reshape(offsets, shape),
        ops.reshape(mask, shape),
        ops.reshape(classes, (batch, count)),
    )
