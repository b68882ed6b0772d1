"""TensorFlow Serving's JSON form of tensors: rows (`instances`) and columns (`inputs`).

The rules are those of TensorFlow Serving's json_tensor.cc: an int is fine where floats are wanted,
but no float where ints are; strings are JSON strings or `{"b64": ...}`; NaN and Infinity may be
written as such. Floats are written as the shortest text that gives the same float32.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from kerasd2l.recipe import TensorSpec
from kerasd2l.serving.predict import Signature
from kerasd2l.serving.server.calls import ServingError

MOST_AXES = 64  # numpy's limit
DEEPEST = 1000  # levels of nested lists and objects
_GOOD: dict[str, set[type]] = {"f": {int, float}, "i": {int}, "u": {int}, "b": {bool}}
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"?'  # also one that does not end: no text is read twice
_BRACKET = re.compile(rf"{_STRING}|[\[\]{{}}]", re.DOTALL)
_SHORT = re.compile(rf"({_STRING}|Infinity)|Inf", re.DOTALL)
_NO_JSON = {"float16", "bfloat16", "complex64", "complex128"}  # as TensorFlow Serving has it


def parse(body: bytes) -> Any:
    """Read the first JSON value of a body; what stands behind it is ignored.

    Raises:
        ServingError: it is no JSON, or nested too deeply.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _parse_tolerantly(body)


def _parse_tolerantly(body: bytes) -> Any:
    """Read JSON with NaN, Infinity, or text behind it, which orjson refuses."""
    try:
        text = body.decode("utf8")
    except UnicodeDecodeError as error:
        raise _bad_json("Invalid encoding in string.", error.start) from None
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if start == len(text):
        raise _bad_json("The document is empty.", start)
    if "[" * DEEPEST in text or text.count("[") + text.count("{") > DEEPEST:
        _check_depth(text)
    if "Inf" in text:  # short for Infinity in TensorFlow Serving's reader
        text = _SHORT.sub(lambda found: found[1] or "Infinity", text)
    try:
        return json.JSONDecoder(parse_float=_finite).raw_decode(text, start)[0]
    except json.JSONDecodeError as error:
        raise _bad_json("Invalid value.", error.pos) from None
    except (RecursionError, ValueError):  # ValueError: 1e400, an int of more than 4,300 digits
        raise _bad_json("Invalid value.", start) from None


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is beyond a double")
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for found in _BRACKET.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > DEEPEST:
                raise _bad_json(f"Nested deeper than {DEEPEST} levels.", found.start())
        elif found[0] in "]}":
            depth -= 1


def _bad_json(reason: str, offset: int) -> ServingError:
    return ServingError("INVALID_ARGUMENT", f"JSON Parse error: {reason} at offset: {offset}")


def rows(instances: Any, signature: Signature) -> dict[str, Any]:
    """Turn `instances` into arrays: a list of values, or of objects input -> value.

    Args:
        instances: what the JSON holds.
        signature: whose inputs they are.

    Returns:
        Input name -> array with the rows as its first axis.

    Raises:
        ServingError: in TensorFlow Serving's words where it has some.
    """
    if not isinstance(instances, list):
        raise _wrong("'instances' must be a list")
    if not instances:
        raise _wrong("No values in 'instances' array")
    if isinstance(instances[0], dict) and not _is_base64(instances[0]):
        names = set(signature.inputs)
        for row in instances:
            if not isinstance(row, dict) or _is_base64(row):
                raise _wrong("Expecting an object with the inputs in every row of 'instances'")
            if row.keys() != names:
                raise _wrong(
                    "Failed to process element of 'instances' list. keys must be equal to: "
                    f"{', '.join(signature.inputs)}"
                )
        values = {key: [row[key] for row in instances] for key in signature.inputs}
    else:
        if len(signature.inputs) != 1:
            raise _wrong(
                "instances is a plain list, but expecting list of objects as multiple "
                f"input tensors required as per tensorinfo_map: {', '.join(signature.inputs)}"
            )
        values = {next(iter(signature.inputs)): instances}
    return {key: _array(key, value, signature.inputs[key]) for key, value in values.items()}


