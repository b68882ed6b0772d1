"""Two pictures: one for the content, one for the style. Section: "neural-style"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import decoded, pipeline, source
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

FILES = ("rainier.jpg", "autumn-oak.jpg")  # of the book, in its order
_BUILTIN = ("china.jpg", "flower.jpg")  # scikit-learn's
LEAST = 16  # pixels of a side: what four halvings leave something of


def load(
    where: Source | str | None = None,
    *,
    content: str = "",
    style: str = "",
    height: int = 300,
    width: int = 450,
    batch_size: int = 1,
    steps: int = 1,
) -> Data:
    """Load a pair of pictures, stretched to one size; built in are scikit-learn's two photographs.

    "files" takes `images/rainier.jpg` and `images/autumn-oak.jpg` from the data folder, the book's.

    Args:
        where: Source, or the name of its kind: "auto" (default), "builtin", "files".
        content: file of one's own; "": that of the source.
        style: the same.
        height: int >= 16, pixels.
        width: int >= 16, pixels.
        batch_size: int, how often the pair is in a batch; a replica needs one of its own.
        steps: int, batches of an epoch.

    Returns:
        Data: the same batch again and again, x the content, y the style,
        both (B, H, W, 3) float32 in [0, 1].

    Raises:
        DataError: a picture is missing, or none. ValueError: a number out of range.

    Example:
        >>> load("builtin", height=32, width=48).features["pixels"].shape
        (32, 48, 3)
    """
    if min(height, width) < LEAST:
        raise ValueError(
            f"`height` and `width` must be at least {LEAST}. "
            f"Received: height={height}, width={width}."
        )
    if min(batch_size, steps) < 1:
        raise ValueError(
            "`batch_size` and `steps` must be at least 1. "
            f"Received: batch_size={batch_size}, steps={steps}."
        )
    where = Source.of(where)
    given = (content, style)
    folder = None
    if not all(given):
        folder = source.resolve(where, "images", FILES, None)
    pair = []
    for path, file, photograph in zip(given, FILES, _BUILTIN, strict=True):
        if path:
            pixels = decoded.read_picture(source.in_home(path))
        elif folder is not None:
            pixels = decoded.read_picture(folder / file)
        else:
            pixels = _photograph(photograph)
        pair.append(np.repeat(pipeline.scale_images(pixels[None], (height, width)), batch_size, 0))
    batch = tf.data.Dataset.from_tensors(tuple(pair)).repeat(steps)
    return Data(
        train=batch,
        valid=None,
        test=None,
        features={"pixels": TensorSpec((height, width, 3), "float32")},
        assets={},
        size={"train": batch_size * steps},
    )


def _photograph(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return load_sample_image(Path(name).name)
