"""CIFAR-10: 50000 + 10000 pictures of ten kinds of things, 32x32, colour. Krizhevsky, 2009."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from kerasd2l.data import (
    archive,
    downloads,
    files,
    limits,
    pickled,
    pictures,
    pipeline,
    source,
    tfds_sets,
)
from kerasd2l.data.sets import shapes
from kerasd2l.data.source import DataError, Source
from kerasd2l.recipe import Data

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SHAPE = (32, 32, 3)
MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
BINARY = "cifar-10-binary.tar.gz"
PYTHON = "cifar-10-python.tar.gz"
MD5 = {BINARY: "c32a1d4ab5d03f1284b67883e8d87530"}  # on the page of the data set
PICTURES = ("train.tar.gz", "test.tar.gz")
_BATCHES = {
    "train": tuple(f"data_batch_{i}" for i in range(1, 6)),
    "test": ("test_batch",),
}
_RECORD = 1 + 3 * 32 * 32  # label, then the red, green and blue planes
_MAX_PICTURE = 1 << 16  # bytes of a file with 32 x 32 pixels: a PNG has some 2500


def load(
    where: Source | str | None = None,
    *,
    batch_size: int = 128,
    resize: int | tuple[int, int] | None = None,
) -> Data:
    """Load CIFAR-10; the built-in stand-in is ten coloured shapes.

    Section: "kaggle-cifar10", and wherever the book says "on colour pictures".

    "files" takes what is there, in this order: `cifar-10-binary.tar.gz` or the folder
    `cifar-10-batches-bin` from it; `cifar-10-python.tar.gz` or `cifar-10-batches-py` (read without
    running its pickles); `train.tar.gz` and `test.tar.gz` with JPEG or PNG in `train/<class>/`.
    The download is the first of these (tensorflow_datasets takes it from the same address).

    Args:
        where: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.
        resize: int or (height, width), bilinear with antialias; None: 32x32.

    Returns:
        Data: x (B, H, W, 3) float32 in [0, 1], y (B,) int32; assets["class_names"].

    Raises:
        DataError: the files are not to be had or not right.

    Example:
        >>> load("builtin", batch_size=32).features["pixels"].shape
        (32, 32, 3)
    """
    where = Source.of(where)
    files = _present(where)
    if source.from_tfds(where, "cifar10", files):
        return tfds_sets.load("cifar10", where, batch_size=batch_size, resize=resize)
    folder = source.resolve(
        where, "cifar10", files, lambda folder: downloads.fetch(folder, MD5, MIRRORS, where)
    )
    if folder is None:
        return shapes.load(where, batch_size=batch_size, resize=resize)
    train, test = read(folder, files)
    return pipeline.image_data(
        train, test, CLASS_NAMES, batch_size=batch_size, resize=resize, seed=where.seed
    )


def _present(where: Source) -> tuple[str, ...]:
    """Return the files of the first form that lies in the data folder, or of which most do.

    Without any it is the download's.
    """
    names = [name for split in _BATCHES.values() for name in split]
    forms = (
        (BINARY,),
        tuple(f"cifar-10-batches-bin/{name}.bin" for name in names),
        (PYTHON,),
        tuple(f"cifar-10-batches-py/{name}" for name in names),
        PICTURES,
    )
    if where.kind in ("auto", "files") and where.data_dir is not None:
        folder = Path(where.data_dir) / "cifar10"
        there = [
            sum(source.file_in(folder, name).is_file() for name in form) / len(form)
            for form in forms
        ]
        if any(there):
            return forms[there.index(max(there))]
    return (BINARY,)


def read(folder: Path, files: tuple[str, ...]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Read the training and the test set in any of the forms.

    Args:
        folder: where the files lie.
        files: the names of one form.

    Returns:
        ((x, y), (x, y)): x (B, 32, 32, 3) uint8, y (B,) int32.

    Raises:
        DataError: something is missing, damaged or not CIFAR-10.
    """
    if files == PICTURES:
        return tuple(
            _read_pictures(source.file_in(folder, name), name.partition(".")[0]) for name in files
        )
    if len(files) == 1:
        packed = source.file_in(folder, files[0])
        members: Iterable = archive.read_members(packed, max_member=limits.BATCH_BYTES)
        origin = str(packed)
    else:
        members = ((name, _content(folder / name)) for name in files)
        origin = str(folder)
    found = {}
    for name, content in members:
        stem = PurePosixPath(name).name.removesuffix(".bin")
        if any(stem in batches for batches in _BATCHES.values()):
            parse = _parse_binary if name.endswith(".bin") else _parse_pickle
            found[stem] = parse(content, f"{origin}: {name}")
    return tuple(_join(found, batches, origin) for batches in _BATCHES.values())