def columns(inputs: Any, signature: Signature) -> dict[str, np.ndarray]:
    """Turn `inputs` into arrays: a bare value, if one input is needed, or an object input -> value.

    Inputs that have a default may be left out, which TensorFlow Serving does not allow. Keys that
    are no inputs are ignored, as there.

    Raises:
        ServingError: as `rows`.
    """
    needed = [key for key in signature.inputs if key not in signature.defaults]
    if not isinstance(inputs, dict) or _is_base64(inputs):
        if len(needed or signature.inputs) != 1:
            raise _wrong(
                "'inputs' is a plain value/list, but expecting an object as multiple input "
                f"tensors required as per tensorinfo_map: {', '.join(signature.inputs)}"
            )
        inputs = {(needed or list(signature.inputs))[0]: inputs}
    missing = [key for key in needed if key not in inputs]
    if missing:
        raise _wrong(f"Missing named input: {missing[0]} in 'inputs' object.")
    return {
        key: _array(key, inputs[key], spec)
        for key, spec in signature.inputs.items()
        if key in inputs
    }


def predictions(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Write the answer to rows: `{"predictions": [...]}`.

    Raises:
        ServingError: outputs that are no rows, or of a kind that JSON cannot hold.
    """
    count = None
    for key, value in outputs.items():
        if value.ndim == 0:
            raise _wrong(f"Tensor name: {key} has no shape information")
        count = len(value) if count is None else count
        if len(value) != count:
            raise _wrong(
                f"Tensor name: {key} has inconsistent batch size: {len(value)} expecting: {count}"
            )
    dumps, values = _jsonable(outputs)
    if len(values) == 1:
        return dumps({"predictions": next(iter(values.values()))})
    rows = zip(*values.values(), strict=True)
    return dumps({"predictions": [dict(zip(values, row, strict=True)) for row in rows]})


def answer_columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Write the answer to columns: `{"outputs": ...}`.

    Raises:
        ServingError: outputs of a kind that JSON cannot hold.
    """
    dumps, values = _jsonable(outputs)
    return dumps({"outputs": next(iter(values.values())) if len(values) == 1 else values})


def _array(name: str, value: Any, spec: TensorSpec) -> np.ndarray:
    if spec.dtype in _NO_JSON:
        raise ServingError(
            "UNIMPLEMENTED", f"Conversion of JSON Value to type: {spec.dtype} of input {name}"
        )
    if spec.dtype == "string":
        return _strings(name, value)
    items, shape, kinds = _flat(value)
    if list in kinds or len(shape) > MOST_AXES:
        _find_wrong(name, value, spec.dtype)
        raise _wrong(f"Input {name}: the lists have different lengths, no tensor has such a shape")
    wanted = np.dtype(spec.dtype)
    if not kinds <= _GOOD[wanted.kind]:  # numpy itself would read "1", None and True as numbers
        _find_wrong(name, value, spec.dtype)
    if wanted.kind in "iu" and items:
        limits = np.iinfo(wanted)
        if min(items) < limits.min or max(items) > limits.max:
            raise _wrong(f"Input {name}: a number is out of the range of {spec.dtype}")
    try:
        with np.errstate(over="ignore"):
            return np.array(items, wanted).reshape(shape)
    except OverflowError:
        raise _wrong(f"Input {name}: a number is out of the range of {spec.dtype}") from None


def _flat(value: Any) -> tuple[list[Any], list[int], set[type]]:
    """Return what nested lists hold, their shape, and the types; a list among these: no shape."""
    items: list[Any] = [value]
    shape: list[int] = []
    while (kinds := set(map(type, items))) == {list}:
        sizes = set(map(len, items))
        if len(sizes) > 1:
            break
        items = list(itertools.chain.from_iterable(items))
        shape += sizes
    return items, shape, kinds


def _find_wrong(name: str, value: Any, dtype: str) -> Any:
    """Raise for the first value that is not of the dtype."""
    if isinstance(value, list):
        for item in value:
            _find_wrong(name, item, dtype)
        return None
    kind = np.dtype(dtype).kind
    if kind == "b":
        good = isinstance(value, bool)
    else:
        good = isinstance(value, int if kind in "iu" else int | float)
        good = good and not isinstance(value, bool)
    if not good:
        raise _wrong(
            f"JSON Value: {_short(value)} Type: {_type(value)} is not of expected type: {dtype} "
            f"(input {name})"
        )
    return None


def _strings(name: str, value: Any) -> np.ndarray:
    """Turn nested lists of strings and `{"b64": ...}` into an array of bytes."""
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    items = list(_bytes(name, value, shape))
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)


