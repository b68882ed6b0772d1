"""Losses that Keras lacks or that a section writes out; on `keras.ops` only.

The functions work element by element; the classes reduce over examples as Keras' own losses do.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def half_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Compute the book's L2 loss: its gradient by the prediction is the error itself.

    l = (y_pred - y_true)^2 / 2. Sections: "linear-regression-scratch", "loss-functions".

    Args:
        y_true: array of any shape.
        y_pred: array of the same shape.

    Returns:
        Array of that shape.

    Example:
        >>> float(half_squared_error(1.0, 4.0))
        4.5
    """
    return ops.square(ops.subtract(y_pred, y_true)) / 2


def absolute_error(y_true: Any, y_pred: Any) -> Any:
    """Compute the L1 loss: its gradient has the size 1 everywhere but at 0.

    l = |y_pred - y_true|. Section: "loss-functions".

    Args:
        y_true: array of any shape.
        y_pred: array of the same shape.

    Returns:
        Array of that shape.

    Example:
        >>> float(absolute_error(1.0, 4.0))
        3.0
    """
    return ops.abs(ops.subtract(y_pred, y_true))


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Compute Huber's robust loss: L2 near 0, L1 far away, smooth where they meet.

    l = e^2 / 2 if |e| <= delta, else delta (|e| - delta / 2). Section: "loss-functions".

    Args:
        y_true: array of any shape.
        y_pred: array of the same shape.
        delta: float > 0, the error at which the parabola becomes a line. Default: 1.

    Returns:
        Array of that shape.

    Raises:
        ValueError: `delta` is not positive.

    Example:
        >>> float(huber(1.0, 4.0))
        2.5

    Reference:
        Huber, Robust estimation of a location parameter, 1964.
    """
    if delta <= 0:
        raise ValueError(f"`delta` must be positive. Received: delta={delta}.")
    error = ops.abs(ops.subtract(y_pred, y_true))
    return ops.where(error <= delta, ops.square(error) / 2, delta * (error - delta / 2))


@keras.saving.register_keras_serializable(package="kerasd2l")
class HalfSquaredError(keras.losses.Loss):
    """Mean over the examples of half the squared error: half of Keras' MeanSquaredError.

    L = mean (y_pred - y_true)^2 / 2. Section: "linear-regression-scratch".

    Args:
        reduction: str, as in every Keras loss.
        name: str.
        **kwargs: of `keras.losses.Loss`.

    Call arguments:
        y_true: (B, ..., D) float.
        y_pred: the same shape.

    Returns:
        A scalar; (B, ...) with `reduction=None`.

    Raises:
        ValueError: the shapes differ, which broadcasting would turn into a wrong number.

    Example:
        >>> float(HalfSquaredError()([[0.0]], [[3.0]]))
        4.5
    """

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str = "half_squared_error", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_true.shape) != len(y_pred.shape):
            raise ValueError(
                "`y_true` and `y_pred` must have the same shape. "
                f"Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}. Reshape the labels."
            )
        return ops.mean(half_squared_error(y_true, y_pred), axis=-1)


def masked_cross_entropy(
    labels: Any, logits: Any, valid_lens: Any, *, divide_by: str = "tokens"
) -> Any:
    """Compute the cross-entropy of each sequence, padding left out.

    sum_{t < len} -log P(y_t), divided by len ("tokens") or, as the book does, by T ("steps"), which
    makes short sequences count less the longer the batch is padded. Section: "seq2seq".

    Args:
        labels: (B, T) int.
        logits: (B, T, V) float.
        valid_lens: (B,) int, real tokens of each sequence.
        divide_by: "tokens" or "steps". Default: "tokens".

    Returns:
        (B,) float; 0 for a sequence without real tokens.

    Raises:
        ValueError: another `divide_by`.

    Example:
        >>> loss = masked_cross_entropy([[0, 1]], [[[0.0, 0.0]] * 2], [1], divide_by="steps")
        >>> round(float(loss[0]), 4)
        0.3466
    """
    _check_divisor(divide_by)
    labels, logits = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
    lens = ops.cast(ops.convert_to_tensor(valid_lens), "int32")
    real = ops.arange(ops.shape(labels)[1], dtype="int32")[None, :] < lens[:, None]  # (B, T)
    total = ops.sum(_token_losses(labels, logits, real), axis=1)
    if divide_by == "steps":
        return total / ops.cast(ops.shape(labels)[1], total.dtype)
    return total / ops.cast(ops.maximum(lens, 1), total.dtype)


@keras.saving.register_keras_serializable(package="kerasd2l")
class MaskedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of a batch of padded sequences: the mean over all real tokens.

    sum of -log P(y) over labels that are not padding, divided by their number ("tokens") or, as in
    the book, by B x T ("steps"). Section: "seq2seq". On several replicas, "tokens" would be the
    mean of the replicas' means, and the loop refuses it: give the labels weights made from the
    whole batch (`data.translation.load(weights="tokens")`) and use Keras' own loss.

    Args:
        ignore_id: int, the number of the padding in the labels. Default: 1, `<pad>`.
        divide_by: "tokens" or "steps". Default: "tokens".
        name: str.

    Call arguments:
        y_true: (B, T) int.
        y_pred: (B, T, V) float, logits.

    Returns:
        Scalar.

    Raises:
        ValueError: another `divide_by`.

    Example:
        >>> round(float(MaskedCrossEntropy()([[0, 1]], [[[0.0, 0.0], [9.0, 0.0]]])), 4)
        0.6931
    """

    def __init__(
        self, ignore_id: int = 1, divide_by: str = "tokens", name: str = "masked_cross_entropy"
    ):
        _check_divisor(divide_by)
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.ignore_id, self.divide_by = ignore_id, divide_by

    @property
    def divides_by_tokens(self) -> bool:
        """Whether the loss of a batch is not the mean of its examples' losses."""
        return self.divide_by == "tokens"

    def call(self, y_true, y_pred):
        labels = ops.cast(y_true, "int32")
        real = ops.not_equal(labels, self.ignore_id)
        losses = _token_losses(labels, y_pred, real)  # (B, T), reduced by Keras to its mean
        if self.divide_by == "steps":
            return losses
        number = ops.cast(ops.maximum(ops.sum(ops.cast(real, "int32")), 1), losses.dtype)
        return losses * (ops.cast(ops.size(losses), losses.dtype) / number)

    def get_config(self):
        return {"ignore_id": self.ignore_id, "divide_by": self.divide_by, "name": self.name}


