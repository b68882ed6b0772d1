"""Metrics of segmentation: how well each class's pixels are found; on `keras.ops` only."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kerasd2l")
class MeanIoU(keras.metrics.Metric):
    """Mean over the classes of intersection over union, of all pixels seen.

    IoU_k = C_kk / (sum_j C_kj + sum_i C_ik - C_kk), C the confusion matrix: pixels by their class
    and by the predicted one. Classes that are neither there nor predicted do not count.
    Section: "fcn". `by_class` tells each one's, which Keras' MeanIoU does not.

    Args:
        num_classes: int >= 2, K, at least as many as there are: others are never there.
            Default: 255, the most of a mask of bytes.
        ignore_id: int or None, the label of pixels of no class. Default: 255.
        name: str. Default: "mean_iou".
        dtype: dtype of the counts. Default: float32.

    Call arguments:
        y_true: (B, H, W) int, or any shape.
        y_pred: (B, H, W, k) float, that shape and the classes, k <= K.
        sample_weight: None; pixels are counted.

    Returns:
        float; 0.0 before anything was seen.

    Raises:
        ValueError: fewer than two classes, or weights.

    Example:
        >>> metric = MeanIoU(2)
        >>> metric.update_state([[0, 0, 1, 255]], [[[9, 0], [0, 9], [0, 9], [9, 0]]])
        >>> float(metric.result())
        0.5
    """

    def __init__(
        self,
        num_classes: int = 255,
        ignore_id: int | None = 255,
        name: str = "mean_iou",
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        if num_classes < 2:
            raise ValueError(
                f"`num_classes` must be at least 2. Received: num_classes={num_classes}."
            )
        self.num_classes, self.ignore_id = num_classes, ignore_id
        self.confusion = self.add_variable(
            (num_classes, num_classes), "zeros", dtype=self.dtype, name="confusion"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError("MeanIoU counts pixels: it takes no weights.")
        k = self.num_classes
        labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
        predicted = ops.cast(ops.argmax(ops.convert_to_tensor(y_pred), axis=-1), "int32")
        cells = labels * k + predicted
        if self.ignore_id is not None:
            cells = ops.where(ops.equal(labels, self.ignore_id), k * k, cells)
        counts = ops.bincount(ops.reshape(cells, (-1,)), minlength=k * k + 1)
        counts = ops.cast(ops.reshape(counts[: k * k], (k, k)), self.dtype)
        self.confusion.assign_add(counts)

    def result(self):
        shared, union = self._shared_and_union()
        there = ops.cast(union > 0, self.dtype)
        return ops.divide_no_nan(ops.sum(ops.divide_no_nan(shared, union)), ops.sum(there))

    def by_class(self) -> np.ndarray:
        """Return the IoU of each class: (K,) float; NaN where it is neither there nor predicted."""
        shared, union = (ops.convert_to_numpy(x) for x in self._shared_and_union())
        return np.divide(shared, union, out=np.full_like(shared, np.nan), where=union > 0)

    def _shared_and_union(self) -> tuple[Any, Any]:
        matrix = ops.convert_to_tensor(self.confusion)
        shared = ops.diagonal(matrix)
        return shared, ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - shared

    def get_config(self):
        return super().get_config() | {
            "num_classes": self.num_classes,
            "ignore_id": self.ignore_id,
        }


def mask_iou(masks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each mask with each other one.

    Args:
        masks: (N, H, W) bool.
        others: (G, H, W) bool.

    Returns:
        (N, G) float64; 0 for two masks without a pixel.

    Example:
        >>> mask_iou(np.array([[[1, 1, 0]]]), np.array([[[0, 1, 1]], [[1, 1, 0]]])).round(2)
        array([[0.33, 1.  ]])
    """
    pixels = math.prod(masks.shape[1:])  # -1 is no size where there are no masks
    a, b = (np.reshape(part, (len(part), pixels)).astype("float32") for part in (masks, others))
    shared = (a @ b.T).astype("float64")  # whole numbers are exact up to 2^24 pixels
    union = a.sum(1, dtype="float64")[:, None] + b.sum(1, dtype="float64") - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
