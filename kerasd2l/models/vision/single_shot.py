"""Single-shot detection: what TinySSD and SSD share, all but where the feature maps come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.detection_losses import focal_loss, smooth_l1
from kerasd2l.layers import Conv2D, multibox_prior, multibox_target, offset_inverse
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn
from kerasd2l.models.vision.detector import OfEachPicture, check_sides

# The book's anchors for five maps: sides as parts of the picture's height, width over height.
SIZES = ((0.2, 0.272), (0.37, 0.447), (0.54, 0.619), (0.71, 0.79), (0.88, 0.961))
RATIOS = ((1.0, 2.0, 0.5),) * 5


def anchor_sizes(smallest: float = 0.2, largest: float = 0.88, maps: int = 5) -> Any:
    """Return two sizes of anchors for each map, by the rule that the book's numbers follow.

    s_k in equal steps from the smallest to the largest, and sqrt(s_k s_k+1). Section: "ssd".

    Args:
        smallest: float > 0, of the finest map, as a part of the picture's height.
        largest: float > smallest, of the coarsest map.
        maps: int >= 2.

    Returns:
        Tuple of pairs of floats, rounded to 3 digits.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> anchor_sizes(0.2, 0.88)[0]
        (0.2, 0.272)
    """
    if not 0.001 <= smallest < largest < float("inf") or maps < 2:
        raise ValueError(
            "`smallest` must be at least 0.001, `largest` more, and `maps` at least 2. "
            f"Received: smallest={smallest}, largest={largest}, maps={maps}."
        )
    step = (largest - smallest) / (maps - 1)
    first = [smallest + k * step for k in range(maps)]
    return tuple((round(s, 3), round((s * (s + step)) ** 0.5, 3)) for s in first)


def cls_predictor(num_anchors: int, num_classes: int, **options: Any) -> keras.layers.Layer:
    """Make the layer that gives each anchor logits of K classes and of the background in front.

    A convolution of 3 x 3 that leaves height and width. Section: "ssd".

    Args:
        num_anchors: int >= 1, anchors a pixel.
        num_classes: int >= 1, K.
        **options: of the layer: name, kernel_initializer.

    Returns:
        A layer (B, H, W, C) -> (B, H, W, num_anchors * (K + 1)) float32.

    Example:
        >>> cls_predictor(5, 10)(ops.zeros((2, 20, 20, 8))).shape
        TensorShape([2, 20, 20, 55])
    """
    check_sizes(num_anchors=num_anchors, num_classes=num_classes)
    return _head(num_anchors * (num_classes + 1), **options)


def bbox_predictor(num_anchors: int, **options: Any) -> keras.layers.Layer:
    """Make the layer that gives each anchor its four offsets; see `cls_predictor`.

    Args:
        num_anchors: int >= 1, anchors a pixel.
        **options: of the layer: name, kernel_initializer.

    Returns:
        A layer (B, H, W, C) -> (B, H, W, num_anchors * 4) float32.

    Example:
        >>> bbox_predictor(5)(ops.zeros((2, 20, 20, 8))).shape
        TensorShape([2, 20, 20, 20])
    """
    check_sizes(num_anchors=num_anchors)
    return _head(num_anchors * 4, **options)


def _head(filters: int, **options: Any) -> keras.layers.Layer:
    return Conv2D(filters, 3, padding="same", dtype="float32", **options)


def flatten_pred(pred: Any) -> Any:
    """Flatten what is predicted of a map, (B, H, W, C), to (B, H * W * C). Section: "ssd"."""
    return ops.reshape(pred, (ops.shape(pred)[0], -1))


def concat_preds(preds: Sequence[Any]) -> Any:
    """Put what is predicted of maps of several sizes into one row. Section: "ssd".

    Args:
        preds: for each map (B, H_i, W_i, C_i).

    Returns:
        (B, sum of H_i * W_i * C_i).

    Example:
        >>> concat_preds([ops.zeros((2, 20, 20, 55)), ops.zeros((2, 10, 10, 33))]).shape
        TensorShape([2, 25300])
    """
    return ops.concatenate([flatten_pred(pred) for pred in preds], axis=1)


def uniform(seed: int | None = None) -> keras.initializers.Initializer:
    """Make PyTorch's default of a convolution's weights, which the book trains from.

    U(-b, b), b = 1 / sqrt(what a weight is summed over). Biases are zero here.
    """
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed)


class SingleShotDetector(keras.Model):
    """Predict class and offsets of anchors of all sizes at once, from maps of several sizes.

    loss = mean over anchors of the classes' cross-entropy + mean over 4 A offsets of |error|, an
    offset counting where the anchor has an object. Section: "ssd". A subclass makes the maps.

    Args:
        backbone: pixels (B, H, W, C) -> list of maps, the finest first; a built `keras.Model`.
        num_classes: int >= 1, K, without the background.
        sizes: for each map the sizes of its anchors, see `layers.multibox_prior`.
        ratios: for each map the ratios of its anchors.
        focal_gamma: float >= 0, of the focal loss, which counts less what is right already; 0: the
            cross-entropy.
        smooth_beta: float >= 0, the offset's error where the loss becomes a line; 0: |error|.
        seed: int or None, of the heads' weights.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Raises:
        ValueError: a number out of range, or not as many sizes and ratios as maps.
    """

    least = 1  # pixels of a side

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int,
        *,
        sizes: Sequence[Sequence[float]] = SIZES,
        ratios: Sequence[Sequence[float]] = RATIOS,
        focal_gamma: float = 0.0,
        smooth_beta: float = 0.0,
        seed: int | None = None,
        name: str,
        **kwargs: Any,
    ):
        check_sizes(num_classes=num_classes)
        if focal_gamma < 0 or smooth_beta < 0:
            raise ValueError(
                "`focal_gamma` and `smooth_beta` must be at least 0. "
                f"Received: focal_gamma={focal_gamma}, smooth_beta={smooth_beta}."
            )
        maps = backbone.outputs
        if not len(sizes) == len(ratios) == len(maps):
            raise ValueError(
                f"`sizes` and `ratios` must be those of {len(maps)} maps. "
                f"Received: {len(sizes)} sizes and {len(ratios)} ratios."
            )
        super().__init__(name=name, **kwargs)
        self.backbone, self.num_classes, self.seed = backbone, num_classes, seed
        self.sizes = [list(map(float, of_map)) for of_map in sizes]
        self.ratios = [list(map(float, of_map)) for of_map in ratios]
        self.focal_gamma, self.smooth_beta = focal_gamma, smooth_beta
        self.class_heads: list[Any] = []
        self.box_heads: list[Any] = []
        for i, (s, r) in enumerate(zip(self.sizes, self.ratios, strict=True)):
            anchors = len(s) + len(r) - 1
            first, second = (uniform(drawn(seed, 1000 + 2 * i + j)) for j in (0, 1))
            self.class_heads.append(
                cls_predictor(anchors, num_classes, kernel_initializer=first, name=f"classes_{i}")
            )
            self.box_heads.append(
                bbox_predictor(anchors, kernel_initializer=second, name=f"offsets_{i}")
            )
        self.class_error = keras.metrics.Mean(name="class_error")
        self.bbox_mae = keras.metrics.Mean(name="bbox_mae")

    def build(self, input_shape):
        check_sides(self.name, input_shape, self.least)
        for heads in (self.class_heads, self.box_heads):
            for head, feature_map in zip(heads, self.backbone.outputs, strict=True):
                head.build(feature_map.shape)

    def call(self, inputs, training=False):
        maps = self.backbone(inputs, training=training)
        priors = zip(maps, self.sizes, self.ratios, strict=True)
        anchors = ops.concatenate([multibox_prior(*prior) for prior in priors], axis=1)
        classes, offsets = (
            concat_preds([head(x) for head, x in zip(heads, maps, strict=True)])
            for heads in (self.class_heads, self.box_heads)
        )
        batch = ops.shape(classes)[0]
        return {
            "anchors": anchors,  # (1, A, 4)
            "classes": ops.reshape(classes, (batch, -1, self.num_classes + 1)),  # (B, A, K + 1)
            "offsets": ops.reshape(offsets, (batch, -1, 4)),  # (B, A, 4)
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the mean loss of a batch, and take note of the figures that the book prints.

        Args:
            x: not looked at.
            y: (B, G, 5), class and corners of each object, as `layers.multibox_target` takes them.
            y_pred: what the model gives.
            sample_weight: (B,) float or None.
            training: not looked at.

        Returns:
            () float.
        """
        offsets, mask, classes = multibox_target(y_pred["anchors"], y)
        logits, predicted = y_pred["classes"], mask * flatten_pred(y_pred["offsets"])
        class_losses = focal_loss(classes, logits, self.focal_gamma)  # (B, A)
        box_losses = smooth_l1(offsets, predicted, self.smooth_beta)  # (B, 4 A)
        losses = ops.mean(class_losses, axis=1) + ops.mean(box_losses, axis=1)  # (B,)
        wrong = ops.not_equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), classes)
        self.class_error.update_state(ops.mean(ops.cast(wrong, "float32"), axis=1))
        self.bbox_mae.update_state(ops.mean(ops.abs(offsets - predicted), axis=1))
        losses = losses + sum(self.losses)  # of the weights, where there are such
        return OfEachPicture()(losses, losses, sample_weight)

    def candidates(self, inputs: Any) -> tuple[Any, Any]:
        """Return all boxes that the model thinks of, before suppression.

        Args:
            inputs: (B, H, W, C) float, pictures.

        Returns:
            boxes (B, A, 1, 4) float, corners as parts of the picture; scores (B, A, K) float, the
            probability of each class but the background.
        """
        outputs = self(inputs, training=False)
        boxes = offset_inverse(outputs["anchors"], outputs["offsets"])
        return boxes[:, :, None], ops.softmax(outputs["classes"])[..., 1:]

    def get_config(self):
        names = ("num_classes", "sizes", "ratios", "focal_gamma", "smooth_beta", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