def sigmoid_bce(logits: Any, labels: Any, mask: Any = None) -> Any:
    """Compute the book's loss of several yes-or-no questions a row, some of them padding.

    mean over m of mask_m (-y_m log s(x_m) - (1 - y_m) log(1 - s(x_m))), s the sigmoid. All places
    count in the mean, as in the book; divide by the share of real ones where that must not be.
    Section: "word2vec-pretraining".

    Args:
        logits: (B, M) float.
        labels: (B, M) 0 or 1.
        mask: (B, M), 0 where nothing is asked; None: everywhere something is.

    Returns:
        (B,) float.

    Example:
        >>> loss = sigmoid_bce([[1.1, -2.2, 3.3, -4.4]], [[1, 0, 0, 0]], [[1, 1, 1, 1]])
        >>> round(float(loss[0]), 4)
        0.9352
    """
    losses = sigmoid_losses(labels, logits)
    if mask is not None:
        losses = losses * ops.cast(ops.convert_to_tensor(mask), losses.dtype)
    return ops.mean(losses, axis=-1)


@keras.saving.register_keras_serializable(package="kerasd2l")
class SigmoidBCELoss(keras.losses.Loss):
    """Binary cross-entropy of each logit by itself, so that each can have a weight of its own.

    -y log s(x) - (1 - y) log(1 - s(x)), s the sigmoid. Section: "word2vec-pretraining". Keras' own
    BinaryCrossentropy takes the mean of a row before it looks at weights.

    Args:
        reduction: str, as in every Keras loss: the mean over all places by default.
        name: str.
        **kwargs: of `keras.losses.Loss`.

    Call arguments:
        y_true: (B, M) 0 or 1.
        y_pred: (B, M) float, logits.
        sample_weight: (B, M) float or None; see `data.word_windows.weigh`.

    Returns:
        A scalar; (B, M) with `reduction=None`.

    Example:
        >>> round(float(SigmoidBCELoss()([[1.0, 0.0]], [[0.0, 0.0]])), 4)
        0.6931
    """

    def __init__(self, reduction: str = "sum_over_batch_size", name: str = "sigmoid_bce", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        return sigmoid_losses(y_true, y_pred)


def sigmoid_losses(labels: Any, logits: Any) -> Any:
    """Return softplus(x) - y x: the cross-entropy without an overflow."""
    logits = ops.convert_to_tensor(logits)
    labels = ops.cast(ops.convert_to_tensor(labels), logits.dtype)
    return ops.softplus(logits) - labels * logits


def _token_losses(labels: Any, logits: Any, real: Any) -> Any:
    """Return -log P(label) where `real`, else 0: (B, T) from labels (B, T) and logits (B, T, V)."""
    # what stands in the padding must reach neither the loss nor, as NaN, the gradient
    labels = ops.where(real, labels, 0)
    logits = ops.where(real[..., None], logits, ops.zeros_like(logits))
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return ops.where(real, losses, ops.zeros_like(losses))


def _check_divisor(divide_by: str) -> None:
    if divide_by not in ("tokens", "steps"):
        raise ValueError(f"`divide_by` must be tokens or steps. Received: {divide_by!r}.")


@keras.saving.register_keras_serializable(package="kerasd2l")
class PixelCrossEntropy(keras.losses.Loss):
    """Cross-entropy of the pixels of a picture, those of no class left out.

    l = -sum_ij log P(y_ij) / n over the n pixels of a picture that have a class, 0 if none has; the
    loss is the mean over the pictures. Section: "fcn". Each picture has its own n, so that replicas
    that share a batch compute what one device does.

    Args:
        ignore_id: int or None, the label of pixels of no class. Default: 255.
        reduction: str, as in every Keras loss.
        name: str.
        **kwargs: of `keras.losses.Loss`.

    Call arguments:
        y_true: (B, H, W) int.
        y_pred: (B, H, W, K) float logits.

    Returns:
        A scalar; (B,) with `reduction=None`.

    Example:
        >>> loss = PixelCrossEntropy()
        >>> round(float(loss([[[0, 255]]], [[[[0.0, 0.0], [9.0, -9.0]]]])), 4)
        0.6931
    """

    def __init__(
        self,
        ignore_id: int | None = 255,
        reduction: str = "sum_over_batch_size",
        name: str = "pixel_cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.ignore_id = ignore_id

    def call(self, y_true, y_pred):
        labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
        y_pred = ops.convert_to_tensor(y_pred)
        counts = ops.ones_like(labels, dtype="bool")
        if self.ignore_id is not None:
            counts = ops.not_equal(labels, self.ignore_id)
        values = ops.sparse_categorical_crossentropy(
            ops.where(counts, labels, 0), y_pred, from_logits=True
        )  # (B, H, W)
        axes = tuple(range(1, len(labels.shape)))
        total = ops.sum(ops.where(counts, values, 0.0), axes)
        return total / ops.maximum(ops.sum(ops.cast(counts, values.dtype), axes), 1.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"ignore_id": self.ignore_id}
