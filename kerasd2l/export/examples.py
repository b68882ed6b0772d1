"""Examples of what a signature takes: rows of plain data in the manifest, requests for a warm-up.

A row is what TF Serving's REST takes as one of its `instances`: input name -> value.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Endpoint, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

MOST_ROWS = 3  # that a signature's own example gives; whoever gives others may give more
LARGEST = 64 * 1024  # bytes of all rows of a signature, as they stand in the manifest


def arrays_of(endpoint: Endpoint) -> dict[str, np.ndarray]:
    """Return the endpoint's example as arrays of the signature's dtypes.

    Raises:
        ValueError: it has other inputs than the signature.
    """
    example = endpoint.example()
    if set(example) != set(endpoint.signature):
        raise ValueError(
            f"The example of endpoint {endpoint.name!r} has the inputs {sorted(example)}. "
            f"Expected: {sorted(endpoint.signature)}."
        )
    kinds = {
        key: tf.as_dtype(spec.dtype).as_numpy_dtype for key, spec in endpoint.signature.items()
    }
    return {key: np.asarray(value, dtype=kinds[key]) for key, value in example.items()}


def batched(signature: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    """Return the inputs that have a value for each example: those with a batch axis."""
    return {key: spec for key, spec in signature.items() if spec.shape}


def rows(endpoint: Endpoint, most: int | None = MOST_ROWS) -> list[dict[str, Any]]:
    """Return the endpoint's example as rows.

    Args:
        endpoint: a signature; its inputs without a batch axis are no part of a row.
        most: int, the largest number of rows, or None for all.

    Returns:
        Rows of plain data: as many as take 64 KiB in the manifest, none where one takes more or
        holds what JSON has no number for.
    """
    arrays = arrays_of(endpoint)
    parts = {key: arrays[key][:most] for key in batched(endpoint.signature)}
    found = [
        {key: _plain(value, key) for key, value in zip(parts, row, strict=True)}
        for row in zip(*parts.values(), strict=True)
    ]
    try:
        while len(json.dumps(found, indent=2, allow_nan=False).encode("utf8")) > LARGEST:
            found.pop()
    except ValueError:  # not a number
        return []
    return found


def given(
    endpoints: Sequence[Endpoint], examples: Mapping[str, Mapping[str, Any]] | None
) -> tuple[Endpoint, ...]:
    """Return the endpoints with these examples in place of their own.

    Args:
        endpoints: the signatures.
        examples: signature -> input -> array with a batch axis. An input without one keeps the
            value of the endpoint's own example.

    Raises:
        ValueError: an unknown signature, other inputs than it has, or different numbers of rows.
    """
    examples = examples or {}
    unknown = set(examples) - {endpoint.name for endpoint in endpoints}
    if unknown:
        names = ", ".join(endpoint.name for endpoint in endpoints)
        raise ValueError(f"`examples` has no such signature: {min(unknown)}. There are: {names}.")
    return tuple(
        _with_example(endpoint, examples[endpoint.name]) if endpoint.name in examples else endpoint
        for endpoint in endpoints
    )


def _with_example(endpoint: Endpoint, example: Mapping[str, Any]) -> Endpoint:
    wanted = batched(endpoint.signature)
    lengths = {len(value) for value in example.values()}
    if set(example) != set(wanted) or len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            f"An example for {endpoint.name!r} needs as many rows, at least one, of each of the "
            f"inputs {sorted(wanted)}. Received: "
            f"{ {key: len(value) for key, value in example.items()} }."
        )
    return Endpoint(
        endpoint.name,
        endpoint.signature,
        endpoint.build,
        lambda: {**endpoint.example(), **example},
    )


def _plain(value: Any, name: str) -> Any:
    """Turn one example's value into what JSON has."""
    if isinstance(value, np.ndarray):
        return [_plain(item, name) for item in value]
    if isinstance(value, (bytes, str)):
        return _text(value.encode("utf8") if isinstance(value, str) else value, name)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    number = float(value)
    short = float(str(value)) if math.isfinite(number) else number  # 0.1, not 0.10000000149011612
    return short


def _text(content: bytes, name: str) -> str | dict[str, str]:
    """Return text as it is, and as {"b64"} what is none: files, and bytes that are not UTF-8."""
    if not name.endswith("_bytes"):
        try:
            return content.decode("utf8")
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(content).decode()}
