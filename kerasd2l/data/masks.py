"""Masks: which class each pixel is of, from PNG files with a palette, grey levels or colours."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data.files import open_regular
from kerasd2l.data.pictures import BrokenPicture
from kerasd2l.pixels import MOST_PIXELS

Image = lazy("PIL.Image")

IGNORE = 255  # pixels of no class: neither trained on nor scored
VOC_BORDER = (224, 224, 192)
VOC_COLORMAP = (
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
    (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128),
    (192, 0, 128), (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0),
    (128, 192, 0), (0, 64, 128),
)  # fmt: skip
VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa",
    "train", "tv/monitor",
)  # fmt: skip

Colours = Sequence[tuple[int, int, int]]


def colormap2label(colours: Colours, border: tuple[int, int, int] | None = None) -> np.ndarray:
    """Return the class of every colour: 256^3 numbers, at (R * 256 + G) * 256 + B.

    Args:
        colours: of the classes 0, 1, ...
        border: a colour whose pixels are of no class, 255; or None.

    Returns:
        (16777216,) uint8; colours that are none of them have 254.
    """
    label = np.full(256**3, _UNKNOWN, np.uint8)
    for i, colour in enumerate(colours):
        label[_place(np.array(colour))] = i
    if border is not None:
        label[_place(np.array(border))] = IGNORE
    return label


_UNKNOWN = 254


@functools.cache
def voc_colormap2label() -> np.ndarray:
    """Return the class of every colour in Pascal VOC: the border's is 255, an unknown one's 254.

    Section: "semantic-segmentation-and-dataset". The book's table says 0 for both.
    """
    return colormap2label(VOC_COLORMAP, VOC_BORDER)


def voc_label_indices(colormap: np.ndarray, colormap2label: np.ndarray) -> np.ndarray:
    """Return the classes of coloured pixels.

    Section: "semantic-segmentation-and-dataset".

    Args:
        colormap: (..., 3) uint8 colours.
        colormap2label: (16777216,) the class of every colour.

    Returns:
        (...) of its dtype.

    Example:
        >>> int(voc_label_indices(np.array([128, 0, 0]), voc_colormap2label()))
        1
    """
    return colormap2label[_place(np.asarray(colormap))]


def _place(colours: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return (red * 256 + green) * 256 + blue


def label2image(classes: np.ndarray, colours: Colours) -> np.ndarray:
    """Return the colours of classes (...): (..., 3) uint8; those of no class are VOC's border.

    Section: "fcn".
    """
    table = np.full((256, 3), VOC_BORDER, np.uint8)
    table[: len(colours)] = colours
    return table[np.asarray(classes)]


def read_mask(path: Path, classes: int, colours: np.ndarray | None = None) -> np.ndarray:
    """Read a mask: numbers of a palette or grey levels are classes, colours are looked up.

    Args:
        path: the file, a PNG.
        classes: int, classes that there are; others, but 255, are an error.
        colours: the class of every colour, see `colormap2label`; None: colours are an error.

    Returns:
        (h, w) uint8, 255 where a pixel is of no class.

    Raises:
        BrokenPicture: it cannot be read, or has a colour or a number of no class.
    """
    try:
        with open_regular(path) as file, Image.open(file, formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"it has more than 16 megapixels ({MOST_PIXELS})")
            plain = picture.mode in ("P", "L", "1")
            pixels = np.asarray(picture if plain else picture.convert("RGB"))
    except Exception as error:  # whatever the readers of Pillow's formats let through
        said = str(error).partition(" <_io")[0][:200]  # Pillow shows the opened file
        raise BrokenPicture(f"{path} is no mask that can be read: {said}") from error
    if pixels.ndim == 2:
        found = pixels.astype(np.uint8)
    elif colours is None:
        raise BrokenPicture(f"{path} has colours; expected a number for each pixel, the class")
    else:
        found = voc_label_indices(pixels, colours)
        wrong = np.argwhere(found == _UNKNOWN)
        if len(wrong):
            colour = tuple(pixels[tuple(wrong[0])].tolist())
            raise BrokenPicture(f"{path} has the colour {colour}, which is of no class")
    wrong = np.unique(found[(found >= classes) & (found != IGNORE)])
    if len(wrong):
        raise BrokenPicture(f"{path} has the class {wrong[0]}; there are 0 to {classes - 1}")
    return found
