"""Encoded pictures to arrays, whatever their size and colours, with errors that name the file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data.source import DataError
from kerasd2l.pixels import decode_image

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

Image = lazy("PIL.Image")

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
LEAST = 2  # pixels; a side of a single pixel shows nothing


class BrokenPicture(DataError):
    """A picture that cannot be read; the message names it."""


def decode(content: bytes, name: str, channels: int = 3) -> np.ndarray:
    """Decode a picture with the decoder of exported models: `pixels.decode_image`.

    Args:
        content: bytes of the file.
        name: str, what errors call it.
        channels: 1 (grey) or 3 (red, green, blue).

    Returns:
        (h, w, channels) uint8.

    Raises:
        BrokenPicture: no picture, a truncated one, one of a kind that is not served either, one of
            more than 16 megapixels, or one that is a single pixel wide or high.
    """
    try:
        with tf.device("CPU:0"):
            pixels = decode_image(tf.constant(content), channels).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise BrokenPicture(f"{name} is no whole picture: {_reason(error, content)}") from error
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST:
        raise BrokenPicture(
            f"{name} has {height} x {width} pixels; expected at least {LEAST} x {LEAST}"
        )
    return pixels


def _reason(error: tf.errors.OpError, content: bytes) -> str:
    """Return what the decoder said, without the names of its nodes."""
    ours = re.search(r"assertion failed: \[(.*?)\]", error.message)
    if ours:
        return ours[1]
    said = re.sub(r"\{\{.*?\}\}", "", error.message)
    line = next((line.strip() for line in said.splitlines() if line.strip()), "no reason given")
    return f"truncated or damaged, {len(content)} bytes ({line})"


def stretch(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Stretch a picture to (height, width) by Pillow, bilinear with antialias.

    At most a grey level (0.004) away from an exported model, which resizes without rounding.

    Args:
        pixels: (h, w, 1 or 3) uint8.
        size: (height, width).

    Returns:
        (height, width, 1 or 3) uint8.
    """
    if pixels.shape[:2] == size:
        return pixels
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    scaled = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
    return scaled.reshape(*size, pixels.shape[-1])


def in_threads(function: Callable, items: Iterable) -> Iterator:
    """Apply a function to items on all cores; results and the first error come in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(function, items)
