"""Faster R-CNN: a network proposes regions, another one looks at them, both on the same maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.detection_losses import smooth_l1
from kerasd2l.layers import (
    Conv2D,
    RoIAlign,
    match_regions,
    multibox_prior,
    offset_boxes,
    propose,
)
from kerasd2l.layers.cells import real_objects
from kerasd2l.layers.suppression import take_rows
from kerasd2l.losses import sigmoid_losses
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn
from kerasd2l.models.vision.fast_rcnn import RATIOS, SIZES, OnMaps
from kerasd2l.models.vision.region_detector import draw_regions

_HIGH, _LOW = 0.7, 0.3  # IoU of anchors with an object, and of background


@keras.saving.register_keras_serializable("kerasd2l")
class FasterRCNN(OnMaps):
    """Faster R-CNN on a residual network.

    Maps of ResNet; a 3 x 3 convolution and two of 1 x 1 say of each anchor whether there is an
    object and where exactly; the most certain boxes are cut out of the maps by `RoIAlign`, 7 x 7,
    and two dense layers lead to classes and boxes. loss = RPN's cross-entropy and smooth L1 over
    256 anchors + `RegionDetector`'s, trained jointly. Section: "rcnn".

    The numbers are torchvision's where the network is: IoU 0.7 and 0.3 for anchors, half of the 256
    with an object. Sums are divided by 256 and by `num_samples` even where there are fewer, so that
    replicas agree. Offsets are the book's, ten and five times as large as the papers'.

    Args:
        num_classes: int >= 1, K, without the background.
        depths: ints >= 1, blocks of the stages; (2, 2, 2) is ResNet-18 up to 1/16 of the size,
            (2, 2) to 1/8, for small objects.
        width: float > 0, factor on the filters 64, 128, 256 of the stages.
        sizes: of the anchors, see `layers.multibox_prior`.
        ratios: of the anchors.
        num_proposals: int >= 1, P, regions that are looked at.
        num_samples: int >= 1, M, regions of a picture that are learned from.
        positive_share: float in (0, 1], most of them that have an object.
        head_units: int >= 1, of the two dense layers.
        smooth_beta: float >= 0, the offset's error where the loss becomes a line.
        seed: int or None, of weights and of what is drawn.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, H, W, 3) float in [0, 1]; at least 16 x 16 with three stages.
        training: bool.

    Returns:
        {"features": (B, h, w, C) float, "anchors": (1, A, 4) float, corners as parts of the
        picture, "objectness": (B, A) float, logits, "anchor_offsets": (B, A, 4) float,
        "proposals": (B, P, 4) float, "there": (B, P) bool, which of them are some, "classes":
        (B, P, K + 1) float, logits, the background first, "offsets": (B, P, K, 4) float}.

    Raises:
        ValueError: a number out of range, or pictures that are too small.

    Example:
        >>> model = FasterRCNN(2, width=0.125, num_proposals=10, head_units=16)
        >>> model(keras.ops.zeros((1, 64, 64, 3)))["classes"].shape
        TensorShape([1, 10, 3])

    Reference:
        Ren et al., Faster R-CNN: towards real-time object detection with region proposal networks,
        2015.
    """

    part_names: tuple[str, ...] = ("rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss")
    anchors_learned = 256  # of a picture

    def __init__(
        self,
        num_classes: int,
        *,
        depths: Sequence[int] = (2, 2, 2),
        width: float = 1.0,
        sizes: Sequence[float] = SIZES,
        ratios: Sequence[float] = RATIOS,
        num_proposals: int = 300,
        num_samples: int = 128,
        positive_share: float = 0.25,
        head_units: int = 1024,
        smooth_beta: float = 1.0,
        seed: int | None = None,
        name: str = "faster_rcnn",
        **kwargs: Any,
    ):
        check_sizes(num_proposals=num_proposals)
        super().__init__(
            num_classes,
            depths=depths,
            width=width,
            sizes=sizes,
            ratios=ratios,
            num_samples=num_samples,
            positive_share=positive_share,
            head_units=head_units,
            smooth_beta=smooth_beta,
            seed=seed,
            name=name,
            **kwargs,
        )
        self.num_proposals = num_proposals
        channels, anchors = self.backbone.output.shape[-1], len(self.sizes) + len(self.ratios) - 1
        self.rpn = self._conv(channels, 3, 10, "rpn", activation="relu")
        self.rpn_objectness = self._conv(anchors, 1, 11, "rpn_objectness", dtype="float32")
        self.rpn_offsets = self._conv(4 * anchors, 1, 12, "rpn_offsets", dtype="float32")

    def make_pool(self):
        return RoIAlign(7, name="pool")

    def _conv(self, filters: int, kernel_size: int, number: int, name: str, **options: Any) -> Any:
        weights = keras.initializers.RandomNormal(0.0, 0.01, drawn(self.seed, number))
        options |= {"padding": "same", "kernel_initializer": weights, "name": name}
        return Conv2D(filters, kernel_size, **options)

    def build(self, input_shape):
        super().build(input_shape)
        features = self.backbone.output.shape
        for layer in (self.rpn, self.rpn_objectness, self.rpn_offsets):
            layer.build(features)

    def regions(self, inputs, training):
        features = self.backbone(inputs, training=training)
        x, batch = self.rpn(features), ops.shape(inputs)[0]
        anchors = multibox_prior(features, self.sizes, self.ratios)  # (1, A, 4)
        objectness = ops.reshape(self.rpn_objectness(x), (batch, -1))  # (B, A)
        offsets = ops.reshape(self.rpn_offsets(x), (batch, -1, 4))  # (B, A, 4)
        proposals, there = propose(anchors, objectness, offsets, after=self.num_proposals)
        return {
            "features": ops.cast(features, "float32"),
            "anchors": anchors,
            "objectness": objectness,
            "anchor_offsets": offsets,
            "proposals": proposals,
            "there": there,
        }

    def losses_of(self, y, outputs, training=True):
        labels = ops.cast(ops.convert_to_tensor(y), "float32")
        return *self.rpn_losses(labels, outputs, training), *super().losses_of(y, outputs, training)

    def rpn_losses(self, labels: Any, outputs: dict[str, Any], training: bool) -> tuple[Any, Any]:
        """Return the losses of objectness and of boxes of each picture, (B,) each."""
        labels, _ = real_objects(labels)
        own = match_regions(labels[..., 1:], outputs["anchors"], _HIGH, _LOW, best=True)
        seed = self.draws if training else 1
        rows, number, objects, counts = draw_regions(own, labels, self.anchors_learned, 0.5, seed)
        positive = number >= 0
        logits = take_rows(outputs["objectness"], rows)
        class_losses = sigmoid_losses(ops.cast(positive, "float32"), logits)
        anchors = ops.take(outputs["anchors"][0], rows, axis=0)  # (B, M, 4)
        offsets = offset_boxes(anchors, objects[..., 1:])
        errors = smooth_l1(offsets, take_rows(outputs["anchor_offsets"], rows), self.smooth_beta)
        losses = (
            ops.where(counts, class_losses, 0.0),
            ops.where(positive, ops.sum(errors, axis=-1), 0.0),
        )
        return tuple(ops.sum(x, axis=1) / self.anchors_learned for x in losses)

    def get_config(self):
        return {**super().get_config(), "num_proposals": self.num_proposals}
