"""The one order of steps: read, decode, cache, shuffle, batch, augment, prefetch.

Shuffling comes before batching, so batches differ from epoch to epoch; evaluation is never shuffled
and never drops its last short batch. Whatever works on one example is done on the whole batch.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data.source import DataError, is_utf8
from kerasd2l.recipe import Data, Rows, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

SHUFFLE_CAP = 100_000  # examples held by the shuffle of a data set that is read from files


@dataclass(frozen=True)
class Batches:
    """One split, batched.

    Args:
        dataset: tf.data; for training, iterating again gives a new order (fixed by the seed).
        order: (epoch) -> the batches in the order of that epoch, always the same for the same
            epoch; `.skip(n)` resumes in its middle. None for evaluation.
        size: int, examples.
        rows: how to read parts of batches, or None.
    """

    dataset: tf.data.Dataset
    order: Callable[[int], tf.data.Dataset] | None
    size: int
    rows: Rows | None = None


def from_arrays(
    arrays: Any,
    *,
    batch_size: int,
    seed: int | None = None,
    transform: Callable | None = None,
    augment: Callable | None = None,
    by_rows: bool = False,
) -> Batches:
    """Batch examples that lie in memory: only indices are shuffled, whole batches are gathered.

    Args:
        arrays: tuple (x, y) or any nest of arrays with the same first axis.
        batch_size: int, the global batch; the last one may be shorter.
        seed: int, training: the order of epoch e is numpy's default_rng([seed, e]).permutation.
            None: evaluation, in the given order.
        transform: (*batch) -> batch, what every batch goes through.
        augment: (*batch, seed=(2,) int64) -> batch, after `transform`, for training only. Use the
            seed with `tf.random.stateless_*`: an epoch that is resumed then repeats itself.
        by_rows: bool, `transform` reads each example by itself, and reading is the work: of
            several workers each reads its own examples only. `augment` then takes also
            `rows=(first, count)`: it is given examples of a batch of `count`, from `first` on.

    Returns:
        Batches.

    Raises:
        ValueError: arrays of different length, or a batch size below 1.

    Example:
        >>> batches = from_arrays((np.zeros((5, 3)), np.arange(5)), batch_size=2, seed=0)
        >>> [int(y.shape[0]) for x, y in batches.order(0)]
        [2, 2, 1]
    """
    sizes = {len(array) for array in tf.nest.flatten(arrays)}
    if len(sizes) != 1 or sizes == {0}:
        raise ValueError(f"`arrays` must have the same length, not 0. Received: {sorted(sizes)}.")
    (size,) = sizes
    _check_batch_size(batch_size)
    with tf.device("CPU:0"):  # tf.data runs there: no detour over a GPU's memory
        tensors = tf.nest.map_structure(tf.convert_to_tensor, arrays)

    def gather(indices: tf.Tensor) -> Any:
        batch = tf.nest.map_structure(lambda tensor: tf.gather(tensor, indices), tensors)
        return batch if transform is None else transform(*_arguments(batch))

    def finish(indices: tf.data.Dataset, seeds: tf.data.Dataset | None = None) -> tf.data.Dataset:
        batches = _map(indices.batch(batch_size), gather)
        return _augment(batches, augment, seeds).prefetch(tf.data.AUTOTUNE)

    def permuted(epoch: int) -> tf.data.Dataset:
        indices = np.random.default_rng([seed or 0, epoch]).permutation(size)
        return tf.data.Dataset.from_tensor_slices(indices)

    def places(epoch: int) -> tf.data.Dataset:
        if seed is None:
            return tf.data.Dataset.range(size).batch(batch_size)
        return tf.data.Dataset.zip((permuted(epoch).batch(batch_size), _seeds(seed, epoch)))

    def load(element: Any, first: tf.Tensor, end: tf.Tensor) -> Any:
        indices, own = (element, None) if seed is None else element
        rows = gather(indices[first:end])
        if augment is None or own is None:
            return rows
        return augment(*_arguments(rows), seed=own, rows=(first, tf.size(indices)))

    if seed is None:
        whole = finish(tf.data.Dataset.range(size))
        return Batches(whole, None, size, Rows(whole, places, load) if by_rows else None)

    def order(epoch: int) -> tf.data.Dataset:
        return finish(permuted(epoch), _seeds(seed, epoch))

    shuffled = tf.data.Dataset.range(size).shuffle(size, seed=seed)
    rows = Rows(order, places, load) if by_rows else None
    return Batches(finish(shuffled, _seeds(seed)), order, size, rows)


def from_dataset(
    dataset: tf.data.Dataset,
    *,
    size: int,
    batch_size: int,
    seed: int | None = None,
    decode: Callable | None = None,
    cache: bool = True,
    augment: Callable | None = None,
    shuffle_cap: int = SHUFFLE_CAP,
) -> Batches:
    """Batch examples that are read one by one, e.g. pictures from their files.

    Args:
        dataset: tf.data of single examples, in a fixed order.
        size: int, number of examples.
        batch_size: int, the global batch; the last one may be shorter.
        seed: int, training; None: evaluation, in the given order.
        decode: (*example) -> example, the slow part: file to tensors of one shape.
        cache: bool, keep what was decoded in memory from the first epoch on.
        augment: as in `from_arrays`, on batches.
        shuffle_cap: int, examples held for shuffling: the whole set where it fits.

    Returns:
        Batches.

    Raises:
        ValueError: `size` does not fit the dataset, or a number is below 1.
    """
    _check_batch_size(batch_size)
    known = int(dataset.cardinality())
    if size < 1 or (known >= 0 and known != size):
        raise ValueError(f"`size` must be the number of examples. Received: size={size}, {known=}.")
    if known < 0:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(size))
    if decode is not None:
        dataset = _map(dataset, decode)
    if cache:
        dataset = dataset.cache()
    buffer = min(size, max(1, shuffle_cap))

    def finish(examples: tf.data.Dataset, seeds: tf.data.Dataset | None = None) -> tf.data.Dataset:
        batches = examples.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
        return _augment(batches, augment, seeds).prefetch(tf.data.AUTOTUNE)

    if seed is None:
        return Batches(finish(dataset), None, size)

    def order(epoch: int) -> tf.data.Dataset:
        fixed = {"seed": _epoch_seed(seed, epoch), "reshuffle_each_iteration": False}
        return finish(dataset.shuffle(buffer, **fixed), _seeds(seed, epoch))

    return Batches(finish(dataset.shuffle(buffer, seed=seed), _seeds(seed)), order, size)


def augmented(data: Data, augment: Callable, seed: int) -> Data:
    """Return Data whose training batches go through random changes; their size stays.

    Args:
        data: the Data.
        augment: (*batch, seed=(2,) int64) -> batch, as in `from_arrays`.
        seed: int, that of the order of the examples.

    Raises:
        ValueError: a change of the pictures' size, which evaluation would not have.
    """

    def change(batches: tf.data.Dataset, epoch: int | None = None) -> tf.data.Dataset:
        return _augment(batches, augment, _seeds(seed, epoch)).prefetch(tf.data.AUTOTUNE)

    train = change(data.train)
    before, after = (tf.nest.flatten(part.element_spec)[0].shape for part in (data.train, train))
    if before != after:
        raise ValueError(
            f"`augment` must leave the pictures their size, {tuple(before[1:])}. "
            f"Received: one that makes them {tuple(after[1:])}."
        )
    order = data.order
    changed = None if order is None else lambda epoch: change(order(epoch), epoch)
    plain, rows = data.rows_of("train"), {k: v for k, v in data.rows.items() if k != "train"}
    if plain is not None and changed is not None and getattr(augment, "by_rows", False):
        rows["train"] = _changed_rows(plain, augment, seed, changed)
    return dataclasses.replace(data, train=train, order=changed, rows=rows)


def _changed_rows(plain: Rows, augment: Callable, seed: int, order: Callable) -> Rows:
    """Return rows that go through random changes after they were read."""

    def batches(epoch: int) -> tf.data.Dataset:
        return tf.data.Dataset.zip((plain.batches(epoch), _seeds(seed, epoch)))

    def load(element: Any, first: tf.Tensor, end: tf.Tensor) -> Any:
        inner, own = element
        count = tf.shape(tf.nest.flatten(inner)[0])[0]
        return augment(*_arguments(plain.load(inner, first, end)), seed=own, rows=(first, count))

    return Rows(order, batches, load)


def image_data(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    class_names: Sequence[str],
    *,
    batch_size: int,
    seed: int,
    resize: int | tuple[int, int] | None = None,
    augment: Callable | None = None,
) -> Data:
    """Make the Data of a picture classification set that fits in memory.

    Args:
        train: (B, H, W, C) uint8 and (B,) labels.
        test: the same.
        class_names: the names of labels 0, 1, ...
        batch_size: int, the global batch.
        seed: int, the seed of the training order.
        resize: int or (height, width); None: as it is.
        augment: (x, y, seed) -> (x, y), for training only.

    Returns:
        Data: x (B, height, width, C) float32 in [0, 1], y (B,) int32.

    Raises:
        ValueError: a batch size or a picture size below 1.
    """
    size = size_of(resize)

    def transform(x, y):
        return scale_images(x, size), tf.cast(y, tf.int32)

    options: dict[str, Any] = {"batch_size": batch_size, "transform": transform}
    training = from_arrays(train, seed=seed, augment=augment, **options)
    evaluation = from_arrays(test, **options)
    height, width, channels = train[0].shape[1:]
    return make_data(
        training,
        test=evaluation,
        features={"pixels": TensorSpec((*(size or (height, width)), channels), "float32")},
        assets={"class_names": list(class_names)},
    )


def make_data(
    train: Batches,
    *,
    valid: Batches | None = None,
    test: Batches | None = None,
    features: Mapping[str, TensorSpec],
    assets: Mapping[str, Any],
) -> Data:
    """Make the Data of batched splits.

    Args:
        train: the training batches.
        valid: those to validate with, or None.
        test: those to test with, or None.
        features: name -> spec of one example.
        assets: what serving needs.

    Raises:
        DataError: a class whose name, that of a folder, is no UTF-8.
    """
    for name in assets.get("class_names", ()):
        if not is_utf8(name):
            raise DataError(
                f"the class {os.fsencode(name)!r} has a name that is not UTF-8, which no served "
                "model could say. Rename its folder."
            )
    splits = {"train": train, "valid": valid, "test": test}
    return Data(
        train=train.dataset,
        valid=valid.dataset if valid else None,
        test=test.dataset if test else None,
        features=features,
        assets=assets,
        size={split: batches.size for split, batches in splits.items() if batches},
        order=train.order,
        rows={s: batches.rows for s, batches in splits.items() if batches and batches.rows},
    )


def scale_images(images: tf.Tensor, size: tuple[int, int] | None = None) -> tf.Tensor:
    """Turn bytes into numbers in [0, 1], resized as PIL does: bilinear with antialias.

    Serves training and, in the graph of an export, the same pictures from outside.

    Args:
        images: (B, H, W, C) uint8 or numbers 0..255.
        size: (height, width) or None.

    Returns:
        (B, height, width, C) float32.
    """
    images = tf.cast(images, tf.float32) / 255.0
    height, width, channels = images.shape[1:]
    if size is None or size == (height, width):
        return images
    if None in (height, width, channels):
        return tf.image.resize(images, size, antialias=True)
    # Two small matrix products: the same numbers as tf.image.resize, many times faster.
    rows, columns = _bilinear(height, size[0]), _bilinear(width, size[1])
    images = tf.matmul(rows, tf.reshape(images, (-1, height, width * channels)))  # (B, h, W * C)
    if channels == 1:
        images = tf.matmul(images, columns, transpose_b=True)  # (B, h, w)
    else:
        images = tf.matmul(columns, tf.reshape(images, (-1, width, channels)))  # (B * h, w, C)
    return tf.reshape(images, (-1, *size, channels))


@functools.lru_cache
def _bilinear(before: int, after: int) -> np.ndarray:
    """Return the (after, before) weights of bilinear resizing, wider when shrinking (antialias)."""
    scale = before / after
    reach = max(scale, 1.0)
    centers = (np.arange(after) + 0.5) * scale
    distance = np.abs(np.arange(before) + 0.5 - centers[:, None]) / reach
    weights = np.maximum(0.0, 1.0 - distance)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def size_of(resize: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return (height, width) of a `resize` argument.

    Raises:
        ValueError: it is no int or pair, or below 1.
    """
    if resize is None:
        return None
    size = (resize, resize) if isinstance(resize, int) else tuple(resize)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"`resize` must be an int or (height, width). Received: {resize!r}.")
    return size


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")


def _epoch_seed(seed: int, epoch: int) -> int:
    """Return a number that is another one for each epoch and seed."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] >> 1)


def _arguments(element: Any) -> tuple:
    return element if isinstance(element, tuple) else (element,)


def _map(dataset: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _seeds(seed: int, epoch: int | None = None) -> tf.data.Dataset:
    """Return a (2,) seed for each batch: fixed by epoch and place, or new in each iteration."""
    if epoch is None:
        return tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    first = _epoch_seed(seed, epoch)
    return tf.data.Dataset.range(tf.int64.max).map(lambda place: tf.stack([first, place]))


def _augment(
    batches: tf.data.Dataset, augment: Callable | None, seeds: tf.data.Dataset | None
) -> tf.data.Dataset:
    if augment is None or seeds is None:
        return batches

    def apply(batch: Any, seed: tf.Tensor) -> Any:
        return augment(*_arguments(batch), seed=seed)

    return _map(tf.data.Dataset.zip((batches, seeds)), apply)
