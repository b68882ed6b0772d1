"""Sets of TensorFlow Datasets (TFDS): the ones it has of ours, and any for picture classification.

A prepared folder is read as it is; else TFDS prepares it, which needs the network for most sets.
Examples come in the order of their TFDS ids, which is that of the files. TFDS shuffles most sets
when it writes them, so that it is not the order of the original files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import decoded, pictures, pipeline, records
from kerasd2l.data.source import DataError, Source, class_names_of, in_home
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds
else:
    tf = lazy("tensorflow")
    tfds = lazy("tensorflow_datasets")

PREFIX = "tfds:"
_HELD_OUT = 5  # of a set that has only training pictures, every fifth is for the test


def builder(name: str, data_dir: str | os.PathLike | None = None) -> tfds.core.DatasetBuilder:
    """Find a builder, without preparing anything.

    Args:
        name: str, a name that TFDS knows ("cifar100", "my_set/config:1.0.0"), the folder of a
            prepared set, or a folder of pictures `SPLIT/CLASS/PICTURE` for TFDS' ImageFolder.
        data_dir: the folder of prepared sets; None: $TFDS_DATA_DIR or ~/tensorflow_datasets.

    Raises:
        DataError: there is none.
    """
    folder = in_home(name)
    if os.sep in name and folder.is_dir():
        if (folder / "dataset_info.json").is_file():
            return tfds.builder_from_directory(str(folder))
        return tfds.folder_dataset.ImageFolder(str(folder))
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except (ValueError, LookupError, OSError) as error:
        raise DataError(
            f"TFDS has no data set {name!r}: {_first_line(error)} Own builders: give the folder of "
            f"the prepared set, {PREFIX}DIR."
        ) from error


def picture_shape(name: str) -> tuple[int | None, int | None, int]:
    """Return (height, width, channels) of the pictures of a set; sizes that differ are None.

    Raises:
        DataError: no such set, or none for picture classification.
    """
    found = builder(name)
    key, _ = _keys(found)
    height, width, channels = found.info.features[key].shape
    return height, width, channels if channels == 1 else 3


def load(
    name: str,
    source: Source | str | None = None,
    *,
    batch_size: int = 128,
    resize: int | tuple[int, int] | None = None,
    memory: int = 2 << 30,
) -> Data:
    """Load a picture classification set, grey or in colour.

    The splits are "train" and "test", or "validation" in its place; of a set that has neither,
    every fifth picture is kept for the test, the same ones every time. A set that is larger than
    `memory` is read from its files batch by batch, of several workers by each its own pictures.

    Args:
        name: as `builder` takes it.
        source: Source, or the name of its kind; its `data_dir` is the folder of prepared sets if
            its kind is "tfds".
        batch_size: int, the global batch.
        resize: int or (height, width): what every picture is stretched to; None: as they are.
        memory: int, bytes that the decoded pictures may take.

    Returns:
        Data: x (B, H, W, C) float32 in [0, 1], y (B,) int32; assets["class_names"].

    Raises:
        DataError: no such set, none for picture classification, pictures of different sizes
            without `resize`, or TFDS cannot prepare it.
    """
    source = Source.of(source)
    found = builder(name, source.tfds_dir)
    key, label = _keys(found)
    prepare(found, name)
    height, width, channels = found.info.features[key].shape
    differ = None in (height, width)
    size = pipeline.size_of(resize) if differ else None  # else the batches are resized
    there = list(found.info.features[label].names)
    names = class_names_of(source, there, name)
    number = np.array([names.index(class_name) for class_name in there], np.int32)
    if not (differ and size is None):
        shape = (*(size or (height, width)), 1 if channels == 1 else 3)
        by_place = _by_place(found, shape, memory)
        if by_place:
            read = _Reading(key, label, number, shape, pipeline.size_of(resize), name, memory)
            return read.data(by_place, names, batch_size=batch_size, seed=source.seed)
    arrays = {
        ours: _arrays(found, theirs, key, label, size, name)
        for ours, theirs in splits(found).items()
    }
    train = arrays["train"]
    test = arrays.get("test")
    if test is None:
        held = _held_out(len(train[1]))
        train, test = ((train[0][m], train[1][m]) for m in (~held, held))
    train, test = ((x, number[y]) for x, y in (train, test))
    return pipeline.image_data(
        train,
        test,
        names,
        batch_size=batch_size,
        resize=None if differ else resize,
        seed=source.seed,
    )


def _held_out(count: int) -> np.ndarray:
    """Return which of so many training pictures are for the test, of a set that has no others."""
    return np.arange(count) % _HELD_OUT == 0


def _by_place(found: Any, shape: tuple[int, ...], memory: int) -> dict[str, Any]:
    """Return our splits' examples by their places, if they are too large and can be read so."""
    there = {ours: theirs for ours, theirs in splits(found).items() if theirs in found.info.splits}
    count = sum(found.info.splits[theirs].num_examples for theirs in there.values())
    if count * math.prod(shape) <= memory:
        return {}
    sources = {ours: records.source_of(found, theirs) for ours, theirs in there.items()}
    return sources if all(one is not None for one in sources.values()) else {}


