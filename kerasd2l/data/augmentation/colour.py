"""Random changes of colour, sharpness and what is seen: pixels stay where they are."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

_GREY = (0.2989, 0.587, 0.114)  # of red, green and blue, as torchvision has it
_TRIES = 10  # of torchvision

Amount = float | tuple[float, float]


@dataclass(frozen=True)
class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue by random factors, in random order.

    Brightness multiplies; contrast and saturation blend with the mean grey of the picture and with
    its grey version, f x + (1 - f) grey; hue turns the circle of colours. The result of each is cut
    to [0, 1]. Grey pictures have neither saturation nor hue.

    Args:
        brightness: float x >= 0, the factor is in [max(0, 1 - x), 1 + x]; or (least, most).
        contrast: float or pair, as brightness.
        saturation: float or pair, as brightness.
        hue: float x in 0 to 0.5, the turn is in [-x, x] of the circle; or (least, most).

    Raises:
        ValueError: a number out of range.
    """

    brightness: Amount = 0.0
    contrast: Amount = 0.0
    saturation: Amount = 0.0
    hue: Amount = 0.0

    def __post_init__(self):
        for name in ("brightness", "contrast", "saturation"):
            check_range(name, self._range(name), 0.0, math.inf)
            value = getattr(self, name)
            if isinstance(value, (int, float)) and value < 0:
                raise ValueError(f"`{name}` must be at least 0. Received: {name}={value}.")
        check_range("hue", self._range("hue"), -0.5, 0.5)

    def _range(self, name: str) -> tuple[float, float]:
        value = getattr(self, name)
        if not isinstance(value, (int, float)):
            return value
        return (-value, value) if name == "hue" else (max(0.0, 1.0 - value), 1.0 + value)

    def draw(self, shape, count, seed):
        """Return (B, 4) int32, the order of the four changes, and (B, 4) float32, how much."""
        order = tf.argsort(uniform(seed, 0, [count, 4]), axis=1)
        ranges = [self._range(name) for name, _, _ in _CHANGES]
        amounts = [uniform(seed, i + 1, [count], *pair) for i, pair in enumerate(ranges)]
        return order, tf.stack(amounts, axis=1)

    def picture(self, x, drawn):
        order, amounts = drawn

        def change(x: tf.Tensor, kind: int) -> tf.Tensor:
            name, function, for_grey = _CHANGES[kind]
            none = self._range(name) == ((0.0, 0.0) if name == "hue" else (1.0, 1.0))
            return x if none or not (for_grey or x.shape[-1] == 3) else function(x, amounts[kind])

        for place in range(len(_CHANGES)):
            branches = [functools.partial(change, x, kind) for kind in range(len(_CHANGES))]
            x = tf.ensure_shape(tf.switch_case(order[place], branches), x.shape)
        return x


