"""Tensors of the Open Inference protocol: JSON, raw bytes, and their datatypes.

Raw bytes are little-endian and row-major; elements of BYTES have their length before them as 4
bytes. JSON cannot hold bytes that are no text. Such a tensor is written in base64, and has the
parameter `content_type` "base64", as in MLServer; one with this parameter is read so, too.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import orjson

from kerasd2l.serving.server.calls import ServingError

BASE64 = {"content_type": "base64"}
_BINARY_NAMES = ("_bytes", "_png")  # outputs of such a name are base64 even if they are text

_DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BYTES": np.dtype(object),
}
_DATATYPES = {dtype.name: name for name, dtype in _DTYPES.items()} | {"string": "BYTES"}


def datatype(dtype: str) -> str:
    """Return the protocol's name of a dtype: "float32" is "FP32", strings are "BYTES"."""
    return _DATATYPES.get(dtype, dtype.upper())


def dtype_of(name: str, datatype: Any) -> np.dtype:
    """Return the dtype of the arrays of a datatype.

    Args:
        name: str, name of the input, for errors.
        datatype: str, e.g. "FP32".

    Raises:
        ServingError: there is no such datatype.
    """
    if not isinstance(datatype, str) or datatype not in _DTYPES:
        raise wrong(name, f"has no datatype {datatype!r}. There are {', '.join(_DTYPES)}")
    return _DTYPES[datatype]


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple.

    Raises:
        ServingError: it is no list of sizes.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise wrong(name, "needs a shape: a list of sizes")
    for size in shape:
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise wrong(name, f"has a shape whose size {size!r} is no size")
    return tuple(shape)


def from_raw(name: str, datatype: Any, shape: Any, content: bytes) -> np.ndarray:
    """Return the array of raw bytes.

    Args:
        name: str, name of the input, for errors.
        datatype: str, e.g. "FP32".
        shape: list of sizes.
        content: the bytes.

    Raises:
        ServingError: the bytes are not what datatype and shape say.
    """
    dtype, shape = dtype_of(name, datatype), checked_shape(name, shape)
    count = math.prod(shape)
    if dtype.hasobject:
        values = _elements(name, content, count)
    elif len(content) != count * dtype.itemsize:
        raise wrong(
            name,
            f"of shape {list(shape)} and datatype {datatype} takes {count * dtype.itemsize} bytes. "
            f"Received: {len(content)}",
        )
    elif dtype == np.bool_:
        values = np.frombuffer(content, np.uint8) != 0
    else:
        values = np.frombuffer(content, dtype)
    return reshaped(name, values, shape)


def to_raw(array: np.ndarray) -> bytes:
    """Return the raw bytes of an array; the elements of BYTES have their lengths before them."""
    if array.dtype.kind in "OSU":
        parts = []
        for item in array.ravel().tolist():
            content = item.encode("utf8") if isinstance(item, str) else item
            parts += [struct.pack("<I", len(content)), content]
        return b"".join(parts)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def from_json(
    name: str, datatype: Any, shape: Any, data: Any, *, as_base64: bool = False
) -> np.ndarray:
    """Return the array of nested or flat lists of JSON.

    Args:
        name: str, name of the input, for errors.
        datatype: str, e.g. "FP32".
        shape: list of sizes.
        data: lists of numbers, bools or strings.
        as_base64: bool, strings are base64 of what is meant. Default: False.

    Raises:
        ServingError: the values are not what datatype and shape say.
    """
    dtype, shape = dtype_of(name, datatype), checked_shape(name, shape)
    if not isinstance(data, list):
        raise wrong(name, "needs data: a list of values")
    try:
        values = np.array(data, object if dtype.hasobject else None)
    except (ValueError, OverflowError):
        raise wrong(name, "has lists of different lengths, or too many levels of them") from None
    if dtype.hasobject:
        shape_given, values = values.shape, _encoded(name, values, as_base64)
        values = values.reshape(shape_given)
    else:
        values = _numbers(name, values, dtype)
    if values.ndim > 1 and values.shape != shape:
        raise wrong(name, f"has the shape {list(shape)}, its data the shape {list(values.shape)}")
    return reshaped(name, values, shape)