@dataclass(frozen=True)
class _Reading:
    """How a set is read from its files, batch by batch."""

    key: str
    label: str
    number: np.ndarray  # our number of each of TFDS' classes
    shape: tuple[int, int, int]  # of a picture as it is kept
    size: tuple[int, int] | None  # that pictures are stretched to
    name: str
    memory: int

    def data(
        self, sources: dict[str, Any], names: list[str], *, batch_size: int, seed: int
    ) -> Data:
        """Make the Data; with a single split, part of it is the test."""
        places = {split: np.arange(len(source)) for split, source in sources.items()}
        if "test" not in sources:
            held = _held_out(len(places["train"]))
            sources = {**sources, "test": sources["train"]}
            places = {"train": places["train"][~held], "test": places["train"][held]}
        batches = {
            split: self._batches(
                sources[split], places[split], batch_size, seed if split == "train" else None
            )
            for split in ("train", "test")
        }
        size = self.size or self.shape[:2]
        return pipeline.make_data(
            batches["train"],
            test=batches["test"],
            features={"pixels": TensorSpec((*size, self.shape[2]), "float32")},
            assets={"class_names": list(names)},
        )

    def _batches(
        self, source: Any, places: np.ndarray, batch_size: int, seed: int | None
    ) -> pipeline.Batches:
        def read(place: int) -> tuple[np.ndarray, np.ndarray]:
            example = source[place]
            pixels = np.asarray(example[self.key])[..., : self.shape[2]]
            if pixels.shape != self.shape:
                pixels = pictures.stretch(pixels, self.shape[:2])
            return pixels, self.number[int(example[self.label])]

        store = decoded.Decoded(
            read, lambda place: f"picture {place} of {self.name}", memory=self.memory
        )
        specs = [tf.TensorSpec(self.shape, tf.uint8), tf.TensorSpec((), tf.int32)]

        def transform(places: tf.Tensor) -> Any:
            (x, y), _ = store.batch(places, specs)
            return pipeline.scale_images(x, self.size), y

        return pipeline.from_arrays(
            (places,), batch_size=batch_size, seed=seed, transform=transform, by_rows=True
        )


def text(name: str, source: Source) -> str:
    """Return the text of a set of one long text, its splits put together again.

    Raises:
        DataError: no such set, one without text, or TFDS cannot prepare it.
    """
    found = builder(name, source.tfds_dir)
    if "text" not in (found.info.features or {}):
        raise DataError(f"{name} is no set of one text: it has no feature `text`.")
    prepare(found, name)
    order = [split for split in ("train", "validation", "test") if split in found.info.splits]
    parts = [example["text"] for s in order for example in tfds.as_numpy(found.as_dataset(split=s))]
    return b"".join(parts).decode("utf8")


