"""From words on the command line to the arrays that a signature takes."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasd2l.endpoints.tables import input_name
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.recipe import TensorSpec

MISSING = ("", "na", "nan", "null", "none")


class InputError(SavedModelError):
    """An input that is missing or that the signature cannot take."""


class ArgumentError(InputError):
    """The name of a signature or a setting `name=value` that the SavedModel does not know."""


def parse(inputs: Sequence[str], signature: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Turn words into a batch for a signature.

    A signature with one input takes, by the kind of the input: file names, if it is a string whose
    name ends in `_bytes`; texts, if it is another string; and else numbers: `1,2,3`, JSON, or a
    `.json`, `.npy` or `.csv` file. Several words are several examples, and so are the rows of an
    array with a batch axis. A signature with several inputs takes words `name=value`, one JSON
    object (or list of objects), a `.json` file with it, or a `.csv` file with the names as header.

    Args:
        inputs: the words.
        signature: input name -> spec.

    Returns:
        Input name -> array with a batch axis.

    Raises:
        InputError: says which word is wrong, and what is expected.
    """
    if not inputs:
        raise InputError(f"no input. {expectation(signature)}")
    if len(signature) == 1:
        ((name, spec),) = signature.items()
        return {name: _join(name, spec, [_one(word, name, spec) for word in inputs], inputs)}
    return _several(inputs, signature)


def parse_settings(
    settings: Sequence[str], signature: Mapping[str, TensorSpec], defaults: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Turn words `name=value` into values of inputs that have a default.

    Args:
        settings: the words.
        signature: input name -> spec, of all inputs.
        defaults: the inputs that may be left out.

    Returns:
        Input name -> array, of those that were given.

    Raises:
        ArgumentError: says which word is wrong, and what is expected.
    """
    optional = {name: spec for name, spec in signature.items() if name in defaults}
    there = ", ".join(optional) or "none"
    found: dict[str, np.ndarray] = {}
    for word in settings:
        name, equals, value = word.partition("=")
        if not equals:
            raise ArgumentError(f"{word!r} is not name=value. Inputs with a default: {there}.")
        if name not in optional:
            hint = _near_matches(name, optional)
            message = f"no input with a default is named {name!r}.{hint}"
            raise ArgumentError(f"{message} Inputs with a default: {there}.")
        if name in found:
            raise ArgumentError(f"{name} is given twice.")
        spec = optional[name]
        if spec.dtype == "string":
            found[name] = _strings([_utf8(value)])[0]
            continue
        try:
            found[name] = _one(value, name, spec)
        except InputError as error:
            raise ArgumentError(str(error)) from error
    return found


def expectation(signature: Mapping[str, TensorSpec]) -> str:
    """Say in a sentence what a signature takes on the command line."""
    if len(signature) > 1:
        names = " ".join(f"{name}=..." for name in signature)
        return f"Give {names}, or a JSON object or a .csv file with these names."
    ((name, spec),) = signature.items()
    if takes_files(signature):
        return f"Give one or more files ({name})."
    if spec.dtype == "string":
        return f"Give one or more texts ({name})."
    shape = ", ".join("any" if size is None else str(size) for size in spec.shape[1:])
    return (
        f"Give numbers ({name}, shape ({shape}), {spec.dtype}) as JSON or 1,2,3, "
        "or a .json, .npy or .csv file."
    )


def takes_files(signature: Mapping[str, TensorSpec]) -> bool:
    """Whether the signature's only input is the content of a file."""
    return len(signature) == 1 and all(_is_file(name, signature[name]) for name in signature)


def read_file(word: str) -> bytes:
    """Read a whole file.

    Raises:
        InputError: names the file, if it is missing, a folder, empty or not readable.
    """
    path = Path(word)
    if path.is_dir():
        raise InputError(f"{word} is a folder. Give the files in it, such as {word}/*.png.")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{word} does not exist.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {word}: {error}") from error
    if not content:
        raise InputError(f"{word} is empty.")
    return content


def _is_file(name: str, spec: TensorSpec) -> bool:
    return spec.dtype == "string" and name.endswith("_bytes")


def _one(word: str, name: str, spec: TensorSpec) -> np.ndarray:
    """Turn one word into a batch of one or more examples."""
    if _is_file(name, spec):
        return _strings([read_file(word)])
    if spec.dtype == "string":
        if len(spec.shape) > 1:
            return _array(_json(word, word, spec), spec, word, name)
        return _strings([_utf8(word)])
    suffix = Path(word).suffix.lower()
    if suffix == ".npy":
        read_file(word)
        try:
            return _array(np.load(word, allow_pickle=False), spec, word, name)
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"{word} is no .npy file of numbers: {error}") from error
    if suffix == ".json":
        return _array(_json(_text(word), word, spec), spec, word, name)
    if suffix == ".csv":
        rows = [
            [_number(cell, spec) for cell in row] for row in csv.reader(_text(word).splitlines())
        ]
        return _array([row for row in rows if row], spec, word, name)
    if word.lstrip()[:1] == "[":
        return _array(_json(word, word, spec), spec, word, name)
    cells = [_number(cell, spec) for cell in word.split(",")]
    scalar = len(cells) == 1 and len(spec.shape) <= 1
    return _array(cells[0] if scalar else cells, spec, word, name)


