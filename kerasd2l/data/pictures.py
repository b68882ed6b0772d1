"""Encoded pictures to arrays, whatever their size and colours, with errors that name the file."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import pipeline
from kerasd2l.data.source import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")  # Pillow tries no other: EPS starts a program
LEAST = 2  # pixels; a side of a single pixel shows nothing

Image = lazy("PIL.Image")


class BrokenPicture(DataError):
    """A picture that cannot be read; the message names it."""


def decode(content: bytes, name: str, channels: int = 3) -> np.ndarray:
    """Decode a picture; the pixels are those of an exported model's `image_bytes`.

    Grey by Pillow's "L"; transparent pixels on black; the high byte of 16 bits; the EXIF
    orientation is ignored.

    Args:
        content: bytes of the file.
        name: str, what errors call it.
        channels: 1 (grey) or 3 (red, green, blue).

    Returns:
        (h, w, channels) uint8.

    Raises:
        BrokenPicture: no picture, a truncated one, or one that is a single pixel wide or high.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.load()
            pixels = _rgb(image)
            if channels == 1:
                pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    except Image.UnidentifiedImageError as error:
        what = f"{len(content)} bytes of no known kind of picture" if content else "it is empty"
        raise BrokenPicture(f"{name} is no whole picture: {what}") from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError) as error:
        raise BrokenPicture(f"{name} is no whole picture: {error}") from error
    except Image.DecompressionBombError as error:
        raise BrokenPicture(f"{name} is too large: {error}") from error
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST:
        raise BrokenPicture(
            f"{name} has {height} x {width} pixels; expected at least {LEAST} x {LEAST}"
        )
    return pixels


def _rgb(image) -> np.ndarray:
    """Return (h, w, 3) uint8 of an image that Pillow has loaded."""
    if image.mode.startswith("I"):  # 16 bits of grey
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    has_alpha = image.mode in ("LA", "PA", "La", "RGBA", "RGBa")
    if has_alpha or (image.mode == "P" and "transparency" in image.info):
        pixels = np.asarray(image.convert("RGBA")).astype(np.int32)
        return ((pixels[..., :3] * pixels[..., 3:] + 127) // 255).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


def fit(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Stretch a picture to (height, width), bilinear with antialias, in whole grey levels.

    An exported model resizes without rounding: at most half a level (0.002) away.
    """
    if pixels.shape[:2] == size:
        return pixels
    scaled = np.asarray(pipeline.scale_images(pixels[None], size))[0]
    return np.rint(scaled * 255).astype(np.uint8)


def in_threads(function: Callable, items: Iterable) -> Iterator:
    """Apply a function to items on all cores; results and the first error come in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(function, items)
