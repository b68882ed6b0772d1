"""Whether a run meets again the data that it was trained on: the same names, the same examples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kerasd2l.recipe import Data
from kerasd2l.run import Run, RunError, plain

_GROWS = "skipped_pictures"  # while training


def check_names(run: Run, data: Data) -> None:
    """Require that data mean by their numbers what the run's assets.json says.

    Args:
        run: the run, trained before.
        data: what shall be evaluated, or trained further.

    Raises:
        RunError: class names, vocabulary or scaling are others; the message names them.
    """
    before, now = run.read("assets.json"), plain(data.assets)
    if before is None:
        return
    for key in sorted(before.keys() | now.keys() - {_GROWS}):
        if key != _GROWS and before.get(key) != now.get(key):
            raise RunError(
                f"these are not the data of {run.path}: {key} differs "
                f"({_difference(before.get(key), now.get(key))}). Use the data it was trained on."
            )


def check_same(run: Run, data: Data, now: Mapping[str, Any]) -> None:
    """Require that data are those which the run began with, wherever they lie now.

    Args:
        run: the run; without a data.json, as runs had none once, only names are compared.
        data: what shall be trained further.
        now: its `fingerprint`.

    Raises:
        RunError: other names, another number of examples, or other examples.
    """
    check_names(run, data)
    before = run.read("data.json")
    if before is None or before == now:
        return
    counts = [
        f"{before['examples'].get(split)} {split} examples then, {now['examples'].get(split)} now"
        for split in sorted(before["examples"].keys() | now["examples"].keys())
        if before["examples"].get(split) != now["examples"].get(split)
    ]
    raise RunError(
        f"the data of {run.path} have changed: {'; '.join(counts) or 'other examples'}. "
        "Resume with the data it was started with, or give another --out."
    )


def fingerprint(data: Data) -> dict[str, Any]:
    """Return the number of examples of each split, and a hash of the first training batch.

    Whole numbers and texts only (labels, tokens): pixels may differ in their last bit from machine
    to machine.
    """
    hasher = hashlib.sha256()
    for batch in data.epoch(0).take(1):
        for tensor in tf.nest.flatten(batch):
            if not tensor.dtype.is_floating:
                hasher.update(tensor.numpy().tobytes())
    return {"examples": dict(data.size), "first_batch": hasher.hexdigest()}


def _difference(before: Any, now: Any) -> str:
    """Say in a few words how two values of the assets differ."""
    if isinstance(before, list) and isinstance(now, list):
        gone = [item for item in before if item not in now]
        new = [item for item in now if item not in before]
        parts = [
            f"{word} {', '.join(map(repr, items[:5]))}"
            for word, items in (("without", gone), ("with", new))
            if items
        ]
        return " and ".join(parts) or "another order"
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return f"in {', '.join(map(str, keys[:5]))}"
    return f"{before!r} then, {now!r} now"
