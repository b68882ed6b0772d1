"""Single examples of prepared TFDS sets, by their place: for sets that are larger than memory.

ArrayRecord files are read by TFDS' own data source. TFRecord files have no table of their records;
it is made by going from header to header (12 bytes a record, the pictures are not touched), so that
a record is then read alone. Both have the order of the TFDS ids.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data.source import DataError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds
else:
    tfds = lazy("tensorflow_datasets")

_HEADER, _FOOTER = 12, 4  # length and its checksum; checksum of the record


def source_of(found: Any, split: str) -> Sequence[dict[str, Any]] | None:
    """Return the examples of a prepared split by their places; None if they are not in local files.

    Args:
        found: a TFDS builder.
        split: TFDS' name of the split.

    Raises:
        DataError: files that are not whole.
    """
    if not hasattr(found.info, "file_format") or split not in found.info.splits:
        return None
    paths = [Path(path) for path in found.info.splits[split].filepaths]
    if not paths or not all(path.is_file() for path in paths):
        return None
    if found.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
        return found.as_data_source(split=split)
    if found.info.file_format != tfds.core.FileFormat.TFRECORD:
        return None
    records = Records(paths)
    expected = found.info.splits[split].num_examples
    if len(records) != expected:
        raise DataError(
            f"{paths[0].parent} has {len(records)} records of {split}; expected {expected}. "
            "Prepare the set anew."
        )
    return _Examples(records, found.info.features)


class Records(Sequence):
    """The records of TFRecord files, each read when it is asked for.

    Args:
        paths: uncompressed files, in their order.

    Raises:
        DataError: a file that is cut off, or none of TFRecord.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        tables = [_table(path) for path in self.paths]
        self._table = np.concatenate(tables) if tables else np.zeros((0, 2), np.int64)
        self._first = np.cumsum([0, *(len(table) for table in tables)])

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, place):
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} records. Received: {place}.")
        start, length = self._table[place]
        path = self.paths[int(np.searchsorted(self._first, place, side="right")) - 1]
        with open(path, "rb", buffering=0) as file:
            record = os.pread(file.fileno(), int(length), int(start))
        if len(record) != length:
            raise DataError(f"{path} is shorter than it was: record {place} is cut off.")
        return record


class _Examples(Sequence):
    """Decoded examples of records."""

    def __init__(self, records: Records, features: Any):
        self._records, self._features = records, features

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, place):
        return self._features.deserialize_example_np(self._records[place])


def _table(path: Path) -> np.ndarray:
    """Return where the records of a file start, and their lengths: (N, 2) int64."""
    rows, place = [], 0
    with open(path, "rb", buffering=0) as file:
        descriptor, size = file.fileno(), os.fstat(file.fileno()).st_size
        if hasattr(os, "posix_fadvise"):  # else the system reads on after each header
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        while place < size:
            header = os.pread(descriptor, _HEADER, place)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER else size
            start = place + _HEADER
            if start + length + _FOOTER > size:
                raise DataError(f"{path} is no whole TFRecord file: byte {place} begins no record.")
            rows.append((start, length))
            place = start + length + _FOOTER
    return np.array(rows, np.int64).reshape(-1, 2)
