"""One's own pictures: a folder for each class, pictures of any size, grey or colour."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import picture_tree, pictures, pipeline
from kerasd2l.data.picture_tree import LAYOUT, Found, Tree
from kerasd2l.data.sets import shapes
from kerasd2l.data.source import DataError, Source, own_folder, shown
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

NAME = "image_folder"
_MOST_BYTES = 1 << 28  # of a file; 16 megapixels take half of it, however they are written
_WAYS = (
    "Replace or remove it, or leave out what is broken with --skip-broken (skip_broken=True in "
    "Python)."
)

_log = logging.getLogger(__name__)


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    resize: int | tuple[int, int] = 96,
    channels: int = 3,
    memory: int = 2 << 30,
    splits: bool = True,
) -> Data:
    """Load a folder of one's own pictures; the built-in stand-in is ten coloured shapes.

    The folder is `--data-dir` itself, or `image_folder` in it. It holds `CLASS/PICTURE`, of which
    every fifth is kept for test (the same ones every time), or `train/CLASS/PICTURE` with `test`,
    `valid` or both beside it (also `training_set`, `Val`, `TESTING`, ...). PNG, JPEG, GIF, still
    WebP, and BMP of 24 or 32 bits, of at most 16 megapixels; folders may be nested. Files and
    folders whose name starts with a dot are not looked at; other kinds of files and linked folders
    are passed over and counted. Classes are numbered in the alphabetical order of their folders'
    names, or as in the assets of the source.

    Where they fit in `memory`, every picture is decoded once, before training starts. Else they
    are decoded for each batch; then a broken one is an error when its turn comes, unless
    `skip_broken` is set, which looks at all of them first. Of several workers each then reads its
    own pictures only.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin" or "files". With its
            `skip_broken`, pictures that cannot be read are left out, counted, and listed in
            `assets["skipped_pictures"]`, which grows when one breaks while training; else the
            first one is an error.
        batch_size: int, the global batch.
        resize: int or (height, width): what every picture is stretched to.
        channels: 3 for colour, 1 for grey; the others are converted.
        memory: int, bytes that the decoded pictures may take.
        splits: bool; False: folders called `train` or `test` are classes as all others are.

    Returns:
        Data: x (B, H, W, C) float32 in [0, 1], y (B,) int32; assets["class_names"], the folders'
        names.

    Raises:
        DataError: no such folder, fewer than two classes, a class without pictures, folders that
            may be splits or classes, a picture that is broken, too large, or a single pixel wide or
            high.
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
    root = own_folder(source, NAME, LAYOUT, kinds=("auto", "files", "tfds"))
    found = picture_tree.find(root, splits=splits, source=source)
    _tell(root, found)
    readers = {split: Reader(root, tree, size, channels) for split, tree in found.trees.items()}
    budget = memory - sum(reader.bytes for reader in readers.values())
    if budget >= 0 or source.skip_broken:
        for reader in readers.values():
            reader.read(skip_broken=source.skip_broken, keep=budget >= 0)
    skipped = {name: why for reader in readers.values() for name, why in reader.skipped.items()}
    listed = sorted(skipped)
    if skipped:
        _warn(root, skipped, sum(len(tree.paths) for tree in found.trees.values()))
        _check_classes(readers, found, root)
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
        assets={"class_names": found.class_names}
        | ({"skipped_pictures": listed} if source.skip_broken else {}),
    )


def find(
    root: str | os.PathLike, *, splits: bool = True
) -> tuple[dict[str, Tree], tuple[str, ...]]:
    """Find the pictures under a folder, without opening them.

    Args:
        root: the folder; see `load` for what it may hold.
        splits: bool, as in `load`.

    Returns:
        (split -> Tree with "train" first, class names).

    Raises:
        DataError: as `load`, but for what is in the files.
    """
    found = picture_tree.find(root, splits=splits)
    return found.trees, tuple(found.class_names)


class Reader:
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
            self.arrays[place] = pictures.stretch(pixels, self.size)
        return None

    def decode(self, path: Path) -> np.ndarray:
        try:
            if not path.is_file():  # a pipe would be waited for
                raise pictures.BrokenPicture(f"{path} cannot be read: it is no file, or not there")
            if path.stat().st_size > _MOST_BYTES:
                raise pictures.BrokenPicture(f"{path} has more than {_MOST_BYTES >> 20} MB")
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
        return pipeline.from_arrays(
            arrays,
            batch_size=batch_size,
            seed=seed,
            transform=transform,
            by_rows=self.arrays is None and skipped is None,
        )

    def _decode_batch(
        self, names: np.ndarray, skipped: list[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the whole pictures of a batch, and which ones they are."""
        if not len(names):  # of a short batch, the part of one of several workers
            return np.zeros((0, *self.size, self.channels), np.uint8), np.ones(0, bool)
        found, whole = [], np.ones(len(names), bool)
        for place, path in enumerate(Path(os.fsdecode(name)) for name in names):
            try:
                found.append(pictures.stretch(self.decode(path), self.size))
            except pictures.BrokenPicture as error:
                if skipped is None:
                    raise DataError(f"{error}. {_WAYS}") from error
                whole[place] = False
                name = str(path.relative_to(self.root))
                if name not in skipped:
                    skipped.append(name)
                    _log.warning("left out while reading: %s", shown(error))
        if not found:
            raise DataError(f"{self.root}: a batch has no whole picture left, {path} among them.")
        return np.stack(found), whole


def _warn(root: Path, skipped: dict[str, str], total: int) -> None:
    told = "; ".join(list(skipped.values())[:5]) + ("; ..." if len(skipped) > 5 else "")
    message = "%d of %d pictures in %s are left out: %s"
    _log.warning(message, len(skipped), total, shown(root), shown(told))


def _tell(root: Path, found: Found) -> None:
    """Say which classes were found, with how many pictures, and what was passed over."""
    counts = [f"{split}: {tree.count(found.class_names)}" for split, tree in found.trees.items()]
    _log.info("pictures in %s: %s", shown(root), "; ".join(counts))
    passed = [f"{number} {kind}" for kind, number in found.passed_over.items() if number]
    if passed:
        _log.warning("passed over in %s: %s", shown(root), shown(", ".join(passed)))


def _check_classes(readers: dict[str, Reader], found: Found, root: Path) -> None:
    """Refuse a class whose pictures are all broken."""
    for split, reader in readers.items():
        lacking = sorted(set(found.trees[split].labels) - set(reader.tree.labels))
        if lacking and split == "train":
            name = found.class_names[lacking[0]]
            raise DataError(f"{root}: no whole picture is left to train the class {name!r}.")
        if not reader.tree.paths:
            raise DataError(f"{root}: no whole picture is left in {split}.")
