"""Read plain data out of a pickle: no name of it is imported but three of numpy, which are ours.

`pickle.load` runs a program. Here it can call nothing but what makes an array of bytes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasd2l.data import limits
from kerasd2l.data.source import DataError

_PLAIN = (dict, list, tuple, str, bytes, bool, int, float, type(None))
_DAMAGED: tuple[type[Exception], ...]
_DAMAGED = (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError)
_DAMAGED += (AttributeError, OverflowError, ImportError, RecursionError, MemoryError)


def read(content: bytes, name: str) -> Any:
    """Read dicts, lists, tuples, numbers, strings and arrays of bytes from a pickle.

    Args:
        content: bytes of the file; protocols 0 to 5.
        name: str, what errors call it.

    Returns:
        The data; Python 2's strings are bytes, arrays are uint8.

    Raises:
        DataError: the pickle holds something else, or is damaged.
    """
    most = limits.BATCH_BYTES
    if len(content) > most:
        raise DataError(f"{name}: expected at most {most} bytes, received {len(content)}.")
    try:
        _check_steps(content)
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        _check_plain(value, set(), set())
    except _Refused as error:
        raise DataError(
            f"{name}: expected plain data, received {error}. It is not read."
        ) from error
    except _DAMAGED as error:
        told = str(error)[:200] or type(error).__name__
        raise DataError(f"{name} is a damaged pickle ({told}).") from error
    return value


def _check_steps(content: bytes) -> None:
    """Go through the pickle without running it: all that it says is there, and not too much."""
    for count, (step, argument, _) in enumerate(pickletools.genops(content)):
        if count > limits.PICKLE_STEPS:
            raise ValueError(f"more than {limits.PICKLE_STEPS} steps")
        if step.name.endswith("PUT") and (argument or 0) > limits.PICKLE_STEPS:
            raise ValueError(f"a memory of {argument} places")  # which would be taken at once


class _Refused(Exception):
    """Something that plain data does not need."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy"):
            if name in _NAMES:
                return _NAMES[name]
        raise _Refused(f"the name {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a persistent object")


class _Name:
    """A name of numpy: what it does when it is called, and nothing else."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable | None = None):
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        if self._call is None:
            raise _Refused("a call of ndarray")
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Refused("a state for a name")


class _ByteType(_Name):
    """The dtype of bytes; its state says byte order and the like, which bytes have not."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class _Bytes(np.ndarray):
    """An array of bytes that takes its content from a pickle."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_columns, content = state
        if not isinstance(dtype, _ByteType) or not isinstance(content, bytes):
            raise _Refused("an array of something else than bytes")
        if not isinstance(shape, tuple) or not all(type(size) is int for size in shape):
            raise TypeError("a shape that is none")
        if math.prod(shape) != len(content):
            raise ValueError(f"{len(content)} bytes for an array of shape {shape}")
        plain: Any = (1, shape, np.dtype("u1"), bool(by_columns), content)
        super().__setstate__(plain)


def _array(kind: Any, *_: Any) -> _Bytes:
    if kind is not _NAMES["ndarray"]:
        raise _Refused("a call of _reconstruct")
    return np.ndarray.__new__(_Bytes, (0,), "u1")


def _byte_type(kind: Any, *_: Any) -> _ByteType:
    if kind not in ("u1", b"u1"):
        raise _Refused(f"a call of dtype with {kind!r}")
    return _ByteType()


_NAMES = {"_reconstruct": _Name(_array), "ndarray": _Name(), "dtype": _Name(_byte_type)}


def _check_plain(value: Any, above: set[int], done: set[int]) -> None:
    """Refuse what is no plain data, and a list that holds itself."""
    if isinstance(value, (_Bytes, *_PLAIN)):
        if id(value) in above:
            raise ValueError("it holds itself")
        if id(value) in done or not isinstance(value, (dict, list, tuple)):
            return
        keys = list(value) if isinstance(value, dict) else []
        if not all(isinstance(key, (str, bytes, int)) for key in keys):
            raise _Refused("a key that is neither text nor number")
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(item, above | {id(value)}, done)
        done.add(id(value))
        return
    raise _Refused(f"a bare {type(value).__name__.strip('_').lower()}")
