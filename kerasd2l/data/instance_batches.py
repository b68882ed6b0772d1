"""Pictures, the boxes of their objects and a mask of each as batches.

A mask is cut to its object's box and resampled to m x m pixels: that is small whatever the picture
is, and what networks such as Mask R-CNN are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import box_batches, decoded, instance_masks, pictures, pipeline
from kerasd2l.data.annotations import Labelled
from kerasd2l.data.pictures import BrokenPicture

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


def from_pictures(
    labelled: Sequence[Labelled],
    *,
    batch_size: int,
    resize: tuple[int, int],
    mask_size: int = instance_masks.SIZE,
    max_objects: int | None = None,
    seed: int | None = None,
    memory: int = decoded.MEMORY,
    skipped: list[str] | None = None,
) -> pipeline.Batches:
    """Batch pictures from their files, each decoded, and its masks drawn, when it is needed.

    Args:
        labelled: pictures and objects with their masks.
        batch_size: int, the global batch.
        resize: (height, width) that every picture is stretched to, and its boxes with it.
        mask_size: int, m, pixels of a mask's side.
        max_objects: int, as in `box_batches.pad`.
        seed: int, training; None: evaluation, in the given order.
        memory: int, bytes of decoded pictures and masks that are kept.
        skipped: list that takes the names of pictures which turn out to be broken; None: that is an
            error.

    Returns:
        Batches of x (B, height, width, 3) float32 in [0, 1] and {"boxes": (B, G, 5) float32,
        "masks": (B, G, m, m) float32, 0 or 1}.
    """
    labels = box_batches.pad(
        [one.class_ids for one in labelled], [one.boxes for one in labelled], max_objects
    )
    count = labels.shape[1]

    def read(place: int) -> tuple[np.ndarray, np.ndarray]:
        pixels = decoded.read_picture(labelled[place].picture)
        masks = _drawn(labelled[place], pixels.shape[1::-1], count, mask_size)
        return pictures.stretch(pixels, resize), masks

    store = decoded.Decoded(
        read, lambda place: str(labelled[place].picture), memory=memory, skipped=skipped
    )
    specs = [
        tf.TensorSpec((*resize, 3), tf.uint8),
        tf.TensorSpec((count, mask_size, mask_size), tf.uint8),
    ]

    def transform(places: tf.Tensor, labels: tf.Tensor) -> Any:
        (x, masks), whole = store.batch(places, specs)
        if skipped is not None:
            labels = tf.boolean_mask(labels, whole)
        return pipeline.scale_images(x), targets(labels, masks)

    return pipeline.from_arrays(
        (np.arange(len(labelled)), labels),
        batch_size=batch_size,
        seed=seed,
        transform=transform,
        by_rows=skipped is None,  # else all workers must leave out the same ones
    )


def _drawn(one: Labelled, size: tuple[int, int], count: int, mask_size: int) -> np.ndarray:
    """Return the masks of a picture of `size` (width, height): (count, m, m) uint8."""
    masks = np.zeros((count, mask_size, mask_size), np.uint8)
    for mask, place in zip(masks, box_batches.largest(one.boxes, count), strict=False):
        mask[:] = one.masks[place].cut(one.boxes[place] * (*size, *size), mask_size)
        if not mask.any():
            raise BrokenPicture(
                f"object {place + 1} of {one.picture} has no pixel of its mask in its box"
            )
    return masks


def targets(labels: tf.Tensor, masks: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return what belongs to a batch of pictures.

    Args:
        labels: (B, G, 5) float32: class, x1, y1, x2, y2; -1 where there is no object.
        masks: (B, G, m, m) uint8, 0 where there is no object.
    """
    return {"boxes": labels, "masks": tf.cast(masks, tf.float32)}
