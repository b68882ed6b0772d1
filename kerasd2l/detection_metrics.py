"""COCO's own figures of object detection, computed by its authors' pycocotools."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasd2l._lazy import lazy

coco = lazy("pycocotools.coco")
cocoeval = lazy("pycocotools.cocoeval")


def has_pycocotools() -> bool:
    """Return whether pycocotools is installed."""
    return importlib.util.find_spec("pycocotools") is not None


def coco_average_precision(
    labels: Sequence[Any], detections: Sequence[Any], num_classes: int
) -> np.ndarray:
    """Compute COCO's average precision of each class at ten overlaps, by pycocotools.

    AP = the mean over IoU 0.50, 0.55, ..., 0.95 and over the classes; AP50 is that of 0.50. At most
    100 detections of a class in a picture count. At one IoU it is what
    `metrics.average_precision` computes without pycocotools: the mean of the precisions at 101
    recalls. Section: "ssd".

    Args:
        labels: for each picture (G, 5) numbers: class, x1, y1, x2, y2; a negative class is padding.
        detections: for each picture (N, 6) numbers: class, score, x1, y1, x2, y2; a negative class
            is no detection.
        num_classes: int >= 1, K.

    Returns:
        (10, K) float64; NaN for a class without objects.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: another number of pictures with labels than with detections.

    Example:
        >>> labels = [[[0, 0, 0, 2, 2], [0, 5, 5, 6, 6]]]
        >>> coco_average_precision(labels, [[[0, 0.9, 0, 0, 2, 2.1]]], 1)[[0, 9], 0].round(4)
        array([0.505, 0.505])

    Reference:
        Lin et al., Microsoft COCO: common objects in context, 2014.
    """
    if len(labels) != len(detections):
        raise ValueError(
            "`labels` and `detections` must be of the same pictures. "
            f"Received: {len(labels)} and {len(detections)} pictures."
        )
    truths = [_row(i, row[0], row[1:]) for i, rows in enumerate(labels) for row in _real(rows, 5)]
    for number, truth in enumerate(truths, 1):  # 0 would be "no object"
        truth.update(id=number, iscrowd=0)
    guesses = [
        {**_row(i, row[0], row[2:]), "score": float(row[1])}
        for i, rows in enumerate(detections)
        for row in _real(rows, 6)
    ]
    if not truths or not guesses:
        there = {truth["category_id"] for truth in truths}
        zeros = [0.0 if kind in there else np.nan for kind in range(num_classes)]
        return np.tile(zeros, (10, 1))
    with contextlib.redirect_stdout(io.StringIO()):
        known = coco.COCO()
        known.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(len(labels))],
            "annotations": truths,
            "categories": [{"id": kind} for kind in range(num_classes)],
        }
        known.createIndex()
        evaluation = cocoeval.COCOeval(known, known.loadRes(guesses), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (10, 101, K) of all sizes
    return np.where(precision.min(axis=1) < 0, np.nan, precision.mean(axis=1))


def _real(rows: Any, width: int) -> np.ndarray:
    array = np.asarray(rows, "float64").reshape(-1, width)
    return array[array[:, 0] >= 0]


def _row(picture: int, kind: float, corners: np.ndarray) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(number) for number in corners)
    box = [x1, y1, x2 - x1, y2 - y1]
    return {
        "image_id": picture,
        "category_id": int(kind),
        "bbox": box,
        "area": box[2] * box[3],
    }