def _content(path: Path) -> bytes:
    return files.content(path, limits.BATCH_BYTES)


def _join(found: dict, batches: tuple[str, ...], origin: str) -> tuple[np.ndarray, np.ndarray]:
    missing = [name for name in batches if name not in found]
    if missing:
        raise DataError(f"{origin} lacks {', '.join(missing)}. Get it anew.")
    x, y = zip(*(found[name] for name in batches), strict=True)
    return np.concatenate(x), np.concatenate(y)


def _parse_binary(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    if not content or len(content) % _RECORD:
        raise DataError(
            f"{name}: expected records of {_RECORD} bytes, received {len(content)} bytes. "
            "Get it anew."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    return _examples(records[:, 1:], records[:, 0], name)


def _parse_pickle(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    batch = pickled.read(content, name)
    if not isinstance(batch, dict):
        raise DataError(f"{name}: expected a dict, received {type(batch).__name__}.")
    # Python 2's keys are bytes, and a damaged one is no text
    x, y = (batch.get(key.encode(), batch.get(key)) for key in ("data", "labels"))
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] != _RECORD - 1 or not len(x):
        raise DataError(f"{name}: expected `data` of shape (n, {_RECORD - 1}). Get it anew.")
    if not isinstance(y, list) or len(y) != len(x) or not all(type(label) is int for label in y):
        raise DataError(f"{name}: expected `labels`, {len(x)} whole numbers. Get it anew.")
    return _examples(x, np.clip(np.array(y), -1, 255), name)


def _examples(planes: np.ndarray, labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Turn planes into pixels, channels last, and check the labels."""
    y = labels.astype(np.int32)
    wrong = (y < 0) | (y >= len(CLASS_NAMES))
    if wrong.any():
        where = int(np.argmax(wrong))
        raise DataError(f"{name}: expected labels 0..9, received {y[where]} at position {where}.")
    x = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # (B, 32, 32, 3)
    return np.ascontiguousarray(x), y


def _read_pictures(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read `<split>/<class>/*.jpg` from an archive; the label is the place in the alphabet."""
    names, labels, images = [], [], []
    for (name, label), image in pictures.in_threads(_decode, _members(path, split)):
        names.append(name)
        labels.append(label)
        images.append(image)
    there = set(labels)
    if len(there) < len(CLASS_NAMES):
        lacking = [name for i, name in enumerate(CLASS_NAMES) if i not in there]
        raise DataError(f"{path} has no pictures of {', '.join(lacking)}. Get it anew.")
    order = sorted(range(len(names)), key=names.__getitem__)
    return np.stack([images[i] for i in order]), np.array(labels, np.int32)[order]


def _members(path: Path, split: str) -> Iterator[tuple[str, int, bytes]]:
    members = archive.read_members(
        path, max_files=limits.PICTURES, max_bytes=1 << 28, max_member=_MAX_PICTURE
    )
    for name, content in members:
        parts = PurePosixPath(name).parts
        if parts[-1].startswith(".") or not name.lower().endswith(pictures.SUFFIXES):
            continue
        if len(parts) != 3 or parts[0] != split or parts[1] not in CLASS_NAMES:
            raise DataError(
                f"{path}: expected {split}/CLASS/PICTURE with the classes "
                f"{', '.join(CLASS_NAMES)}, received {name}."
            )
        yield f"{path}: {name}", CLASS_NAMES.index(parts[1]), content


def _decode(member: tuple[str, int, bytes]) -> tuple[tuple[str, int], np.ndarray]:
    name, label, content = member
    image = pictures.decode(content, name)
    if image.shape != SHAPE:
        raise DataError(f"{name}: expected 32 x 32 pixels, received {image.shape[:2]}.")
    return (name, label), image
