"""Detectors that look at regions: what R-CNN, Fast, Faster and Mask R-CNN share."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.detection_losses import smooth_l1
from kerasd2l.layers import improved, match_regions, offset_boxes, sample_regions
from kerasd2l.layers.cells import real_objects, with_one_more
from kerasd2l.layers.proposals import BETWEEN
from kerasd2l.layers.suppression import take_rows
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn
from kerasd2l.models.vision.detector import Detector


def draw_regions(
    own: Any, labels: Any, count: int, share: float, seed: Any
) -> tuple[Any, Any, Any, Any]:
    """Draw regions to learn from by `sample_regions`, each with its object.

    Args:
        own: (B, R) int, as `match_regions` gives it.
        labels: (B, G, 5) float, the objects, as `real_objects` gives them.
        count: int >= 1, M.
        share: float in (0, 1].
        seed: int or `keras.random.SeedGenerator`.

    Returns:
        rows (B, M), places in R; number (B, M), of its object, below 0 for the background and where
        there is no region; the objects themselves (B, M, 5); which of them count (B, M) bool.
    """
    rows, counts = sample_regions(own, count, share, seed)
    number = ops.where(counts, take_rows(own, rows), BETWEEN)
    objects = take_rows(with_one_more(labels), ops.maximum(number, 0))
    return rows, number, objects, counts


class RegionDetector(Detector):
    """Say of each region which class it has, and for each class a better box.

    Learned from M regions of a picture, drawn at random, at most a share of them with an object
    (IoU >= 0.5), the objects' own boxes among them. loss = (cross-entropy over the M + smooth L1
    over those with an object, of the offsets of its class) / M. Section: "rcnn".

    A subclass gives `regions` (where to look) and `describe` (a vector for each region).

    Args:
        num_classes: int >= 1, K, without the background.
        num_samples: int >= 1, M.
        positive_share: float in (0, 1].
        smooth_beta: float >= 0, the offset's error where the loss becomes a line.
        seed: int or None, of weights and of what is drawn.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Raises:
        ValueError: a number out of range.
    """

    part_names: tuple[str, ...] = ("class_loss", "box_loss")

    def __init__(
        self,
        num_classes: int,
        *,
        num_samples: int,
        positive_share: float,
        smooth_beta: float,
        seed: int | None,
        name: str,
        **kwargs: Any,
    ):
        check_sizes(num_classes=num_classes, num_samples=num_samples)
        if not 0 < positive_share <= 1 or smooth_beta < 0:
            raise ValueError(
                "`positive_share` must be in (0, 1], `smooth_beta` at least 0. "
                f"Received: positive_share={positive_share}, smooth_beta={smooth_beta}."
            )
        super().__init__(name=name, **kwargs)
        self.num_classes, self.num_samples = num_classes, num_samples
        self.positive_share, self.smooth_beta, self.seed = positive_share, smooth_beta, seed
        self.class_head = self.dense(num_classes + 1, 0.01, 1, "classes")
        self.box_head = self.dense(4 * num_classes, 0.001, 2, "offsets")
        self.draws = keras.random.SeedGenerator(drawn(seed, 3))

    def dense(self, units: int, deviation: float, number: int, name: str) -> keras.layers.Layer:
        """Make a head with small random weights, as the papers have them."""
        weights = keras.initializers.RandomNormal(0.0, deviation, drawn(self.seed, number))
        return keras.layers.Dense(units, kernel_initializer=weights, dtype="float32", name=name)

    def regions(self, inputs: Any, training: bool) -> dict[str, Any]:
        """Return "features", "proposals" (B, P, 4), "there" (B, P) bool, and what else there is."""
        raise NotImplementedError

    def describe(self, features: Any, boxes: Any, training: bool) -> Any:
        """Return a vector for each region: boxes (B, R, 4) -> (B, R, D)."""
        raise NotImplementedError

    def call(self, inputs, training=False):
        outputs = self.regions(inputs, training)
        # As in inference: training learns from other regions, and leaves this out of its graph.
        return outputs | self.judge(outputs["features"], outputs["proposals"], False)

    def judge(self, features: Any, boxes: Any, training: bool) -> dict[str, Any]:
        """Return "classes" (B, R, K + 1), the background first, and "offsets" (B, R, K, 4)."""
        x = self.describe(features, boxes, training)
        batch, count = ops.shape(boxes)[:2]
        offsets = ops.reshape(self.box_head(x), (batch, count, self.num_classes, 4))
        return {"classes": self.class_head(x), "offsets": offsets}

    def losses_of(self, y, outputs, training=True):
        labels = ops.cast(ops.convert_to_tensor(y), "float32")
        boxes, number, objects, counts = self.sampled(labels, outputs, training)
        found = self.judge(outputs["features"], boxes, training)
        return self.judged(boxes, number, objects, counts, found)

    def sampled(self, labels: Any, outputs: dict[str, Any], training: bool) -> tuple[Any, ...]:
        """Draw the regions to learn from.

        Returns:
            boxes (B, M, 4); number (B, M), of its object, below 0 for the background; the objects
            themselves (B, M, 5); which of them count (B, M) bool.
        """
        labels, real = real_objects(labels)
        own_boxes = labels[..., 1:]
        regions = ops.concatenate((own_boxes, outputs["proposals"]), axis=1)
        there = ops.concatenate((real, outputs["there"]), axis=1)
        own = ops.where(there, match_regions(own_boxes, regions, 0.5), BETWEEN)
        seed = self.draws if training else 0
        rows, number, objects, counts = draw_regions(
            own, labels, self.num_samples, self.positive_share, seed
        )
        return ops.stop_gradient(take_rows(regions, rows)), number, objects, counts

    def judged(self, boxes, number, objects, counts, found) -> tuple[Any, Any]:
        """Return the losses of classes and of boxes of each picture."""
        positive = number >= 0
        classes = ops.cast(objects[..., 0], "int32")
        labels = ops.where(positive, classes + 1, 0)
        class_losses = ops.where(counts, self.class_losses(labels, found["classes"]), 0.0)
        mine = ops.one_hot(classes, self.num_classes)[..., None]  # (B, M, K, 1)
        predicted = ops.sum(found["offsets"] * mine, axis=2)
        errors = smooth_l1(offset_boxes(boxes, objects[..., 1:]), predicted, self.smooth_beta)
        box_losses = ops.where(positive, ops.sum(errors, axis=-1), 0.0)
        return tuple(ops.sum(x, axis=1) / self.num_samples for x in (class_losses, box_losses))

    def class_losses(self, labels: Any, logits: Any) -> Any:
        """Return the losses (B, M) of labels (B, M), 0 the background, and logits (B, M, K + 1)."""
        return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    def scores(self, logits: Any) -> Any:
        """Return how sure the model is of each class: (B, R, K + 1) -> (B, R, K)."""
        return ops.softmax(logits)[..., 1:]

    def candidates(self, inputs: Any) -> tuple[Any, Any]:
        """Return all boxes that the model thinks of, before suppression.

        Args:
            inputs: (B, H, W, C) float, pictures.

        Returns:
            boxes (B, P, K, 4) float, corners as parts of the picture; scores (B, P, K) float.
        """
        return self.candidates_of(self(inputs, training=False))

    def candidates_of(self, outputs: dict[str, Any]) -> tuple[Any, Any]:
        """Return the same from what the model gave in inference."""
        boxes = improved(outputs["proposals"][:, :, None], outputs["offsets"])
        there = ops.cast(outputs["there"], "float32")[..., None]
        return boxes, self.scores(outputs["classes"]) * there

    def get_config(self):
        names = ("num_classes", "num_samples", "positive_share", "smooth_beta", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
