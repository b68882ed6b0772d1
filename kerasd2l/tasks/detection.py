"""Object detection: pictures in, a loss of anchors, boxes with names out.

A recipe is `detection("ssd", build, pictures=BoxSet(), descent=DecayedDescent(0.2))`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Data, Expected, Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import DecayedDescent, FadingAdam, PlainAdam

detection_metrics = lazy("kerasd2l.detection_metrics")
metrics = lazy("kerasd2l.metrics")
np = lazy("numpy")
tf = lazy("tensorflow")

_log = logging.getLogger(__name__)

NO_CHANGES = Changes(horizontal_flip=0.0)
_LEAST_SCORE = 0.01  # of a detection that average precision looks at


@dataclass(frozen=True)
class Anchors:
    """How large the anchors are, as parts of the picture's height; the book's by default.

    Args:
        smallest: float > 0, of the finest map; about the smallest object.
        largest: float > smallest, of the coarsest map.
    """

    smallest: float = 0.2
    largest: float = 0.88


@dataclass(frozen=True)
class BoxLoss:
    """The exercises' losses; zeros are the book's own.

    Args:
        focal_gamma: float >= 0, of the focal loss; 0: the cross-entropy.
        smooth_beta: float >= 0, of the smooth L1 loss (1 / sigma^2); 0: L1.
    """

    focal_gamma: float = 0.0
    smooth_beta: float = 0.0


@dataclass(frozen=True)
class Detections:
    """Which boxes are answered.

    Args:
        score_threshold: float in [0, 1), a box is surer than that; a server may be asked for
            others.
        iou_threshold: float in [0, 1], boxes of a class that overlap more are one; likewise.
        max_detections: int >= 1, boxes of a picture.
    """

    score_threshold: float = 0.5
    iou_threshold: float = 0.5
    max_detections: int = 100


def detection(
    section: str,
    build: Callable[..., Any],
    *,
    pictures: data.BoxSet,
    descent: DecayedDescent | PlainAdam,
    changes: Changes = NO_CHANGES,
    detections: Detections = Detections(),
    shapes: int = 0,
    expected: Expected | None = None,
) -> Recipe:
    """Make the recipe of an object detector.

    Args:
        section: str, the book's label.
        build: (num_classes) -> keras.Model with `compute_loss` of labels (B, G, 5) and
            `candidates(pixels)`; with `shapes`, (num_classes, shapes (n, 2) of boxes) -> model.
        pictures: the data.
        descent: the optimizer's numbers.
        changes: random changes of the training pictures and their boxes.
        detections: which boxes are answered.
        shapes: int, how many usual shapes of the training boxes `build` is given; 0: none.
        expected: the figure, or None.
    """
    height, width, _ = pictures.shape
    augment = changes.augment(height, width, "boxes")

    def made(d: Data) -> Any:
        more = [_usual_shapes(d, shapes)] if shapes else []
        model = build(len(d.assets["class_names"]), *more)
        model.build((None, height, width, 3))  # pictures that are too small stop here
        return model

    def load(source: Any) -> Data:
        loaded = pictures.load(source, batch_size=descent.batch_size)
        if not augment.transforms:
            return loaded
        return data.pipeline.augmented(loaded, augment, data.Source.of(source).seed)

    return Recipe(
        section=section,
        dataset=pictures.dataset,
        data=load,
        model=made,
        optimizer=descent.optimizer,
        loss=lambda: None,  # the model's own
        metrics=lambda: [],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.detector(
            height=height,
            width=width,
            score_threshold=detections.score_threshold,
            iou_threshold=detections.iou_threshold,
            max_detections=detections.max_detections,
        ),
        score=lambda model, dataset, assets: average_precisions(
            model, dataset, assets, iou_threshold=detections.iou_threshold
        ),
        expected=expected,
        fit=descent.fit if isinstance(descent, FadingAdam) else None,
    )


def _usual_shapes(d: Data, count: int) -> Any:
    """Return the usual shapes of the training boxes, (count, 2), and tell them."""
    rows = [np.asarray(labels).reshape(-1, 5) for _, labels in d.epoch(0)]
    shapes = data.box_shapes.usual_shapes(np.concatenate(rows), count)
    _log.info("usual shapes of boxes: %s", ",".join(f"{side:.3f}" for side in shapes.ravel()))
    return shapes


def average_precisions(
    model: Any, dataset: Any, assets: Mapping[str, Any], *, iou_threshold: float = 0.5
) -> dict[str, float]:
    """Compute the average precision of all classes together and of each one, at an IoU of 0.5.

    COCO's own mean over ten overlaps, too, where pycocotools is installed. Each picture goes
    through the model once.

    Args:
        model: with `candidates(pixels)`.
        dataset: batches of pictures and labels (B, G, 5).
        assets: with `class_names`.
        iou_threshold: float in [0, 1], boxes of a class that overlap more are one.

    Returns:
        "ap50" -> the mean over the classes that have objects, and "ap50_NAME" of each of them;
        with pycocotools "ap" -> COCO's.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def find(pixels: Any) -> Any:
        found = endpoints.suppressed(
            *model.candidates(pixels),
            score_threshold=_LEAST_SCORE,
            iou_threshold=iou_threshold,
            max_detections=100,
        )
        front = tf.stack([tf.cast(found["class_ids"], tf.float32), found["scores"]], axis=-1)
        return tf.concat([front, found["boxes"]], axis=-1)  # (B, N, 6)

    labels: list[Any] = []
    found: list[Any] = []
    for pixels, objects in dataset:
        labels += list(np.asarray(objects))
        found += list(np.asarray(find(pixels)))
    names = assets["class_names"]
    coco = {}
    if detection_metrics.has_pycocotools():
        aps = detection_metrics.coco_average_precision(labels, found, len(names))
        coco["ap"] = float(np.nanmean(aps)) if np.any(aps == aps) else 0.0
    else:
        _log.info("ap, COCO's mean over IoU 0.50 to 0.95, is left out: pip install pycocotools")
    each = metrics.average_precision(labels, found, len(names))
    whole = {f"ap50_{name}": float(ap) for name, ap in zip(names, each, strict=True) if ap == ap}
    return {"ap50": float(np.mean(list(whole.values()))) if whole else 0.0, **coco, **whole}