def _keys(found: Any) -> tuple[str, str]:
    """Return the names of the picture and of the label among the features."""
    features = found.info.features or {}
    if not hasattr(features, "items"):
        features = {}
    pictures_ = [k for k, v in features.items() if isinstance(v, tfds.features.Image)]
    labels = [k for k, v in features.items() if isinstance(v, tfds.features.ClassLabel)]
    if len(pictures_) != 1 or len(labels) != 1:
        raise DataError(
            f"{found.name} is no set for picture classification: expected one picture and one "
            f"class label, received the features {', '.join(features) or 'none'}."
        )
    return pictures_[0], labels[0]


def prepare(found: Any, name: str) -> None:
    """Let TFDS prepare a set that is not yet.

    Raises:
        DataError: it cannot.
    """
    if isinstance(found, tfds.folder_dataset.ImageFolder) or found.is_prepared():
        return
    if str(found.data_dir).startswith("~"):
        raise DataError(
            f"{name} is not prepared, and there is no home folder to prepare it in "
            f"({found.data_dir}). Set TFDS_DATA_DIR or HOME."
        )
    try:
        found.download_and_prepare()
    except Exception as error:  # whatever a builder's own code and the network may raise
        raise DataError(
            f"{name} is not prepared under {found.data_dir}, and TFDS cannot prepare it here: "
            f"{_first_line(error)} Prepare it where there is a network (`tfds build {name}`), and "
            "give the folder with TFDS_DATA_DIR or --data-dir."
        ) from error


def _first_line(error: Exception) -> str:
    """Return the first line of a message; TFDS' own go on with all that it knows."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def splits(found: Any) -> dict[str, str]:
    """Return our split -> TFDS' split.

    Raises:
        DataError: none is for training.
    """
    there = list(found.info.splits) or ["train", "test"]  # mocked data names none
    if "train" not in there:
        raise DataError(f"{found.name} has no split `train`. It has: {', '.join(there)}.")
    second = next((name for name in ("test", "validation") if name in there), None)
    return {"train": "train"} | ({"test": second} if second else {})


def examples(found: Any, split: str) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    """Read the examples of a split, each with what sorts them by TFDS' ids."""
    config = tfds.ReadConfig(
        add_tfds_id=True, interleave_cycle_length=1, try_autocache=False, shuffle_seed=0
    )
    dataset = found.as_dataset(split=split, shuffle_files=False, read_config=config)
    for example in tfds.as_numpy(dataset):
        yield _place(example.get("tfds_id")), example


def _arrays(
    found: Any, split: str, key: str, label: str, size: tuple[int, int] | None, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Read a split: (N, H, W, C) uint8 and (N,) int32, in the order of TFDS' ids."""
    rows = []
    for place, example in examples(found, split):
        pixels = example[key]
        if pixels.shape[-1] not in (1, 3):
            pixels = pixels[..., :3]
        if size is not None:
            pixels = pictures.stretch(pixels, size)
        rows.append((place, pixels, int(example[label])))
    rows.sort(key=lambda row: row[0])  # stable: sets without an id stay as they are
    shapes = {pixels.shape for _, pixels, _ in rows}
    if len(shapes) != 1:
        raise DataError(
            f"the pictures of {name} have different sizes, or there are none: "
            f"{len(shapes)} shapes. Give `resize`."
        )
    x = np.stack([pixels for _, pixels, _ in rows])
    return x, np.array([y for _, _, y in rows], np.int32)


def _place(tfds_id: bytes | None) -> tuple[str, int]:
    """Return what sorts examples: the file and the place in it, of "FILE__PLACE"."""
    file, _, place = (tfds_id or b"").decode().rpartition("__")
    return file, int(place) if place.isdigit() else 0
