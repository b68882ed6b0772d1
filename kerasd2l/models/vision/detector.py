"""What detectors whose loss has several parts share: the parts are added up and told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


class OfEachPicture(keras.losses.Loss):
    """The mean of losses (B,) as Keras takes it: on replicas each one's has its share."""

    def call(self, y_true, y_pred):
        return y_pred


def check_sides(
    name: str,
    input_shape: Sequence[int | None],
    least: int,
    remedy: str = "Use a larger `resize`.",
) -> None:
    """Refuse pictures (B, H, W, C) with a side that is known and below `least` pixels."""
    sides = [side for side in input_shape[1:3] if side is not None]
    if any(side < least for side in sides):
        raise ValueError(
            f"{name} needs pictures of at least {least} x {least} pixels. "
            f"Received: {' x '.join(map(str, sides))}. {remedy}"
        )


class Detector(keras.Model):
    """A model whose loss is the sum of parts, each told as a metric of its name.

    A subclass names them (`part_names`) and computes them of each picture (`losses_of`).

    Args:
        **kwargs: of `keras.Model`.
    """

    part_names: tuple[str, ...] = ()

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.parts = {part: keras.metrics.Mean(name=part) for part in self.part_names}

    def losses_of(self, y: Any, outputs: dict[str, Any], training: bool = True) -> tuple[Any, ...]:
        """Return the loss of each picture in parts, (B,) each, as `part_names` names them."""
        raise NotImplementedError

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the mean loss of a batch, and take note of its parts.

        Args:
            x: not looked at.
            y: (B, G, 5), class and corners of each object, class -1 for none.
            y_pred: what the model gives.
            sample_weight: (B,) float or None.
            training: bool; in evaluation what is drawn is the same each time.

        Returns:
            () float.
        """
        parts = self.losses_of(y, y_pred, training)
        for name, part in zip(self.part_names, parts, strict=True):
            self.parts[name].update_state(part)
        losses = sum(parts) + sum(self.losses)  # of the weights, where there are such
        return OfEachPicture()(losses, losses, sample_weight)