def _several(inputs: Sequence[str], signature: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Parse `name=value` words, a JSON object, or a table."""
    word = inputs[0]
    if len(inputs) == 1 and Path(word).suffix.lower() == ".csv":
        return _table(word, signature)
    if len(inputs) == 1 and Path(word).suffix.lower() == ".json":
        return _objects(_json(_text(word), word), word, signature)
    if len(inputs) == 1 and word.lstrip()[:1] in ("{", "["):
        return _objects(_json(word, word), word, signature)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in signature}
    for word in inputs:
        name, equals, value = word.partition("=")
        name = input_name(name)
        if not equals:
            raise InputError(f"{word!r} is not name=value. {expectation(signature)}")
        _check_names([name], signature, word, complete=False)
        parts[name].append(_one(value, name, signature[name]))
    _check_names([name for name in parts if parts[name]], signature, " ".join(inputs))
    arrays = {name: _join(name, signature[name], parts[name], inputs) for name in signature}
    _check_lengths(arrays)
    return arrays


def _objects(value: Any, source: str, signature: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Parse an object of examples, or a list of objects, one for each example."""
    if isinstance(value, dict):
        value = {input_name(key): item for key, item in value.items()}
        _check_names(value, signature, source)
        arrays = {name: _array(value[name], spec, source, name) for name, spec in signature.items()}
        _check_lengths(arrays)
        return arrays
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value) or not value:
        raise InputError(f"{_short(source)} is no JSON object. {expectation(signature)}")
    value = [{input_name(key): item for key, item in row.items()} for row in value]
    for row in value:
        _check_names(row, signature, source)
    return {
        name: _array([row[name] for row in value], spec, source, name)
        for name, spec in signature.items()
    }


