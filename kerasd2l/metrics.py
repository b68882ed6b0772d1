"""Metrics that Keras does not have."""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kerasd2l")
class LogRMSE(keras.metrics.RootMeanSquaredError):
    """Root mean squared difference of logarithms: an error relative to the size of the target.

    sqrt(mean((log max(y_hat, 1) - log y)^2)). Section: "kaggle-house-price".

    Args:
        name: str. Default: "log_rmse".
        dtype: dtype of the computation. Default: float32.

    Call arguments:
        y_true: (B, 1) or (B,) float > 0.
        y_pred: the same shape; below 1 it counts as 1.
        sample_weight: (B,) float or None.

    Example:
        >>> metric = LogRMSE()
        >>> metric.update_state([1.0, 1.0], [-5.0, 1.0])
        >>> float(metric.result())
        0.0
    """

    def __init__(self, name: str = "log_rmse", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = (ops.convert_to_tensor(y, dtype=self.dtype) for y in (y_true, y_pred))
        super().update_state(ops.log(y_true), ops.log(ops.maximum(y_pred, 1.0)), sample_weight)


class _Tokens(keras.metrics.Metric):
    """A weighted mean over tokens; subclasses say of what."""

    def __init__(self, ignore_id: int | None, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.ignore_id = ignore_id
        zeros = {"shape": (), "initializer": "zeros", "dtype": self.dtype}
        self.total = self.add_variable(name="total", **zeros)
        self.count = self.add_variable(name="count", **zeros)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_pred = ops.cast(y_pred, self.dtype)
        weights = ops.ones_like(y_true, dtype=self.dtype)
        if self.ignore_id is not None:
            weights *= ops.cast(ops.not_equal(y_true, self.ignore_id), self.dtype)
            y_true = ops.where(ops.equal(y_true, self.ignore_id), 0, y_true)
        if sample_weight is not None:
            given = ops.cast(ops.convert_to_tensor(sample_weight), self.dtype)
            weights *= ops.reshape(
                given, (*ops.shape(given), *[1] * (len(y_true.shape) - len(given.shape)))
            )
        # a NaN under the padding is none of ours
        values = ops.where(weights > 0, self.values(y_true, y_pred), 0.0)
        self.total.assign_add(ops.sum(values * weights))
        self.count.assign_add(ops.sum(weights))

    def values(self, y_true, y_pred):
        """Return what is averaged, of each token."""
        raise NotImplementedError

    def result(self):
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self):
        return {**super().get_config(), "ignore_id": self.ignore_id}


@keras.saving.register_keras_serializable(package="kerasd2l")
class TokenCrossEntropy(_Tokens):
    """Mean cross-entropy of all tokens seen, however they were cut into batches.

    -sum_t log P(y_t) / n. Section: "bert-pretraining".

    Args:
        ignore_id: int or None, labels with this number (padding) do not count. Default: None.
        from_logits: bool, whether predictions are logits rather than probabilities. Default: True.
        name: str. Default: "cross_entropy".
        dtype: dtype of the sums. Default: float32.

    Call arguments:
        y_true: (B, T) int, or any shape.
        y_pred: (B, T, V) float, that shape and the vocabulary.
        sample_weight: shape of y_true or (B,) float, or None.

    Returns:
        float; 0.0 before anything was seen.

    Example:
        >>> metric = TokenCrossEntropy(ignore_id=1)
        >>> metric.update_state([[0, 1]], [[[0.0, 0.0, 0.0, 0.0]] * 2])
        >>> round(float(metric.result()), 4)
        1.3863
    """

    def __init__(
        self,
        ignore_id: int | None = None,
        from_logits: bool = True,
        name: str = "cross_entropy",
        dtype=None,
    ):
        super().__init__(ignore_id, name, dtype)
        self.from_logits = from_logits

    def values(self, y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits
        )

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable(package="kerasd2l")
class Perplexity(TokenCrossEntropy):
    """Exponential of the mean cross-entropy of all tokens seen: 1 is perfect.

    exp(-sum_t log P(y_t) / n). Sections: "rnn", "rnn-scratch". Batches count by their tokens: the
    figure of an epoch is that of one long text and does not depend on how it was cut.

    Args:
        ignore_id: int or None, labels with this number (padding) do not count. Default: None.
        from_logits: bool, whether predictions are logits rather than probabilities. Default: True.
        name: str. Default: "perplexity".
        dtype: dtype of the sums. Default: float32.

    Call arguments:
        y_true: (B, T) int, or any shape.
        y_pred: (B, T, V) float, that shape and the vocabulary.
        sample_weight: shape of y_true or (B,) float, or None.

    Returns:
        float; 1.0 before anything was seen.

    Example:
        >>> metric = Perplexity()
        >>> metric.update_state([[0, 3]], [[[0.0, 0.0, 0.0, 0.0]] * 2])
        >>> round(float(metric.result()), 4)
        4.0
    """

    def __init__(
        self,
        ignore_id: int | None = None,
        from_logits: bool = True,
        name: str = "perplexity",
        dtype=None,
    ):
        super().__init__(ignore_id, from_logits, name, dtype)

    def result(self):
        return ops.exp(super().result())


@keras.saving.register_keras_serializable(package="kerasd2l")
class TokenAccuracy(_Tokens):
    """Share of all tokens seen whose most probable class is the right one.

    Sections: "bert-pretraining", "finetuning-bert".

    Args:
        ignore_id: int or None, labels with this number (padding) do not count. Default: None.
        name: str. Default: "accuracy".
        dtype: dtype of the sums. Default: float32.

    Call arguments:
        y_true: (B, T) int, or any shape.
        y_pred: (B, T, K) float, that shape and the classes.
        sample_weight: shape of y_true or (B,) float, or None.

    Returns:
        float; 0.0 before anything was seen.

    Example:
        >>> metric = TokenAccuracy(ignore_id=1)
        >>> metric.update_state([[0, 1, 2]], [[[3.0, 0.0, 0.0]] * 3])
        >>> float(metric.result())
        0.5
    """

    def __init__(self, ignore_id: int | None = None, name: str = "accuracy", dtype=None):
        super().__init__(ignore_id, name, dtype)

    def values(self, y_true, y_pred):
        right = ops.equal(ops.cast(y_true, "int32"), ops.argmax(y_pred, axis=-1))
        return ops.cast(right, self.dtype)


def bleu(pred: str | Sequence[str], label: str | Sequence[str], k: int) -> float:
    """Compute the book's BLEU of one translation: 1 if it equals the reference.

    exp(min(0, 1 - len_label / len_pred)) prod_n p_n^(1 / 2^n), n from 1 to k, or to the number of
    words if that is less; p_n is the share of the translation's n-grams that the reference has,
    each as often at most as there.
    Section: "seq2seq". For figures to publish, take corpus BLEU (sacrebleu): its weights and
    smoothing are others.

    Args:
        pred: words of the translation, or a text to be split at white space.
        label: the same of the reference.
        k: int >= 1, longest n-gram that counts.

    Returns:
        float in [0, 1]; 0 for an empty translation.

    Raises:
        ValueError: k below 1, or an empty reference.

    Example:
        >>> round(bleu("a b", "a b c", k=1), 4)
        0.6065

    Reference:
        Papineni et al., BLEU: a method for automatic evaluation of machine translation, 2002.
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: k={k}.")
    pred, label = (side.split() if isinstance(side, str) else list(side) for side in (pred, label))
    if not label:
        raise ValueError("`label` must have at least one word. Received: an empty reference.")
    if not pred:
        return 0.0
    score = math.exp(min(0.0, 1 - len(label) / len(pred)))
    for n in range(1, min(k, len(pred)) + 1):
        found, there = _ngrams(pred, n), _ngrams(label, n)
        matches = sum(min(count, there[ngram]) for ngram, count in found.items())
        score *= (matches / (len(pred) - n + 1)) ** 0.5**n
    return score


def _ngrams(words: Sequence[str], n: int) -> collections.Counter:
    return collections.Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def average_precision(
    labels: Sequence[Any],
    detections: Sequence[Any],
    num_classes: int,
    *,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    overlaps: Sequence[Any] | None = None,
) -> np.ndarray:
    """Compute how well boxes were found, class by class: COCO's AP at one IoU.

    The detections of a class are gone through, the surest first: one is right if it overlaps an
    object that none before it took by `iou_threshold`. AP is the mean of 101 precisions, at recalls
    0, 0.01, ..., 1, each the best one at that recall or a larger one. AP50 is that at 0.5; COCO's
    AP is the mean over 0.5, 0.55, ..., 0.95. Section: "ssd".

    Args:
        labels: for each picture (G, 5) numbers: class, x1, y1, x2, y2; a negative class is padding.
        detections: for each picture (N, 6) numbers: class, score, x1, y1, x2, y2, as
            `layers.multibox_detection` gives them; a negative class is no detection.
        num_classes: int >= 1, K.
        iou_threshold: float in (0, 1]. Default: 0.5.
        max_detections: int >= 1, of a class in a picture; the surest ones count. Default: 100.
        overlaps: for each picture (N, G) numbers, the IoU of each detection with each object, such
            as that of their masks; None: that of their boxes.

    Returns:
        (K,) float64; NaN for a class without objects.

    Raises:
        ValueError: another number of pictures with labels than with detections, or arrays that are
            not those above.

    Example:
        >>> labels = [[[0, 0, 0, 2, 2], [0, 5, 5, 6, 6]]]
        >>> average_precision(labels, [[[0, 0.9, 0, 0, 2, 2.1]]], 1).round(4).tolist()
        [0.505]

    Reference:
        Lin et al., Microsoft COCO: common objects in context, 2014.
    """
    if len(labels) != len(detections):
        raise ValueError(
            "`labels` and `detections` must be of the same pictures. "
            f"Received: {len(labels)} and {len(detections)} pictures."
        )
    truths = [_rows("labels", rows, 5) for rows in labels]
    guesses = [_rows("detections", rows, 6) for rows in detections]
    results = np.full(num_classes, np.nan)
    for kind in range(num_classes):
        number = sum(int((rows[:, 0] == kind).sum()) for rows in truths)
        if not number:
            continue
        scores, hits = [], []
        for i, (objects, rows) in enumerate(zip(truths, guesses, strict=True)):
            there = objects[:, 0] == kind
            places = np.flatnonzero(rows[:, 0] == kind)
            places = places[np.argsort(-rows[places, 1], kind="stable")[:max_detections]]
            scores.append(rows[places, 1])
            if overlaps is None:
                iou = _iou(rows[places, 2:], objects[there, 1:])
            else:
                iou = np.array(overlaps[i], "float64")[places][:, there]
            hits.append(_hits(iou, iou_threshold))
        order = np.argsort(-np.concatenate(scores), kind="stable")
        right = np.cumsum(np.concatenate(hits)[order])
        precision = right / np.arange(1, len(right) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]  # at that recall or a larger one
        recalls = np.searchsorted(right / number, np.linspace(0, 1, 101))
        results[kind] = np.append(best, 0.0)[recalls].mean()
    return results


def _rows(name: str, rows: Any, width: int) -> np.ndarray:
    """Return the rows of a picture as an array (n, width)."""
    array = np.asarray(rows, "float64")
    array = array.reshape(0, width) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(
            f"`{name}` must be (n, {width}) numbers for each picture. Received: {array.shape}."
        )
    return array


def _iou(boxes: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return the IoU of each box with each object: (boxes, objects)."""
    upper = np.maximum(boxes[:, None, :2], objects[None, :, :2])
    lower = np.minimum(boxes[:, None, 2:], objects[None, :, 2:])
    shared = np.prod(np.maximum(lower - upper, 0), axis=-1)  # (boxes, objects)
    areas = [np.prod(np.maximum(x[:, 2:] - x[:, :2], 0), axis=-1) for x in (boxes, objects)]
    union = areas[0][:, None] + areas[1] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _hits(iou: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Say of each row, the surest first, whether it finds an object that is not found yet."""
    hits = np.zeros(len(iou), bool)
    for i in range(len(iou) if iou.shape[1] else 0):
        best = iou.shape[1] - 1 - int(np.argmax(iou[i, ::-1]))  # of two alike COCO takes the last
        hits[i] = iou[i, best] >= min(iou_threshold, 1 - 1e-10)
        if hits[i]:
            iou[:, best] = -1  # taken
    return hits