def to_json(name: str, array: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """Return the flat data of an array as JSON can hold it, and the parameters to be told."""
    if array.dtype.kind in "OSU":
        items = array.ravel().tolist()
        if not name.endswith(_BINARY_NAMES):
            try:
                return [x if isinstance(x, str) else x.decode("utf8") for x in items], {}
            except UnicodeDecodeError:
                pass
        return [base64.b64encode(item).decode() for item in items], dict(BASE64)
    if array.dtype == ml_dtypes.bfloat16:
        array = array.astype(np.float32)
    return np.ascontiguousarray(array).ravel(), {}


def dumps(content: Mapping[str, Any]) -> bytes:
    """Write JSON with arrays in it; NaN and Infinity as such, as TensorFlow Serving does."""
    if all(_is_finite(tensor.get("data")) for tensor in content.get("outputs", ())):
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(content, default=_shortest).encode()


def reshaped(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Give flat values their shape.

    Raises:
        ServingError: their number is another one.
    """
    if values.size != math.prod(shape):
        raise wrong(
            name,
            f"of shape {list(shape)} takes {math.prod(shape)} values. Received: {values.size}",
        )
    try:
        return values.reshape(shape)
    except ValueError:
        raise wrong(name, "has too many dimensions, or too large ones") from None


def wrong(name: str, text: str) -> ServingError:
    """Return the error of an input."""
    return ServingError("INVALID_ARGUMENT", f"input {name} {text}.")


def _is_finite(data: Any) -> bool:
    return not (isinstance(data, np.ndarray) and data.dtype.kind == "f") or bool(
        np.isfinite(data).all()
    )


def _shortest(array: np.ndarray) -> list[Any]:
    """Return numbers whose text is the shortest: 0.1, not the 0.10000000149011612 of a float32."""
    return (array.astype(str).astype(float) if array.dtype.kind == "f" else array).tolist()


def _elements(name: str, content: bytes, count: int) -> np.ndarray:
    """Read elements with their lengths before them."""
    if count * 4 > len(content):
        raise wrong(name, f"takes {count} elements, which {len(content)} bytes cannot hold")
    items: list[bytes] = []
    at = 0
    for _ in range(count):
        end = at + 4
        if end <= len(content):
            end += int.from_bytes(content[at:end], "little")
        if end > len(content):
            raise wrong(name, f"ends in the middle of element {len(items)} of {count}")
        items.append(content[at + 4 : end])
        at = end
    if at != len(content):
        raise wrong(name, f"takes {count} elements, and has {len(content) - at} bytes more")
    values = np.empty(count, object)
    values[:] = items
    return values


def _numbers(name: str, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Turn what numpy made of the lists into the dtype, if nothing is lost but digits."""
    if not values.size:
        return values.astype(dtype)
    kinds = {"b": "b", "i": "iu", "u": "iu"}.get(dtype.kind, "fiu")  # bfloat16 has the kind "V"
    if values.dtype.kind not in kinds:
        raise wrong(name, f"takes {datatype(dtype.name)}, its data holds other values")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise wrong(name, f"has a number out of the range of {datatype(dtype.name)}")
    with np.errstate(over="ignore"):
        result = values.astype(dtype)
    if dtype.kind not in "iub" and values.dtype.kind == "f" and dtype.itemsize < 8:
        if (np.isinf(result) & np.isfinite(values)).any():
            raise wrong(name, f"has a number out of the range of {datatype(dtype.name)}")
    return result


def _encoded(name: str, values: np.ndarray, as_base64: bool) -> np.ndarray:
    """Turn an array of str into a flat one of bytes."""
    items: list[bytes] = []
    for item in values.ravel().tolist():
        if not isinstance(item, str):
            raise wrong(name, "takes BYTES, its data holds other values than strings")
        try:
            items.append(
                base64.b64decode(item, validate=True) if as_base64 else item.encode("utf8")
            )
        except (binascii.Error, UnicodeEncodeError, ValueError):
            kind = "base64" if as_base64 else "text"
            raise wrong(name, f"has a string that is no {kind}") from None
    result = np.empty(len(items), object)
    result[:] = items
    return result
