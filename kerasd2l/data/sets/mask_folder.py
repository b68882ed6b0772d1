"""One's own pictures with masks, and Pascal VOC 2012 and CamVid, which are such folders."""

from __future__ import annotations

from pathlib import Path

from kerasd2l.data import decoded, mask_batches, mask_tree, masks, pipeline
from kerasd2l.data.annotations import Problems
from kerasd2l.data.mask_tree import LAYOUTS, Found
from kerasd2l.data.sets import scenes
from kerasd2l.data.source import DataError, Source, class_names_of, own_folder
from kerasd2l.recipe import Data, TensorSpec

NAME = "mask_folder"
CROP = (320, 480)


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    crop: tuple[int, int] = CROP,
    memory: int = decoded.MEMORY,
) -> Data:
    """Load a folder of pictures with masks; the built-in stand-in is drawn shapes on photographs.

    Section: "semantic-segmentation-and-dataset". The folder is `--data-dir` itself, or
    `mask_folder` in it; its layout is one of `mask_tree`. Masks are PNGs: with a palette or grey
    levels (the numbers are the classes, 255 is none) or in the colours of the classes. Headers are
    read before training starts, pixels when they are needed. Pictures smaller than the crop are
    left out, as in the book.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin" or "files".
        batch_size: int, the global batch.
        crop: (height, width) that is cut out, of training pictures at random and in step with
            their masks, for evaluation in the middle.
        memory: int, bytes of decoded pictures of a split that are kept.

    Returns:
        Data: x (B, height, width, 3) float32 in [0, 1]; y (B, height, width) int32, 255 is no
        class; assets["class_names"], ["ignore"] and, where there are some, ["colours"].

    Raises:
        DataError: no such folder, no masks, a mask of another size than its picture.
        ValueError: a number out of range.
    """
    source = Source.of(source)
    if source.kind == "builtin":
        return scenes.load_masks(source, batch_size=batch_size, crop=crop)
    root = own_folder(source, NAME, LAYOUTS)
    problems = Problems(root)
    found = mask_tree.find(root, problems)
    return from_found(found, problems, source, batch_size=batch_size, crop=crop, memory=memory)


def from_found(
    found: Found,
    problems: Problems,
    source: Source,
    *,
    batch_size: int,
    crop: tuple[int, int],
    memory: int = decoded.MEMORY,
    ignore: int | None = None,
) -> Data:
    """Make the Data of pairs that were found.

    Args:
        found: pairs and classes.
        problems: what was wrong so far.
        source: its seed, `skip_broken`, and the classes of an earlier run or none.
        batch_size: int, the global batch.
        crop: (height, width), as in `load`.
        memory: int, as in `load`.
        ignore: a number after the classes in the masks that is no class, or None.

    Raises:
        DataError, ValueError: as `load`.
    """
    if len(crop) != 2 or min(crop) < 1:
        raise ValueError(f"`crop` must be (height, width). Received: {crop!r}.")
    root, skip = problems.root, source.skip_broken
    names = class_names_of(source, found.class_names, str(root))
    if names != found.class_names:
        raise DataError(
            f"{root} numbers its classes {', '.join(found.class_names)}; the model has learned "
            f"{', '.join(names)}. Write {mask_tree.CLASSES} and the masks in that order."
        )
    splits, small = {}, 0
    for split, pairs in found.splits.items():
        splits[split], too_small = mask_batches.check(pairs, crop, problems)
        small += too_small
    problems.settle(skip_broken=skip)
    mask_batches.tell_small(root, small, crop)
    if not splits.get("train"):
        raise DataError(
            f"{root}: no picture to train on is left of at least {crop[0]} x {crop[1]} pixels. "
            "Take a smaller crop."
        )
    table = None if found.colours is None else masks.colormap2label(found.colours, masks.VOC_BORDER)
    skipped = sorted(set(problems.pictures)) if skip else None

    def read_mask(path: Path):
        mask = masks.read_mask(path, len(names) + (ignore is not None), table)
        if ignore is not None:
            mask = mask.copy()
            mask[mask == ignore] = masks.IGNORE
        return mask

    batches = {
        split: mask_batches.from_pairs(
            pairs,
            read_mask,
            batch_size=batch_size,
            crop=crop,
            seed=source.seed if split == "train" else None,
            memory=memory,
            skipped=skipped,
        )
        for split, pairs in splits.items()
        if pairs
    }
    return pipeline.make_data(
        batches["train"],
        valid=batches.get("valid"),
        test=batches.get("test"),
        features={"pixels": TensorSpec((*crop, 3))},
        assets={"class_names": names, "ignore": masks.IGNORE}
        | ({"colours": [list(c) for c in found.colours]} if found.colours else {})
        | ({} if skipped is None else {"skipped_pictures": skipped}),
    )