def _brighten(x: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return tf.minimum(factor * x, 1.0)


def _contrast(x: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(x, axis=[0, 1])  # of each channel; the mean of grey is the grey of means
    grey = tf.reduce_sum(mean * _GREY) if x.shape[-1] == 3 else mean[0]
    return tf.clip_by_value(factor * x + (1.0 - factor) * grey, 0.0, 1.0)


def _saturate(x: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    grey = _GREY[0] * x[..., :1] + _GREY[1] * x[..., 1:2] + _GREY[2] * x[..., 2:]
    return tf.clip_by_value(factor * x + (1.0 - factor) * grey, 0.0, 1.0)


def _turn(x: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.image.adjust_hue(x, part), 0.0, 1.0)  # it rounds over the edge


_CHANGES = (  # name, change, whether grey pictures have it
    ("brightness", _brighten, True),
    ("contrast", _contrast, True),
    ("saturation", _saturate, False),
    ("hue", _turn, False),
)


@dataclass(frozen=True)
class GaussianBlur(Transform):
    """Blur with a Gaussian of random width; the edges are mirrored.

    Args:
        kernel_size: int, odd, pixels of a side that a pixel is the mean of.
        sigma: (least, most) width in pixels.

    Raises:
        ValueError: a number out of range.
    """

    kernel_size: int = 5
    sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self):
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(
                f"`kernel_size` must be odd and positive. Received: {self.kernel_size}."
            )
        check_range("sigma", self.sigma, 1e-6, math.inf)

    def draw(self, shape, count, seed):
        """Return (B, K // 2 + 1) float32, the weights of the middle and of each distance."""
        if min(shape[:2]) <= self.kernel_size // 2:
            raise ValueError(
                f"`kernel_size` must be below twice the side of a picture. Received: kernel_size="
                f"{self.kernel_size}, pictures of {shape[0]} x {shape[1]} pixels."
            )
        sigma = uniform(seed, 0, [count, 1], *self.sigma)
        weights = tf.exp(
            -0.5 * (tf.range(self.kernel_size // 2 + 1, dtype=tf.float32) / sigma) ** 2
        )
        total = 2.0 * tf.reduce_sum(weights, axis=1, keepdims=True) - weights[:, :1]
        return weights / total

    def picture(self, x, drawn):
        reach = self.kernel_size // 2
        for axis in (0, 1):
            padded = tf.pad(x, [[reach * (i == axis)] * 2 for i in range(3)], "REFLECT")
            blurred = x * drawn[0]
            for by in range(1, reach + 1):
                before, after = (_shifted(padded, reach + side * by, x, axis) for side in (-1, 1))
                blurred += (before + after) * drawn[by]
            x = blurred
        return x


def _shifted(padded: tf.Tensor, start: int, x: tf.Tensor, axis: int) -> tf.Tensor:
    """Return the part of a padded picture that begins at `start`, as large as the picture x."""
    return tf.slice(padded, [start * (i == axis) for i in range(3)], x.shape)


@dataclass(frozen=True)
class RandomErasing(Transform):
    """Put a rectangle of one grey level, or of noise, over a part of random area and shape.

    Args:
        p: float, the probability.
        scale: (least, most) part of the area.
        ratio: (least, most) height over width.
        value: float, the grey level, or "random": normal noise, which is not cut to [0, 1].

    Raises:
        ValueError: a number out of range.
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float | str = 0.0

    def __post_init__(self):
        check_probability(self.p)
        check_range("scale", self.scale, 0.0, 1.0)
        check_range("ratio", self.ratio, 1e-6, 1e6)
        if isinstance(self.value, str) and self.value != "random":
            raise ValueError(f'`value` must be a number or "random". Received: {self.value!r}.')

    def draw(self, shape, count, seed):
        """Return (B,) bool; (B, 2) int32 top and left, (B, 2) int32 height and width; a seed."""
        height, width = shape[:2]
        area = uniform(seed, 0, [count, _TRIES], *self.scale) * (height * width)
        ratio = tf.exp(uniform(seed, 1, [count, _TRIES], *map(math.log, self.ratio)))
        h, w = tf.round(tf.sqrt(area * ratio)), tf.round(tf.sqrt(area / ratio))
        fits = (h < height) & (w < width)
        sides = tf.cast(tf.stack([h, w], axis=-1), tf.int32)  # (B, 10, 2)
        sides = tf.gather(sides, tf.argmax(fits, axis=1), batch_dims=1)  # the first that fits
        start = whole(seed, 2, [count, 2], tf.constant([height, width]) - sides + 1)
        does = (uniform(seed, 3, [count]) < self.p) & tf.reduce_any(fits, axis=1)
        own = tf.random.stateless_uniform([count, 2], seed, None, None, tf.int64)
        return does, start, sides, own

    def picture(self, x, drawn):
        does, start, sides, own = drawn
        return tf.cond(does, lambda: self._erase(x, start, sides, own), lambda: x)

    def _erase(self, x: tf.Tensor, start: tf.Tensor, sides: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
        height, width, channels = x.shape
        rows, columns = (
            (tf.range(length) >= start[i]) & (tf.range(length) < start[i] + sides[i])
            for i, length in enumerate((height, width))
        )
        columns = tf.repeat(columns, channels)  # without an axis of 1, which is slow to spread
        erased = tf.cast(rows[:, None], tf.float32) * tf.cast(columns, tf.float32)
        if self.value == "random":
            put = tf.random.stateless_normal((height, width * channels), own)
        else:
            put = tf.constant(self.value, tf.float32)
        return tf.reshape(tf.reshape(x, erased.shape) * (1.0 - erased) + put * erased, x.shape)
