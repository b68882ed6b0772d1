"""From a checkpoint's file to arrays by their names: safetensors, PyTorch's, or one of Keras.

No file runs a program: safetensors holds numbers only, and PyTorch reads with `weights_only`; for
those of Keras see `keras_files`.
"""

from __future__ import annotations

import functools
import importlib
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasd2l.convert import keras_files
from kerasd2l.data import DataError, files

# What the folder of a checkpoint calls its weights; the first that is there is read.
WEIGHTS = ("model.safetensors", "pretrained.params", "pytorch_model.bin")
# What all names begin with where the model was trained inside of `DataParallel` or compiled.
_WRAPPERS = ("module.", "_orig_mod.")
# Neither library says what it raises for a damaged file: PyTorch raises IndexError for a text.
_DAMAGED: tuple[type[Exception], ...] = (RuntimeError, ValueError, TypeError, LookupError)
_DAMAGED += (AttributeError, EOFError, OSError, OverflowError, AssertionError)
_DAMAGED += (pickle.UnpicklingError,)
_DAMAGED_ZIP: tuple[type[Exception], ...] = (*_DAMAGED, zipfile.BadZipFile, zlib.error)


class ConvertError(Exception):
    """A checkpoint that cannot be read, or does not hold the weights that it should."""


@dataclass(frozen=True)
class Checkpoint:
    """The arrays of a file, and what lies beside it.

    Args:
        path: the file of the weights.
        arrays: name -> array; floats are float32.
    """

    path: Path
    arrays: Mapping[str, np.ndarray]

    @functools.cached_property
    def config(self) -> dict[str, Any] | None:
        """What config.json beside the file says; None: there is none.

        Raises:
            ConvertError: it cannot be read.
        """
        return _object(self.path.parent / "config.json")

    @functools.cached_property
    def tokenizer_config(self) -> dict[str, Any] | None:
        """What tokenizer_config.json beside the file says; None: there is none.

        Raises:
            ConvertError: it cannot be read.
        """
        return _object(self.path.parent / "tokenizer_config.json")

    @functools.cached_property
    def tokens(self) -> list[str] | None:
        """The tokens by their numbers: vocab.txt or vocab.json; None: there is neither.

        Raises:
            ConvertError: it cannot be read.
        """
        path = self.path.parent / "vocab.txt"
        if path.exists():
            try:
                text = files.content(path, most=16 << 20).decode("utf-8-sig")
            except (DataError, UnicodeDecodeError) as error:
                raise ConvertError(f"cannot read {path}: {error}") from error
            return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]
        path = self.path.parent / "vocab.json"
        if not path.exists():
            return None
        tokens = _json(path)
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ConvertError(f"{path} must hold a JSON list of tokens, number 0 first.")
        return tokens


def read(path: Path) -> Checkpoint:
    """Read the arrays of a file, or of the folder that a checkpoint is.

    Raises:
        ConvertError: it is not there, damaged, or no checkpoint; a library that reads it is not
            installed.
    """
    if path.is_dir():
        there = [path / name for name in WEIGHTS if (path / name).is_file()]
        if not there:
            raise ConvertError(
                f"the folder {path} holds no weights. Expected: {', '.join(WEIGHTS)}. "
                "Give the file itself if it has another name."
            )
        path = there[0]
    try:
        with files.open_regular(path) as file:
            head = file.read(9)
    except OSError as error:
        raise ConvertError(f"cannot read {path}: {error.strerror or error}") from error
    # safetensors: the length of a header in 8 bytes, and the header, JSON
    if path.suffix == ".safetensors" or head[4:] == b"\0\0\0\0{":
        arrays = _read_safetensors(path)
    elif path.suffix == ".keras" and head[:2] == b"PK":
        arrays = _read_keras(path, keras_files.read_keras)
    elif head.startswith(keras_files.HDF5):
        arrays = _read_keras(path, keras_files.read_h5)
    elif head[:2] in (b"PK", b"\x80\x02"):
        arrays = _read_torch(path)
    else:
        raise ConvertError(
            f"{path} is no checkpoint: neither safetensors, nor what `torch.save` writes, nor a "
            "file of Keras."
        )
    if not arrays:
        raise ConvertError(f"{path} holds no arrays.")
    return Checkpoint(path, arrays)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    safetensors = _imported(
        "safetensors",
        f"safetensors is not installed, and {path} is of that format: "
        "`pip install safetensors`, or the extra `convert` of kerasd2l.",
    )
    damaged: tuple[type[Exception], ...] = (safetensors.SafetensorError, *_DAMAGED)
    importlib.import_module("ml_dtypes")  # teaches numpy bfloat16
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return {name: _plain(file.get_tensor(name)) for name in file.keys()}
    except damaged as error:
        raise ConvertError(
            f"{path} is no whole safetensors file: truncated or damaged ({_line(error)}). "
            "Get it anew."
        ) from error


