"""Pictures and their masks as batches, cropped in step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import decoded, pipeline
from kerasd2l.data.annotations import Problems, header
from kerasd2l.data.pictures import BrokenPicture

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """A picture and its mask.

    Args:
        picture: path.
        mask: path.
    """

    picture: Path
    mask: Path


def voc_rand_crop(
    feature: np.ndarray, label: np.ndarray, height: int, width: int, at: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the same part out of a picture and its mask.

    Section: "semantic-segmentation-and-dataset".

    Args:
        feature: (h, w, C).
        label: (h, w).
        height: int <= h.
        width: int <= w.
        at: two floats in [0, 1): which of the places that there are, down and right.

    Returns:
        (height, width, C) and (height, width).

    Raises:
        ValueError: the part is larger than the picture.
    """
    if height > feature.shape[0] or width > feature.shape[1]:
        raise ValueError(
            f"`height` and `width` must be at most those of the picture, {feature.shape[:2]}. "
            f"Received: height={height}, width={width}."
        )
    top = int(at[0] * (feature.shape[0] - height + 1))
    left = int(at[1] * (feature.shape[1] - width + 1))
    part = slice(top, top + height), slice(left, left + width)
    return feature[part], label[part]


def check(
    pairs: Sequence[Pair], crop: tuple[int, int], problems: Problems
) -> tuple[list[Pair], int]:
    """Return the pairs that are right and at least as large as the crop, by their files' headers.

    Args:
        pairs: pictures and masks.
        crop: (height, width).
        problems: what is wrong is added: no picture, or a mask of another size than its picture.

    Returns:
        (pairs, how many are smaller than the crop).
    """
    kept, small = [], 0
    for pair in pairs:
        try:
            size, _ = header(pair.picture)
            of_mask, _ = header(pair.mask)
        except ValueError as error:
            problems.add(str(pair.picture.relative_to(problems.root)), str(error))
            continue
        if size != of_mask:
            problems.add(
                str(pair.mask.relative_to(problems.root)),
                f"it has {of_mask[0]} x {of_mask[1]} pixels; its picture {pair.picture.name} has "
                f"{size[0]} x {size[1]}",
            )
        elif size[1] < crop[0] or size[0] < crop[1]:
            small += 1
        else:
            kept.append(pair)
    return kept, small


def from_pairs(
    pairs: Sequence[Pair],
    read_mask: Callable[[Path], np.ndarray],
    *,
    batch_size: int,
    crop: tuple[int, int],
    seed: int | None = None,
    memory: int = decoded.MEMORY,
    skipped: list[str] | None = None,
) -> pipeline.Batches:
    """Batch pictures and masks from their files, each decoded when it is needed.

    Args:
        pairs: pictures and masks, all at least as large as the crop.
        read_mask: (path) -> (h, w) uint8.
        batch_size: int, the global batch.
        crop: (height, width) that is cut out: of training pictures another part in each epoch,
            fixed by seed, epoch and place; for evaluation the middle.
        seed: int, training; None: evaluation, in the given order.
        memory: int, bytes of decoded pictures that are kept.
        skipped: list that takes the names of pictures which turn out to be broken; None: that is an
            error.

    Returns:
        Batches of x (B, height, width, 3) float32 in [0, 1] and y (B, height, width) int32.
    """

    def read(place: int) -> tuple[np.ndarray, np.ndarray]:
        pair = pairs[place]
        pixels, mask = decoded.read_picture(pair.picture), read_mask(pair.mask)
        if pixels.shape[:2] != mask.shape:
            raise BrokenPicture(f"{pair.mask} has {mask.shape} pixels, its picture another number")
        return pixels, mask

    store = decoded.Decoded(
        read, lambda place: str(pairs[place].picture), memory=memory, skipped=skipped
    )
    specs = [tf.TensorSpec((*crop, 3), tf.uint8), tf.TensorSpec(crop, tf.uint8)]

    def cut(pixels: np.ndarray, mask: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, ...]:
        return voc_rand_crop(pixels, mask, *crop, at)

    def load(places: tf.Tensor, at: tf.Tensor) -> Any:
        (x, y), _ = store.batch(places, specs, cut, at)
        return pipeline.scale_images(x), tf.cast(y, tf.int32)

    def anywhere(places: tf.Tensor, *, seed: tf.Tensor, rows: Any = None) -> Any:
        first, count = (0, tf.size(places)) if rows is None else rows
        at = tf.random.stateless_uniform([count, 2], seed)
        return load(places, at[first : first + tf.size(places)])

    def middle(places: tf.Tensor) -> Any:
        return load(places, tf.fill([tf.size(places), 2], 0.5))

    how: dict[str, Any] = {"transform": middle} if seed is None else {"augment": anywhere}
    how |= {"by_rows": skipped is None}  # else all workers must leave out the same ones
    return pipeline.from_arrays((np.arange(len(pairs)),), batch_size=batch_size, seed=seed, **how)


def tell_small(root: Path, small: int, crop: tuple[int, int]) -> None:
    """Say how many pictures are left out since they are smaller than the crop."""
    if small:
        message = "%s: %d pictures smaller than %d x %d pixels are left out"
        _log.warning(message, root, small, *crop)
