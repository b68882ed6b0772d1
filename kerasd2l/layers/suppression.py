"""Non-maximum suppression: of boxes that overlap only the one with the best score stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from kerasd2l.layers.boxes import as_boxes, box_iou, offset_inverse
from kerasd2l.layers.cpu import as_one_graph, on_tensorflow_cpu


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Return which boxes of one picture stay, the best score first: the book's `nms`.

    The best box stays, all that overlap it by more than the threshold go; then the best of the
    rest, and so on. Of equal scores the first one counts as better. Section: "anchor".

    Args:
        boxes: (N, 4) numbers, corners.
        scores: (N,) float.
        iou_threshold: float >= 0.

    Returns:
        (K,) int32, places in `boxes`.

    Raises:
        ValueError: shapes that are not those above, or a negative threshold.

    Example:
        >>> nms([[0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6]], [0.8, 0.9, 0.3], 0.5).numpy().tolist()
        [1, 2]
    """
    boxes, scores = as_boxes(boxes), as_boxes(scores, "scores", None)
    if len(boxes.shape) != 2 or len(scores.shape) != 1:
        raise ValueError(
            "`boxes` must be (N, 4) and `scores` (N,). "
            f"Received: shapes {tuple(boxes.shape)} and {tuple(scores.shape)}."
        )
    keep = non_max_suppression(boxes[None], scores[None], iou_threshold)[0]
    order = ops.argsort(-scores)
    return ops.cast(order[ops.take(keep, order)], "int32")


def non_max_suppression(
    boxes: Any,
    scores: Any,
    iou_threshold: float,
    *,
    class_ids: Any = None,
    score_threshold: float | None = None,
) -> Any:
    """Say of each box of each picture whether it stays; the pictures of a batch at once.

    As `nms`. Section: "anchor". On a CPU TensorFlow's own operation does it, else rounds of 64
    boxes; both give what the book's loop gives.

    Args:
        boxes: (B, N, 4) numbers, corners.
        scores: (B, N) float.
        iou_threshold: float >= 0.
        class_ids: (B, N) int >= 0 or None: only boxes of the same class compete.
        score_threshold: float or None: boxes whose score is not above it go, and compete with none.

    Returns:
        (B, N) bool, True: stays.

    Raises:
        ValueError: shapes that are not those above, or a negative threshold.

    Example:
        >>> boxes = [[[0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6]]]
        >>> non_max_suppression(boxes, [[0.8, 0.9, 0.3]], 0.5).numpy().tolist()
        [[False, True, True]]
    """
    boxes, scores = as_boxes(boxes), as_boxes(scores, "scores", None)
    if len(boxes.shape) != 3 or len(scores.shape) != 2:
        raise ValueError(
            "`boxes` must be (B, N, 4) and `scores` (B, N). "
            f"Received: shapes {tuple(boxes.shape)} and {tuple(scores.shape)}."
        )
    if iou_threshold < 0:
        raise ValueError(
            f"`iou_threshold` must be at least 0. Received: iou_threshold={iou_threshold}."
        )
    alive = ops.ones_like(scores, "bool")
    if score_threshold is not None:
        alive = scores > score_threshold
    if class_ids is None:
        class_ids = ops.zeros_like(scores, "int32")
    class_ids = ops.cast(class_ids, "int32")
    return _suppress(boxes, scores, alive, class_ids, float(iou_threshold))


@as_one_graph
def _suppress(boxes, scores, alive, class_ids, iou_threshold):
    boxes, scores = ops.stop_gradient(boxes), ops.stop_gradient(scores)
    order = ops.argsort(-scores, axis=1)
    boxes, alive, class_ids = (take_rows(x, order) for x in (boxes, alive, class_ids))
    suppress: Callable = _quick_suppression if on_tensorflow_cpu() else _in_rounds
    keep = suppress(boxes, alive, class_ids, iou_threshold)
    return take_rows(keep, ops.argsort(order, axis=1))


def _quick_suppression(boxes, alive, class_ids, iou_threshold):
    """Suppress boxes that are in the order of their scores, by TensorFlow's operation."""
    import tensorflow as tf

    batch, count = ops.shape(alive)
    # As scores the operation gets places counted from the end: they tell which boxes are left.
    places = tf.cast(tf.range(count, 0, -1), tf.float32)
    classes = tf.range(tf.maximum(tf.reduce_max(class_ids), 0) + 1)
    takes_part = alive[..., None] & (class_ids[..., None] == classes)  # (B, N, K)
    most = tf.maximum(count, 1)  # the operation refuses to be asked for none
    left = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        tf.where(takes_part, places[:, None], 0.0),
        max_output_size_per_class=most,
        max_total_size=most,
        iou_threshold=iou_threshold,
        score_threshold=0.5,
        clip_boxes=False,
    )
    place = count - tf.cast(left.nmsed_scores, tf.int32)  # (B, N), N where none is left
    rows = tf.broadcast_to(tf.range(batch)[:, None], tf.shape(place))
    hits = tf.scatter_nd(tf.stack([rows, place], -1), tf.ones_like(place), (batch, count + 1))
    return hits[:, :count] > 0


