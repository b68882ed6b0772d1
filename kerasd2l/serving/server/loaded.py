"""One version of one model in memory: what it takes, and running it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasd2l.export.messages import plain_message
from kerasd2l.export.versions import find
from kerasd2l.serving import predict
from kerasd2l.serving.predict import Signature
from kerasd2l.serving.server.calls import CODES, ServingError
from kerasd2l.serving.server.graph import Graph

ROWS = 2  # examples of the warm-up that are also run one by one


class LoadedVersion:
    """A model that answers.

    Args:
        name: str, the name under which it is served.
        version: int.
        folder: with `saved_model.pb`.

    Raises:
        SavedModelError: it is missing, damaged, or not what its manifest says.
    """

    def __init__(self, name: str, version: int, folder: Path):
        self.name = name
        self.version = version
        self._folder = find(folder)
        self.manifest = predict.read_manifest(self._folder)
        self._graph = Graph(self._folder)
        self.signatures = self._graph.signatures
        self.signature_defs = self._graph.definitions
        # of a stranger's model nobody has said that its rows do not see each other
        self.batchable = {key for key in self.signatures if self.manifest and self._can_batch(key)}

    def signature(self, name: str) -> Signature:
        """Return a signature.

        Raises:
            ServingError: there is none of this name.
        """
        if name not in self.signatures:
            raise ServingError(
                "INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def'
            )
        return self.signatures[name]

    def checked(
        self, signature: str, arrays: Mapping[str, np.ndarray], *, defaults: bool = True
    ) -> dict[str, np.ndarray]:
        """Return all inputs of a signature, checked before TensorFlow sees them.

        TensorFlow ends the process on some wrong ranks. It is never given one.

        Args:
            signature: str, its name.
            arrays: input name -> array; strings as objects of bytes.
            defaults: bool, whether inputs that have a default may be left out. Default: True.

        Raises:
            ServingError: names, dtypes, ranks or fixed dimensions are not the signature's.
        """
        found = self.signature(signature)
        values = {**found.defaults, **arrays} if defaults else dict(arrays)
        if set(values) != set(found.inputs):
            raise ServingError("INVALID_ARGUMENT", _wrong_names(found, arrays, defaults))
        for key, spec in found.inputs.items():
            value = values[key]
            dtype = "string" if value.dtype.kind in "OSU" else value.dtype.name
            if dtype != spec.dtype:
                raise ServingError(
                    "INVALID_ARGUMENT",
                    f"input {key} of {signature} is {spec.dtype}. Received: {dtype}.",
                )
            shape = self._graph.inputs[signature][key]
            if shape is not None and not _fits(value.shape, shape):
                raise ServingError(
                    "INVALID_ARGUMENT",
                    f"input {key} of {signature} has the shape {_words(shape)}. "
                    f"Received: {_words(value.shape)}.",
                )
        return values

    def run(self, signature: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a signature on checked inputs.

        Returns:
            Output name -> array; strings are objects of bytes.

        Raises:
            ServingError: the model refuses the inputs, or fails.
        """
        try:
            return self._graph.run(signature, arrays)
        except tf.errors.OpError as error:
            raise ServingError(_code(error), plain_message(error)) from error
        except (ValueError, TypeError) as error:
            raise ServingError("INVALID_ARGUMENT", plain_message(error)) from error

    def examples(self) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """Yield signatures with checked inputs: the manifest's examples, else warm-up requests.

        An example that is large, or holds what JSON has no number for, is only among the requests
        of `assets.extra/tf_serving_warmup_requests`; so is everything of a stranger's SavedModel.

        Raises:
            ServingError: the requests are not this model's, or damaged.
        """
        from kerasd2l.serving.server import json_tensors, warmup_requests

        done = set()
        for signature, rows in self.manifest.get("examples", {}).items():
            if signature not in self.signatures or not rows:
                continue
            try:
                columns = {key: [row[key] for row in rows] for key in rows[0]}
                arrays = json_tensors.columns(columns, self.signatures[signature])
                checked = self.checked(signature, arrays)
            except (ServingError, LookupError, TypeError, AttributeError):
                continue  # rows of different lengths, or a manifest that somebody has edited
            done.add(signature)
            yield signature, checked
        for signature, arrays in warmup_requests.read(self._folder):
            if signature not in done:
                yield signature, self.checked(signature, arrays)

    def warm_up(self) -> float:
        """Run every signature that has an example, so that no request pays for its first call.

        Where rows give other answers alone than together, the signature is not batched.

        Returns:
            Seconds that it took.
        """
        begin = time.monotonic()
        for signature, arrays in self.examples():
            together = self.run(signature, arrays)
            if signature not in self.batchable:
                continue
            for row in range(min(ROWS, len(next(iter(arrays.values()))))):
                alone = self.run(signature, {k: v[row : row + 1] for k, v in arrays.items()})
                if not all(_same(together[key][row : row + 1], alone[key]) for key in alone):
                    self.batchable.discard(signature)
        return time.monotonic() - begin

    def _can_batch(self, signature: str) -> bool:
        """Tell whether rows of several requests may run together.

        They may not where an input has no batch axis (a seed serves the whole batch), nor where
        the size of an answer depends on what else is in the batch.
        """
        inputs = self._graph.inputs[signature].values()
        return (
            bool(inputs)
            and all(shape and shape[0] is None for shape in inputs)
            and all(
                shape and shape[0] is None and None not in shape[1:]
                for shape in self._graph.outputs[signature].values()
            )
        )

    def close(self) -> None:
        """Free its memory; nothing may be running."""
        self._graph.close()


def _code(error: Any) -> str:
    """Return what an error of TensorFlow is called in gRPC."""
    return next(
        (name for name, (number, _) in CODES.items() if number == error.error_code), "INTERNAL"
    )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind == "f":
        return np.allclose(one, other, rtol=1e-6, atol=1e-6, equal_nan=True)
    return np.array_equal(one, other)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        size is None or size == given for given, size in zip(shape, wanted, strict=True)
    )


def _words(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _wrong_names(found: Signature, arrays: Mapping[str, Any], defaults: bool) -> str:
    needed = [key for key in found.inputs if not (defaults and key in found.defaults)]
    missing = [key for key in needed if key not in arrays]
    unknown = [key for key in arrays if key not in found.inputs]
    parts = [f"missing inputs: {', '.join(missing)}"] if missing else []
    parts += [f"unknown inputs: {', '.join(unknown)}"] if unknown else []
    return (
        f"input size does not match signature: {'; '.join(parts)}. "
        f"{found.name} takes {', '.join(found.inputs)}."
    )
