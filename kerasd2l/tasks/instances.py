"""Instance segmentation: pictures in, boxes with names and the pixels of each object out.

A recipe is `instance_segmentation("rcnn", build, pictures=InstanceSet(), descent=...)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import DecayedDescent, PlainAdam
from kerasd2l.tasks.detection import (
    LEAST_SCORE,
    MOST_DETECTIONS,
    NO_CHANGES,
    Detections,
    detection,
    named,
)

metrics = lazy("kerasd2l.metrics")
segmentation_metrics = lazy("kerasd2l.segmentation_metrics")
np = lazy("numpy")
tf = lazy("tensorflow")


def instance_segmentation(
    section: str,
    build: Callable[[int], Any],
    *,
    pictures: data.InstanceSet,
    descent: DecayedDescent | PlainAdam,
    changes: Changes = NO_CHANGES,
    detections: Detections = Detections(),
    expected: Expected | None = None,
) -> Recipe:
    """Make the recipe of a detector that knows the pixels of each object.

    Args:
        section: str, the book's label.
        build: (num_classes) -> keras.Model with `compute_loss` of {"boxes": (B, G, 5), "masks":
            (B, G, m, m)}, `candidates_and_maps` and `object_masks`, see
            `endpoints.instance_segmenter`.
        pictures: the data.
        descent: the optimizer's numbers.
        changes: random changes of the training pictures, their boxes and masks.
        detections: which boxes are answered.
        expected: the figure, or None.
    """
    height, width, _ = pictures.shape
    recipe = detection(
        section,
        build,
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
        expected=expected,
        targets="cut_masks",
    )
    return dataclasses.replace(
        recipe,
        endpoints=endpoints.instance_segmenter(
            height=height,
            width=width,
            score_threshold=detections.score_threshold,
            iou_threshold=detections.iou_threshold,
            max_detections=detections.max_detections,
        ),
        score=lambda model, dataset, assets: average_precisions(
            model, dataset, assets, iou_threshold=detections.iou_threshold
        ),
    )


def average_precisions(
    model: Any, dataset: Any, assets: Mapping[str, Any], *, iou_threshold: float = 0.5
) -> dict[str, float]:
    """Compute the average precision by boxes and by masks, at an IoU of 0.5.

    Masks are compared at the size that the model sees; those of the objects are stretched to it
    from the m x m pixels in which they are kept.

    Args:
        model: with `candidates_and_maps` and `object_masks`.
        dataset: batches of pictures and {"boxes": (B, G, 5), "masks": (B, G, m, m)}.
        assets: with `class_names`.
        iou_threshold: float in [0, 1], boxes of a class that overlap more are one.

    Returns:
        "ap50" and "ap50_mask" -> the mean over the classes that have objects, "ap50_NAME" and
        "ap50_mask_NAME" of each of them.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def find(pixels: Any) -> Any:
        boxes, scores, maps = model.candidates_and_maps(pixels)
        found = endpoints.suppressed(
            boxes,
            scores,
            score_threshold=LEAST_SCORE,
            iou_threshold=iou_threshold,
            max_detections=MOST_DETECTIONS,
        )
        masks = model.object_masks(maps, found["boxes"], found["class_ids"])
        front = tf.stack([tf.cast(found["class_ids"], tf.float32), found["scores"]], axis=-1)
        return tf.concat([front, found["boxes"]], axis=-1), masks

    @tf.function(autograph=False, reduce_retracing=True)
    def pasted(masks: Any, boxes: Any, size: Any) -> Any:
        sides = tf.cast(tf.gather(size, [1, 0, 1, 0]), tf.float32)
        return endpoints.paste(masks, boxes * sides, size) >= 0.5

    labels: list[Any] = []
    found: list[Any] = []
    overlaps: list[Any] = []
    for pixels, y in dataset:
        size = tf.shape(pixels)[1:3]
        for rows, masks, objects, truths in zip(*find(pixels), y["boxes"], y["masks"], strict=True):
            both = []
            for kept, of_each, theirs in ((found, rows, masks), (labels, objects, truths)):
                there = np.asarray(of_each[:, 0] >= 0)
                kept.append(np.asarray(of_each)[there])
                both.append(np.asarray(pasted(theirs[there], kept[-1][:, -4:], size)))
            overlaps.append(segmentation_metrics.mask_iou(*both))
    names = assets["class_names"]
    of_boxes = metrics.average_precision(labels, found, len(names))
    of_masks = metrics.average_precision(labels, found, len(names), overlaps=overlaps)
    return named("ap50", of_boxes, names) | named("ap50_mask", of_masks, names)
