"""A data set and its loader by hand: what tf.data and `keras.utils.PyDataset` do for you."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class Dataset(abc.ABC):
    """A collection of examples: how many there are, and example i.

    Abstract: a data set of one's own says both. Section: "dataset-dataloader".
    """

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return the number of examples."""

    @abc.abstractmethod
    def __getitem__(self, index: int) -> Any:
        """Return one example, a tuple of arrays."""


class ArrayDataset(Dataset):
    """Examples that lie in memory.

    Section: "dataset-dataloader".

    Args:
        *arrays: with the same first axis.

    Raises:
        ValueError: no arrays, or arrays of different length.

    Example:
        >>> len(ArrayDataset(np.zeros((5, 2)), np.arange(5)))
        5
    """

    def __init__(self, *arrays: Any):
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) != 1:
            raise ValueError(f"the arrays must have the same length. Received: {lengths}.")
        self.arrays = arrays

    def __len__(self):
        return len(self.arrays[0])

    def __getitem__(self, index):
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        return tuple(array[index] for array in self.arrays)


class DataLoader(keras.utils.PyDataset):
    """Shuffled mini-batches of a data set; `model.fit` takes it as it is.

    Section: "dataset-dataloader". A `PyDataset` counts in batches: its length is the number of
    batches, item i is batch i. The order of epoch e is the same as in `data.pipeline`:
    default_rng([seed, e]).permutation.

    Args:
        dataset: a Dataset.
        batch_size: int > 0; the last batch may be shorter.
        seed: int: shuffle before every epoch. None (default): in the given order.
        **options: of PyDataset: workers, use_multiprocessing, max_queue_size.

    Raises:
        ValueError: a batch size below 1.

    Example:
        >>> loader = DataLoader(ArrayDataset(np.arange(5)), batch_size=2)
        >>> len(loader), [batch.tolist() for (batch,) in map(loader.__getitem__, range(3))]
        (3, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self, dataset: Dataset, *, batch_size: int, seed: int | None = None, **options: Any
    ):
        super().__init__(**options)
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.epoch = -1  # Keras looks at some batches before the first epoch begins
        self.order = self._shuffled()

    def __len__(self):
        return -(-len(self.dataset) // self.batch_size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        start = index * self.batch_size
        return collate([self.dataset[i] for i in self.order[start : start + self.batch_size]])

    def on_epoch_begin(self):
        """Draw the order of the next epoch; Keras calls it."""
        self.epoch += 1
        self.order = self._shuffled()

    def _shuffled(self) -> np.ndarray:
        size = len(self.dataset)
        if self.seed is None:
            return np.arange(size)
        return np.random.default_rng([self.seed, max(self.epoch, 0)]).permutation(size)


def collate(examples: Sequence[tuple]) -> tuple[np.ndarray, ...]:
    """Put single examples into one batch: a list of tuples becomes a tuple of arrays."""
    return tuple(np.stack(column) for column in zip(*examples, strict=True))
