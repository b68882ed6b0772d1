"""The drawn shapes of `scenes` with a mask of each, cut to its box."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import box_batches, instance_batches, instance_masks, pipeline
from kerasd2l.data.sets import scenes
from kerasd2l.data.source import Source, builtin_only
from kerasd2l.recipe import Data

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 8,
    resize: int | tuple[int, int] | None = None,
    mask_size: int = instance_masks.SIZE,
    max_objects: int | None = None,
) -> Data:
    """Load the drawn shapes with boxes and masks: 800 pictures for training, 200 for test.

    Section: none; the built-in stand-in of one's own pictures with masks of objects. The masks are
    those that the shapes were drawn with.

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        batch_size: int, the global batch.
        resize: int or (height, width); None: 128 x 128.
        mask_size: int, m, pixels of a mask's side, which is cut to its box.
        max_objects: int, objects of a picture, of more the largest; None: four.

    Returns:
        Data: as of `instance_folder.load`.

    Raises:
        DataError: asked for files or a download, which do not exist.
        ValueError: a number out of range.

    Example:
        >>> load(batch_size=8).assets["class_names"]
        ['circle', 'square', 'triangle']
    """
    source = builtin_only(source, "the shapes are drawn")
    size = pipeline.size_of(resize) or (scenes.SIZE, scenes.SIZE)
    most = max_objects or scenes.MOST_OBJECTS

    def transform(x: tf.Tensor, labels: tf.Tensor, masks: tf.Tensor) -> Any:
        return pipeline.scale_images(x, size), instance_batches.targets(labels, masks)

    def batches(split: str, seed: int | None) -> pipeline.Batches:
        drawn = scenes.scenes(split)
        labels = box_batches.pad(drawn.class_ids, drawn.boxes, most)
        arrays = (scenes.stretched(split, size), labels, _masks(split, most, mask_size))
        return pipeline.from_arrays(arrays, batch_size=batch_size, seed=seed, transform=transform)

    return pipeline.make_data(
        batches("train", source.seed),
        test=batches("test", None),
        features=box_batches.features(*size),
        assets={"class_names": list(scenes.CLASS_NAMES)},
    )


@functools.lru_cache(maxsize=4)
def _masks(split: str, count: int, size: int) -> np.ndarray:
    """Return the masks of all pictures of a split: (N, count, size, size) uint8."""
    drawn = scenes.scenes(split)
    masks = np.zeros((len(drawn.x), count, size, size), np.uint8)
    sides = drawn.objects.shape[1]
    for of_one, boxes, objects in zip(masks, drawn.boxes, drawn.objects, strict=True):
        for mask, place in zip(of_one, box_batches.largest(boxes, count), strict=False):
            mask[:] = instance_masks.cut(objects == place + 1, boxes[place] * sides, size)
    return masks
