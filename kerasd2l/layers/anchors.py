"""Anchors: boxes laid out over a picture beforehand, and what each of them has to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import backend, ops

from kerasd2l.layers.boxes import as_boxes, box_iou, offset_boxes
from kerasd2l.layers.cpu import as_one_graph


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
        ValueError: shapes that are not those above.

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
    if len(ground_truth.shape) == 2:
        return _assign(ground_truth[None], anchors, float(iou_threshold))[0]
    return _assign(ground_truth, anchors, float(iou_threshold))


@as_one_graph
def _assign(ground_truth, anchors, iou_threshold):
    if not ground_truth.shape[1]:  # unknown or 0: the maximum needs an object to begin with
        ground_truth = ops.pad(ground_truth, ((0, 0), (0, 1), (0, 0)))
    # objects in front: what is done to all of them is quick
    iou = box_iou(ops.transpose(ground_truth, (1, 0, 2)), anchors)  # (G, B, A)
    most = ops.max(iou, axis=0)  # (B, A)
    objects = ops.shape(iou)[0]
    countdown = objects - ops.arange(objects, dtype="int32")[:, None, None]
    first = objects - ops.max(ops.cast(ops.equal(iou, most), "int32") * countdown, axis=0)
    own = ops.where((most >= iou_threshold) & (most > 0), first, -1)
    return _put(own, _anchor_of_each(iou))


def _anchor_of_each(iou: Any) -> Any:
    """Match objects with anchors by overlap, the largest first: (B, G), -1 for none.

    Each object asks for its best anchor; an anchor that is asked by several takes the one that it
    overlaps most, the others ask for their next best, until none is refused. That is the same
    matching as taking the largest IoU of all pairs again and again, for all pictures at once, and
    seldom takes more than two rounds.
    """
    objects, batch, anchors = ops.shape(iou)
    known = isinstance(objects, int) and isinstance(anchors, int)
    number = min(objects, anchors) if known else ops.minimum(objects, anchors)
    overlaps, places = (ops.transpose(x, (1, 0, 2)) for x in ops.top_k(iou, number))  # (B, G, k)
    # whoever was refused everywhere asks no more
    overlaps, places = (ops.pad(x, ((0, 0), (0, 0), (0, 1))) for x in (overlaps, places))
    order = ops.arange(objects, dtype="int32")
    first = order[None, :] < order[:, None]  # (G, G): of two alike the first one wins

    def asked(turn):
        where = turn[..., None]
        overlap = ops.take_along_axis(overlaps, where, axis=2)[..., 0]
        return overlap, ops.take_along_axis(places, where, axis=2)[..., 0]

    def refused(turn):
        overlap, place = asked(turn)
        rival, mine = overlap[:, None, :], overlap[:, :, None]
        same = place[:, None, :] == place[:, :, None]  # (B, G, G)
        stronger = (rival > mine) | ((rival == mine) & first)
        return ops.any(same & stronger, axis=-1) & (overlap > 0)

    def ask_again(turn, lost):
        turn = turn + ops.cast(lost, "int32")
        return turn, refused(turn)

    turn = ops.zeros((batch, objects), "int32")
    turn, _ = ops.while_loop(lambda turn, lost: ops.any(lost), ask_again, (turn, refused(turn)))
    overlap, place = asked(turn)
    return ops.where(overlap > 0, ops.cast(place, "int32"), -1)


def _put(own: Any, anchor_of: Any) -> Any:
    """Write the number of each object at its anchor: own (B, A), anchor_of (B, G)."""
    batch, anchors = ops.shape(own)
    objects = ops.shape(anchor_of)[1]
    width = anchors + 1  # the last column takes objects that have no anchor
    column = ops.where(anchor_of >= 0, anchor_of, anchors)
    place = column + width * ops.arange(batch, dtype="int32")[:, None]
    number = ops.broadcast_to(ops.arange(objects, dtype="int32"), (batch, objects))
    flat = ops.reshape(ops.pad(own, ((0, 0), (0, 1))), (-1,))
    flat = ops.scatter_update(flat, ops.reshape(place, (-1, 1)), ops.reshape(number, (-1,)))
    return ops.reshape(flat, (batch, width))[:, :anchors]


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
        ValueError: shapes that are not those above.

    Example:
        >>> anchors = [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]
        >>> offsets, mask, classes = multibox_target(anchors, [[[2, 0.5, 0.5, 1, 1]]])
        >>> classes.numpy().tolist(), mask.numpy().tolist()
        ([[0, 3]], [[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]])
    """
    anchors, labels = as_boxes(anchors, "anchors"), as_boxes(labels, "labels", 5)
    if len(anchors.shape) == 3 and anchors.shape[0] == 1:
        anchors = anchors[0]
    if len(labels.shape) != 3 or len(anchors.shape) != 2:
        raise ValueError(
            "`anchors` must be (1, A, 4) or (A, 4) and `labels` (B, G, 5). "
            f"Received: shapes {tuple(anchors.shape)} and {tuple(labels.shape)}."
        )
    return _targets(anchors, labels)


@as_one_graph
def _targets(anchors, labels):
    real = (labels[..., 0] >= 0) & ops.all(ops.isfinite(labels), axis=-1)
    labels = ops.where(real[..., None], labels, ops.zeros_like(labels))
    own = assign_anchor_to_bbox(labels[..., 1:], anchors)  # (B, A)
    batch, count = ops.shape(own)
    own = ops.reshape(own, (-1,))
    rows = _rows_with_object(own)
    number = ops.take(own, rows)
    mine = ops.cast(number >= 0, "float32")[:, None]
    number = ops.maximum(number, 0) + ops.shape(labels)[1] * (rows // count)
    objects = ops.take(ops.reshape(labels, (-1, 5)), number, axis=0)  # (rows, 5)
    offsets = mine * offset_boxes(ops.take(anchors, rows % count, axis=0), objects[:, 1:])
    offsets = ops.scatter_update(ops.zeros((batch * count, 4)), rows[:, None], offsets)
    classes = ops.cast(mine[:, 0] * (objects[:, 0] + 1), "int32")
    classes = ops.scatter_update(ops.zeros_like(own), rows[:, None], classes)
    mask = ops.broadcast_to(ops.cast(own >= 0, "float32")[:, None], (batch * count, 4))
    shape = (batch, 4 * count)
    return (
        ops.reshape(offsets, shape),
        ops.reshape(mask, shape),
        ops.reshape(classes, (batch, count)),
    )


def _rows_with_object(own: Any) -> Any:
    """Return where `own` (B * A,) is a number: few rows. JAX, whose shapes are fixed, takes all."""
    if backend.backend() == "jax":
        return ops.arange(own.shape[0], dtype="int32")
    return ops.cast(ops.nonzero(own >= 0)[0], "int32")
