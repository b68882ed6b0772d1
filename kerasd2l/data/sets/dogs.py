"""Dog breeds as on Kaggle: pictures by number, a table of their breeds, and pictures without any.

The whole has 10,222 + 10,357 pictures of 120 breeds, the book's small part 1,000 + 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import book_archives, pictures, pipeline, source, tables
from kerasd2l.data.picture_tree import Tree
from kerasd2l.data.sets import image_folder, shapes
from kerasd2l.data.sets.kaggle_cifar10 import hold_out
from kerasd2l.data.source import DataError, Source
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

NAME = "dogs"
ARCHIVE = "kaggle_dog_tiny.zip"
SHA1 = "0cb91d09b814ecdc07b50f31f8dcad3e81d6a86d"
LABELS = "labels.csv"
_INSIDE = "dog_tiny"
_MEMORY = 2 << 30  # bytes that the decoded pictures may take


@dataclass(frozen=True, kw_only=True)
class DogData(Data):
    """Data with pictures whose class is to be told.

    Args:
        unknown: batches (x, y) of them, in the order of `ids`; their y means nothing.
        ids: their names, without the ending.
    """

    unknown: tf.data.Dataset
    ids: Sequence[str]


def load(
    where: Source | str | None = None,
    *,
    batch_size: int = 32,
    resize: int = 224,
    valid_ratio: float = 0.1,
) -> DogData:
    """Load the dogs; the built-in stand-in is ten coloured shapes.

    Section: "kaggle-dog". "files" takes, in `DIR/dogs` or `DIR/dog_tiny`, the folders `train` and
    `test` and the table `labels.csv`, or `DIR/dogs/kaggle_dog_tiny.zip`, which is unpacked into the
    cache. Of each breed as many pictures are held out: `valid_ratio` of the rarest, but one at
    least.

    Args:
        where: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.
        resize: int, pixels of a side, what every picture is stretched to.
        valid_ratio: float in [0, 1); 0: nothing is held out.

    Returns:
        DogData: x (B, H, W, 3) float32 in [0, 1], y (B,) int32; assets["class_names"].

    Raises:
        DataError: the files are not to be had or not right. ValueError: a number out of range.

    Example:
        >>> load("builtin", batch_size=8, resize=32).size
        {'train': 900, 'valid': 100}
    """
    where = Source.of(where)
    if not 0 <= valid_ratio < 1 or resize < 1:
        raise ValueError(
            "`valid_ratio` must be in [0, 1), `resize` at least 1. "
            f"Received: valid_ratio={valid_ratio}, resize={resize}."
        )
    root = _root(where)
    size = (resize, resize)
    if root is None:
        return _builtin(where, batch_size, size, valid_ratio)
    breeds = _breeds(root / LABELS)
    names = source.class_names_of(where, sorted(set(breeds.values())), str(root / LABELS))
    trees = _trees(root, breeds, names, valid_ratio)
    room = _MEMORY - sum(len(tree.paths) for tree in trees.values()) * resize * resize * 3
    batches = {}
    for split, tree in trees.items():
        reader = image_folder.Reader(root, tree, size, 3)
        reader.read(skip_broken=False, keep=room >= 0)
        seed = where.seed if split == "train" else None
        batches[split] = reader.batches(batch_size, seed, None)
    ids = [path.stem for path in trees["unknown"].paths]
    return _made(batches, names, size, ids)


def _root(where: Source) -> Path | None:
    """Return the folder with the table; None: the built-in stand-in."""
    if where.kind in ("auto", "files") and where.data_dir is not None:
        for name in (NAME, _INSIDE, f"{NAME}/{_INSIDE}"):
            if (Path(where.data_dir) / name / LABELS).is_file():
                return Path(where.data_dir) / name

    folder = book_archives.unpacked_here(where, NAME, ARCHIVE, SHA1)
    return None if folder is None else folder / _INSIDE


def _breeds(path: Path) -> dict[str, str]:
    """Return id -> breed, from a table with the header id,breed."""
    (_, header), *rows = [row for row in tables.read(path) if row[1]] or [(0, [])]
    if header != ["id", "breed"] or not rows:
        raise DataError(f"{path} is no table of breeds: expected the header id,breed and rows.")
    breeds: dict[str, str] = {}
    for line, cells in rows:
        if len(cells) != 2 or not all(cells) or cells[0] in breeds:
            raise DataError(
                f"{path}, line {line}: expected an id of its own and a breed. Received: "
                f"{','.join(cells)[:80]}."
            )
        breeds[cells[0]] = cells[1]
    if len(set(breeds.values())) < 2:
        raise DataError(f"{path}: expected at least two breeds.")
    return breeds


def _trees(
    root: Path, breeds: dict[str, str], names: Sequence[str], valid_ratio: float
) -> dict[str, Tree]:
    """Return which pictures belong to which split; those without a class are "unknown"."""
    known = {path.stem: path for path in _pictures(root / "train")}
    lacking = sorted(set(breeds) ^ set(known))
    if lacking:
        where = "the table" if lacking[0] in known else "the folder train"
        raise DataError(
            f"{root}: {len(lacking)} pictures and rows of {LABELS} do not belong together, "
            f"{where} lacks {lacking[0]}. Get it anew."
        )
    labels = np.array([names.index(breeds[name]) for name in known], np.int32)
    held_out = hold_out(labels, valid_ratio)
    paths = list(known.values())
    trees = {}
    for split, chosen in (("train", ~held_out), ("valid", held_out)):
        places = np.flatnonzero(chosen)
        if len(places):
            trees[split] = Tree(tuple(paths[i] for i in places), tuple(labels[places].tolist()))
    unknown = _pictures(root / "test")
    trees["unknown"] = Tree(tuple(unknown), (0,) * len(unknown))
    return trees


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder, in the order of their names."""
    try:
        found = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in pictures.SUFFIXES]
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error}") from error
    if not found:
        raise DataError(f"{folder} has no pictures. Get it anew.")
    return found


def _builtin(where: Source, batch_size: int, size: tuple[int, int], valid_ratio: float) -> DogData:
    (x, y), (x_unknown, _) = shapes.arrays()
    held_out = hold_out(y, valid_ratio)

    def transform(x, y):
        return pipeline.scale_images(x, size), tf.cast(y, tf.int32)

    arrays = {"train": (x[~held_out], y[~held_out])}
    if held_out.any():
        arrays["valid"] = (x[held_out], y[held_out])
    arrays["unknown"] = (x_unknown, np.zeros(len(x_unknown), np.int32))
    batches = {
        split: pipeline.from_arrays(
            pair,
            batch_size=batch_size,
            seed=where.seed if split == "train" else None,
            transform=transform,
        )
        for split, pair in arrays.items()
    }
    return _made(batches, shapes.CLASS_NAMES, size, [f"{i:04d}" for i in range(len(x_unknown))])


def _made(
    batches: dict[str, Any], names: Sequence[str], size: tuple[int, int], ids: Sequence[str]
) -> DogData:
    made = pipeline.make_data(
        batches["train"],
        valid=batches.get("valid"),
        features={"pixels": TensorSpec((*size, 3), "float32")},
        assets={"class_names": list(names)},
    )
    return DogData(**vars(made), unknown=batches["unknown"].dataset, ids=ids)
