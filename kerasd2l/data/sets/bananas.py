"""Bananas on photographs: 1000 + 100 pictures of 256 x 256 with one box each. The book's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kerasd2l.data import book_archives, box_batches, pipeline, source
from kerasd2l.data.sets import box_folder, scenes
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

CLASS_NAMES = ("banana",)
ARCHIVE = "banana-detection.zip"
SHA1 = "5de26c8fce5ccdea9f91267273464dc968d20d72"
_INSIDE = "banana-detection"
_FILES = tuple(f"{_INSIDE}/bananas_{split}/label.csv" for split in ("train", "val"))


def load(
    where: Source | str | None = None,
    *,
    batch_size: int = 32,
    resize: int | tuple[int, int] = 256,
    max_objects: int | None = None,
) -> Data:
    """Load the bananas; the built-in stand-in is drawn shapes on photographs.

    Section: "object-detection-dataset". "files" takes what lies in `DIR/banana-detection` or
    `DIR/bananas/banana-detection`: `bananas_train` and `bananas_val` with `label.csv` and `images`.
    The book's class and boxes are divided by 256 together; here the class stays what it is. Pixels
    are in [0, 1], the book's 0 to 255.

    Args:
        where: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.
        resize: int or (height, width).
        max_objects: int, objects of a picture; None: the most that there are, of bananas one.

    Returns:
        Data: x (B, H, W, 3) float32 in [0, 1]; y (B, G, 5) float32: class, x1, y1, x2, y2 in parts
        of the picture; assets["class_names"].

    Raises:
        DataError: the files are not to be had or not right.

    Example:
        >>> load("builtin", batch_size=8).size
        {'train': 800, 'test': 200}
    """
    where = Source.of(where)
    size = pipeline.size_of(resize)
    root = _root(where)
    if root is None or size is None:
        return scenes.load_boxes(
            where, batch_size=batch_size, resize=resize, max_objects=max_objects
        )
    splits, _, _ = box_folder.read(root, dataclasses.replace(where, assets=None, skip_broken=False))
    names = source.class_names_of(where, CLASS_NAMES, str(root))  # in the files it is class 0
    train, test = (
        box_batches.from_pictures(
            splits[split],
            batch_size=batch_size,
            resize=size,
            max_objects=max_objects,
            seed=where.seed if split == "train" else None,
        )
        for split in ("train", "valid")
    )
    return pipeline.make_data(
        train, test=test, features=box_batches.features(*size), assets={"class_names": names}
    )


def _root(where: Source) -> Path | None:
    """Return the folder of the splits; None: the built-in stand-in."""
    if where.kind in ("auto", "files") and where.data_dir is not None:
        plain = Path(where.data_dir)
        if all((plain / name).is_file() for name in _FILES):
            return plain / _INSIDE

    folder = book_archives.unpacked(where, "bananas", _FILES, ARCHIVE, SHA1, max_bytes=1 << 27)
    return None if folder is None else folder / _INSIDE
