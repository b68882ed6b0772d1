"""Event files for TensorBoard, written from the history: one folder for each split of the data.

Their format is TFRecord with TensorFlow's own `Event` messages, so that nothing but TensorFlow is
needed to write them. After a resume no step stands there twice: what was written of epochs that are
trained again is taken out first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from kerasd2l.training.history import SPLITS

_Event = tf.compat.v1.Event
_Value = tf.compat.v1.Summary.Value
_BARS = 30  # of a histogram
_OF_TRAINING = ("learning_rate", "examples_per_second")


class EventFiles:
    """The event files of a run, a step an epoch.

    Args:
        folder: where `train`, `valid` and `test` are made.
        epochs: int, whole epochs whose events stay; later ones are taken out.
    """

    def __init__(self, folder: Path, *, epochs: int = 0):
        self.folder = Path(folder)
        self._writers: dict[str, tf.io.TFRecordWriter] = {}
        self._written = {split: _trim(self.folder / split, epochs) for split in SPLITS}

    def write(self, history: Sequence[dict[str, Any]], weights: Iterable[Any] = ()) -> None:
        """Write the epochs that are not there yet, and histograms of weights with the last one.

        Args:
            history: as `training.train` returns it.
            weights: Keras variables.
        """
        for split in SPLITS:
            for event in history[self._written[split] :]:
                values = _scalars(event, split)
                if split == "train" and event is history[-1]:
                    values += [_histogram(weight) for weight in weights]
                if values:
                    self._write(split, event["epoch"], values)
            self._written[split] = len(history)

    def _write(self, split: str, step: int, values: list[Any]) -> None:
        if split not in self._writers:
            folder = self.folder / split
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[split] = _new_file(folder)
        event = _Event(step=step, wall_time=time.time(), summary={"value": values})
        self._writers[split].write(event.SerializeToString())
        self._writers[split].flush()


def read(path: Path) -> Iterator[Any]:
    """Read the events of a file, up to its end or to where it was cut off by a kill."""
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield _Event.FromString(record)
    except (tf.errors.DataLossError, DecodeError):
        return


def files(folder: Path) -> list[Path]:
    """Return the event files of a folder, the oldest first."""
    return sorted(folder.glob("events.out.tfevents.*"))


def _new_file(folder: Path) -> tf.io.TFRecordWriter:
    name = f"events.out.tfevents.{time.time_ns():020d}.{os.getpid()}"
    writer = tf.io.TFRecordWriter(str(folder / name))
    writer.write(_Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    return writer


def _trim(folder: Path, epochs: int) -> int:
    """Take out the events of later epochs; return how many epochs are there."""
    last = 0
    for path in files(folder):
        events = list(read(path))
        kept = [event for event in events if event.step <= epochs]
        last = max([last, *(event.step for event in kept)])
        if len(kept) == len(events):
            continue
        if not any(event.HasField("summary") for event in kept):
            path.unlink()
            continue
        new = path.with_name(f".{path.name}.tmp")
        with tf.io.TFRecordWriter(str(new)) as writer:
            for event in kept:
                writer.write(event.SerializeToString())
        os.replace(new, path)
    return last


def _scalars(event: dict[str, Any], split: str) -> list[Any]:
    """Return the figures of a split in an epoch: those of the same name share a chart."""
    figures = {
        key.removeprefix(f"{split}_"): value
        for key, value in event.items()
        if key.startswith(f"{split}_") and not key.endswith("_examples")
    }
    if split == "train":
        figures |= {name: event[name] for name in _OF_TRAINING if event.get(name) is not None}
    return [_Value(tag=name, simple_value=float(value)) for name, value in figures.items()]


def _histogram(weight: Any) -> Any:
    values = np.asarray(tf.convert_to_tensor(weight.value), np.float64).ravel()
    heights, limits = np.histogram(values, bins=_BARS)
    histogram = tf.compat.v1.HistogramProto(
        min=values.min(),
        max=values.max(),
        num=values.size,
        sum=values.sum(),
        sum_squares=np.square(values).sum(),
        bucket_limit=limits[1:],
        bucket=heights,
    )
    return _Value(tag=f"weights/{weight.path}", histo=histogram)
