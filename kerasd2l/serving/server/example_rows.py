"""The body of REST's classify and regress: rows of JSON to serialized `tf.Example`.

The rules and texts are those of TensorFlow Serving's json_tensor.cc.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np
from tensorflow.core.example.example_pb2 import Example

from kerasd2l.serving.server.calls import ServingError

_MOST_FLOAT = float(np.finfo(np.float32).max)


def read(content: Any) -> tuple[str, list[bytes]]:
    """Read the body of classify and regress: {"signature_name", "context", "examples": [...]}.

    Args:
        content: the parsed JSON.

    Returns:
        The name of the signature, and the serialized examples.

    Raises:
        ServingError: in TensorFlow Serving's words.
    """
    if not isinstance(content, dict):
        raise _wrong("The body must be a JSON object with the key 'examples'")
    signature = content.get("signature_name", "")
    if not isinstance(signature, str):
        raise _wrong("'signature_name' key must be a string value.")
    if "examples" not in content:
        raise _wrong("When method is classify, key 'examples' is expected and was not found")
    rows = content["examples"]
    if not isinstance(rows, list):
        raise _wrong("Expecting 'examples' value to be an list/array")
    if not rows:
        raise _wrong("'examples' value is an empty array")
    context = _example(content["context"]) if "context" in content else b""
    return signature or "serving_default", [context + _example(row) for row in rows]


def _example(content: Any) -> bytes:
    """Turn {feature: value or list of values} into a serialized `tf.Example`."""
    if not isinstance(content, dict):
        raise _wrong(f"Example must be JSON object but got JSON {_type(content)}")
    example = Example()
    for name, values in content.items():
        try:
            feature = example.features.feature[name]
        except UnicodeEncodeError:  # JSON can escape half a surrogate pair
            raise _wrong("The name of a feature is no text") from None
        for value in values if isinstance(values, list) else [values]:
            kind, item = _value(name, value)
            if feature.WhichOneof("kind") not in (None, kind):
                kind = str(feature.WhichOneof("kind")).removesuffix("_list")
                raise _wrong(f"Unexpected element type in feature: {name} expecting type: {kind}")
            getattr(feature, kind).value.append(item)
    return example.SerializeToString()


def _value(name: str, value: Any) -> tuple[str, Any]:
    """Return the kind of list that a value of JSON belongs to, and the value."""
    if isinstance(value, bool):
        return "int64_list", int(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise _wrong(f"Feature: {name} has uint64 element. Only int64 is supported.")
        return "int64_list", value
    if isinstance(value, float):
        if math.isfinite(value) and abs(value) > _MOST_FLOAT:
            raise _wrong(f"Cannot convert JSON value: {value} to float without loss of precision.")
        return "float_list", value
    if isinstance(value, str):
        return "bytes_list", value.encode("utf8", "surrogatepass")
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str):
        text = value["b64"]
        try:
            return "bytes_list", base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise _wrong("Unable to base64 decode") from None
    raise _wrong(f"Feature: {name} has element with unexpected JSON type: {_type(value)}")


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    kinds = {str: "String", dict: "Object", list: "Array", type(None): "Null"}
    return kinds.get(type(value), "Number")


def _wrong(text: str) -> ServingError:
    return ServingError("INVALID_ARGUMENT", text)
