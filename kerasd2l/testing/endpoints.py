"""Check one endpoint: its exported signature against its declaration and its own function."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasd2l.export import export
from kerasd2l.recipe import Endpoint
from kerasd2l.testing import compare
from kerasd2l.testing.compare import require


def check_endpoint(
    endpoint: Endpoint,
    model: keras.Model,
    assets: Mapping[str, Any],
    directory: str | os.PathLike,
    *,
    batches: Sequence[int] = (0, 1, 3),
    tolerance: float = 1e-5,
) -> dict[str, np.ndarray]:
    """Export a model with an endpoint and check the signature; return its answer to the example.

    Names and dtypes of inputs and outputs, any batch, the batch axis first in every output, an
    example alone as among others, and the numbers of the endpoint's own function called eagerly.

    Args:
        endpoint: what to check.
        model: a built model that it can serve.
        assets: what the endpoint needs: class names, vocabulary.
        directory: an empty folder to export into.
        batches: the batch sizes to ask with; the example is repeated or cut to them.
        tolerance: float, largest difference of a number: absolute below 1, relative above.

    Returns:
        The outputs, by name.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    endpoints = [endpoint]
    if endpoint.name != "serving_default":
        endpoints.insert(0, dataclasses.replace(endpoint, name="serving_default"))
    path = export(
        model, "testing/check_endpoint", tuple(endpoints), assets, Path(directory), name="checked"
    )
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures[endpoint.name]
    _check_inputs(endpoint, signature)
    example = _example(endpoint)
    function = endpoint.build(model, assets)
    answer = _ask(signature, example)
    for size in batches:
        inputs = {key: np.resize(v, (size, *v.shape[1:])) for key, v in example.items()}
        there = _ask(signature, inputs)
        outputs = function(**{key: tf.constant(value) for key, value in inputs.items()})
        require(isinstance(outputs, Mapping), f"the outputs are a {type(outputs)}, not a dict.")
        here = {key: tf.convert_to_tensor(value).numpy() for key, value in outputs.items()}
        what = f"{endpoint.name} with {size} examples:"
        compare.same(there, here, what, tolerance=tolerance)
        for key, value in there.items():
            require(
                value.shape[:1] == (size,),
                f"{what} output {key} has shape {value.shape}. Expected: the batch axis first.",
            )
            if size and value.shape[1:] == answer[key].shape[1:]:
                first = f"{what} first row of {key}, alone or among others:"
                compare.same(value[:1], answer[key][:1], first, tolerance=tolerance)
    return answer


def _check_inputs(endpoint: Endpoint, signature: Any) -> None:
    """Require the names, dtypes and shapes that were declared."""
    specs = signature.structured_input_signature[1]
    found = {key: (tuple(spec.shape), spec.dtype.name) for key, spec in specs.items()}
    expected = {
        key: (tuple(spec.shape), tf.as_dtype(spec.dtype).name)
        for key, spec in endpoint.signature.items()
    }
    require(found == expected, f"{endpoint.name} takes {found}. Expected: {expected}.")


def _example(endpoint: Endpoint) -> dict[str, np.ndarray]:
    """Return the example in the dtypes of the signature."""
    example = endpoint.example()
    require(
        set(example) == set(endpoint.signature),
        f"the example of {endpoint.name} has {sorted(example)}. "
        f"Expected: {sorted(endpoint.signature)}.",
    )
    return {
        key: np.asarray(example[key], tf.as_dtype(spec.dtype).as_numpy_dtype)
        for key, spec in endpoint.signature.items()
    }


def _ask(signature: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    outputs = signature(**{key: tf.constant(value) for key, value in inputs.items()})
    return {key: value.numpy() for key, value in outputs.items()}