def _bytes(name: str, part: Any, shape: Sequence[int]) -> Iterator[bytes]:
    """Yield the strings of nested lists, which must have this shape.

    No function within `_strings`: one that calls itself keeps all that it has seen, pictures too,
    until Python next looks for cycles of references.
    """
    if shape:
        if not isinstance(part, list) or len(part) != shape[0]:
            raise _wrong(f"Input {name}: the lists have different lengths")
        for item in part:
            yield from _bytes(name, item, shape[1:])
    elif isinstance(part, str):
        yield part.encode("utf8", "surrogatepass")
    elif _is_base64(part):
        yield _decode(name, part["b64"])
    else:
        raise _wrong(
            f"JSON Value: {_short(part)} Type: {_type(part)} is not of expected type: string "
            f"(input {name})"
        )


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _decode(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(
            f"Input {name}: unable to base64 decode {_short(text)}. "
            "The letters are A-Z a-z 0-9 + /, not those of URLs."
        ) from None


def _jsonable(outputs: Mapping[str, np.ndarray]) -> tuple[Callable[[Any], bytes], dict[str, Any]]:
    """Return a writer of JSON, and what it can write in place of each array."""
    for key, value in outputs.items():
        if value.dtype.name in _NO_JSON:
            raise ServingError(
                "UNIMPLEMENTED", f"Conversion of output {key} ({value.dtype.name}) to JSON"
            )
    finite = all(np.isfinite(value).all() for value in outputs.values() if value.dtype.kind == "f")
    values = {}
    for key, value in outputs.items():
        if value.dtype.kind in "OSU":
            values[key] = _texts(value, as_bytes=key.endswith("_bytes"))
        elif finite:
            values[key] = np.ascontiguousarray(value) if value.ndim else value[()]
        elif value.dtype.kind == "f":
            # through the shortest text of a float32: 0.1 and not 0.10000000149011612
            values[key] = value.astype(str).astype(np.float64).tolist()
        else:
            values[key] = value.tolist()
    return (_write if finite else _write_any), values


def _write(content: Any) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _write_any(content: Any) -> bytes:
    """Write NaN and Infinity as such, which orjson would write as null."""
    return json.dumps(content).encode()


def _texts(value: np.ndarray, *, as_bytes: bool) -> Any:
    if value.ndim:
        return [_texts(np.asarray(part, dtype=object), as_bytes=as_bytes) for part in value]
    content = value.item()
    content = content.encode("utf8") if isinstance(content, str) else bytes(content)
    if not as_bytes:
        try:
            return content.decode("utf8")
        except UnicodeDecodeError:
            pass  # TensorFlow Serving writes JSON that nobody can read
    return {"b64": base64.b64encode(content).decode()}


def _wrong(text: str) -> ServingError:
    return ServingError("INVALID_ARGUMENT", text)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _type(value: Any) -> str:
    kinds = {bool: "Bool", str: "String", dict: "Object", list: "Array", type(None): "Null"}
    return kinds.get(type(value), "Number")
