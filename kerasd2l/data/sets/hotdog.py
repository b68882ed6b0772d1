"""Hot dogs and other pictures: the archive of section "fine-tuning"."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kerasd2l.data import book_archives
from kerasd2l.data.sets import image_folder, shapes
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

ARCHIVE = "hotdog.zip"
SHA1 = "fba480ffa8aa7e0febbb511d181409f899b9baa5"


def load(
    where: Source | str | None = None,
    *,
    batch_size: int = 128,
    resize: int | tuple[int, int] | None = 224,
) -> Data:
    """Load the hot dogs; the built-in stand-in is ten coloured shapes.

    "files" takes the folder `DIR/hotdog` with `train/CLASS/PICTURE` and `test/CLASS/PICTURE`, or
    `DIR/hotdog/hotdog.zip`, which is unpacked into the cache.

    Args:
        where: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.
        resize: int or (height, width), what every picture is stretched to; None: 224.

    Returns:
        Data: x (B, H, W, 3) float32 in [0, 1], y (B,) int32; assets["class_names"].

    Raises:
        DataError: the files are not to be had or not right.

    Example:
        >>> load("builtin", batch_size=8, resize=32).features["pixels"].shape
        (32, 32, 3)
    """
    where = Source.of(where)
    resize = resize or 224
    root = _root(where)
    if root is None:
        return shapes.load(where, batch_size=batch_size, resize=resize)
    inside = dataclasses.replace(where, kind="files", data_dir=root)
    return image_folder.load(inside, batch_size=batch_size, resize=resize)


def _root(where: Source) -> Path | None:
    """Return the folder of the splits; None: the built-in stand-in."""
    if where.kind in ("auto", "files") and where.data_dir is not None:
        plain = Path(where.data_dir) / "hotdog"
        if (plain / "train").is_dir():
            return plain

    folder = book_archives.unpacked_here(where, "hotdog", ARCHIVE, SHA1)
    return None if folder is None else folder / "hotdog"