def _table(word: str, signature: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Parse a .csv file with a header; columns that the signature does not know are left out."""
    reader = csv.DictReader(_text(word).splitlines())
    reader.fieldnames = [input_name(column) for column in reader.fieldnames or ()]
    _check_names(reader.fieldnames, signature, word, extra=True)
    rows = list(reader)
    if not rows:
        raise InputError(f"{word} has a header but no rows.")
    arrays = {}
    for name, spec in signature.items():
        cells = [row[name] if row[name] is not None else "" for row in rows]
        if spec.dtype == "string":
            arrays[name] = _array(cells, spec, word, name)
        else:
            try:
                numbers = [_number(cell, spec) for cell in cells]
            except InputError as error:
                raise InputError(f"{word}, column {name}: {error}") from None
            arrays[name] = _array(numbers, spec, word, name)
    return arrays


def _array(value: Any, spec: TensorSpec, source: str, name: str) -> np.ndarray:
    """Turn numbers or strings into an array of the spec, with a batch axis."""
    shape = "x".join("any" if size is None else str(size) for size in spec.shape[1:]) or "one value"
    expected = f"{name} takes {spec.dtype}, {shape} for each example"
    if spec.dtype == "string":
        array = np.array(value, dtype=object)
        if not all(isinstance(item, str) for item in array.flat):
            raise InputError(f"{_short(source)} is not text: {expected}.")
        array = _strings([_utf8(item) for item in array.flat]).reshape(array.shape)
    else:
        try:
            array = np.asarray(value)
        except ValueError:
            raise InputError(
                f"{_short(source)} has rows of different length: {expected}."
            ) from None
        kind = np.dtype(spec.dtype) if spec.dtype != "bfloat16" else np.dtype("float32")
        if array.dtype.kind not in "biuf" or (kind.kind in "iu" and np.any(array != array // 1)):
            raise InputError(f"{_short(source)} cannot be used: {expected}.")
        array = array.astype(kind)
    if array.ndim == len(spec.shape) - 1:
        array = array[None]
    fits = array.ndim == len(spec.shape) and all(
        want in (None, have) for want, have in zip(spec.shape[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise InputError(f"{_short(source)} has the shape {array.shape}: {expected}.")
    return array


def _utf8(text: str) -> bytes:
    return text.encode("utf8", "replace")  # half characters, from broken JSON or file names


def _strings(items: Sequence[bytes]) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _join(
    name: str, spec: TensorSpec, parts: Sequence[np.ndarray], sources: Sequence[str]
) -> np.ndarray:
    """Put the examples of several words into one batch."""
    if not spec.shape:  # no batch axis, such as a temperature: the last word counts
        return parts[-1]
    if len({part.shape[1:] for part in parts}) > 1:
        shapes = ", ".join(
            f"{_short(source)}: {part.shape[1:]}"
            for source, part in zip(sources, parts, strict=False)
        )
        raise InputError(f"examples of different shape cannot be one batch of {name} ({shapes}).")
    return np.concatenate(parts)


def _text(word: str) -> str:
    try:
        return read_file(word).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{word} is not UTF-8 text: {error}") from error


def _json(text: str, source: str, spec: TensorSpec | None = None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_short(source)} is not JSON: {error}") from error


def _number(cell: str, spec: TensorSpec) -> float | int:
    """Turn text into a number; what is missing becomes NaN where the dtype has one."""
    text = cell.strip()
    if spec.dtype in ("float16", "bfloat16", "float32", "float64"):
        if text.lower() in MISSING:
            return float("nan")
        kinds: tuple[type, ...] = (float,)
    else:
        kinds = (int, float)
    for kind in kinds:
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"{_short(cell)!r} is not a number ({spec.dtype}).")


def _check_names(
    names: Any,
    signature: Mapping[str, TensorSpec],
    source: str,
    *,
    complete: bool = True,
    extra: bool = False,
) -> None:
    """Check that the names are those of the signature."""
    unknown = [name for name in names if name not in signature]
    if unknown and not extra:
        hint = _near_matches(unknown[0], signature)
        raise InputError(
            f"no input named {unknown[0]!r}.{hint} The inputs are: {', '.join(signature)}."
        )
    missing = [name for name in signature if name not in names]
    if missing and complete:
        raise InputError(f"{_short(source)} has no value for {', '.join(missing)}.")


def _check_lengths(arrays: Mapping[str, np.ndarray]) -> None:
    lengths = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise InputError(f"the inputs have different numbers of examples ({listed}).")


def _short(word: str, length: int = 60) -> str:
    """Crop what is long, but no file name."""
    if len(word) <= length or Path(word).suffix.lower() in (".csv", ".json", ".npy"):
        return word
    return word[: length - 3] + "..."


def _near_matches(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" with the names closest to `word`, or nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""
