"""From words on the command line to the arrays that a signature takes."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasd2l.endpoints.tables import input_name
from kerasd2l.recipe import TensorSpec
from kerasd2l.serving.reading import (
    InputError,
    cropped,
    parse_json,
    read_file,
    read_rows,
    read_text,
    to_number,
)


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


def _is_file(name: str, spec: TensorSpec) -> bool:
    return spec.dtype == "string" and name.endswith("_bytes")


def _one(word: str, name: str, spec: TensorSpec) -> np.ndarray:
    """Turn one word into a batch of one or more examples."""
    if _is_file(name, spec):
        return _strings([read_file(word)])
    if spec.dtype == "string":
        if len(spec.shape) > 1:
            return _array(parse_json(word, word), spec, word, name)
        return _strings([_utf8(word)])
    suffix = Path(word).suffix.lower()
    if suffix == ".npy":
        content = io.BytesIO(read_file(word))
        try:
            array = np.lib.format.read_array(content, allow_pickle=False)
        except Exception as error:  # a damaged header makes numpy's parser raise anything
            raise InputError(f"{word} is no .npy file of numbers: {error}") from error
        return _array(array, spec, word, name)
    if suffix == ".json":
        return _array(parse_json(read_text(word), word), spec, word, name)
    if suffix == ".csv":
        rows = [[to_number(cell, spec.dtype) for cell in cells] for _, cells in read_rows(word)]
        return _array(rows, spec, word, name)
    if word.lstrip()[:1] == "[":
        return _array(parse_json(word, word), spec, word, name)
    cells = [to_number(cell, spec.dtype) for cell in word.split(",")]
    scalar = len(cells) == 1 and len(spec.shape) <= 1
    return _array(cells[0] if scalar else cells, spec, word, name)


def _several(inputs: Sequence[str], signature: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Parse `name=value` words, a JSON object, or a table."""
    word = inputs[0]
    if len(inputs) == 1 and Path(word).suffix.lower() == ".csv":
        return _table(word, signature)
    if len(inputs) == 1 and Path(word).suffix.lower() == ".json":
        return _objects(parse_json(read_text(word), word), word, signature)
    if len(inputs) == 1 and word.lstrip()[:1] in ("{", "["):
        return _objects(parse_json(word, word), word, signature)
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
        raise InputError(f"{cropped(source)} is no JSON object. {expectation(signature)}")
    value = [{input_name(key): item for key, item in row.items()} for row in value]
    for row in value:
        _check_names(row, signature, source)
    return {
        name: _array([row[name] for row in value], spec, source, name)
        for name, spec in signature.items()
    }


def _table(word: str, signature: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Parse a .csv file with a header; columns that the signature does not know are left out."""
    (_, header), *rows = read_rows(word)
    names = [input_name(column) for column in header]
    _check_names(names, signature, word, extra=True)
    twice = [name for name in signature if names.count(name) > 1]
    if twice:
        raise InputError(f"{word} has the column {twice[0]} twice.")
    if not rows:
        raise InputError(f"{word} has a header but no rows.")
    for number, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f"{word}, line {number}: expected {len(header)} cells, as in the header. "
                f"Received: {len(cells)}."
            )
    arrays = {}
    for name, spec in signature.items():
        place = names.index(name)
        column = [cells[place] for _, cells in rows]
        if spec.dtype == "string":
            arrays[name] = _array(column, spec, word, name)
        else:
            try:
                numbers = [to_number(cell, spec.dtype) for cell in column]
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
            raise InputError(f"{cropped(source)} is not text: {expected}.")
        array = _strings([_utf8(item) for item in array.flat]).reshape(array.shape)
    else:
        try:
            array = np.asarray(value)
        except (ValueError, OverflowError):
            raise InputError(
                f"{cropped(source)} has rows of different length: {expected}."
            ) from None
        if array.dtype.kind not in "biuf":
            raise InputError(f"{cropped(source)} cannot be used: {expected}.")
        array, whole = _converted(array, spec.dtype)
        if not whole:
            raise InputError(
                f"{cropped(source)} has a number that no {spec.dtype} holds: {expected}."
            )
    if array.ndim == len(spec.shape) - 1:
        array = array[None]
    fits = array.ndim == len(spec.shape) and all(
        want in (None, have) for want, have in zip(spec.shape[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise InputError(f"{cropped(source)} has the shape {array.shape}: {expected}.")
    return array


def _converted(array: np.ndarray, dtype: str) -> tuple[np.ndarray, bool]:
    """Convert numbers, and tell whether all are still the same, but for rounding to a float."""
    kind = np.dtype(dtype) if dtype != "bfloat16" else np.dtype("float32")
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(kind)
    if kind.kind in "iu":
        return converted, bool(np.all(converted == array))
    return converted, bool(np.all(np.isfinite(converted) | ~np.isfinite(array)))


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
            f"{cropped(source)}: {part.shape[1:]}"
            for source, part in zip(sources, parts, strict=False)
        )
        raise InputError(f"examples of different shape cannot be one batch of {name} ({shapes}).")
    return np.concatenate(parts)


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
        raise InputError(f"{cropped(source)} has no value for {', '.join(missing)}.")


def _check_lengths(arrays: Mapping[str, np.ndarray]) -> None:
    lengths = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise InputError(f"the inputs have different numbers of examples ({listed}).")


def _near_matches(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" with the names closest to `word`, or nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""
