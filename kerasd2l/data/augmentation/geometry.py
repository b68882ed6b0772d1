"""Random flips and crops: what moves pixels, and boxes and masks with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kerasd2l._lazy import lazy
from kerasd2l.data.augmentation.transform import (
    Transform,
    check_probability,
    check_range,
    uniform,
    whole,
)

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

_TRIES = 10  # of torchvision


@dataclass(frozen=True)
class _Flip(Transform):
    """Turn pictures round along an axis, 0 the rows, 1 the columns, some by chance."""

    p: float = 0.5
    axis: ClassVar[int]

    def __post_init__(self):
        check_probability(self.p)

    def draw(self, shape, count, seed):
        return uniform(seed, 0, [count]) < self.p

    def picture(self, x, drawn):
        return tf.cond(drawn, lambda: tf.reverse(x, [self.axis]), lambda: x)

    mask = picture

    def cut_masks(self, masks, moved, drawn):
        return tf.where(drawn[:, None, None, None], tf.reverse(masks, [self.axis + 2]), masks)

    def boxes(self, boxes, drawn):
        corners = tf.unstack(boxes, axis=-1)  # x1, y1, x2, y2
        low, high = 1 - self.axis, 3 - self.axis
        corners[low], corners[high] = 1 - corners[high], 1 - corners[low]
        return tf.where(drawn[:, None, None], tf.stack(corners, -1), boxes)


@dataclass(frozen=True)
class RandomHorizontalFlip(_Flip):
    """Swap left and right.

    Args:
        p: float, the probability.
    """

    axis = 1


@dataclass(frozen=True)
class RandomVerticalFlip(_Flip):
    """Swap top and bottom.

    Args:
        p: float, the probability.
    """

    axis = 0


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """Cut out a part of random area and shape, and stretch it to one size.

    The part has area * U(scale) pixels and the ratio exp(U(log ratio)), width over height; after
    ten tries that do not fit it is the largest one in the middle whose ratio is allowed. Bilinear
    with antialias; masks take the nearest pixel.

    Args:
        to: int or (height, width) of the result.
        scale: (least, most) part of the area.
        ratio: (least, most) width over height.

    Raises:
        ValueError: a number out of range.
    """

    to: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self):
        if len(self.sides) != 2 or min(self.sides) < 1:
            raise ValueError(f"`to` must be an int or (height, width). Received: {self.to!r}.")
        check_range("scale", self.scale, 1e-6, 1.0)
        check_range("ratio", self.ratio, 1e-6, 1e6)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the result."""
        return (self.to, self.to) if isinstance(self.to, int) else self.to

    def size(self, height: int, width: int) -> tuple[int, int]:
        return self.sides

    def draw(self, shape, count, seed):
        """Return (B, 2) int32 top and left, (B, 2) int32 height and width, (B, 4) both in parts."""
        height, width = shape[:2]
        area = uniform(seed, 0, [count, _TRIES], *self.scale) * (height * width)
        ratio = tf.exp(uniform(seed, 1, [count, _TRIES], *map(math.log, self.ratio)))
        w, h = tf.round(tf.sqrt(area * ratio)), tf.round(tf.sqrt(area / ratio))
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        does = tf.reduce_any(fits, axis=1)[:, None]  # (B, 1)
        sides = tf.cast(tf.stack([h, w], axis=-1), tf.int32)  # (B, 10, 2)
        sides = tf.gather(sides, tf.argmax(fits, axis=1), batch_dims=1)  # the first that fits
        sides = tf.where(does, sides, tf.constant(self._largest(height, width)))  # (B, 2)
        room = tf.constant([height, width]) - sides
        start = tf.where(does, whole(seed, 2, [count, 2], room + 1), room // 2)
        parts = tf.cast(tf.concat([start, sides], axis=1), tf.float32)
        return start, sides, parts / tf.constant([height, width] * 2, tf.float32)

    def _largest(self, height: int, width: int) -> tuple[int, int]:
        """Return the sides of the largest part whose ratio is allowed."""
        if width / height < self.ratio[0]:
            return round(width / self.ratio[0]), width
        if width / height > self.ratio[1]:
            return height, round(height * self.ratio[1])
        return height, width

    def picture(self, x, drawn):
        start, sides, _ = drawn
        part = tf.slice(x, [start[0], start[1], 0], [sides[0], sides[1], x.shape[-1]])[None]
        resized = tf.cond(
            tf.reduce_all(sides <= self.sides),  # nothing shrinks: antialias changes nothing
            lambda: tf.image.resize(part, self.sides),
            lambda: tf.image.resize(part, self.sides, antialias=True),
        )
        return tf.ensure_shape(resized[0], (*self.sides, x.shape[-1]))

    def mask(self, mask, drawn):
        start, sides, _ = drawn
        for axis, length in enumerate(self.sides):
            part = (tf.range(length, dtype=tf.float32) + 0.5) / length  # middles of pixels
            places = tf.cast(part * tf.cast(sides[axis], tf.float32), tf.int32)
            mask = tf.gather(mask, places + start[axis], axis=axis)
        return mask

    def cut_masks(self, masks, moved, drawn):
        """Cut of each mask what is left of its box, and stretch that to the mask's size."""
        left = tf.clip_by_value(moved, 0.0, 1.0)
        sides = moved[..., 2:] - moved[..., :2]
        start = tf.math.divide_no_nan(left[..., :2] - moved[..., :2], sides)  # (B, G, x and y)
        part = tf.math.divide_no_nan(left[..., 2:] - left[..., :2], sides)
        size = masks.shape[-1]
        middles = (tf.range(size, dtype=tf.float32) + 0.5) / size
        places = (start[..., None] + part[..., None] * middles) * size  # (B, G, 2, m)
        places = tf.clip_by_value(tf.cast(places, tf.int32), 0, size - 1)
        rows = tf.gather(masks, places[:, :, 1], axis=2, batch_dims=2)
        return tf.gather(rows, places[:, :, 0], axis=3, batch_dims=2)

    def boxes(self, boxes, drawn):
        top, left, height, width = tf.unstack(drawn[2][:, None], axis=-1)  # (B, 1) each
        start, sides = tf.stack([left, top] * 2, axis=-1), tf.stack([width, height] * 2, axis=-1)
        return (boxes - start) / sides
