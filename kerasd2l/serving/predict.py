"""Use a SavedModel: open it, ask it, without the code that made it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.export import manifest as manifests
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.export.messages import plain_message
from kerasd2l.export.versions import find
from kerasd2l.recipe import TensorSpec
from kerasd2l.serving import inputs as words
from kerasd2l.serving.inputs import ArgumentError, InputError

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

CHUNK = 32  # files decoded and classified at once


@dataclass(frozen=True)
class Signature:
    """What a signature takes and gives: name -> spec; and what an input is if it is not given."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __str__(self) -> str:
        def side(specs: Mapping[str, TensorSpec], defaults: Mapping[str, np.ndarray]) -> str:
            return ", ".join(
                f"{key} {spec.dtype}{_shape(spec.shape)}"
                + (f" = {defaults[key].astype(str)}" if key in defaults else "")
                for key, spec in specs.items()
            )

        return f"{self.name}: {side(self.inputs, self.defaults)} -> {side(self.outputs, {})}"


class Asked:
    """A model that answers questions, wherever it is: `Served` here, `remote.Remote` on a server.

    A subclass has `path` (where it is, in words), `manifest`, `signatures`, and `call`.
    """

    path: Any
    manifest: Mapping[str, Any]
    signatures: Mapping[str, Signature]
    chunk = CHUNK

    @property
    def class_names(self) -> list[str] | None:
        """The class names of the manifest, or None."""
        return self.manifest.get("assets", {}).get("class_names")

    def describe(self) -> str:
        """Say in a few lines what the model is and what it takes and gives."""
        lines = [f"{self.path}"]
        for key in ("recipe", "created"):
            if key in self.manifest:
                lines.append(f"{key}: {self.manifest[key]}")
        for key, value in self.manifest.get("metrics", {}).items():
            lines.append(f"{key}: {value:.4g}" if isinstance(value, float) else f"{key}: {value}")
        return "\n".join(lines + [str(signature) for signature in self.signatures.values()])

    def call(
        self, arrays: Mapping[str, Any], signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        """Run a signature on arrays with a batch axis; see `Served.call`."""
        raise NotImplementedError

    def complete(self, arrays: Mapping[str, Any], signature: str) -> dict[str, Any]:
        """Return the arrays with the defaults of what was left out.

        Raises:
            ArgumentError: no such signature. InputError: inputs are missing or unknown.
        """
        found = self._signature(signature)
        arrays = {**found.defaults, **arrays}
        if set(arrays) != set(found.inputs):
            raise InputError(
                f"{signature} takes {sorted(found.inputs)}. Received: {sorted(arrays)}."
            )
        return arrays

    def predict(
        self,
        inputs: Sequence[str],
        signature: str | None = None,
        settings: Sequence[str] = (),
    ) -> dict[str, np.ndarray]:
        """Run a signature on words from the command line: files, texts, numbers, name=value.

        Args:
            inputs: the words; `inputs.parse` says what a signature takes.
            signature: str, which signature. Default: "serving_default"; or, if that lacks an input
                of the settings, the one signature that has them all.
            settings: words `name=value` for inputs that have a default, e.g. "num_tokens=50".

        Returns:
            Output name -> array. Strings are decoded to str, unless the name ends in `_bytes` or
            `_png`.

        Raises:
            ArgumentError: no such signature or setting. InputError: names the input that is wrong.
        """
        signature = signature or self._signature_for(settings)
        found = self._signature(signature)
        specs = {key: spec for key, spec in found.inputs.items() if key not in found.defaults}
        arrays = words.parse_settings(settings, found.inputs, found.defaults)
        arrays |= words.parse(inputs, specs)
        if not words.takes_files(specs):
            return _decoded(self.call(arrays, signature))
        parts = [
            self._files(arrays, inputs, slice(start, start + self.chunk), signature)
            for start in range(0, len(inputs), self.chunk)
        ]
        return _decoded({key: _joined([part[key] for part in parts]) for key in parts[0]})

    def _files(
        self, arrays: Mapping[str, np.ndarray], files: Sequence[str], part: slice, signature: str
    ) -> dict[str, np.ndarray]:
        """Run a signature on some of the files; an error names the file.

        What is refused together, as more than a server takes at once, is asked file by file.
        """
        some = {key: value[part] if value.ndim else value for key, value in arrays.items()}
        try:
            return {key: np.atleast_1d(out) for key, out in self.call(some, signature).items()}
        except InputError as error:
            if len(files[part]) == 1:
                raise InputError(f"{files[part][0]}: {error}") from error
        singly = [slice(i, i + 1) for i in range(*part.indices(len(files)))]
        parts = [self._files(arrays, files, one, signature) for one in singly]
        return {key: _joined([answer[key] for answer in parts]) for key in parts[0]}

    def _signature_for(self, settings: Sequence[str]) -> str:
        """Return the name of the signature that these settings are for."""
        names = {word.partition("=")[0] for word in settings}
        fits = [key for key, found in self.signatures.items() if names <= set(found.defaults)]
        some = [key for key, found in self.signatures.items() if names & set(found.defaults)]
        others = [key for key, found in self.signatures.items() if found.defaults]
        # The message of a wrong name lists the inputs of the signature that it is looked up in.
        choice = fits or some or others
        return choice[0] if names and len(choice) == 1 else "serving_default"

    def _signature(self, name: str) -> Signature:
        if name not in self.signatures:
            raise ArgumentError(
                f"{self.path} has no signature {name!r}. It has: {', '.join(self.signatures)}."
            )
        return self.signatures[name]


@dataclass(frozen=True)
class Served(Asked):
    """An open SavedModel; `load` makes it.

    Args:
        path: the folder with `saved_model.pb`.
        manifest: what the export says about itself; empty if there is no manifest.
        signatures: name -> Signature.
        loaded: what TensorFlow made of it; it owns the variables.
    """

    path: Path
    manifest: Mapping[str, Any]
    signatures: Mapping[str, Signature]
    loaded: Any = field(repr=False)

    def call(
        self, arrays: Mapping[str, Any], signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        """Run a signature on arrays with a batch axis.

        Args:
            arrays: input name -> array; inputs with a default may be left out.
            signature: str, which signature. Default: "serving_default".

        Returns:
            Output name -> array; strings are bytes.

        Raises:
            ArgumentError: no such signature. InputError: inputs that the model refuses.
        """
        arrays = self.complete(arrays, signature)
        specs = self.signatures[signature].inputs
        try:
            values = {key: tf.constant(arrays[key], spec.dtype) for key, spec in specs.items()}
            for key, spec in specs.items():
                if not values[key].shape.is_compatible_with(spec.shape):
                    raise InputError(
                        f"{key} takes {spec.dtype}{_shape(spec.shape)}. "
                        f"Received the shape {_shape(tuple(values[key].shape))}."
                    )
            outputs = self.loaded.signatures[signature](**values)
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise InputError(plain_message(error)) from error
        return {key: value.numpy() for key, value in outputs.items()}


def load(path: str | os.PathLike, *, verify: bool = True) -> Served:
    """Open a SavedModel: a VERSION folder, or a NAME folder, which means its newest version.

    A SavedModel is a program: open only those that you trust.

    Args:
        path: the folder.
        verify: bool, compare the files with the manifest, if there is one. Default: True.

    Raises:
        SavedModelError: there is none (the message says what is there), or it is damaged.
    """
    folder = find(Path(path))
    manifest = read_manifest(folder, verify=verify)
    try:
        loaded = tf.saved_model.load(str(folder))
    except (OSError, ValueError, RuntimeError, LookupError, tf.errors.OpError) as error:
        raise SavedModelError(f"cannot load {folder}: {plain_message(error)}") from error
    definitions = _definitions(folder)
    signatures = in_order(signature_of(name, definitions[name]) for name in loaded.signatures)
    if not signatures:
        raise SavedModelError(f"{folder} has no signatures: there is nothing to ask.")
    return Served(folder, manifest, signatures, loaded)


def read_manifest(folder: Path, *, verify: bool = True) -> Mapping[str, Any]:
    """Return the manifest of a SavedModel; an empty one if it has none.

    Args:
        folder: with `saved_model.pb`.
        verify: bool, compare the files with the manifest. Default: True.

    Raises:
        SavedModelError: the manifest is damaged, or the files are not those that it names.
    """
    if not (folder / manifests.MANIFEST).exists():
        return {}
    manifest = manifests.read(folder)
    if verify:
        found = manifests.differences(folder)
        # files that someone added, such as warm-up requests, do no harm
        manifests.complain(folder, {"changed": found["changed"], "missing": found["missing"]})
    return manifest


def in_order(signatures: Iterable[Signature]) -> dict[str, Signature]:
    """Return signatures by name, `serving_default` first, and inputs with a default last."""
    return {
        found.name: Signature(
            found.name,
            {
                key: found.inputs[key]
                for key in sorted(found.inputs, key=lambda key: (key in found.defaults, key))
            },
            found.outputs,
            {key: found.defaults[key] for key in sorted(found.defaults)},
        )
        for found in sorted(
            signatures, key=lambda found: (found.name != "serving_default", found.name)
        )
    }


def signature_of(name: str, definition: Any) -> Signature:
    """Return what the SignatureDef of a SavedModel says."""
    return Signature(
        name,
        {key: _spec(info) for key, info in sorted(definition.inputs.items())},
        {key: _spec(info) for key, info in sorted(definition.outputs.items())},
        {key: tf.make_ndarray(value) for key, value in definition.defaults.items()},
    )


def shape_of(info: Any) -> tuple[int | None, ...] | None:
    """Return the shape of a TensorInfo; None where not even the rank is known."""
    if info.tensor_shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)


def _definitions(folder: Path) -> dict[str, Any]:
    """Read what TensorFlow keeps in the file but does not load, such as the inputs' defaults."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    content = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return {
        name: signature
        for graph in content.meta_graphs
        for name, signature in graph.signature_def.items()
    }


def _spec(info: Any) -> TensorSpec:
    shape = shape_of(info)
    parts = info.composite_tensor.components  # of a ragged tensor its values come first
    dtype = tf.as_dtype(parts[0].dtype if parts else info.dtype).name
    return TensorSpec((None,) if shape is None else shape, dtype)


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join the answers to several batches; smaller masks are padded with 255, which is no class."""
    largest = np.max([part.shape[1:] for part in parts], axis=0)
    widths = [[(0, 0), *((0, int(n)) for n in largest - part.shape[1:])] for part in parts]
    if not np.any(widths):
        return np.concatenate(parts)
    fill = 255 if parts[0].dtype == np.uint8 else 0
    return np.concatenate(
        [
            np.pad(part, width, constant_values=fill)
            for part, width in zip(parts, widths, strict=True)
        ]
    )


def _decoded(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn UTF-8 bytes into str where the name does not say that they are bytes."""
    result = {}
    for key, value in sorted(outputs.items()):
        if np.asarray(value).dtype.kind in "OS" and not key.endswith(("_bytes", "_png")):
            array = np.asarray(value, dtype=object)
            texts = np.empty(array.size, dtype=object)
            texts[:] = [item.decode("utf8", "replace") for item in array.flat]
            value = texts.reshape(array.shape)
        result[key] = value
    return result
