"""TensorFlow's TensorProto to arrays and back, for messages that strangers sent.

Nothing is allocated before it is known that the message holds what its shape promises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

from kerasd2l.serving.server.calls import ServingError

# Bytes of a tensor whose last value stands for the rest: a message of 50 bytes can ask for as many.
LARGEST_REPEATED = 32 << 20  # of one value, which takes no memory before the model runs
LARGEST_FILLED = 1 << 20  # of several

# DataType -> (the field with its values, the array's dtype)
_FIELDS: dict[int, tuple[str, np.dtype]] = {
    types_pb2.DT_FLOAT: ("float_val", np.dtype(np.float32)),
    types_pb2.DT_DOUBLE: ("double_val", np.dtype(np.float64)),
    types_pb2.DT_INT8: ("int_val", np.dtype(np.int8)),
    types_pb2.DT_INT16: ("int_val", np.dtype(np.int16)),
    types_pb2.DT_INT32: ("int_val", np.dtype(np.int32)),
    types_pb2.DT_INT64: ("int64_val", np.dtype(np.int64)),
    types_pb2.DT_UINT8: ("int_val", np.dtype(np.uint8)),
    types_pb2.DT_UINT16: ("int_val", np.dtype(np.uint16)),
    types_pb2.DT_UINT32: ("uint32_val", np.dtype(np.uint32)),
    types_pb2.DT_UINT64: ("uint64_val", np.dtype(np.uint64)),
    types_pb2.DT_BOOL: ("bool_val", np.dtype(np.bool_)),
    types_pb2.DT_HALF: ("half_val", np.dtype(np.float16)),
    types_pb2.DT_BFLOAT16: ("half_val", np.dtype(ml_dtypes.bfloat16)),
    types_pb2.DT_COMPLEX64: ("scomplex_val", np.dtype(np.complex64)),
    types_pb2.DT_COMPLEX128: ("dcomplex_val", np.dtype(np.complex128)),
    types_pb2.DT_STRING: ("string_val", np.dtype(object)),
}
_NUMBERS = {dtype: number for number, (_, dtype) in _FIELDS.items()}
# Fields whose packed form on the wire is the array's own bytes (little-endian, 1 byte a bool):
# written at once. `extend` takes 340 us for 10,000 floats, this 2 us.
_PACKED = {
    field: bytes([TensorProto.DESCRIPTOR.fields_by_name[field].number << 3 | 2])
    for field in ("float_val", "double_val", "bool_val", "scomplex_val", "dcomplex_val")
}


def read(proto: TensorProto, name: str) -> np.ndarray:
    """Return the array that a TensorProto holds, in `tensor_content` or in typed fields.

    Of typed fields the last value stands for all that are missing, none at all are zeros.

    Args:
        proto: the message.
        name: str, name of the input, for errors.

    Returns:
        The array, perhaps read-only; strings are objects of bytes.

    Raises:
        ServingError: INVALID_ARGUMENT, it is not what its dtype and shape say.
    """
    if proto.dtype not in _FIELDS:
        raise _wrong(name, f"dtype {_dtype_name(proto.dtype)} is not supported")
    field, dtype = _FIELDS[proto.dtype]
    shape = _shape(proto.tensor_shape, name)
    count = math.prod(shape)
    content = proto.tensor_content
    if content and count:
        values = _strings(content, count, name) if dtype.hasobject else _content(content, dtype)
        if len(values) != count or (not dtype.hasobject and len(content) != count * dtype.itemsize):
            raise _wrong(
                name,
                f"its shape {shape} takes {count} values, tensor_content has {len(content)} bytes",
            )
    else:
        values = _typed(getattr(proto, field), dtype, name)
        if len(values) > count:
            raise _wrong(name, f"its shape {shape} takes {count} values. Received: {len(values)}")
        if len(values) < count:
            values = _repeated(values, count, name)
    try:
        return values.reshape(shape)
    except ValueError:  # more dimensions, or larger ones, than an array can have
        raise _wrong(name, "its shape is too large") from None


def fill(proto: TensorProto, array: np.ndarray) -> None:
    """Write an array into an empty TensorProto, into the typed field of its dtype.

    Args:
        proto: the message.
        array: numbers, or objects of bytes.
    """
    number = _NUMBERS.get(array.dtype)
    if number is None:
        raise ServingError("UNIMPLEMENTED", f"an output is {array.dtype.name}, which has no field")
    field, dtype = _FIELDS[number]
    proto.dtype = number
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    if not array.size:
        return
    if field in _PACKED:
        content = array.astype(dtype.newbyteorder("<"), copy=False).tobytes()
        proto.MergeFromString(_PACKED[field] + _varint(len(content)) + content)
    elif field == "half_val":
        proto.half_val.extend(np.ascontiguousarray(array).view(np.uint16).ravel().tolist())
    else:
        getattr(proto, field).extend(array.ravel().tolist())


def parse(message: Callable[..., Any], body: bytes) -> Any:
    """Read a message of gRPC.

    Args:
        message: its class.
        body: bytes.

    Raises:
        ServingError: INVALID_ARGUMENT, the bytes are no such message.
    """
    from google.protobuf.message import DecodeError

    try:
        return message.FromString(body)  # type: ignore[attr-defined]
    except (DecodeError, RecursionError):
        name = message.DESCRIPTOR.name  # type: ignore[attr-defined]
        raise ServingError("INVALID_ARGUMENT", f"cannot parse the {name}") from None


def _shape(proto: TensorShapeProto, name: str) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or any(size < 0 for size in shape):
        raise _wrong(name, f"its shape {shape} is not known in all dimensions")
    return shape


def _content(content: bytes, dtype: np.dtype) -> np.ndarray:
    if dtype == np.bool_:
        return np.frombuffer(content, np.uint8) != 0
    whole = len(content) - len(content) % dtype.itemsize
    return np.frombuffer(memoryview(content)[:whole], dtype)


def _strings(content: bytes, count: int, name: str) -> np.ndarray:
    """Read the `tensor_content` of strings: all their lengths as varints, then their bytes."""
    sizes, at = [], 0
    if count > len(content):
        raise _wrong(name, f"tensor_content has no {count} strings")
    for _ in range(count):
        size = shift = 0
        while True:
            if at >= len(content) or shift > 28:
                raise _wrong(name, f"tensor_content has no {count} strings")
            byte = content[at]
            at, size, shift = at + 1, size | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        sizes.append(size)
    if at + sum(sizes) != len(content):
        raise _wrong(name, "the lengths of the strings in tensor_content are wrong")
    items = []
    for size in sizes:
        items.append(content[at : at + size])
        at += size
    return _objects(items)


def _typed(values: Any, dtype: np.dtype, name: str) -> np.ndarray:
    """Return the values of a typed field as a flat array."""
    if dtype.hasobject:
        return _objects(list(values))
    if dtype.kind == "c":
        parts = np.array(values, np.float32 if dtype == np.complex64 else np.float64)
        if len(parts) % 2:
            raise _wrong(name, "a complex number has no imaginary part")
        return parts.view(dtype)
    if dtype in (np.float16, ml_dtypes.bfloat16):
        return _narrow(values, np.dtype(np.uint16), name).view(dtype)
    if dtype.kind in "iu" and dtype.itemsize < 4:
        return _narrow(values, dtype, name)
    return np.array(values, dtype)


def _narrow(values: Any, dtype: np.dtype, name: str) -> np.ndarray:
    wide, limits = np.array(values, np.int32), np.iinfo(dtype)
    if len(wide) and (wide.min() < limits.min or wide.max() > limits.max):
        raise _wrong(name, f"a value is out of the range of {dtype.name}")
    return wide.astype(dtype)


def _repeated(values: np.ndarray, count: int, name: str) -> np.ndarray:
    if count * values.itemsize > (LARGEST_REPEATED if len(values) < 2 else LARGEST_FILLED):
        raise _wrong(
            name, f"its shape promises {count} values, the message has {len(values)} of them"
        )
    last = np.empty((), values.dtype)
    last[()] = values[-1] if len(values) else b"" if values.dtype.hasobject else 0
    result = np.broadcast_to(last, count)
    if len(values) > 1:
        result = result.copy()
        result[: len(values)] = values
    return result


def _objects(items: list[bytes]) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _dtype_name(number: int) -> str:
    try:
        return types_pb2.DataType.Name(number)
    except ValueError:
        return str(number)


def _wrong(name: str, reason: str) -> ServingError:
    return ServingError("INVALID_ARGUMENT", f"tensor parsing error: {name}: {reason}.")
