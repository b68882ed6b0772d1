"""One's own pictures with boxes: Pascal VOC, COCO, YOLO or tables, all read the same way."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from kerasd2l.data import annotation_tree, box_batches, decoded, pipeline
from kerasd2l.data.annotation_tree import LAYOUTS, Found
from kerasd2l.data.annotations import Labelled, Problems, check
from kerasd2l.data.sets import scenes
from kerasd2l.data.source import DataError, Source, class_names_of, own_folder, shown
from kerasd2l.recipe import Data, TensorSpec

NAME = "box_folder"

_log = logging.getLogger(__name__)


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    resize: int | tuple[int, int] = 256,
    max_objects: int | None = None,
    memory: int = decoded.MEMORY,
) -> Data:
    """Load a folder of pictures with boxes; the built-in stand-in is drawn shapes on photographs.

    Section: "object-detection-dataset". The folder is `--data-dir` itself, or `box_folder` in it;
    it holds annotations in one of the layouts of `annotation_tree`. Every picture's header is read
    before training starts, and its pixels when they are needed: what does not fit in `memory` is
    decoded anew for each batch. Boxes may reach a pixel over the picture's edge, where they are
    cut. What cannot be right (see `annotations.check`) is told by file; with the source's
    `skip_broken` it is left out, else it is an error.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin" or "files".
        batch_size: int, the global batch.
        resize: int or (height, width) that every picture is stretched to.
        max_objects: int, objects of a picture, of more the largest; None: the most that there are.
        memory: int, bytes of decoded pictures of a split that are kept.

    Returns:
        Data: x (B, H, W, 3) float32 in [0, 1]; y (B, G, 5) float32: class, x1, y1, x2, y2 in parts
        of the picture, -1 where there is no object; assets["class_names"].

    Raises:
        DataError: no such folder, no annotations, or such that cannot be right.
        ValueError: a number out of range.

    Example:
        >>> load("builtin", batch_size=8, resize=64).features["pixels"].shape
        (64, 64, 3)
    """
    source = Source.of(source)
    size = pipeline.size_of(resize)
    if size is None:
        raise ValueError("`resize` must be given: pictures of one's own have different sizes.")
    if source.kind == "builtin":
        return scenes.load_boxes(
            source, batch_size=batch_size, resize=resize, max_objects=max_objects
        )
    found = read(own_folder(source, NAME, LAYOUTS), source)
    make = functools.partial(
        box_batches.from_pictures, batch_size=batch_size, resize=size, memory=memory
    )
    return data_of(found, source, make, max_objects, features=box_batches.features(*size))


def data_of(
    found: tuple[dict[str, list[Labelled]], list[str], list[str]],
    source: Source,
    make: Callable[..., pipeline.Batches],
    max_objects: int | None,
    *,
    features: Mapping[str, TensorSpec],
) -> Data:
    """Make the data of what `read` found.

    Args:
        found: pictures of each split, names of the classes, what was left out.
        source: seed, and whether broken pictures are skipped.
        make: (pictures, max_objects, seed, skipped) -> batches.
        max_objects: int, objects of a picture; None: the most that there are.
        features: of one example.
    """
    splits, class_names, left_out = found
    skipped = left_out if source.skip_broken else None
    most = max(len(one.class_ids) for labelled in splits.values() for one in labelled)
    batches = {
        split: make(
            labelled,
            max_objects=max_objects or most,
            seed=source.seed if split == "train" else None,
            skipped=skipped,
        )
        for split, labelled in splits.items()
    }
    return pipeline.make_data(
        batches["train"],
        valid=batches.get("valid"),
        test=batches.get("test"),
        features=features,
        assets={"class_names": class_names}
        | ({} if skipped is None else {"skipped_pictures": skipped}),
    )


def read(
    root: Path, source: Source, *, masks: bool = False
) -> tuple[dict[str, list[Labelled]], list[str], list[str]]:
    """Read and check the annotations under a folder; the pictures' pixels stay where they are.

    Args:
        root: the folder.
        source: its `skip_broken`, and the classes of an earlier run or none.
        masks: bool, with the mask of each object.

    Returns:
        (split -> pictures with their objects, names of the classes, files whose pictures are left
        out).

    Raises:
        DataError: as `load`.
    """
    problems = Problems(root)
    found = annotation_tree.find(root, problems, masks=masks)
    class_names = _class_names(found, root, source, "a class and a mask" if masks else "a class")
    splits = {
        split: check(objects, class_names, problems) for split, objects in found.splits.items()
    }
    problems.settle(skip_broken=source.skip_broken)
    splits = {split: labelled for split, labelled in splits.items() if labelled or split == "train"}
    if not any(len(labelled.class_ids) for labelled in splits["train"]):
        raise DataError(f"{root}: no object is left to train on.")
    _tell(root, found, splits)
    return splits, class_names, sorted(set(problems.pictures))


def _class_names(found: Found, root: Path, source: Source, wanted: str) -> list[str]:
    """Return the names of the classes: the format's own numbers, else the alphabet's."""
    names = found.class_names or sorted(
        {name for one in found.splits["train"] for name in one.names if name}
    )
    if not names:
        raise DataError(f"{root}: no object has {wanted}.")
    return class_names_of(source, names, str(root))


def _tell(root: Path, found: Found, splits: dict[str, list[Labelled]]) -> None:
    counts = (
        f"{split}: {len(labelled)} with {sum(len(one.class_ids) for one in labelled)} objects"
        for split, labelled in splits.items()
    )
    _log.info("pictures (%s) in %s: %s", found.kind, shown(root), "; ".join(counts))
    passed = [f"{number} {what}" for what, number in found.passed_over.items() if number]
    if passed:
        _log.info("in %s: %s", shown(root), shown(", ".join(passed)))
