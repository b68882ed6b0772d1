"""One's own pictures with a mask of each object: COCO's JSON, or Pascal VOC's numbered pictures."""

from __future__ import annotations

import functools

from kerasd2l.data import (
    annotation_tree,
    box_batches,
    decoded,
    instance_batches,
    instance_masks,
    pipeline,
)
from kerasd2l.data.sets import box_folder, scene_instances
from kerasd2l.data.source import Source, own_folder
from kerasd2l.recipe import Data

NAME = "instance_folder"


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 8,
    resize: int | tuple[int, int] = 256,
    mask_size: int = instance_masks.SIZE,
    max_objects: int | None = None,
    memory: int = decoded.MEMORY,
) -> Data:
    """Load a folder of pictures with masks of objects; the built-in stand-in is drawn shapes.

    Section: "rcnn". The folder is `--data-dir` itself, or `instance_folder` in it. It holds COCO's
    JSON, with polygons or runs (RLE, as lists or as compressed strings), or Pascal VOC's XML with
    `SegmentationObject/*.png`, in which the pixels of the first object of the XML are 1, of the
    second 2. Groups of objects (`iscrowd`) are passed over. What cannot be right is told by file:
    all that is wrong with boxes (see `annotations.check`), an object without a mask, a polygon of
    less than three points or outside, runs or pixels of another size than the picture, a mask
    outside of its box. With the source's `skip_broken` it is left out, else it is an error.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin" or "files".
        batch_size: int, the global batch.
        resize: int or (height, width) that every picture is stretched to.
        mask_size: int, m, pixels of the sides of a mask, which is cut to its box.
        max_objects: int, objects of a picture, of more the largest; None: the most that there are.
        memory: int, bytes of decoded pictures and masks of a split that are kept.

    Returns:
        Data: x (B, H, W, 3) float32 in [0, 1]; y["boxes"] (B, G, 5) float32: class, x1, y1, x2, y2
        in parts of the picture, -1 where there is no object; y["masks"] (B, G, m, m) float32, 1
        where the object is within its box; assets["class_names"].

    Raises:
        DataError: no such folder, no masks, or annotations that cannot be right.
        ValueError: a number out of range.

    Example:
        >>> x, y = next(iter(load("builtin", batch_size=2, resize=64).test))
        >>> y["boxes"].shape, y["masks"].shape
        (TensorShape([2, 4, 5]), TensorShape([2, 4, 56, 56]))
    """
    source = Source.of(source)
    size = pipeline.size_of(resize)
    if size is None:
        raise ValueError("`resize` must be given: pictures of one's own have different sizes.")
    if mask_size < 2:
        raise ValueError(f"`mask_size` must be at least 2. Received: mask_size={mask_size}.")
    if source.kind == "builtin":
        return scene_instances.load(
            source,
            batch_size=batch_size,
            resize=size,
            max_objects=max_objects,
            mask_size=mask_size,
        )
    root = own_folder(source, NAME, f"pictures with masks: {annotation_tree.MASKS}")
    found = box_folder.read(root, source, masks=True)
    make = functools.partial(
        instance_batches.from_pictures,
        batch_size=batch_size,
        mask_size=mask_size,
        resize=size,
        memory=memory,
    )
    features = box_batches.features(*size)
    return box_folder.data_of(found, source, make, max_objects, features=features)
