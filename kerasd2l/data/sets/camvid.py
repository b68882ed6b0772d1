"""CamVid as SegNet has it: 367 + 101 pictures of roads from a car, 480 x 360, eleven classes."""

from __future__ import annotations

from pathlib import Path

from kerasd2l.data import mask_tree
from kerasd2l.data import source as sources
from kerasd2l.data.annotations import Problems
from kerasd2l.data.mask_tree import Found
from kerasd2l.data.sets import mask_folder, scenes
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

CLASS_NAMES = ("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car",
               "Pedestrian", "Bicyclist")  # fmt: skip
COLOURS = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
UNLABELLED = 11  # in the masks
_FILES = ("CamVid/train.txt", "CamVid/val.txt")


def load(
    where: Source | str | None = None,
    *,
    batch_size: int = 32,
    crop: tuple[int, int] = mask_folder.CROP,
) -> Data:
    """Load CamVid; the built-in stand-in is drawn shapes on photographs.

    Section: "fcn", for its exercises: small enough to train without a GPU. "files" takes
    `DIR/segmentation/CamVid` with `train`, `trainannot`, `val` and `valannot`. What is unlabelled
    is of no class. The licence is CC BY-NC 4.0.

    Args:
        where: Source, or the name of its kind: "auto" (default), "builtin", "files".
        batch_size: int, the global batch.
        crop: (height, width) that is cut out.

    Returns:
        Data: x (B, height, width, 3) float32 in [0, 1]; y (B, height, width) int32, 255 is no
        class; assets["class_names"], ["ignore"], ["colours"].

    Raises:
        DataError: the files are not to be had or not right.
    """
    where = Source.of(where)
    folder = sources.resolve(where, "segmentation", _FILES)
    if folder is None:
        return scenes.load_masks(where, batch_size=batch_size, crop=crop)
    root: Path = folder / "CamVid"
    problems = Problems(root)
    found = Found(mask_tree.pairs_of(root, problems), list(CLASS_NAMES), COLOURS)
    return mask_folder.from_found(
        found, problems, where, batch_size=batch_size, crop=crop, ignore=UNLABELLED
    )
