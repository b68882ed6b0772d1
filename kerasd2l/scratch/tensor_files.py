"""Tensors, lists and dicts of tensors in a file: numpy's .npz, in which no code can hide."""

from __future__ import annotations

import json
import os
from typing import Any

import keras
import numpy as np

_STRUCTURE = "structure"


def save_tensors(path: str | os.PathLike, tensors: Any) -> None:
    """Write a tensor, or a list or dict of them (one inside the other, too), to a file.

    Section: "read-write". For the weights of a model use `model.save_weights("x.weights.h5")`, for
    the model itself `model.save("x.keras")`.

    Args:
        path: the file; its name should end in .npz.
        tensors: tensor, array or number; or a list, tuple or dict with text as keys.

    Raises:
        TypeError: something that is no tensor of numbers, or a key that is no text.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_tensors(f"{folder}/x.npz", {"x": [1.0, 2.0]})
        ...     [float(x) for x in load_tensors(f"{folder}/x.npz")["x"]]
        [1.0, 2.0]
    """
    arrays: dict[str, Any] = {}

    def describe(value: Any) -> Any:
        if isinstance(value, dict):
            wrong = [key for key in value if not isinstance(key, str)]
            if wrong:
                raise TypeError(f"The keys must be text. Received: {wrong[0]!r}.")
            return {key: describe(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [describe(item) for item in value]
        array = np.asarray(keras.ops.convert_to_numpy(value))
        if array.dtype.kind not in "biufc":
            raise TypeError(f"Only tensors of numbers can be saved. Received: {value!r}.")
        name = f"tensor_{len(arrays)}"
        arrays[name] = array
        return name

    structure = json.dumps(describe(tensors)).encode("utf8")
    with open(path, "wb") as file:
        np.savez(file, **(arrays | {_STRUCTURE: np.frombuffer(structure, np.uint8)}))


def load_tensors(path: str | os.PathLike) -> Any:
    """Read what `save_tensors` wrote.

    Args:
        path: the file.

    Returns:
        Tensors in the same lists and dicts; tuples come back as lists.

    Raises:
        OSError: it cannot be read. ValueError: it is damaged or another kind of file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if sum(info.file_size for info in archive.zip.infolist()) > os.path.getsize(path):
                raise ValueError("it unpacks to more bytes than it has, and was never packed")
            arrays = dict(archive)
        return _restore(json.loads(arrays.pop(_STRUCTURE).tobytes().decode("utf8")), arrays)
    except OSError:
        raise
    except Exception as error:  # damaged bytes make zipfile, numpy and json raise anything
        raise ValueError(f"{path} was not written by save_tensors, or is damaged.") from error


def _restore(structure: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(structure, dict):
        return {key: _restore(item, arrays) for key, item in structure.items()}
    if isinstance(structure, list):
        return [_restore(item, arrays) for item in structure]
    return keras.ops.convert_to_tensor(arrays.pop(structure))  # each is used once
