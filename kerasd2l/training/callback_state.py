"""What callbacks remember, for a checkpoint: counters, best figures, best weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class CallbackState:
    """The attributes of callbacks that have changed since the training began.

    What is as it was is the callback's own setting: a resumed EarlyStopping may have another
    patience, and still knows how long it has waited.

    Args:
        callback_list: a Keras CallbackList.
    """

    def __init__(self, callback_list: keras.callbacks.CallbackList):
        self.callbacks = callback_list.callbacks
        self.begin()

    def begin(self) -> None:
        """Note the attributes as they are: call it after `on_train_begin`, which resets many."""
        self._before = [_plain_attributes(callback) for callback in self.callbacks]

    def save(self) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """Return plain data for each callback, and the lists of arrays among the attributes."""
        plain: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for i, (callback, before) in enumerate(zip(self.callbacks, self._before, strict=True)):
            now = _plain_attributes(callback)
            values = {k: v for k, v in now.items() if k not in before or before[k] != v}
            lists = {}
            for name, value in _array_lists(callback).items():
                lists[name] = len(value)
                arrays |= {f"{i}/{name}/{j}": array for j, array in enumerate(value)}
            plain.append(
                {
                    "class": type(callback).__name__,
                    "values": values,
                    "lists": lists,
                    "functions": _keras_functions(callback),
                }
            )
        return plain, arrays

    def restore(self, plain: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> None:
        """Give the callbacks what `save` returned; those of another class keep their own."""
        for i, (callback, state) in enumerate(zip(self.callbacks, plain, strict=False)):
            if state["class"] != type(callback).__name__:
                continue
            vars(callback).update(state["values"])
            for name, function in state.get("functions", {}).items():
                setattr(callback, name, getattr(keras.ops, function))
            for name, length in state["lists"].items():
                setattr(callback, name, [arrays[f"{i}/{name}/{j}"] for j in range(length)])


def has_batch_hooks(callback_list: keras.callbacks.CallbackList) -> bool:
    """Whether a callback looks at single batches; without one, steps run several to a call."""
    names = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
    base = keras.callbacks.Callback
    return any(  # LambdaCallback has its hooks in the instance, not in the class
        getattr(getattr(callback, name), "__func__", None) is not getattr(base, name)
        for callback in callback_list.callbacks
        for name in names
    )


def _plain_attributes(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return the numbers of a callback, e.g. `wait` and `best` of EarlyStopping."""
    values = {}
    for name, value in vars(callback).items():
        if isinstance(value, (bool, int, float)):
            values[name] = value
        elif getattr(value, "shape", None) == () and hasattr(value, "item"):
            values[name] = value.item()
    return values


def _keras_functions(callback: keras.callbacks.Callback) -> dict[str, str]:
    """Return attributes that are functions of keras.ops, e.g. `monitor_op`.

    Keras chooses that one late, and turns the sign of `min_delta` with it: once, not twice.
    """
    names = {}
    for name, value in vars(callback).items():
        function = getattr(value, "__name__", "")
        if callable(value) and getattr(keras.ops, function, None) is value:
            names[name] = function
    return names


def _array_lists(callback: keras.callbacks.Callback) -> dict[str, list[np.ndarray]]:
    """Return the lists of arrays of a callback, e.g. `best_weights` of EarlyStopping."""
    return {
        name: value
        for name, value in vars(callback).items()
        if isinstance(value, list) and value and all(isinstance(v, np.ndarray) for v in value)
    }
