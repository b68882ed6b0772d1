"""Pictures that are decoded when they are needed, and kept as long as there is room for them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import pictures
from kerasd2l.data.annotations import WAYS
from kerasd2l.data.files import open_regular
from kerasd2l.data.source import DataError, shown

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

MEMORY = 1 << 30  # bytes that the decoded pictures of a split may take
_MOST_BYTES = 1 << 28  # of a file; 16 megapixels take half of it, however they are written

_log = logging.getLogger(__name__)


class Decoded:
    """Arrays of pictures, by the place of the picture in its split.

    Args:
        read: (place) -> arrays of one picture, always the same.
        name: (place) -> what the log calls it.
        memory: int, bytes that may be kept; what does not fit is decoded each time anew.
        skipped: list that takes the names of pictures which turn out to be broken; None: that is an
            error.
    """

    def __init__(
        self,
        read: Callable[[int], tuple[np.ndarray, ...]],
        name: Callable[[int], str],
        *,
        memory: int = MEMORY,
        skipped: list[str] | None = None,
    ):
        self.read, self.name, self.skipped = read, name, skipped
        self._kept: dict[int, tuple[np.ndarray, ...]] = {}
        self._left, self._lock = memory, threading.Lock()

    def __call__(self, place: int) -> tuple[np.ndarray, ...]:
        """Return the arrays of a picture.

        Raises:
            DataError: it is broken.
        """
        kept = self._kept.get(place)
        if kept is not None:
            return kept
        arrays = self.read(place)
        size = sum(array.nbytes for array in arrays)
        with self._lock:
            if place not in self._kept and size <= self._left:
                self._left -= size
                self._kept[place] = arrays
        return arrays

    def batch(
        self,
        places: tf.Tensor,
        specs: Sequence[tf.TensorSpec],
        finish: Callable[..., tuple[np.ndarray, ...]] | None = None,
        *also: tf.Tensor,
    ) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        """Return the pictures of a batch, within a graph.

        Args:
            places: (B,) int64.
            specs: shape and dtype of each array of one picture, after `finish`.
            finish: (*arrays, *what `also` has for this picture) -> arrays of one shape, or None.
            *also: (B, ...) tensors.

        Returns:
            (stacked arrays, (B,) bool: which pictures are whole; only these are stacked).
        """
        dtypes = [spec.dtype for spec in specs]

        def read(places, *also):
            if not len(places):  # of a short batch, the part of one of several workers
                nothing = [np.zeros((0, *s.shape), s.dtype.as_numpy_dtype) for s in specs]
                return *nothing, np.ones(0, bool)
            whole = np.ones(len(places), bool)
            rows = []
            for i, place in enumerate(places.tolist()):
                try:
                    arrays = self(place)
                except pictures.BrokenPicture as error:
                    self._leave_out(place, error)
                    whole[i] = False
                    continue
                rows.append(finish(*arrays, *(row[i] for row in also)) if finish else arrays)
            if not rows:
                raise DataError(f"a batch has no whole picture left, {self.name(place)} among them")
            return *(np.stack(column) for column in zip(*rows, strict=True)), whole

        *arrays, whole = tf.numpy_function(read, [places, *also], [*dtypes, tf.bool])
        shaped = (
            tf.ensure_shape(array, (None, *spec.shape))
            for array, spec in zip(arrays, specs, strict=True)
        )
        return tuple(shaped), tf.ensure_shape(whole, (None,))

    def _leave_out(self, place: int, error: pictures.BrokenPicture) -> None:
        if self.skipped is None:
            raise DataError(f"{error}. {WAYS}") from error
        with self._lock:
            if self.name(place) not in self.skipped:
                self.skipped.append(self.name(place))
                _log.warning("left out while reading: %s", shown(error))


def read_picture(path: Path, channels: int = 3) -> np.ndarray:
    """Decode a picture's file: (h, w, channels) uint8.

    Raises:
        BrokenPicture: it cannot be read, is too large, or no whole picture.
    """
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _MOST_BYTES:
                raise pictures.BrokenPicture(f"{path} has more than {_MOST_BYTES >> 20} MB")
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise pictures.BrokenPicture(f"{path} cannot be read: {error}") from error
    return pictures.decode(content, str(path), channels)