def _read_keras(
    path: Path, reader: Callable[[Path], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    try:
        arrays = reader(path)
    except _DAMAGED_ZIP as error:
        raise ConvertError(
            f"{path} is no file of a Keras model, or damaged ({_line(error)})."
        ) from error
    return {name: _plain(array) for name, array in arrays.items()}


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    _check_archive(path)
    torch = _imported(
        "torch",
        f"PyTorch is not installed, and only it reads {path}: `pip install torch`. "
        "(safetensors files need no PyTorch.)",
    )
    try:
        with warnings.catch_warnings(), files.open_regular(path) as file:
            warnings.simplefilter("ignore")  # about how the file was written
            content = torch.load(file, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        if name:
            raise ConvertError(
                f"{path} holds more than arrays: it asks for {name[1]}, a program. It is not read. "
                "Write its state dict anew: `torch.save(model.state_dict(), FILE)`."
            ) from error
        raise ConvertError(
            f"{path} is truncated or damaged, or no file of `torch.save` ({_line(error)})."
        ) from error
    if not isinstance(content, dict):
        raise ConvertError(
            f"{path} is no state dict: it holds {type(content).__name__}. Write "
            "`model.state_dict()`."
        )
    for name in content:
        if not isinstance(name, str):
            raise ConvertError(f"{path} is no state dict: its key {name!r} is no name.")
    around = next((p for p in _WRAPPERS if all(name.startswith(p) for name in content)), "")
    return {
        name.removeprefix(around): _array(tensor, name, path, torch)
        for name, tensor in content.items()
    }


def _check_archive(path: Path) -> None:
    """Refuse a zip that holds files, as d2l's bert.small.torch.zip, by what to do with it."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # PyTorch says what is wrong with it
    if not any(name.endswith("data.pkl") for name in names):
        raise ConvertError(
            f"{path} is an archive of files ({', '.join(names[:3])}). Unpack it, and give its "
            "folder."
        )


def _array(tensor: Any, name: str, path: Path, torch: Any) -> np.ndarray:
    if not isinstance(tensor, torch.Tensor):
        raise ConvertError(
            f"{path} is no state dict: {name} is {type(tensor).__name__}, no tensor. Write "
            "`model.state_dict()`, or the part of this file that is one."
        )
    if torch.nn.parameter.is_lazy(tensor):
        raise ConvertError(
            f"{name} of {path} was never made: call the model once, then write its state dict."
        )
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise ConvertError(f"{name} of {path} is sparse or quantized: only plain arrays are read.")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ConvertError(f"{name} of {path} is damaged: it says more numbers than there are.")
    tensor = tensor.detach().resolve_conj().resolve_neg()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _plain(array: np.ndarray) -> np.ndarray:
    """Return floats of any kind as float32, and anything else as it is."""
    floats = array.dtype.name.startswith(("float", "bfloat"))  # to numpy, bfloat16 is no float
    return array.astype(np.float32, copy=False) if floats else array


def _imported(module: str, message: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ConvertError(message) from error


def _object(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content = _json(path)
    if not isinstance(content, dict):
        raise ConvertError(f"{path} must hold an object. Received: {type(content).__name__}.")
    return content


def _json(path: Path) -> Any:
    try:
        return files.read_json(path)
    except DataError as error:
        raise ConvertError(str(error)) from error


def _line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
