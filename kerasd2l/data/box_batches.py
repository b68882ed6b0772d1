"""Pictures and their boxes as batches: labels of one shape, however many objects there are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import decoded, pictures, pipeline
from kerasd2l.data.annotations import Labelled
from kerasd2l.recipe import TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

_log = logging.getLogger(__name__)


def pad(
    class_ids: Sequence[np.ndarray], boxes: Sequence[np.ndarray], max_objects: int | None = None
) -> np.ndarray:
    """Return labels of one shape: class, x1, y1, x2, y2 of each object, -1 where there is none.

    Args:
        class_ids: (G_i,) of each picture.
        boxes: (G_i, 4) of each picture, in parts of it.
        max_objects: int, objects G that are kept of each picture, the largest ones first to stay;
            None: the most that one of them has.

    Returns:
        (B, G, 5) float32.

    Raises:
        ValueError: `max_objects` is below 1.

    Example:
        >>> pad([np.array([2]), np.array([])], [np.array([[0, 0, 0.5, 1]]), np.zeros((0, 4))])[0]
        array([[2. , 0. , 0. , 0.5, 1. ]], dtype=float32)
    """
    if max_objects is not None and max_objects < 1:
        raise ValueError(f"`max_objects` must be at least 1. Received: max_objects={max_objects}.")
    count = max_objects or max([1, *map(len, class_ids)])
    labels = np.full((len(class_ids), count, 5), -1.0, np.float32)
    for row, ids, of_one in zip(labels, class_ids, boxes, strict=True):
        kept = largest(of_one, count)
        row[: len(kept), 0] = ids[kept]
        row[: len(kept), 1:] = of_one[kept]
    over = sum(len(ids) > count for ids in class_ids)
    if over:
        _log.warning(
            "%d pictures have more than %d objects: their smallest are left out", over, count
        )
    return labels


def largest(boxes: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the `count` largest of the boxes (G, 4), in their order."""
    if len(boxes) <= count:
        return np.arange(len(boxes))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.sort(np.argsort(-areas, kind="stable")[:count])


def from_pictures(
    labelled: Sequence[Labelled],
    *,
    batch_size: int,
    resize: tuple[int, int],
    max_objects: int | None = None,
    seed: int | None = None,
    memory: int = decoded.MEMORY,
    skipped: list[str] | None = None,
) -> pipeline.Batches:
    """Batch pictures from their files, each decoded when it is needed.

    Args:
        labelled: pictures and objects.
        batch_size: int, the global batch.
        resize: (height, width) that every picture is stretched to, and its boxes with it.
        max_objects: int, as in `pad`.
        seed: int, training; None: evaluation, in the given order.
        memory: int, bytes of decoded pictures that are kept.
        skipped: list that takes the names of pictures which turn out to be broken; None: that is an
            error.

    Returns:
        Batches of x (B, height, width, 3) float32 in [0, 1] and labels (B, G, 5) float32.
    """

    def read(place: int) -> tuple[np.ndarray]:
        pixels = decoded.read_picture(labelled[place].picture)
        return (pictures.stretch(pixels, resize),)

    store = decoded.Decoded(
        read, lambda place: str(labelled[place].picture), memory=memory, skipped=skipped
    )
    labels = pad([one.class_ids for one in labelled], [one.boxes for one in labelled], max_objects)

    def transform(places: tf.Tensor, labels: tf.Tensor) -> Any:
        (x,), whole = store.batch(places, [tf.TensorSpec((*resize, 3), tf.uint8)])
        if skipped is not None:
            labels = tf.boolean_mask(labels, whole)
        return pipeline.scale_images(x), labels

    return pipeline.from_arrays(
        (np.arange(len(labelled)), labels),
        batch_size=batch_size,
        seed=seed,
        transform=transform,
        by_rows=skipped is None,  # else all workers must leave out the same ones
    )


def from_arrays(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    resize: tuple[int, int] | None = None,
    seed: int | None = None,
) -> pipeline.Batches:
    """Batch pictures (B, H, W, 3) uint8 and labels (B, G, 5) that lie in memory."""

    def transform(x: tf.Tensor, labels: tf.Tensor) -> Any:
        return pipeline.scale_images(x, resize), labels

    return pipeline.from_arrays((x, labels), batch_size=batch_size, seed=seed, transform=transform)


def features(height: int, width: int) -> dict[str, TensorSpec]:
    """Return what a model for boxes is given: pixels."""
    return {"pixels": TensorSpec((height, width, 3))}
