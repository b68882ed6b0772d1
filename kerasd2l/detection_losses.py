"""Losses of object detection: of offsets, of classes that are mostly background, of boxes.

All work element by element; whoever calls says what the sum is divided by. On `keras.ops` only.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.losses import sigmoid_losses


def smooth_l1(y_true: Any, y_pred: Any, beta: float = 1.0) -> Any:
    """Compute the loss of predicted offsets: a parabola near 0, |e| with slope 1 far away.

    l = e^2 / (2 beta) if |e| < beta, else |e| - beta / 2. Section: "ssd", whose sigma is
    beta = 1 / sigma^2. It is `huber` divided by its delta, and PyTorch's SmoothL1Loss.

    Args:
        y_true: array of any shape.
        y_pred: array of the same shape.
        beta: float >= 0, the error where the parabola becomes a line; 0: the L1 loss. Default: 1.

    Returns:
        Array of that shape.

    Raises:
        ValueError: `beta` is negative.

    Example:
        >>> float(smooth_l1(0.0, 3.0, beta=2.0))
        2.0
    """
    if beta < 0:
        raise ValueError(f"`beta` must be at least 0. Received: beta={beta}.")
    error = ops.abs(ops.subtract(y_pred, y_true))
    if beta == 0:
        return error
    return ops.where(error < beta, ops.square(error) / (2 * beta), error - beta / 2)


def focal_loss(labels: Any, logits: Any, gamma: float = 2.0) -> Any:
    """Compute a cross-entropy that counts less what is classified well already.

    l = -(1 - p)^gamma log p, p the softmax probability of the label. Section: "ssd".

    Args:
        labels: (...) int.
        logits: (..., K) float.
        gamma: float >= 0; 0: the cross-entropy. Default: 2.

    Returns:
        (...) float.

    Example:
        >>> round(float(focal_loss(0, [0.0, 0.0], gamma=1.0)), 4)
        0.3466

    Reference:
        Lin et al., Focal loss for dense object detection, 2017.
    """
    labels, logits = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
    cross_entropy = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return _share_missed(-cross_entropy) ** gamma * cross_entropy


def sigmoid_focal_loss(
    labels: Any, logits: Any, alpha: float | None = 0.25, gamma: float = 2.0
) -> Any:
    """Compute the focal loss of yes-or-no questions: torchvision's `sigmoid_focal_loss`.

    l = -a (1 - p)^gamma log p, p the probability of the answer, a = alpha for yes, else 1 - alpha.
    Section: "ssd".

    Args:
        labels: (...) 0 or 1.
        logits: (...) float.
        alpha: float in [0, 1], or None for no weights. Default: 0.25.
        gamma: float >= 0. Default: 2.

    Returns:
        (...) float.

    Example:
        >>> round(float(sigmoid_focal_loss(1.0, 0.0, alpha=None)), 4)
        0.1733
    """
    cross_entropy = sigmoid_losses(labels, logits)
    losses = _share_missed(-cross_entropy) ** gamma * cross_entropy
    if alpha is None:
        return losses
    labels = ops.cast(labels, losses.dtype)
    return (alpha * labels + (1 - alpha) * (1 - labels)) * losses


def _share_missed(log_probability: Any) -> Any:
    """Return 1 - p, exact for p near 1; above 0, where a power below 1 has no gradient."""
    return ops.maximum(-ops.expm1(log_probability), keras.config.epsilon() ** 2)


def giou(y_true: Any, y_pred: Any) -> Any:
    """Compute how well boxes fit: their IoU, less the share of nothing in the box around both.

    g = I / U - (H - U) / H: intersection, union and hull; 1 the same, -1 far away. Section: "rcnn".

    Args:
        y_true: (..., 4) float, corners.
        y_pred: (..., 4) float, corners.

    Returns:
        (...) float in [-1, 1].

    Example:
        >>> round(float(giou([0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0])), 4)
        -0.3333

    Reference:
        Rezatofighi et al., Generalized intersection over union, 2019.
    """
    one, other = (ops.convert_to_tensor(x, "float32") for x in (y_true, y_pred))
    shared = _area(
        ops.maximum(one[..., :2], other[..., :2]), ops.minimum(one[..., 2:], other[..., 2:])
    )
    hull = _area(
        ops.minimum(one[..., :2], other[..., :2]), ops.maximum(one[..., 2:], other[..., 2:])
    )
    area, other_area = (_area(box[..., :2], box[..., 2:]) for box in (one, other))
    union = area + other_area - shared
    tiny = keras.config.epsilon()
    return shared / (union + tiny) - (hull - union) / (hull + tiny)


def _area(upper_left: Any, lower_right: Any) -> Any:
    sides = ops.relu(lower_right - upper_left)
    return sides[..., 0] * sides[..., 1]


def giou_loss(y_true: Any, y_pred: Any) -> Any:
    """Compute 1 - `giou`: the loss of predicted boxes that knows where to go when they are apart.

    Args:
        y_true: (..., 4) float, corners.
        y_pred: (..., 4) float, corners.

    Returns:
        (...) float in [0, 2].

    Example:
        >>> round(float(giou_loss([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0])), 4)
        0.0
    """
    return 1 - giou(y_true, y_pred)
