"""CIFAR-10 as on Kaggle: pictures by number, a table of their labels, and pictures without any.

The book's small part of it has 1000 pictures with labels and 5 without. The book copies files into
folders of classes; here they are put in order in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from kerasd2l.data import archive, book_archives, files, limits, pictures, pipeline, tables
from kerasd2l.data.sets import shapes
from kerasd2l.data.sets.cifar10 import CLASS_NAMES, SHAPE
from kerasd2l.data.source import DataError, Source
from kerasd2l.recipe import Data, TensorSpec

NAME = "kaggle_cifar10"
ARCHIVE = f"{NAME}_tiny.zip"
SHA1 = "2068874e4b9a9f0fb07ebe0ad2b29754449ccacd"
LABELS = "trainLabels.csv"
_TRAIN, _TEST = ("train", "train_tiny"), ("test", "test_tiny")
_MAX_PICTURE = 1 << 16  # bytes of a file with 32 x 32 pixels


@dataclass(frozen=True, kw_only=True)
class KagglePictures(Data):
    """Data that can be cut in two; `train` holds all pictures whose class is known.

    Args:
        x: (n, 32, 32, 3) uint8, in the order of the file names as text: 1, 10, 100, 1000, 2, ...
        y: (n,) int32.
        x_unknown: (m, 32, 32, 3) uint8, pictures whose class is to be told.
        ids: their m numbers, as text, in the same order.
        batch_size: int.
        seed: int, of the order of training examples.
    """

    x: np.ndarray
    y: np.ndarray
    x_unknown: np.ndarray
    ids: Sequence[str]
    batch_size: int
    seed: int

    def held_out(self, valid_ratio: float) -> Data:
        """Return the same data with a part of the pictures as `valid`, the others as `train`.

        Raises:
            DataError: a ratio that leaves nothing to train on.
        """
        valid = reorg_train_valid(self.y, valid_ratio)
        train = pipeline.from_arrays(
            (self.x[~valid], self.y[~valid]),
            batch_size=self.batch_size,
            seed=self.seed,
            transform=_transform,
        )
        rest = pipeline.from_arrays(
            (self.x[valid], self.y[valid]), batch_size=self.batch_size, transform=_transform
        )
        return pipeline.make_data(train, valid=rest, features=self.features, assets=self.assets)

    def unknown(self) -> Iterator[np.ndarray]:
        """Yield the pictures whose class is to be told, in batches: float32 in [0, 1]."""
        for start in range(0, len(self.x_unknown), self.batch_size):
            part = self.x_unknown[start : start + self.batch_size]
            yield np.asarray(pipeline.scale_images(part))


def load(where: Source | str | None = None, *, batch_size: int = 32) -> KagglePictures:
    """Load Kaggle's CIFAR-10; the built-in stand-in is ten coloured shapes.

    Section: "kaggle-cifar10". "files" takes, in `DIR/kaggle_cifar10`, the folders or zips `train`
    and `test` (or `train_tiny`, `test_tiny`) with pictures called by their number, and
    `trainLabels.csv` (or its zip). The download is the book's small part.

    Args:
        where: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.

    Returns:
        KagglePictures: x (B, 32, 32, 3) float32 in [0, 1], y (B,) int32; assets["class_names"].

    Raises:
        DataError: the files are not to be had or not right.

    Example:
        >>> load("builtin").size
        {'train': 1000}
    """
    where = Source.of(where)
    folder = _folder(where)
    if folder is None:
        (x, y), (x_unknown, _) = shapes.arrays()
        names: Sequence[str] = shapes.CLASS_NAMES
        ids = [str(number) for number in range(1, len(x_unknown) + 1)]
    else:
        names = CLASS_NAMES
        labels = read_csv_labels(_there(folder, (LABELS,)))
        numbers, x = _read(_there(folder, _TRAIN))
        y = _classes(numbers, labels, folder)
        ids, x_unknown = _read(_there(folder, _TEST))
    train = pipeline.from_arrays(
        (x, y), batch_size=batch_size, seed=where.seed, transform=_transform
    )
    return KagglePictures(
        train=train.dataset,
        valid=None,
        test=None,
        features={"pixels": TensorSpec(SHAPE)},
        assets={"class_names": list(names)},
        size={"train": train.size},
        order=train.order,
        x=x,
        y=y,
        x_unknown=x_unknown,
        ids=ids,
        batch_size=batch_size,
        seed=where.seed,
    )


def read_csv_labels(path: Path) -> dict[str, str]:
    """Return number -> name of the class, from a table with the header id,label or its zip.

    Section: "kaggle-cifar10".

    Raises:
        DataError: it is no such table.
    """
    if path.suffix == ".zip":
        members = dict(archive.read_members(path, max_member=limits.TABLE_BYTES))
        inner = next((name for name in members if PurePosixPath(name).name == LABELS), None)
        if inner is None:
            raise DataError(f"{path} has no {LABELS}. Get it anew.")
        rows = tables.parse(members[inner], f"{path}: {inner}")
    else:
        rows = tables.read(path)
    (_, header), *rows = [row for row in rows if row[1]] or [(0, [])]
    if header != ["id", "label"] or not rows:
        raise DataError(f"{path} is no table of labels: expected the header id,label and rows.")
    for line, cells in rows:
        if len(cells) != 2 or cells[1] not in CLASS_NAMES:
            raise DataError(
                f"{path}, line {line}: expected a number and one of {', '.join(CLASS_NAMES)}. "
                f"Received: {','.join(cells)[:40]!r}."
            )
    return {number: label for _, (number, label) in rows}


def reorg_train_valid(y: np.ndarray, valid_ratio: float) -> np.ndarray:
    """Say which pictures validate: of each class as many, the first ones.

    n = max(1, floor(pictures of the rarest class * valid_ratio)). Section: "kaggle-cifar10".

    Args:
        y: (n,) int, classes in the order of the files.
        valid_ratio: float in (0, 1).

    Returns:
        (n,) bool.

    Raises:
        DataError: nothing is left of a class to train on.

    Example:
        >>> reorg_train_valid(np.array([0, 1, 0, 1, 0, 1]), 0.5).tolist()
        [True, True, False, False, False, False]
    """
    rarest = min(Counter(y.tolist()).values())
    if not 0 < valid_ratio < 1 or rarest < 2:
        raise DataError(
            f"`valid_ratio` must leave pictures of each class: the rarest has "
            f"{rarest}. Received: valid_ratio={valid_ratio}."
        )
    return hold_out(y, valid_ratio)


def hold_out(labels: np.ndarray, ratio: float) -> np.ndarray:
    """Return which examples to validate with: as many of each class, the first ones.

    floor(ratio n) of each, n the number of the rarest class, but one at least; with a ratio of 0
    none. A class of a single example keeps it for training. Section: "kaggle-cifar10".

    Args:
        labels: (n,) int.
        ratio: float in [0, 1).

    Returns:
        (n,) bool.

    Example:
        >>> hold_out(np.array([0, 1, 0, 1, 1]), 0.5).tolist()
        [True, True, False, False, False]
    """
    counts = Counter(labels.tolist())
    each = max(1, int(min(counts.values()) * ratio)) if ratio else 0
    held_out = np.zeros(len(labels), bool)
    for label, count in counts.items():
        held_out[np.flatnonzero(labels == label)[: min(each, count - 1)]] = True
    return held_out


def _transform(x, y):
    return pipeline.scale_images(x), y


def _folder(where: Source) -> Path | None:
    """Return the folder of the set; None: the built-in stand-in."""
    folder = None if where.data_dir is None else Path(where.data_dir) / NAME
    if where.kind in ("auto", "files") and folder is not None and folder.is_dir():
        for names in ((LABELS,), _TRAIN, _TEST):
            _there(folder, names)
        return folder

    found = book_archives.unpacked(where, NAME, (f"{NAME}_tiny/{LABELS}",), ARCHIVE, SHA1)
    return None if found is None else found / f"{NAME}_tiny"


def _there(folder: Path, names: tuple[str, ...]) -> Path:
    """Return the first of these that is in the folder, as it is or as a zip."""
    choices = [folder / f"{name}{ending}" for name in names for ending in ("", ".zip")]
    path = next((path for path in choices if path.exists()), None)
    if path is None:
        raise DataError(f"{folder} lacks {names[0]} (or {choices[1].name}).")
    return path


def _read(path: Path) -> tuple[list[str], np.ndarray]:
    """Read pictures from a folder or a zip: their numbers as text, sorted, and their pixels."""
    found = dict(pictures.in_threads(_decode, _contents(path)))
    if not found:
        raise DataError(f"{path} has no pictures. Get it anew.")
    numbers = sorted(found)
    return numbers, np.stack([found[number] for number in numbers])


def _contents(path: Path) -> Iterable[tuple[str, str, bytes]]:
    """Yield number, name and bytes of each picture."""
    if path.is_dir():
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in pictures.SUFFIXES)
        named: Iterable[tuple[str, bytes]] = (
            (str(file), files.content(file, _MAX_PICTURE)) for file in inside
        )
    else:
        named = archive.read_members(
            path, max_files=limits.PICTURES, max_bytes=1 << 30, max_member=_MAX_PICTURE
        )
    for name, content in named:
        stem = PurePosixPath(name)
        if stem.suffix.lower() in pictures.SUFFIXES and not stem.name.startswith("."):
            yield stem.stem, f"{path}: {name}", content


def _decode(member: tuple[str, str, bytes]) -> tuple[str, np.ndarray]:
    number, name, content = member
    pixels = pictures.decode(content, name)
    if pixels.shape != SHAPE:
        raise DataError(f"{name} has {pixels.shape[:2]} pixels; expected 32 x 32.")
    return number, pixels


def _classes(numbers: Sequence[str], labels: Mapping[str, str], folder: Path) -> np.ndarray:
    missing = next((number for number in numbers if number not in labels), None)
    if missing is not None:
        raise DataError(f"{folder}: {LABELS} has no label of the picture {missing}.")
    return np.array([CLASS_NAMES.index(labels[number]) for number in numbers], np.int32)
