"""Regions where an object may be: what R-CNN and its successors do with them.

Which object each region should find, which regions are learned from, and which are looked at.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.boxes import as_boxes, box_iou, offset_inverse
from kerasd2l.layers.suppression import non_max_suppression, take_rows

BACKGROUND, BETWEEN = -1, -2
_MOST = 5 * 4.135  # of an offset of sizes: a box grows to the 62-fold, as torchvision has it


def match_regions(
    objects: Any, regions: Any, high: float, low: float | None = None, *, best: bool = False
) -> Any:
    """Give each region the object that it overlaps most, if it does so by much.

    IoU >= high: its number. IoU < low: -1, background. In between: -2, nothing is learned from it.
    With `best`, each object also gets the regions that overlap it most, however little. Section:
    "rcnn". As torchvision's `Matcher`.

    Args:
        objects: (B, G, 4) numbers, corners; what is no object has no area.
        regions: (B, R, 4) or (1, R, 4) numbers, corners.
        high: float in (0, 1].
        low: float in [0, high]; None: `high`, nothing is in between.
        best: bool. Default: False.

    Returns:
        (B, R) int32.

    Raises:
        ValueError: shapes or numbers that are not those above.

    Example:
        >>> regions = [[[0, 0, 2, 2], [0, 0, 2, 1], [0, 0, 1, 0.5]]]
        >>> match_regions([[[0, 0, 2, 2]]], regions, 0.7, 0.3).numpy().tolist()
        [[0, -2, -1]]
    """
    low = high if low is None else low
    if not 0 <= low <= high <= 1 or not high:
        raise ValueError(
            f"`low` must be in [0, high], `high` in (0, 1]. Received: high={high}, low={low}."
        )
    objects, regions = as_boxes(objects, "objects"), as_boxes(regions, "regions")
    if len(objects.shape) != 3 or len(regions.shape) != 3:
        raise ValueError(
            "`objects` must be (B, G, 4) and `regions` (B, R, 4). "
            f"Received: shapes {tuple(objects.shape)} and {tuple(regions.shape)}."
        )
    objects = ops.pad(objects, ((0, 0), (0, 1), (0, 0)))  # a maximum needs one to look at
    iou = box_iou(objects, regions)  # (B, G + 1, R)
    most, number = ops.max(iou, axis=1), ops.cast(ops.argmax(iou, axis=1), "int32")
    own = ops.where(most >= high, number, ops.where(most < low, BACKGROUND, BETWEEN))
    if best:
        of_object = ops.max(iou, axis=2, keepdims=True, initial=0.0)  # (B, G + 1, 1)
        wanted = ops.any((iou == of_object) & (iou > 0), axis=1)
        own = ops.where(wanted, number, own)
    return own


def sample_regions(own: Any, count: int, share: float, seed: Any) -> tuple[Any, Any]:
    """Draw regions to learn from: at most a share of them with an object, the rest background.

    Section: "rcnn". As torchvision's `BalancedPositiveNegativeSampler`.

    Args:
        own: (B, R) int, as `match_regions` gives it.
        count: int >= 1, M, how many of a picture.
        share: float in (0, 1], most of them that have an object.
        seed: int or `keras.random.SeedGenerator`.

    Returns:
        rows (B, M) int32, places in R, those with an object first; and which of them count (B, M)
        bool: fewer than M where there are no more.

    Raises:
        ValueError: a number out of range.
    """
    if count < 1 or not 0 < share <= 1:
        raise ValueError(
            "`count` must be at least 1 and `share` in (0, 1]. "
            f"Received: count={count}, share={share}."
        )
    own = ops.convert_to_tensor(own)
    last = ops.shape(own)[1] - 1
    own = ops.pad(own, ((0, 0), (0, count)), constant_values=BETWEEN)  # there may be fewer
    chance = keras.random.uniform(ops.shape(own), 0.0, 0.5, seed=seed)
    most = most_with_object(count, share)
    first, with_object = ops.top_k(ops.where(own >= 0, 1.0 + chance, 0.0), most)
    second, without = ops.top_k(ops.where(own == BACKGROUND, 1.0 + chance, 0.0), count)
    there = ops.concatenate((first, second), axis=1) >= 1  # (B, most + count)
    rows = ops.cast(ops.concatenate((with_object, without), axis=1), "int32")
    order = ops.arange(most + count, 0, -1, dtype="int32")
    _, places = ops.top_k(ops.where(there, order, 0), count)  # the first that are there
    return ops.minimum(take_rows(rows, places), last), take_rows(there, places)


def most_with_object(count: int, share: float) -> int:
    """Return how many of `count` regions have an object at most: they are in front."""
    return max(1, int(count * share))


def propose(
    anchors: Any,
    objectness: Any,
    offsets: Any,
    *,
    before: int = 1000,
    after: int = 300,
    iou_threshold: float = 0.7,
    least: float = 1e-3,
) -> tuple[Any, Any]:
    """Turn what a region proposal network says into the regions that are looked at.

    Its most certain boxes, cut at the picture's edges, without those that overlap more certain
    ones. Section: "rcnn". No gradient goes through.

    Args:
        anchors: (1, A, 4) numbers, corners as parts of the picture.
        objectness: (B, A) float, logits.
        offsets: (B, A, 4) float, as `offset_inverse` takes them.
        before: int >= 1, boxes before suppression. Default: 1000.
        after: int >= 1, P, regions that are left. Default: 300.
        iou_threshold: float >= 0, boxes that overlap more are one. Default: 0.7.
        least: float >= 0, boxes with a shorter side go. Default: 1e-3.

    Returns:
        (B, P, 4) float32, the most certain first, 0 where there are fewer; and which are there
        (B, P) bool.

    Raises:
        ValueError: a number out of range.
    """
    if before < 1 or after < 1 or least < 0:
        raise ValueError(
            "`before` and `after` must be at least 1, `least` at least 0. "
            f"Received: before={before}, after={after}, least={least}."
        )
    objectness, offsets = ops.stop_gradient(objectness), ops.stop_gradient(offsets)
    objectness = ops.cast(objectness, "float32")
    missing = max(before, after)  # there may be fewer anchors
    padded = ops.pad(objectness, ((0, 0), (0, missing)), constant_values=-1e9)
    scores, rows = ops.top_k(padded, before)  # (B, before)
    inside = ops.minimum(rows, ops.shape(objectness)[1] - 1)
    boxes = improved(ops.take(anchors[0], inside, axis=0), take_rows(offsets, inside))
    boxes = ops.clip(boxes, 0.0, 1.0)
    alive = ops.all(boxes[..., 2:] - boxes[..., :2] >= least, axis=-1) & (scores > -1e8)
    scores = ops.where(alive, scores, -1e9)
    keep = non_max_suppression(boxes, scores, iou_threshold, score_threshold=-1e8)
    order = ops.arange(before, 0, -1, dtype="int32")  # they are in the order of their scores
    padded = ops.pad(ops.where(keep, order, 0), ((0, 0), (0, missing)))
    left, rows = ops.top_k(padded, after)
    there = left > 0
    boxes = take_rows(boxes, ops.minimum(rows, before - 1))
    return ops.where(there[..., None], boxes, 0.0), there


def improved(regions: Any, offsets: Any) -> Any:
    """Turn regions and predicted offsets into boxes: `offset_inverse` that cannot overflow.

    Section: "rcnn".

    Args:
        regions: (..., 4) numbers, corners.
        offsets: (..., 4) float; a width or height becomes the 62-fold at most.

    Returns:
        (..., 4) float32, corners.

    Example:
        >>> improved([[0, 0, 0, 0]], [[0.0, 0.0, 1000.0, 0.0]]).numpy().tolist()
        [[0.0, 0.0, 0.0, 0.0]]
    """
    offsets = as_boxes(offsets, "offsets")
    sizes = ops.minimum(offsets[..., 2:], _MOST)
    return offset_inverse(regions, ops.concatenate((offsets[..., :2], sizes), axis=-1))
