"""The signatures of instance segmentation: boxes with names, and the pixels of each object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kerasd2l._lazy import lazy
from kerasd2l.endpoints import boxes as boxes_
from kerasd2l.recipe import Endpoint

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

MOST_OBJECTS = 255  # of a PNG whose grey levels are their numbers


def instance_segmenter(
    *,
    height: int,
    width: int,
    score_threshold: float = 0.5,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
) -> tuple[Endpoint, ...]:
    """Make the endpoints of a detector that knows the pixels of each object, such as Mask R-CNN.

    The same signatures and outputs as `detector` has, and besides

    - `masks` (B, N, m, m) float32, the probability that a pixel within the box is of the object;
      the mask is stretched to the box, 0 in rows without a box;
    - `mask_png` (B,) string, a PNG of each picture in its own size (of "predict": H x W) whose grey
      levels are the objects: k where a pixel is of the k-th row (1 is the surest one), 0 where it
      is of none. Where two objects overlap, it is of the surer one.

    The maps of the backbone are computed once for boxes and masks.

    Args:
        height: int, H, pixels that pictures are stretched to.
        width: int, W, pixels.
        score_threshold: float in [0, 1), a box is surer than that. Default: 0.5.
        iou_threshold: float in [0, 1], boxes of a class that overlap more are one. Default: 0.5.
        max_detections: int in 1 to 255, N. Default: 100.

    Returns:
        Three endpoints, "serving_default", "detect" and "predict", of a model with
        `candidates_and_maps(pixels)` -> boxes (B, A, 1 or K, 4), scores (B, A, K), maps; and
        `object_masks(maps, boxes, class_ids)` of boxes (B, N, 4) in parts of the picture and class
        ids (B, N) -> (B, N, m, m) probabilities.

    Raises:
        ValueError: a number out of range; and when exporting, class names that are missing or not
            as many as the model's classes.

    Example:
        >>> [endpoint.name for endpoint in instance_segmenter(height=64, width=64)]
        ['serving_default', 'detect', 'predict']
    """
    if max_detections > MOST_OBJECTS:
        raise ValueError(
            f"`max_detections` must be at most {MOST_OBJECTS}, the grey levels of `mask_png`. "
            f"Received: max_detections={max_detections}."
        )

    def make(model: keras.Model, assets: Mapping[str, Any]) -> boxes_.Find:
        find = boxes_.finder(model, assets, max_detections=max_detections, masks=True)

        def found(pixels, sizes, score_threshold, iou_threshold):
            answer = find(pixels, sizes, score_threshold, iou_threshold)
            parts = (answer["boxes"], answer["masks"], answer["num_detections"], sizes)
            answer["mask_png"] = tf.map_fn(
                lambda one: _png(*one),
                parts,
                fn_output_signature=tf.TensorSpec((), tf.string),
                parallel_iterations=2,  # pictures in memory at once
            )
            return answer

        return found

    return boxes_.signatures(
        make,
        height=height,
        width=width,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )


def paste(masks: tf.Tensor, boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Stretch masks to their boxes, bilinear, in pictures that are 0 outside of them.

    Args:
        masks: (N, m, m) float32.
        boxes: (N, 4) float32, corners in pixels.
        size: (2,) int32, height and width of the picture.

    Returns:
        (N, height, width) float32.

    Example:
        >>> mask = tf.constant([[[1.0, 0.0], [1.0, 0.0]]])
        >>> paste(mask, tf.constant([[1.0, 0.0, 3.0, 1.0]]), tf.constant([1, 4])).numpy().tolist()
        [[[0.0, 1.0, 0.0, 0.0]]]
    """
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    pixels = tf.cast(tf.shape(masks)[-1], tf.float32)
    rows, columns = _weights(y1, y2, size[0], pixels), _weights(x1, x2, size[1], pixels)
    return tf.matmul(tf.matmul(rows, masks), columns, transpose_b=True)


def _weights(low: tf.Tensor, high: tf.Tensor, length: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Return of each of `length` pixels how much it has of each of a mask's: (N, length, m)."""
    middles = tf.range(length, dtype=tf.float32) + 0.5
    part = tf.math.divide_no_nan(middles - low[:, None], (high - low)[:, None])  # (N, length)
    place = tf.clip_by_value(part * pixels - 0.5, 0.0, pixels - 1.0)[..., None]
    weights = tf.maximum(1.0 - tf.abs(place - tf.range(pixels)), 0.0)
    inside = (middles >= low[:, None]) & (middles < high[:, None])
    return tf.where(inside[..., None], weights, 0.0)


def _png(boxes: tf.Tensor, masks: tf.Tensor, count: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return the numbers of a picture's objects as a PNG: the surest one is painted last."""

    def add(k: tf.Tensor, page: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        there = paste(masks[k, None], boxes[k, None], size)[0] >= 0.5
        return k - 1, tf.where(there, tf.cast(k + 1, tf.uint8), page)

    blank = tf.zeros(size, tf.uint8)
    _, page = tf.while_loop(lambda k, _: k >= 0, add, (count - 1, blank), parallel_iterations=1)
    return tf.io.encode_png(page[..., None])