def _in_rounds(boxes, alive, class_ids, iou_threshold, size=64):
    """Suppress boxes that are in the order of their scores, some at a time.

    A round takes the best boxes whose fate is open, settles it among them, and lets go all others
    that the ones that stay overlap.
    """
    count = ops.shape(alive)[1]
    size = min(size, count) if isinstance(count, int) else ops.minimum(size, count)
    place = ops.arange(count, dtype="int32")
    earlier = ops.arange(size)[:, None] < ops.arange(size)

    def one_round(alive, keep):
        left, chosen = ops.top_k(ops.where(alive, count - place, 0), size)  # (B, S)
        chosen = ops.cast(chosen, "int32")
        best, kinds = take_rows(boxes, chosen), take_rows(class_ids, chosen)

        def beats(others, other_kinds):  # (B, S, others)
            alike = kinds[:, :, None] == other_kinds[:, None, :]
            return (box_iou(best, others) > iou_threshold) & alike

        stay = _settle(beats(best, kinds) & earlier, left > 0)
        gone = ops.any(beats(boxes, class_ids) & stay[..., None], axis=1)
        last = ops.max(ops.where(left > 0, chosen, -1), axis=1, keepdims=True)
        here = ops.any((chosen[..., None] == place) & stay[..., None], axis=1)
        return alive & ~gone & (place > last), keep | here

    _, keep = ops.while_loop(
        lambda alive, keep: ops.any(alive), one_round, (alive, ops.zeros_like(alive))
    )
    return keep


def _settle(beats, there):
    """Return which of a few boxes stay: (B, S); beats (B, S, S) where the row's box is better.

    "Stays unless one that stays beats it", again and again, until nothing changes: after n times
    the first n boxes are right.
    """

    def again(stay, _):
        new = there & ~ops.any(beats & stay[..., None], axis=1)
        return new, ops.any(new != stay)

    stay, _ = ops.while_loop(lambda stay, changed: changed, again, again(there, None))
    return stay


def multibox_detection(
    cls_probs: Any,
    offset_preds: Any,
    anchors: Any,
    nms_threshold: float = 0.5,
    pos_threshold: float = 0.009999999,
) -> Any:
    """Turn what a network says of its anchors into boxes with classes and confidences.

    Section: "anchor". As the book, for the whole batch at once: an anchor's class is the likeliest
    one but the background, whose probability is its confidence; overlapping boxes are suppressed
    whatever their class.

    Args:
        cls_probs: (B, K + 1, A) float: probabilities, the background first.
        offset_preds: (B, 4 A) float.
        anchors: (1, A, 4) or (A, 4) numbers, corners.
        nms_threshold: float >= 0, largest IoU of two boxes that stay. Default: 0.5.
        pos_threshold: float, confidence below which a box is background. Default: 0.009999999.

    Returns:
        (B, A, 6) float: class (0 is the first one; -1: suppressed or background), confidence (of
        the background, where it is below `pos_threshold`), corners. First what suppression left,
        the most confident first, then what it took, in the order of the anchors.

    Raises:
        ValueError: shapes that are not those above, or a negative threshold.

    Example:
        >>> anchors = [[0.1, 0.08, 0.52, 0.92], [0.08, 0.2, 0.56, 0.95]]
        >>> probs = [[[0, 0], [0.9, 0.8]]]
        >>> multibox_detection(probs, [[0.0] * 8], anchors)[0, :, :2].numpy()
        array([[ 0. ,  0.9],
               [-1. ,  0.8]], dtype=float32)
    """
    cls_probs = as_boxes(cls_probs, "cls_probs", None)
    offset_preds = as_boxes(offset_preds, "offset_preds", None)
    anchors = as_boxes(anchors, "anchors")
    if len(anchors.shape) == 3 and anchors.shape[0] == 1:
        anchors = anchors[0]
    ranks = tuple(len(x.shape) for x in (cls_probs, offset_preds, anchors))
    if ranks != (3, 2, 2) or (cls_probs.shape[1] or 2) < 2:
        raise ValueError(
            "`cls_probs` must be (B, K + 1, A), `offset_preds` (B, 4 A), `anchors` (1, A, 4). "
            f"Received: shapes {tuple(cls_probs.shape)}, {tuple(offset_preds.shape)}, "
            f"{tuple(anchors.shape)}."
        )
    if nms_threshold < 0:
        raise ValueError(
            f"`nms_threshold` must be at least 0. Received: nms_threshold={nms_threshold}."
        )
    return _detect(cls_probs, offset_preds, anchors, float(nms_threshold), float(pos_threshold))


@as_one_graph
def _detect(cls_probs, offset_preds, anchors, nms_threshold, pos_threshold):
    confidence = ops.max(cls_probs[:, 1:], axis=1)  # (B, A)
    class_id = ops.cast(ops.argmax(cls_probs[:, 1:], axis=1), "int32")
    batch, count = ops.shape(confidence)
    boxes = offset_inverse(anchors, ops.reshape(offset_preds, (batch, count, 4)))
    everywhere, alike = ops.ones_like(class_id, "bool"), ops.zeros_like(class_id)
    keep = _suppress(boxes, confidence, everywhere, alike, nms_threshold)
    rank = ops.argsort(ops.argsort(-confidence, axis=1), axis=1)  # 0 is the most confident
    after = count + ops.arange(count, dtype="int32")
    order = ops.argsort(ops.where(keep, ops.cast(rank, "int32"), after), axis=1)
    low = confidence < pos_threshold
    class_id = ops.where(keep & ~low, class_id, -1)
    confidence = ops.where(low, 1 - confidence, confidence)
    front = ops.stack((ops.cast(class_id, boxes.dtype), confidence), axis=-1)
    return take_rows(ops.concatenate((front, boxes), axis=-1), order)


def take_rows(x: Any, rows: Any) -> Any:
    """Pick rows of each example: x (B, N, ...), rows (B, M) int give (B, M, ...)."""
    batch, count = ops.shape(x)[:2]
    flat = ops.reshape(x, (-1, *x.shape[2:]))
    first = count * ops.arange(batch, dtype="int32")[:, None]
    return ops.take(flat, ops.cast(rows, "int32") + first, axis=0)
