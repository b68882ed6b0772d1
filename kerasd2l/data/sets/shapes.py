"""Coloured shapes drawn with Pillow: ten classes of small pictures that need no file."""

from __future__ import annotations

import functools
import math

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import pipeline
from kerasd2l.data.source import Source, builtin_only
from kerasd2l.recipe import Data

CLASS_NAMES = (
    "circle",
    "crescent",
    "cross",
    "diamond",
    "hexagon",
    "ring",
    "square",
    "star",
    "stripes",
    "triangle",
)
SIZE = 32
PER_CLASS = {"train": 100, "test": 25}
_FINE = 4  # drawn larger, then averaged: smooth edges

Image = lazy("PIL.Image")
ImageDraw = lazy("PIL.ImageDraw")


@functools.cache
def arrays() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return ((x, y) of 1000 training, (x, y) of 250 test pictures), the classes in turn.

    x (B, 32, 32, 3) uint8: one shape of any colour, place, size and direction; y (B,) int32.
    """
    return _split("train"), _split("test")


def _split(split: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(list(PER_CLASS).index(split))  # numpy's frozen stream
    y = np.tile(np.arange(len(CLASS_NAMES), dtype=np.int32), PER_CLASS[split])
    x = np.stack([draw(CLASS_NAMES[label], random) for label in y])
    x.setflags(write=False)  # the arrays are shared by all callers
    return x, y


def draw(name: str, random: np.random.RandomState) -> np.ndarray:
    """Draw one shape at random: (32, 32, 3) uint8.

    Args:
        name: str, one of CLASS_NAMES.
        random: numpy RandomState, the source of colour, place, size, direction and noise.
    """
    behind, colour = random.randint(0, 256, (2, 3))
    while np.abs(behind - colour).sum() < 150:  # a shape must be visible
        behind, colour = random.randint(0, 256, (2, 3))
    radius = random.uniform(0.28, 0.45) * SIZE * _FINE
    centre = random.uniform(radius, SIZE * _FINE - radius, 2)
    direction = random.uniform(0, 2 * math.pi)
    paper = Image.new("RGB", (SIZE * _FINE, SIZE * _FINE), tuple(behind))
    pen = ImageDraw.Draw(paper)
    if name in _OUTLINES:
        for outline in _OUTLINES[name]:
            pen.polygon(_place(outline, centre, radius, direction), fill=tuple(colour))
    else:
        _disc(pen, centre, radius, colour)
        if name == "ring":
            _disc(pen, centre, radius * 0.55, behind)
        if name == "crescent":
            aside = centre + 0.5 * radius * np.array([math.cos(direction), math.sin(direction)])
            _disc(pen, aside, radius * 0.8, behind)
    pixels = np.asarray(paper, np.float64).reshape(SIZE, _FINE, SIZE, _FINE, 3).mean((1, 3))
    pixels += random.normal(0, 6, pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _corners(count: int, radii: tuple[float, ...] = (1.0,)) -> np.ndarray:
    """Return (count, 2) corners around the origin; the radii take turns."""
    angles = 2 * np.pi * np.arange(count) / count
    reach = np.resize(radii, count)
    return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)


def _bar(left: float, right: float, top: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


_OUTLINES = {
    "cross": (_bar(-1, 1, -0.28, 0.28), _bar(-0.28, 0.28, -1, 1)),
    "diamond": (_corners(4) * (1.0, 0.5),),
    "hexagon": (_corners(6),),
    "square": (_corners(4),),
    "star": (_corners(10, (1.0, 0.4)),),
    "stripes": tuple(_bar(-0.9, 0.9, y, y + 0.28) for y in (-0.7, -0.14, 0.42)),
    "triangle": (_corners(3),),
}


def _place(outline: np.ndarray, centre: np.ndarray, radius: float, direction: float) -> list:
    cosine, sine = math.cos(direction), math.sin(direction)
    turned = outline @ np.array([[cosine, sine], [-sine, cosine]])
    return [tuple(point) for point in centre + radius * turned]


def _disc(pen, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(colour))


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 256,
    resize: int | tuple[int, int] | None = None,
    channels: int = 3,
) -> Data:
    """Load the shapes: 1000 for training, 250 for test, always the same ones.

    Section: none; the built-in stand-in of CIFAR-10 and of one's own pictures.

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        batch_size: int, the global batch.
        resize: int or (height, width), bilinear with antialias; None: 32x32.
        channels: 3 for colour, 1 for grey.

    Returns:
        Data: x (B, H, W, C) float32 in [0, 1], y (B,) int32; assets["class_names"].

    Raises:
        DataError: asked for files or a download, which do not exist.

    Example:
        >>> load(batch_size=32).size
        {'train': 1000, 'test': 250}
    """
    source = builtin_only(source, "the shapes are drawn")
    train, test = arrays()
    if channels == 1:
        train, test = (_grey(*train), _grey(*test))
    return pipeline.image_data(
        train, test, CLASS_NAMES, batch_size=batch_size, resize=resize, seed=source.seed
    )


def _grey(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make colour grey by Pillow's weights."""
    weights = np.array([19595, 38470, 7471])
    grey = (x.astype(np.int64) @ weights + 32768) >> 16
    return grey[..., None].astype(np.uint8), y
