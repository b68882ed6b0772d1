"""Object detection sets of TensorFlow Datasets: pictures with boxes, e.g. `voc/2007`.

They come as the picture classification sets do (see `tfds_sets`): a prepared folder is read as it
is, in the order of its ids, pictures stretched to one size, and lies in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import box_batches, pictures, pipeline, tfds_sets
from kerasd2l.data.source import DataError, Source, class_names_of
from kerasd2l.recipe import Data

if TYPE_CHECKING:
    import tensorflow_datasets as tfds
else:
    tfds = lazy("tensorflow_datasets")

_HELD_OUT = 5  # of a set that has only training pictures, every fifth is for the test


def load(
    name: str,
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    resize: int | tuple[int, int] = 256,
    max_objects: int | None = None,
) -> Data:
    """Load an object detection set.

    Its examples have one picture and one sequence of boxes with class labels. Boxes without area,
    and groups of objects (`is_crowd`), are left out.

    Args:
        name: as `tfds_sets.builder` takes it.
        source: Source, or the name of its kind; its `data_dir` is the folder of prepared sets if
            its kind is "tfds".
        batch_size: int, the global batch.
        resize: int or (height, width) that every picture is stretched to.
        max_objects: int, objects of a picture, of more the largest; None: the most that there are.

    Returns:
        Data: x (B, H, W, 3) float32 in [0, 1]; y (B, G, 5) float32: class, x1, y1, x2, y2 in parts
        of the picture, -1 where there is no object; assets["class_names"].

    Raises:
        DataError: no such set, none for object detection, or TFDS cannot prepare it.
    """
    source = Source.of(source)
    size = pipeline.size_of(resize)
    if size is None:
        raise ValueError("`resize` must be given: pictures with boxes have different sizes.")
    found = tfds_sets.builder(name, source.tfds_dir)
    names_of = keys(found)
    tfds_sets.prepare(found, name)
    there = list(found.info.features[names_of[1]].feature[names_of[3]].names)
    names = class_names_of(source, there, name)
    number = np.array([names.index(class_name) for class_name in there], np.int32)
    splits = {
        ours: _read(found, theirs, names_of, size, number)
        for ours, theirs in tfds_sets.splits(found).items()
    }
    train = splits["train"]
    held = np.arange(len(train)) % _HELD_OUT == 0
    test = splits.get("test") or [row for row, kept in zip(train, held, strict=True) if kept]
    if "test" not in splits:
        train = [row for row, kept in zip(train, held, strict=True) if not kept]
    if not train or not test:
        raise DataError(f"{name} has no pictures.")
    batches = [
        box_batches.from_arrays(
            np.stack([pixels for pixels, _, _ in rows]),
            box_batches.pad([ids for _, ids, _ in rows], [box for _, _, box in rows], max_objects),
            batch_size=batch_size,
            seed=seed,
        )
        for rows, seed in ((train, source.seed), (test, None))
    ]
    return pipeline.make_data(
        batches[0],
        test=batches[1],
        features=box_batches.features(*size),
        assets={"class_names": names},
    )


Row = tuple[np.ndarray, np.ndarray, np.ndarray]


def keys(found: Any) -> tuple[str, str, str, str]:
    """Return the names of picture and objects, and of box and label among the objects' features.

    Raises:
        DataError: the set is none for object detection.
    """
    features = found.info.features or {}
    if not hasattr(features, "items"):
        features = {}
    images = [key for key, value in features.items() if isinstance(value, tfds.features.Image)]
    for key, value in features.items():
        inner: Any = getattr(value, "feature", None)
        parts = dict(inner.items()) if hasattr(inner, "items") else {}
        boxes = [k for k, v in parts.items() if isinstance(v, tfds.features.BBoxFeature)]
        labels = [k for k, v in parts.items() if isinstance(v, tfds.features.ClassLabel)]
        if boxes and labels and len(images) == 1:
            return images[0], key, boxes[0], "label" if "label" in labels else labels[0]
    raise DataError(
        f"{found.name} is no set for object detection: expected one picture and a sequence of "
        f"boxes with class labels, received the features {', '.join(features) or 'none'}."
    )


def _read(
    found: Any, split: str, names_of: tuple[str, ...], size: tuple[int, int], number: np.ndarray
) -> list[Row]:
    """Read a split: pixels, classes and boxes of each picture, in the order of TFDS' ids."""
    key, objects, box, label = names_of
    rows = []
    for place, example in tfds_sets.examples(found, split):
        pixels = example[key]
        if pixels.shape[-1] not in (1, 3):
            pixels = pixels[..., :3]
        pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
        of_one = example[objects]
        top, left, bottom, right = np.clip(of_one[box].reshape(-1, 4).T, 0.0, 1.0)
        kept = (left < right) & (top < bottom) & ~_crowds(of_one, len(top))
        boxes = np.stack([left, top, right, bottom], axis=1)[kept].astype(np.float32)
        ids = number[np.asarray(of_one[label], np.int64).reshape(-1)[kept]]
        rows.append((place, pictures.stretch(np.ascontiguousarray(pixels), size), ids, boxes))
    rows.sort(key=lambda row: row[0])  # stable: sets without an id stay as they are
    return [row[1:] for row in rows]


def _crowds(objects: Any, count: int) -> np.ndarray:
    crowds = objects.get("is_crowd")
    return np.zeros(count, bool) if crowds is None else np.asarray(crowds, bool).reshape(-1)
