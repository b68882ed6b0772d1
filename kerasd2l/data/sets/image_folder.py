"""One's own pictures: a folder for each class, pictures of any size, grey or colour."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import pictures, pipeline
from kerasd2l.data.sets import shapes
from kerasd2l.data.source import DataError, Source
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

NAME = "image_folder"
_TEST_SHARE = 5  # without a test folder, every fifth picture of a class is for test
_WAYS = (
    "Replace or remove it, or leave out what is broken with --skip-broken (skip_broken=True in "
    "Python)."
)
_LAYOUT = "CLASS/PICTURE, or train/CLASS/PICTURE and test/CLASS/PICTURE"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tree:
    """The pictures of one split.

    Args:
        paths: the files, class by class, in alphabetical order.
        labels: the number of each one's class.
    """

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    def pick(self, places: Sequence[int]) -> Tree:
        """Return the pictures at these places."""
        return Tree(tuple(self.paths[i] for i in places), tuple(self.labels[i] for i in places))


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    resize: int | tuple[int, int] = 96,
    channels: int = 3,
    memory: int = 2 << 30,
) -> Data:
    """Load a folder of one's own pictures; the built-in stand-in is ten coloured shapes.

    The folder is `--data-dir` itself, or `image_folder` in it. It holds `CLASS/PICTURE`, of which
    every fifth is kept for test (the same ones every time), or `train/CLASS/PICTURE` with `test`,
    `valid` or both beside it. PNG, JPEG, GIF, BMP and WebP; folders may be nested; files whose
    name starts with a dot and other kinds of files are passed over. Classes are numbered in the
    alphabetical order of their folders' names.

    Every picture is decoded once, before training starts. What does not fit in `memory` is
    decoded anew for each batch.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin" or "files". With its
            `skip_broken`, pictures that cannot be read are left out, counted, and listed in
            `assets["skipped_pictures"]`, which grows when one breaks while training; else the
            first one is an error.
        batch_size: int, the global batch.
        resize: int or (height, width): what every picture is stretched to.
        channels: 3 for colour, 1 for grey; the others are converted.
        memory: int, bytes that the decoded pictures may take.

    Returns:
        Data: x (B, H, W, C) float32 in [0, 1], y (B,) int32; assets["class_names"], the folders'
        names.

    Raises:
        DataError: no such folder, fewer than two classes, a class without pictures, a picture that
            is broken or a single pixel wide or high.
        ValueError: a number out of range.

    Example:
        >>> load("builtin", batch_size=32, resize=48).features["pixels"].shape
        (48, 48, 3)
    """
    source = Source.of(source)
    size = pipeline.size_of(resize)
    if size is None:
        raise ValueError("`resize` must be given: pictures of one's own have different sizes.")
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}.")
    if source.kind == "builtin":
        return shapes.load(source, batch_size=batch_size, resize=resize, channels=channels)
    root = _root(source)
    trees, class_names = find(root)
    readers = {split: _Reader(root, tree, size, channels) for split, tree in trees.items()}
    budget = memory - sum(reader.bytes for reader in readers.values())
    for reader in readers.values():
        reader.read(skip_broken=source.skip_broken, keep=budget >= 0)
    skipped = {name: why for reader in readers.values() for name, why in reader.skipped.items()}
    listed = sorted(skipped)
    if skipped:
        _warn(root, skipped, sum(len(tree.paths) for tree in trees.values()))
        _check_classes({split: reader.tree for split, reader in readers.items()}, class_names, root)
    batches = {
        split: reader.batches(
            batch_size,
            source.seed if split == "train" else None,
            listed if source.skip_broken else None,
        )
        for split, reader in readers.items()
    }
    return pipeline.make_data(
        batches["train"],
        valid=batches.get("valid"),
        test=batches.get("test"),
        features={"pixels": TensorSpec((*size, channels), "float32")},
        assets={"class_names": list(class_names)}
        | ({"skipped_pictures": listed} if source.skip_broken else {}),
    )


def find(root: str | os.PathLike) -> tuple[dict[str, Tree], tuple[str, ...]]:
    """Find the pictures under a folder, without opening them.

    Args:
        root: the folder; see `load` for what it may hold.

    Returns:
        (split -> Tree with "train" first, class names).

    Raises:
        DataError: no classes, a class without pictures, a class that `train` does not have.
    """
    root = Path(root)
    if not (root / "train").is_dir():
        classes = _classes(root, root)
        return _divide(_tree(root, classes)), classes
    classes = _classes(root / "train", root)
    trees = {"train": _tree(root / "train", classes)}
    for split, names in (("valid", ("valid", "val", "validation")), ("test", ("test",))):
        folders = [root / name for name in names if (root / name).is_dir()]
        if len(folders) > 1:
            raise DataError(
                f"{root} has {' and '.join(folder.name for folder in folders)}: which of them is "
                "meant? Keep one."
            )
        for folder in folders:
            unknown = sorted(set(_folders(folder)) - set(classes))
            if unknown:
                raise DataError(
                    f"{folder} has the class {unknown[0]!r}, which {root / 'train'} does not have. "
                    "Name the folders alike."
                )
            if not _folders(folder):
                raise DataError(
                    f"{folder} has no folder of a class. Put CLASS/PICTURE there, or remove it."
                )
            trees[split] = _tree(
                folder, tuple(c for c in classes if (folder / c).is_dir()), classes
            )
    if len(trees) == 1:
        trees = _divide(trees["train"])
    return trees, classes


def _root(source: Source) -> Path:
    if source.kind == "download" or source.data_dir is None:
        raise DataError(
            f"{NAME}: pictures of one's own are neither downloaded nor guessed. Give their folder "
            f"with --data-dir DIR ({_LAYOUT} in it), or --data builtin for drawn shapes."
        )
    inside = Path(source.data_dir) / NAME
    root = inside if inside.is_dir() else Path(source.data_dir)
    if not root.is_dir():
        raise DataError(f"{root} is no folder. Give the folder of the pictures with --data-dir.")
    return root


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.is_dir() and entry.name[0] != "." and entry.name != "__MACOSX"
        )
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error}") from error


def _classes(folder: Path, root: Path) -> tuple[str, ...]:
    classes = tuple(_folders(folder))
    if len(classes) < 2:
        loose = sum(path.name.lower().endswith(pictures.SUFFIXES) for path in folder.iterdir())
        itself = (
            f" It holds {loose} pictures itself: is the folder above it meant?" if loose else ""
        )
        raise DataError(
            f"{folder}: expected a folder for each of at least two classes, received "
            f"{', '.join(classes) or 'none'}.{itself} {root} should hold {_LAYOUT}."
        )
    return classes


def _tree(folder: Path, classes: Sequence[str], numbered: Sequence[str] = ()) -> Tree:
    """List the pictures of the classes; `numbered` are all classes where some are absent."""
    paths, labels = [], []
    for name in classes:
        label = (numbered or classes).index(name)
        found, others = [], 0
        for parent, folders, files in os.walk(folder / name):
            folders.sort()
            for file in sorted(files):
                if file.startswith("."):
                    continue
                if file.lower().endswith(pictures.SUFFIXES):
                    found.append(Path(parent, file))
                else:
                    others += 1
        if not found:
            raise DataError(
                f"{folder / name} has no pictures ({others} other files). Put "
                f"{', '.join(pictures.SUFFIXES)} files there, or remove the folder."
            )
        paths += found
        labels += [label] * len(found)
    return Tree(tuple(paths), tuple(labels))


def _divide(tree: Tree) -> dict[str, Tree]:
    """Keep every fifth picture of each class, at least one, for test: the same ones every time."""
    labels = np.array(tree.labels)
    test = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) < 2:
            raise DataError(
                f"{tree.paths[places[0]].parent} has a single picture; expected at least two, "
                "one to train and one to test."
            )
        mixed = np.random.RandomState(0).permutation(places)  # numpy's frozen stream
        test += mixed[::_TEST_SHARE].tolist()
    train = sorted(set(range(len(labels))) - set(test))
    return {"train": tree.pick(train), "test": tree.pick(sorted(test))}


class _Reader:
    """Decodes the pictures of one split."""

    def __init__(self, root: Path, tree: Tree, size: tuple[int, int], channels: int):
        self.root, self.tree, self.size, self.channels = root, tree, size, channels
        self.bytes = len(tree.paths) * size[0] * size[1] * channels
        self.arrays: np.ndarray | None = None
        self.skipped: dict[str, str] = {}

    def read(self, *, skip_broken: bool, keep: bool) -> None:
        """Decode every picture; keep the arrays, or only know that they are whole."""
        if keep:
            self.arrays = np.empty((len(self.tree.paths), *self.size, self.channels), np.uint8)
        whole = []
        for i, error in enumerate(pictures.in_threads(self._try, range(len(self.tree.paths)))):
            if error is None:
                whole.append(i)
            elif skip_broken:
                self.skipped[str(self.tree.paths[i].relative_to(self.root))] = str(error)
            else:
                raise DataError(f"{error}. {_WAYS}") from error
        if self.skipped:
            self.tree = self.tree.pick(whole)
            self.arrays = None if self.arrays is None else self.arrays[whole]

    def _try(self, place: int) -> pictures.BrokenPicture | None:
        try:
            pixels = self.decode(self.tree.paths[place])
        except pictures.BrokenPicture as error:
            return error
        if self.arrays is not None:
            self.arrays[place] = pictures.fit(pixels, self.size)
        return None

    def decode(self, path: Path) -> np.ndarray:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise pictures.BrokenPicture(f"{path} cannot be read: {error}") from error
        return pictures.decode(content, str(path), self.channels)

    def batches(
        self, batch_size: int, seed: int | None, skipped: list[str] | None
    ) -> pipeline.Batches:
        """Batch what was kept, or decode anew for each batch.

        `skipped` lists what was left out, and takes what breaks later; None: that is an error.
        """

        def transform(x, y):
            if self.arrays is None:
                x, whole = tf.numpy_function(
                    lambda names: self._decode_batch(names, skipped), [x], (tf.uint8, tf.bool)
                )
                x = tf.ensure_shape(x, (None, *self.size, self.channels))
                y = tf.boolean_mask(y, tf.ensure_shape(whole, (None,)))
            return pipeline.scale_images(x), tf.cast(y, tf.int32)

        x = self.arrays
        if x is None:
            x = np.array([os.fsencode(path) for path in self.tree.paths], dtype=object)
        arrays = (x, np.array(self.tree.labels, np.int32))
        return pipeline.from_arrays(arrays, batch_size=batch_size, seed=seed, transform=transform)

    def _decode_batch(
        self, names: np.ndarray, skipped: list[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the whole pictures of a batch, and which ones they are."""
        found, whole = [], np.ones(len(names), bool)
        for place, path in enumerate(Path(os.fsdecode(name)) for name in names):
            try:
                found.append(pictures.fit(self.decode(path), self.size))
            except pictures.BrokenPicture as error:
                if skipped is None:
                    raise DataError(f"{error}. {_WAYS}") from error
                whole[place] = False
                name = str(path.relative_to(self.root))
                if name not in skipped:
                    skipped.append(name)
                    _log.warning("left out while reading: %s", error)
        if not found:
            raise DataError(f"{self.root}: a batch has no whole picture left, {path} among them.")
        return np.stack(found), whole


def _warn(root: Path, skipped: dict[str, str], total: int) -> None:
    told = "; ".join(list(skipped.values())[:5]) + ("; ..." if len(skipped) > 5 else "")
    _log.warning("%d of %d pictures in %s are left out: %s", len(skipped), total, root, told)


def _check_classes(trees: dict[str, Tree], class_names: Sequence[str], root: Path) -> None:
    """Refuse a class whose pictures are all broken."""
    for split, tree in trees.items():
        lacking = [c for i, c in enumerate(class_names) if i not in set(tree.labels)]
        if lacking and split == "train":
            raise DataError(f"{root}: no whole picture is left to train the class {lacking[0]!r}.")
        if not tree.paths:
            raise DataError(f"{root}: no whole picture is left in {split}.")
