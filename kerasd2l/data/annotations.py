"""Objects in pictures, as annotation files tell of them, made comparable and checked.

Whatever the format was: boxes are (x1, y1, x2, y2) in parts of the picture, left, top, right and
bottom. What is wrong with an annotation is collected, so that one message tells of all of it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data.files import open_regular
from kerasd2l.data.instance_masks import Shape
from kerasd2l.data.source import DataError, shown

Image = lazy("PIL.Image")

WAYS = (
    "Correct or remove it, or leave out what is broken with --skip-broken (skip_broken=True in "
    "Python)."
)
MASK_FOLDERS = ("SegmentationObject", "SegmentationClass")  # VOC's; what is in them is no picture
_ORIENTATION = 0x0112  # of EXIF; 1 is upright, 5 to 8 lie on their side
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
_PIXEL = 1.01  # how far outside a box may be: rounded, or counted from 1
_TOLD = 5  # problems that a message tells one by one
_HELD_OUT = 5  # without lists or folders of splits, every fifth picture is for test
_Picture = TypeVar("_Picture")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Objects:
    """What an annotation says of one picture, as it says it.

    Args:
        file: what errors call the annotation.
        picture: path of the picture.
        names: the classes of the objects.
        boxes: (G, 4) float64: left, top, right, bottom, in pixels or, if `parts`, in parts.
        size: (width, height) that the annotation gives the picture, or None.
        parts: bool, boxes are in parts of the picture.
        masks: of each object its shape, or what is wrong with it; () where they were not read.
    """

    file: str
    picture: Path
    names: tuple[str, ...]
    boxes: np.ndarray
    size: tuple[int, int] | None = None
    parts: bool = False
    masks: tuple[Shape | str, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """A picture and its objects, checked.

    Args:
        picture: path of the picture.
        class_ids: (G,) int32.
        boxes: (G, 4) float32 in [0, 1]: x1 < x2, y1 < y2.
        masks: the shape of each object, or () where they were not read.
    """

    picture: Path
    class_ids: np.ndarray
    boxes: np.ndarray
    masks: tuple[Shape, ...] = ()


@dataclass
class Problems:
    """What is wrong with the annotations of a folder, by file.

    Args:
        root: the folder.
        found: (file, what is wrong) one by one.
        pictures: the files of which the whole picture is left out.
    """

    root: Path
    found: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    def add(self, file: str, what: str, *, whole: bool = True) -> None:
        """Note what is wrong with a file: with the whole picture, or with one of its objects."""
        self.found.append((file, what))
        if whole:
            self.pictures.append(file)

    def settle(self, *, skip_broken: bool) -> None:
        """Tell of all that was found: as a warning, or as the error that it is.

        Raises:
            DataError: something was found, and `skip_broken` is False.
        """
        if not self.found:
            return
        files = len({file for file, _ in self.found})
        told = "; ".join(f"{file}: {what}" for file, what in self.found[:_TOLD])
        more = "; ..." if len(self.found) > _TOLD else "."
        count = (
            f"{len(self.found)} annotations in {files} files"
            if len(self.found) > 1
            else ("an annotation")
        )
        if not skip_broken:
            raise DataError(f"{self.root}: {count} cannot be right: {told}{more} {WAYS}")
        _log.warning("%s: left out %s: %s", shown(self.root), count, shown(told + more))


class Pictures:
    """The pictures under a folder, found by the names that annotations call them.

    Nothing outside the folder is found, whatever a name says, and no mask of VOC.
    """

    def __init__(self, root: Path, suffixes: Sequence[str]):
        self.root = root
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        self.other_spelling = 0
        for parent, folders, names in os.walk(root):
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and name not in MASK_FOLDERS
            )
            for name in sorted(names):
                if name.lower().endswith(tuple(suffixes)) and not name.startswith("."):
                    path = Path(parent, name)
                    self._by_name.setdefault(name.casefold(), []).append(path)
                    self._by_stem.setdefault(path.stem.casefold(), []).append(path)

    def find(self, name: str, near: Path | None = None) -> Path | None:
        """Return the picture of a name: as it is spelled, else in other case or with other suffix.

        Args:
            name: a file's name, maybe with folders before it.
            near: the folder that is meant where several have such a picture.
        """
        wanted = name.replace("\\", "/").rsplit("/", 1)[-1]
        there = self._by_name.get(wanted.casefold()) or self._by_stem.get(
            Path(wanted).stem.casefold() if wanted else "", []
        )
        exact = [path for path in there if path.name == wanted]
        self.other_spelling += bool(there and not exact)
        there = exact or there
        if len(there) > 1:
            ending = [path for path in there if path.as_posix().endswith(f"/{name}")]
            close = [path for path in there if near is not None and near in path.parents]
            there = close or ending or there
        return there[0] if len(there) == 1 else None

    def all(self, under: Path | None = None) -> list[Path]:
        """Return all pictures, or those under a folder of it."""
        found = sorted(path for paths in self._by_name.values() for path in paths)
        return [path for path in found if under is None or under in path.parents]


def check(
    objects: Iterable[Objects], class_names: Sequence[str], problems: Problems
) -> list[Labelled]:
    """Return the objects in parts of their pictures; what is wrong is noted and left out.

    Wrong are pictures that are not there, no pictures, of another size than the annotation says, or
    turned by their EXIF orientation where it is not clear which way the boxes are; and boxes with
    numbers that are none, without area, or more than a pixel outside, and classes that are unknown;
    and masks, where they were read, that are not there, of another size, or outside of their box.

    Args:
        objects: of each picture.
        class_names: the classes by their numbers.
        problems: what is wrong is added.
    """
    number = {name: i for i, name in enumerate(class_names)}
    found = []
    for of_one in objects:
        try:
            size = _size(of_one)
        except ValueError as error:
            problems.add(of_one.file, str(error))
        else:
            found.append(_labelled(of_one, size, number, problems))
    return found


def divide(pictures: Sequence[_Picture]) -> dict[str, list[_Picture]]:
    """Keep every fifth picture for test: the same ones every time."""
    held = np.random.RandomState(0).permutation(len(pictures))[::_HELD_OUT]  # numpy's frozen stream
    test = set(held.tolist()) if len(pictures) > 1 else set()
    return {
        "train": [one for place, one in enumerate(pictures) if place not in test],
        "test": [one for place, one in enumerate(pictures) if place in test],
    }


def header(path: Path) -> tuple[tuple[int, int], int]:
    """Return ((width, height), EXIF orientation) of a picture, by its header.

    Raises:
        ValueError: it is not there, or no picture.
    """
    try:
        with open_regular(path) as file, Image.open(file, formats=_FORMATS) as picture:
            orientation = picture.getexif().get(_ORIENTATION, 1) if "exif" in picture.info else 1
            return picture.size, int(orientation)
    except Exception as error:  # whatever the readers of Pillow's formats let through
        said = str(error).partition(" <_io")[0][:200]  # Pillow shows the opened file
        said = "it is not there" if isinstance(error, FileNotFoundError) else said
        raise ValueError(f"{path.name} is no picture that can be read: {said}") from error


def _size(objects: Objects) -> tuple[int, int]:
    """Return (width, height) of the picture that the boxes lie in."""
    size, orientation = header(objects.picture)
    turned = 5 <= orientation <= 8
    stored = objects.size == size and turned and size[0] != size[1]  # the boxes are of these pixels
    if orientation != 1 and not stored:
        raise ValueError(
            f"{objects.picture.name} is shown turned (EXIF orientation {orientation}), and training"
            " takes its pixels as they are stored. Save it upright"
        )
    if objects.size is not None and objects.size != size:
        declared = f"{objects.size[0]} x {objects.size[1]}"
        raise ValueError(
            f"it says {declared} pixels; {objects.picture.name} has {size[0]} x {size[1]}"
        )
    return size


def _labelled(
    objects: Objects, size: tuple[int, int], number: Mapping[str, int], problems: Problems
) -> Labelled:
    """Return the objects that are right."""
    sides = np.array([*size, *size], float)
    ids, boxes = [], []
    masks: list[Any] = []
    shapes = objects.masks or (None,) * len(objects.names)
    each = zip(objects.names, objects.boxes, shapes, strict=True)
    for place, (name, box, shape) in enumerate(each, start=1):
        part = box if objects.parts else box / sides
        inside = np.clip(part, 0.0, 1.0).astype(np.float32)
        what = None
        if not np.isfinite(box).all():
            what = "has coordinates that are no numbers"
        elif (np.abs(part - inside) * sides > _PIXEL).any():
            what = f"lies outside the picture of {size[0]} x {size[1]} pixels"
        elif inside[0] >= inside[2] or inside[1] >= inside[3]:
            what = "has no area"
        elif name not in number:
            what = f"is of the unknown class {name[:80]!r}; known: {', '.join(list(number)[:20])}"
        elif shape is not None:
            what = shape if isinstance(shape, str) else shape.problem(size, inside * sides)
        if what is None:
            ids.append(number[name])
            boxes.append(inside)
            masks.append(shape)
        else:
            problems.add(objects.file, f"object {place} ({name[:80]}) {what}", whole=False)
    return Labelled(
        objects.picture,
        np.array(ids, np.int32),
        np.array(boxes, np.float32).reshape(-1, 4),
        tuple(masks) if objects.masks else (),
    )
