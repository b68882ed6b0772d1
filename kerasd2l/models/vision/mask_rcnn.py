"""Mask R-CNN: Faster R-CNN that also says which pixels of a box are the object's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.layers import Conv2D, RoIAlign, TransposedConv2D
from kerasd2l.layers.cells import with_one_more
from kerasd2l.layers.proposals import most_with_object
from kerasd2l.layers.suppression import take_rows
from kerasd2l.losses import sigmoid_losses
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn
from kerasd2l.models.vision.fast_rcnn import RATIOS, SIZES
from kerasd2l.models.vision.faster_rcnn import FasterRCNN

CUT, MASK_SIZE = 14, 28  # pixels of a side: of what is cut out of the maps, and of a mask


@keras.saving.register_keras_serializable("kerasd2l")
class MaskRCNN(FasterRCNN):
    """Faster R-CNN with a fully convolutional head that draws a mask of each class in each box.

    `RoIAlign` cuts 14 x 14 pixels out of the maps; convolutions of 3 x 3 with ReLU, a transposed
    one to 28 x 28, one of 1 x 1 to K logits a pixel. loss = `FasterRCNN`'s + the cross-entropy of
    the mask of the object's own class, its mean over the pixels and over the picture's regions
    with an object. Section: "rcnn". What such a region has to draw is the object's mask,
    interpolated inside the region. The mean is over a picture's regions, not over the batch's, so
    that replicas agree.

    Args:
        num_classes: int >= 1, K, without the background.
        mask_filters: ints >= 1, channels of the convolutions of 3 x 3; the transposed one has the
            last of them.
        depths: ints >= 1, as the others below of `FasterRCNN`.
        width: float > 0.
        sizes: of the anchors.
        ratios: of the anchors.
        num_proposals: int >= 1, P.
        num_samples: int >= 1, M.
        positive_share: float in (0, 1].
        head_units: int >= 1.
        smooth_beta: float >= 0.
        seed: int or None, of weights and of what is drawn.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, H, W, 3) float in [0, 1]; at least 16 x 16 with three stages.
        training: bool.

    Returns:
        As `FasterRCNN`; masks are asked for by `object_masks`, of boxes that are worth it.

    Raises:
        ValueError: a number out of range, or pictures that are too small.

    Example:
        >>> model = MaskRCNN(2, mask_filters=(8,), width=0.125, num_proposals=10, head_units=16)
        >>> boxes, scores, maps = model.candidates_and_maps(keras.ops.zeros((1, 64, 64, 3)))
        >>> model.object_masks(maps, boxes[:, :5, 0], ops.zeros((1, 5), "int32")).shape
        TensorShape([1, 5, 28, 28])

    Reference:
        He et al., Mask R-CNN, 2017.
    """

    part_names: tuple[str, ...] = (*FasterRCNN.part_names, "mask_loss")

    def __init__(
        self,
        num_classes: int,
        *,
        mask_filters: Sequence[int] = (256, 256, 256, 256),
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
        name: str = "mask_rcnn",
        **kwargs: Any,
    ):
        if not mask_filters:
            raise ValueError("`mask_filters` must have one number at least. Received: ().")
        for number in mask_filters:
            check_sizes(mask_filters=number)
        super().__init__(
            num_classes,
            depths=depths,
            width=width,
            sizes=sizes,
            ratios=ratios,
            num_proposals=num_proposals,
            num_samples=num_samples,
            positive_share=positive_share,
            head_units=head_units,
            smooth_beta=smooth_beta,
            seed=seed,
            name=name,
            **kwargs,
        )
        self.mask_filters = list(mask_filters)
        self.mask_cut = RoIAlign(CUT, name="mask_cut")
        self.target_cut = RoIAlign(MASK_SIZE, dtype="float32", name="mask_target_cut")
        self.mask_layers = self._mask_layers()

    def _mask_layers(self) -> list[Any]:
        def weights(number: int) -> keras.Initializer:
            seed = drawn(self.seed, 40 + number)
            return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed)

        layers: list[Any] = [
            Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=weights(i),
                name=f"mask_conv_{i + 1}",
            )
            for i, filters in enumerate(self.mask_filters)
        ]
        number = len(layers)
        enlarge = TransposedConv2D(
            self.mask_filters[-1],
            2,
            strides=2,
            activation="relu",
            kernel_initializer=weights(number),
            name="mask_enlarge",
        )
        logits = Conv2D(
            self.num_classes,
            1,
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01, drawn(self.seed, 60)),
            dtype="float32",
            name="mask_logits",
        )
        return [*layers, enlarge, logits]

    def build(self, input_shape):
        super().build(input_shape)
        shape = (None, CUT, CUT, self.backbone.output.shape[-1])
        for layer in self.mask_layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def mask_logits(self, features: Any, boxes: Any, class_ids: Any) -> Any:
        """Return the logits (B, R, 28, 28) of masks of boxes (B, R, 4), of classes (B, R) >= 0."""
        x = self.mask_cut(features, boxes)  # (B, R, 14, 14, C)
        batch, count = ops.shape(boxes)[:2]
        x = ops.reshape(x, (-1, CUT, CUT, features.shape[-1]))
        for layer in self.mask_layers:
            x = layer(x)  # (B R, 28, 28, K) at last
        chosen = ops.reshape(ops.cast(class_ids, "int32"), (-1, 1, 1, 1))
        x = ops.sum(x * ops.one_hot(chosen[..., 0], self.num_classes), axis=-1)
        return ops.reshape(x, (batch, count, MASK_SIZE, MASK_SIZE))

    def candidates_and_maps(self, inputs: Any) -> tuple[Any, Any, Any]:
        """Return what `candidates` does, and what `object_masks` needs: the backbone runs once.

        Args:
            inputs: (B, H, W, 3) float, pictures.

        Returns:
            boxes (B, P, K, 4) float, scores (B, P, K) float, maps (B, h, w, C) float.
        """
        outputs = self(inputs, training=False)
        return *self.candidates_of(outputs), outputs["features"]

    def object_masks(self, maps: Any, boxes: Any, class_ids: Any) -> Any:
        """Draw the masks of objects.

        Args:
            maps: what `candidates_and_maps` gave.
            boxes: (B, N, 4) float, corners as parts of the picture.
            class_ids: (B, N) int, -1: no object.

        Returns:
            (B, N, 28, 28) float32, the probability of each pixel of the box to be the object's; 0
            where there is no object.
        """
        class_ids = ops.convert_to_tensor(class_ids)
        there = ops.cast(class_ids >= 0, "float32")[..., None, None]
        return there * ops.sigmoid(self.mask_logits(maps, boxes, ops.maximum(class_ids, 0)))

    def losses_of(self, y, outputs, training=True):
        labels = ops.cast(ops.convert_to_tensor(y["boxes"]), "float32")
        boxes, number, objects, counts = self.sampled(labels, outputs, training)
        found = self.judge(outputs["features"], boxes, training)
        most = most_with_object(self.num_samples, self.positive_share)
        of_mask = (x[:, :most] for x in (boxes, number, objects))
        return (
            *self.rpn_losses(labels, outputs, training),
            *self.judged(boxes, number, objects, counts, found),
            self.mask_losses(y["masks"], outputs["features"], *of_mask),
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Let Keras see no names in y: it would look for those of the outputs."""
        return super().compute_metrics(x, y["boxes"], y_pred, sample_weight)

    def mask_losses(self, masks: Any, features: Any, boxes: Any, number: Any, objects: Any) -> Any:
        """Return the loss of the masks of each picture, (B,).

        Args:
            masks: (B, G, m, m), each object's inside its box.
            features: (B, h, w, C) float.
            boxes: (B, R, 4) float, regions.
            number: (B, R) int, of the region's object, below 0 for none.
            objects: (B, R, 5) float, the objects themselves.
        """
        targets = self.mask_targets(masks, boxes, number, objects)
        logits = self.mask_logits(features, boxes, ops.maximum(objects[..., 0], 0.0))
        losses = ops.mean(sigmoid_losses(targets, logits), axis=(2, 3))  # (B, R)
        with_object = ops.cast(number >= 0, "float32")
        losses = ops.sum(with_object * losses, axis=1)
        return losses / ops.maximum(ops.sum(with_object, axis=1), 1.0)

    def mask_targets(self, masks: Any, boxes: Any, number: Any, objects: Any) -> Any:
        """Return the objects' masks as they are inside the regions, (B, R, 28, 28) in [0, 1]."""
        masks = ops.cast(ops.convert_to_tensor(masks), "float32")
        own = take_rows(with_one_more(masks), ops.maximum(number, 0))  # (B, R, m, m)
        own = ops.reshape(own, (-1, *masks.shape[2:], 1))
        corners = objects[..., 1:]
        origin = ops.concatenate((corners[..., :2], corners[..., :2]), axis=-1)
        sides = corners[..., 2:] - corners[..., :2]
        sides = ops.where(sides > 0, sides, 1.0)
        inside = (boxes - origin) / ops.concatenate((sides, sides), axis=-1)  # parts of that box
        targets = self.target_cut(own, ops.reshape(inside, (-1, 1, 4)))
        return ops.reshape(targets, (*ops.shape(boxes)[:2], MASK_SIZE, MASK_SIZE))

    def get_config(self):
        return {**super().get_config(), "mask_filters": self.mask_filters}
