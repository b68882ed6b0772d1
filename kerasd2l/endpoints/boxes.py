"""The signatures of every object detector: encoded pictures or pixels in, boxes with names out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.images import example_pictures, resize_and_scale
from kerasd2l.endpoints.numbers import finite
from kerasd2l.pixels import decode_image
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

Find: TypeAlias = Callable[..., dict[str, Any]]


def detector(
    *,
    height: int,
    width: int,
    score_threshold: float = 0.5,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
) -> tuple[Endpoint, ...]:
    """Make the endpoints of a model with `candidates(pixels)`: all boxes that it thinks of.

    `serving_default` takes `image_bytes` (B,) string, encoded pictures of any size, which may
    differ. It gives `boxes` (B, N, 4) float32, x1, y1, x2, y2 in pixels of the picture given, the
    surest first; `scores` (B, N) float32; `class_ids` (B, N) int64; `class_names` (B, N) string;
    and `num_detections` (B,) int32, how many of the N = `max_detections` rows are boxes; the others
    are 0, 0, -1 and "". `detect` takes `score_threshold` () and `iou_threshold` () float32, too,
    which may be left out where a server knows defaults; `predict` takes `pixels` (B, H, W, 3)
    float32 in place of files. The names are taken from `assets["class_names"]`. Pictures of more
    than 16 megapixels, and pixels that are NaN or infinite, are refused.

    Args:
        height: int, H, pixels that pictures are stretched to.
        width: int, W, pixels.
        score_threshold: float in [0, 1), a box is surer than that. Default: 0.5.
        iou_threshold: float in [0, 1], boxes of a class that overlap more are one. Default: 0.5.
        max_detections: int >= 1, N. Default: 100.

    Returns:
        Three endpoints, "serving_default", "detect" and "predict".

    Raises:
        ValueError: a number out of range; and when exporting, class names that are missing or not
            as many as the model's classes.

    Example:
        >>> [endpoint.name for endpoint in detector(height=64, width=64)]
        ['serving_default', 'detect', 'predict']
    """
    return signatures(
        functools.partial(finder, max_detections=max_detections),
        height=height,
        width=width,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )


def signatures(
    make: Callable[[keras.Model, Mapping[str, Any]], Find],
    *,
    height: int,
    width: int,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int,
) -> tuple[Endpoint, ...]:
    """Make the three endpoints of what finds objects in pixels: "serving_default" and so on.

    Args:
        make: (model, assets) -> what finds objects.
        height: int, as of `detector`.
        width: int, as of `detector`.
        score_threshold: float, as of `detector`.
        iou_threshold: float, as of `detector`.
        max_detections: int, as of `detector`.

    Raises:
        ValueError: a number out of range.
    """
    if not (0 <= score_threshold < 1 and 0 <= iou_threshold <= 1 and max_detections >= 1):
        raise ValueError(
            "`score_threshold` must be in [0, 1), `iou_threshold` in [0, 1], `max_detections` at "
            f"least 1. Received: score_threshold={score_threshold}, "
            f"iou_threshold={iou_threshold}, max_detections={max_detections}."
        )
    size = (height, width, 3)
    preprocess = resize_and_scale(height, width)
    usual = {"score_threshold": score_threshold, "iou_threshold": iou_threshold}

    def one(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = decode_image(encoded, 3)
        return preprocess(image), tf.shape(image)[:2]

    def build_bytes(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        find = make(model, assets)

        def detect(image_bytes, score_threshold, iou_threshold):
            specs = (tf.TensorSpec(size, "float32"), tf.TensorSpec((2,), "int32"))
            pixels, sizes = tf.map_fn(one, image_bytes, fn_output_signature=specs)
            return find(pixels, sizes, score_threshold, iou_threshold)

        return ServingFunction(detect, defaults=usual)

    def build_default(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        detect = build_bytes(model, assets)
        return lambda image_bytes: detect(image_bytes, **_constants(usual))

    def build_pixels(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        find = make(model, assets)

        def predict(pixels):
            pixels = tf.debugging.check_numerics(pixels, "pixels must be finite numbers")
            sizes = tf.repeat([[height, width]], tf.shape(pixels)[0], axis=0)
            return find(pixels, sizes, **_constants(usual))

        return predict

    files = {"image_bytes": TensorSpec((None,), "string")}
    numbers = {name: TensorSpec(()) for name in usual}

    def example() -> dict[str, Any]:
        return {"image_bytes": example_pictures(*size)}

    return (
        Endpoint("serving_default", files, build_default, example),
        Endpoint(
            "detect",
            files | numbers,
            build_bytes,
            lambda: example() | {"score_threshold": 0.1, "iou_threshold": 0.3},
        ),
        Endpoint(
            "predict",
            {"pixels": TensorSpec((None, *size))},
            build_pixels,
            lambda: {"pixels": np.random.default_rng(0).random((3, *size), dtype="float32")},
        ),
    )


def suppressed(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    *,
    score_threshold: Any,
    iou_threshold: Any,
    max_detections: int,
) -> dict[str, tf.Tensor]:
    """Leave of the boxes of each class that overlap only the surest one; cut at the edges.

    Boxes that lie outside the picture, or have no area, go.

    Args:
        boxes: (B, A, 1, 4) float, corners as parts of the picture; or (B, A, K, 4) where each class
            has its own.
        scores: (B, A, K) float.
        score_threshold: () float, boxes that are not surer go.
        iou_threshold: () float, boxes of a class that overlap more are one.
        max_detections: int, N.

    Returns:
        `boxes` (B, N, 4), `scores` (B, N) and `class_ids` (B, N) int64, the surest first;
        `num_detections` (B,) int32; rows after those are 0, 0 and -1.
    """
    boxes = tf.clip_by_value(boxes, 0.0, 1.0)
    inside = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)  # (B, A, 1 or K)
    left = tf.image.combined_non_max_suppression(
        boxes,
        tf.where(inside, scores, 0.0),
        max_output_size_per_class=max_detections,
        max_total_size=max_detections,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        clip_boxes=False,
    )
    there = tf.sequence_mask(left.valid_detections, max_detections)
    return {
        "boxes": left.nmsed_boxes,
        "scores": left.nmsed_scores,
        "class_ids": tf.where(there, tf.cast(left.nmsed_classes, tf.int64), -1),
        "num_detections": left.valid_detections,
    }


def finder(
    model: keras.Model, assets: Mapping[str, Any], *, max_detections: int, masks: bool = False
) -> Find:
    """Return (pixels, sizes, thresholds) -> what is served; no pictures give no answers.

    Args:
        model: with `candidates`; for masks with `candidates_and_maps` and `object_masks`.
        assets: with "class_names".
        max_detections: int, N.
        masks: bool, with `masks` (B, N, m, m) of the objects, each within its box.

    Raises:
        ValueError: class names that are missing, or not as many as the model's classes.
    """
    names = assets.get("class_names")
    if not names:
        raise ValueError(
            "a detector needs `class_names` in the assets of its data. "
            f"Received assets: {', '.join(assets) or 'none'}."
        )

    def find(pixels, sizes, score_threshold, iou_threshold):
        count = tf.shape(pixels)[0]
        blank = tf.zeros((1, *pixels.shape[1:]), pixels.dtype)
        some = tf.cond(count > 0, lambda: pixels, lambda: blank)  # convolutions fail without any
        some.set_shape((None, *pixels.shape[1:]))
        if masks:
            boxes, scores, maps = model.candidates_and_maps(some)
        else:
            boxes, scores = model.candidates(some)
        if scores.shape[-1] != len(names):
            raise ValueError(
                f"the model has {scores.shape[-1]} classes, the assets have {len(names)} "
                "class names. They must be as many."
            )
        with tf.control_dependencies(_checks(score_threshold, iou_threshold)):
            found = suppressed(
                finite(boxes),
                finite(scores),
                score_threshold=score_threshold,
                iou_threshold=iou_threshold,
                max_detections=max_detections,
            )
        if masks:
            found["masks"] = finite(model.object_masks(maps, found["boxes"], found["class_ids"]))
        found = {key: value[:count] for key, value in found.items()}
        sides = tf.cast(tf.gather(sizes, [1, 0, 1, 0], axis=1), tf.float32)[:, None]  # (B, 1, 4)
        found["boxes"] *= sides
        found["class_names"] = tf.gather([*names, ""], found["class_ids"] % (len(names) + 1))
        return found

    return find


def _checks(score_threshold: tf.Tensor, iou_threshold: tf.Tensor) -> list[Any]:
    """Return what refuses thresholds out of range."""
    checks = [
        tf.debugging.Assert(
            (score_threshold >= 0) & (score_threshold < 1), ["score_threshold must be in [0, 1)"]
        ),
        tf.debugging.Assert(
            (iou_threshold >= 0) & (iou_threshold <= 1), ["iou_threshold must be in [0, 1]"]
        ),
    ]
    return [check for check in checks if check is not None]


def _constants(numbers: Mapping[str, float]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value, tf.float32) for name, value in numbers.items()}
