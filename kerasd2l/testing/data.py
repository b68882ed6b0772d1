"""Check a data set: what it says of itself, and the promises that exact resume stands on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasd2l.recipe import Data, TensorSpec
from kerasd2l.run import plain
from kerasd2l.testing import compare
from kerasd2l.testing.compare import require


def check_data(load: Callable[[], Data], *, augmented: bool = False) -> Data:
    """Check that a data set is what it says, and the same each time; return it.

    Inputs have the shapes and dtypes of `features`, the batch axis is free, numbers are finite,
    cardinality and sizes are what iterating gives, epoch n is the same each time and another order
    than epoch n + 1 with each example once, evaluation has one order, the assets are plain data.

    Args:
        load: () -> Data, e.g. `lambda: fashion_mnist.load("builtin", batch_size=64)`.
        augmented: bool, the examples of an epoch are not those of the next one: only their number
            is compared.

    Returns:
        The Data.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    data, again = load(), load()
    json.dumps(plain(dict(data.assets)), allow_nan=False)
    there = {
        split: getattr(data, split)
        for split in ("train", "valid", "test")
        if getattr(data, split) is not None
    }
    require(
        set(there) == set(data.size),
        f"`size` is of {sorted(data.size)}. Expected: the splits that are there, {sorted(there)}.",
    )
    prints = {}
    for split, dataset in there.items():
        _check_spec(dataset, data.features, split)
        order = data.epoch(0) if split == "train" else dataset
        prints[split] = _read(order, split, data.size[split])
        require(
            int(dataset.cardinality()) == int(order.cardinality()),
            f"{split}: {int(dataset.cardinality())} batches, its epochs have "
            f"{int(order.cardinality())}.",
        )
    for split in set(there) - {"train"}:
        for other, what in ((there[split], "iterated twice"), (getattr(again, split), "loaded")):
            require(
                prints[split] == _read(other, split, data.size[split]),
                f"{split}: another order when {what} again. Expected: evaluation has one order.",
            )
    _check_epochs(data, again, prints["train"], augmented)
    return data


def _check_epochs(data: Data, again: Data, first: list[bytes], augmented: bool) -> None:
    """Require epochs to repeat themselves, and to differ in order but not in content."""
    size = data.size["train"]
    for other, what in ((data, "iterated"), (again, "loaded")):
        require(
            first == _read(other.epoch(0), "train", size),
            f"epoch(0) is another one when {what} again: a resume would not be exact.",
        )
    shuffled = _read(data.train, "train", size)
    if data.order is None:
        return
    second = _read(data.epoch(1), "train", size)
    require(size == 1 or first != second, "epoch(1) has the order of epoch(0): it is not shuffled.")
    for examples, what in ((second, "epoch(1)"), (shuffled, "train")):
        require(
            augmented or sorted(examples) == sorted(first),
            f"{what} does not hold the examples of epoch(0), each as often. "
            "(Say augmented=True where that is meant.)",
        )


def _check_spec(dataset: Any, features: Any, split: str) -> None:
    """Require the inputs of a split to be described by `features`, and a free batch axis."""
    element = dataset.element_spec
    for path, spec in compare.leaves(element):
        require(
            spec.shape.rank is not None and spec.shape.rank > 0 and spec.shape[0] is None,
            f"{split} {path}: shape {spec.shape}. Expected: an unknown batch axis first "
            "(no drop_remainder, a short last batch).",
        )
    x = element[0] if isinstance(element, tuple) else element
    found = x if isinstance(x, dict) else dict(zip(features, keras.tree.flatten(x), strict=False))
    require(
        set(found) == set(features) and len(keras.tree.flatten(x)) == len(features),
        f"{split}: inputs {sorted(found)}. Expected, by `features`: {sorted(features)}.",
    )
    for name, spec in features.items():
        _check_feature(f"{split} {name}", found[name], spec)


def _check_feature(what: str, found: Any, spec: TensorSpec) -> None:
    shape = tuple(found.shape[1:])
    fits = len(shape) == len(spec.shape) and all(
        size is None or size == wanted for size, wanted in zip(shape, spec.shape, strict=True)
    )
    require(fits, f"{what}: shape {shape} of an example. Expected, by `features`: {spec.shape}.")
    require(
        found.dtype.name == spec.dtype,
        f"{what}: dtype {found.dtype.name}. Expected, by `features`: {spec.dtype}.",
    )


def _read(dataset: Any, split: str, size: int) -> list[bytes]:
    """Iterate once; return a fingerprint of every example, in order."""
    prints, batches = [], 0
    for batch in dataset:
        parts = [compare.array(leaf) for _, leaf in compare.leaves(batch)]
        counts = {len(part) for part in parts}
        require(len(counts) == 1, f"{split}: a batch with parts of {sorted(counts)} examples.")
        compare.finite(batch, f"{split} batch {batches}")
        prints += [_print(row) for row in zip(*parts, strict=True)]
        batches += 1
    require(
        batches == int(dataset.cardinality()),
        f"{split}: {batches} batches. Its cardinality says {int(dataset.cardinality())}.",
    )
    require(len(prints) == size, f"{split}: {len(prints)} examples. `size` says {size}.")
    return prints


def _print(row: tuple[Any, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=12)
    for value in row:
        digest.update(repr(value).encode() if isinstance(value, (bytes, str)) else _bytes(value))
        digest.update(b"|")
    return digest.digest()


def _bytes(value: Any) -> bytes:
    found = np.asarray(value)
    return repr(found.tolist()).encode() if found.dtype.kind == "O" else found.tobytes()
