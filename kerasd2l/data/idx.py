"""The idx format of MNIST and its family: a strict reader, and the loading of such a data set."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerasd2l.data import downloads, files, limits, pipeline, source, tfds_sets
from kerasd2l.data.sets import digits
from kerasd2l.data.source import DataError, Source
from kerasd2l.recipe import Data

IMAGES = {"train": "train-images-idx3-ubyte.gz", "test": "t10k-images-idx3-ubyte.gz"}
LABELS = {"train": "train-labels-idx1-ubyte.gz", "test": "t10k-labels-idx1-ubyte.gz"}
FILES = (IMAGES["train"], LABELS["train"], IMAGES["test"], LABELS["test"])
_UBYTE = 0x08
_CHUNK = 1 << 20
_DTYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def read(
    path: str | os.PathLike, num_axes: int, *, max_bytes: int = limits.IDX_BYTES
) -> np.ndarray:
    """Read an idx file of unsigned bytes, plain or gzipped, and nothing but a right one.

    Args:
        path: the file; gzip is recognised by its content.
        num_axes: int, 3 for images, 1 for labels.
        max_bytes: int, larger declared content is refused before memory is taken.

    Returns:
        uint8 array with `num_axes` axes.

    Raises:
        DataError: anything about the file is not as declared.
    """
    path = Path(path)
    with files.unpacked(path) as file:
        shape = _read_shape(path, file, num_axes, max_bytes)
        size = math.prod(shape)
        content = bytearray()  # grows with what is there, not with what is declared
        while chunk := file.read(min(_CHUNK, size + 1 - len(content))):
            content += chunk
    if len(content) != size:
        got = f"only {len(content)}" if len(content) < size else "more"
        raise _wrong(path, f"{size} bytes of content for shape {shape}", got)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_shape(path: Path, file, num_axes: int, max_bytes: int) -> tuple[int, ...]:
    """Read and check magic number and sizes."""
    magic = file.read(4)
    expected = bytes((0, 0, _UBYTE, num_axes))
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise _wrong(
            path, f"an idx file with magic number {expected.hex()}", magic.hex() or "nothing"
        )
    if magic[2] != _UBYTE:
        kind = _DTYPES.get(magic[2], "unknown")
        raise _wrong(path, "dtype code 0x08 (uint8)", f"0x{magic[2]:02x} ({kind})")
    if magic[3] != num_axes:
        raise _wrong(path, f"magic number {expected.hex()} ({num_axes} axes)", magic.hex())
    sizes = file.read(4 * num_axes)
    if len(sizes) < 4 * num_axes:
        raise _wrong(path, f"{num_axes} sizes in the header", "a truncated header")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    if math.prod(shape) > max_bytes:
        raise _wrong(path, f"at most {max_bytes} bytes of content", f"declared shape {shape}")
    return shape


def read_pair(
    images: str | os.PathLike,
    labels: str | os.PathLike,
    *,
    shape: tuple[int, int] = (28, 28),
    num_classes: int = 10,
    count: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read images and their labels and check that they belong together.

    Args:
        images: idx file with 3 axes.
        labels: idx file with 1 axis.
        shape: height and width of an image.
        num_classes: int, labels are 0..num_classes - 1.
        count: int, number of examples; None: any but 0.

    Returns:
        (B, H, W, 1) uint8 and (B,) int32.

    Raises:
        DataError: a file is damaged or the two do not fit.
    """
    x, y = read(images, 3), read(labels, 1)
    if x.shape[1:] != shape:
        raise _wrong(images, f"images of {shape}", f"{x.shape[1:]}")
    if len(x) != len(y):
        raise _wrong(labels, f"{len(x)} labels, one for each image of {images}", f"{len(y)}")
    if len(x) == 0 or (count is not None and len(x) != count):
        raise _wrong(images, f"{count or 'some'} images", f"{len(x)}")
    if y.max() >= num_classes:
        where = int(np.argmax(y >= num_classes))
        raise _wrong(labels, f"labels 0..{num_classes - 1}", f"{y[where]} at position {where}")
    return x[..., None], y.astype(np.int32)


def _wrong(path: str | os.PathLike, expected: str, received: str) -> DataError:
    return DataError(f"{path}: expected {expected}, received {received}. Get the file anew.")


def load(
    where: Source | str | None,
    name: str,
    digests: Mapping[str, str],
    mirrors: Sequence[str],
    class_names: Sequence[str],
    *,
    batch_size: int,
    resize: int | tuple[int, int] | None,
) -> Data:
    """Load a data set of four idx files, or scikit-learn's digits as its built-in stand-in.

    TFDS takes MNIST and Fashion-MNIST from these same addresses and checks these same hashes, but
    shuffles them when it writes them: with "tfds" the same pictures come in another order.

    Args:
        where: Source, or the name of its kind.
        name: str, folder of the data set.
        digests: file name -> SHA-256 of the published file.
        mirrors: base addresses.
        class_names: the names of labels 0, 1, ...
        batch_size: int, the global batch.
        resize: int or (height, width), bilinear; None: as it is.

    Returns:
        Data; x (B, H, W, 1) float32 in [0, 1], y (B,) int32.

    Raises:
        DataError: the files are not to be had or not right.
    """
    where = Source.of(where)
    if source.from_tfds(where, name, FILES):
        return tfds_sets.load(name, where, batch_size=batch_size, resize=resize)
    folder = source.resolve(
        where, name, FILES, lambda folder: downloads.fetch(folder, digests, mirrors, where)
    )
    if folder is None:
        return digits.load(where, batch_size=batch_size, resize=resize)
    train, test = (
        read_pair(*(source.file_in(folder, names[split]) for names in (IMAGES, LABELS)))
        for split in ("train", "test")
    )
    return pipeline.image_data(
        train, test, class_names, batch_size=batch_size, resize=resize, seed=where.seed
    )
