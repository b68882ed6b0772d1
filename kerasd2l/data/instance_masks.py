"""Which pixels an object has, as annotations say it: polygons, runs (RLE), or a picture of numbers.

Each can be cut to the object's box and resampled to one size, which is what a model is trained on.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import limits, masks
from kerasd2l.data.source import DataError
from kerasd2l.pixels import MOST_PIXELS

Image = lazy("PIL.Image")
ImageDraw = lazy("PIL.ImageDraw")

SIZE = 56  # of a mask that is cut to its box
_FINE = 4  # polygons are drawn larger, then averaged
_PIXEL = 1.01  # how far outside a polygon may be: rounded, or counted from 1


def cut(mask: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """Cut a mask to a box and resample it.

    Args:
        mask: (h, w) bool.
        box: left, top, right, bottom in pixels.
        size: int, m.

    Returns:
        (m, m) uint8, 1 where at least half of the pixel is of the object.

    Example:
        >>> cut(np.eye(4) > 0, np.array([0, 0, 2, 2]), 2).tolist()
        [[1, 0], [0, 1]]
    """
    grey = Image.fromarray(np.uint8(255) * mask)
    resized = grey.resize((size, size), Image.Resampling.BOX, box=tuple(map(float, box)))
    return (np.asarray(resized) >= 128).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Polygons:
    """An object that is one or several polygons.

    Args:
        parts: (n_i, 2) float of each: x, y in pixels of the picture.
    """

    parts: tuple[np.ndarray, ...]

    def problem(self, size: tuple[int, int], box: np.ndarray) -> str | None:
        """Say what is wrong; None: nothing.

        Args:
            size: (width, height) of the picture.
            box: left, top, right, bottom in pixels.
        """
        points = np.concatenate(self.parts)
        least = min(map(len, self.parts))
        if least < 3:
            return f"has a polygon of {least} point{'s' * (least != 1)}; expected 3 or more"
        if not np.isfinite(points).all():
            return "has a polygon with coordinates that are no numbers"
        if (points < -_PIXEL).any() or (points > np.array(size) + _PIXEL).any():
            return f"has a polygon outside the picture of {size[0]} x {size[1]} pixels"
        low, high = points.min(0), points.max(0)
        if (low >= high).any():
            return "has a polygon without area"
        if (low >= box[2:]).any() or (high <= box[:2]).any():
            return "has a polygon that does not meet its box"
        return None

    def cut(self, box: np.ndarray, size: int) -> np.ndarray:
        """Return the mask within a box in pixels: (size, size) uint8."""
        fine = size * _FINE
        paper = Image.new("L", (fine, fine))
        pen = ImageDraw.Draw(paper)
        for part in self.parts:
            places = (part - box[:2]) / (
                box[2:] - box[:2]
            ) * fine - 0.5  # a pixel's middle is whole
            pen.polygon([*map(tuple, np.clip(places, -1e6, 1e6).tolist())], fill=255)
        return cut(np.asarray(paper) > 0, np.array([0, 0, fine, fine]), size)


@dataclass(frozen=True, eq=False)
class Runs:
    """An object whose pixels are counted column by column: so many outside, so many inside, ...

    Args:
        size: (height, width) of the picture that it says.
        counts: (n,) int64.
    """

    size: tuple[int, int]
    counts: np.ndarray

    def problem(self, size: tuple[int, int], box: np.ndarray) -> str | None:
        """Say what is wrong; None: nothing. Arguments as of `Polygons.problem`."""
        if self.size != size[::-1]:
            return (
                f"has a mask of {self.size[1]} x {self.size[0]} pixels; its picture has "
                f"{size[0]} x {size[1]}"
            )
        if size[0] * size[1] > MOST_PIXELS:
            return f"has a mask of more than 16 megapixels ({MOST_PIXELS})"
        if (self.counts < 0).any() or self.counts.sum() != size[0] * size[1]:
            return f"has a mask whose runs are not {size[0] * size[1]} pixels together"
        return None if self.cut(box, SIZE).any() else "has no pixel of its mask in its box"

    def pixels(self) -> np.ndarray:
        """Return the mask: (height, width) bool."""
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(self.size[::-1]).T

    def cut(self, box: np.ndarray, size: int) -> np.ndarray:
        """Return the mask within a box in pixels: (size, size) uint8."""
        return cut(self.pixels(), box, size)


@dataclass(frozen=True)
class Numbered:
    """An object that is a number in a picture whose pixels say which object they are of.

    Args:
        path: the picture, a PNG with a palette or grey levels.
        number: int.
    """

    path: Path
    number: int

    def problem(self, size: tuple[int, int], box: np.ndarray) -> str | None:
        """Say what is wrong; None: nothing. Arguments as of `Polygons.problem`."""
        try:
            numbers = _numbers(self.path)
        except DataError as error:
            return f"has no mask: {error}"
        if numbers.shape != size[::-1]:
            return (
                f"has a mask of {numbers.shape[1]} x {numbers.shape[0]} pixels "
                f"({self.path.name}); its picture has {size[0]} x {size[1]}"
            )
        there = self.cut(box, SIZE).any()
        return None if there else f"has no pixel {self.number} of {self.path.name} in its box"

    def cut(self, box: np.ndarray, size: int) -> np.ndarray:
        """Return the mask within a box in pixels: (size, size) uint8."""
        return cut(_numbers(self.path) == self.number, box, size)


Shape: TypeAlias = Polygons | Runs | Numbered


@functools.lru_cache(maxsize=4)  # the objects of a picture come together
def _numbers(path: Path) -> np.ndarray:
    return masks.read_mask(path, 256)


def of_coco(segmentation: Any) -> Shape | str:
    """Read the `segmentation` of an annotation of COCO.

    Args:
        segmentation: list of polygons [x, y, x, y, ...], or {"size": [height, width], "counts":
            list of numbers or compressed string}.

    Returns:
        The shape, or a string that says why it is none.

    Example:
        >>> of_coco({"size": [2, 2], "counts": [1, 2, 1]}).pixels().tolist()
        [[False, True], [True, False]]
        >>> of_coco([])
        'has no mask'
    """
    if segmentation is None or segmentation == []:
        return "has no mask"
    if isinstance(segmentation, dict):
        return _runs(segmentation.get("size"), segmentation.get("counts"))
    lists = segmentation if isinstance(segmentation, list) else [None]
    for numbers in lists:
        if not isinstance(numbers, list) or not all(map(_is_number, numbers)):
            return "has a mask that is neither polygons nor runs"
        if len(numbers) % 2:
            return f"has a polygon of {len(numbers)} coordinates; expected x and y of each point"
    return Polygons(tuple(np.array(numbers, float).reshape(-1, 2) for numbers in lists))


def _runs(size: Any, counts: Any) -> Runs | str:
    whole = isinstance(size, list) and len(size) == 2 and all(map(_is_count, size))
    if isinstance(counts, str):
        counts = uncompressed(counts)
    if not whole or not isinstance(counts, list) or not all(map(_is_count, counts)):
        return "has runs that are no `size` and `counts` of whole numbers"
    return Runs((size[0], size[1]), np.array(counts, np.int64))


def uncompressed(text: str) -> list[int] | None:
    """Read the compressed runs of COCO: 5 bits a character, differences from the fourth number on.

    Args:
        text: str, as pycocotools writes it.

    Returns:
        The runs; None where the text is none.

    Example:
        >>> uncompressed("52203")
        [5, 2, 2, 2, 5]
    """
    counts: list[int] = []
    number, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:  # the last of this number
            number -= (1 << shift) * (bits >> 4 & 1)  # its sign
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number, shift = 0, 0
    return None if shift else counts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= limits.FLOAT


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40
