"""Models that answer without TensorFlow: what a protocol needs of `repository.Models`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerasd2l.recipe import TensorSpec
from kerasd2l.serving.predict import Signature
from kerasd2l.serving.server.calls import Call, Reply, ServingError


@dataclass
class FakeVersion:
    name: str
    version: int
    signatures: Mapping[str, Signature]
    functions: Mapping[str, Callable[..., dict[str, np.ndarray]]]
    signature_defs: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def signature(self, name):
        if name not in self.signatures:
            raise ServingError(
                "INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def'
            )
        return self.signatures[name]

    def checked(self, signature, arrays, *, defaults=True):
        found = self.signature(signature)
        values = {**(found.defaults if defaults else {}), **arrays}
        for key, spec in found.inputs.items():
            if key not in values:
                raise ServingError("INVALID_ARGUMENT", f"missing inputs: {key}")
            dtype = "string" if values[key].dtype == object else values[key].dtype.name
            if dtype != spec.dtype or values[key].ndim != len(spec.shape):
                raise ServingError("INVALID_ARGUMENT", f"input {key} is {spec.dtype}")
        if set(values) != set(found.inputs):
            raise ServingError("INVALID_ARGUMENT", f"takes {', '.join(found.inputs)}")
        return values

    def run(self, signature, arrays):
        return self.functions[signature](**arrays)


@dataclass
class State:
    version: int
    state: str = "AVAILABLE"
    code: str = "OK"
    message: str = ""


@dataclass
class FakeModels:
    versions: list[FakeVersion]
    labels: Mapping[str, int] = field(default_factory=dict)
    is_ready: bool = True

    def find(self, name, version=None, label=None):
        if label is not None and label not in self.labels:
            raise ServingError(
                "FAILED_PRECONDITION", f"Unrecognized servable version label: {label}"
            )
        version = self.labels[label] if label is not None else version
        found = [v for v in self.versions if v.name == name and version in (None, v.version)]
        if not found:
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServingError("NOT_FOUND", f"Servable not found for request: {which}")
        return found[-1]

    def states(self, name, version=None):
        found = [
            State(v.version)
            for v in reversed(self.versions)
            if v.name == name and version in (None, v.version)
        ]
        if not found:
            raise ServingError("NOT_FOUND", f"Could not find any versions of model {name}")
        return found

    def names(self):
        return sorted({v.name for v in self.versions})

    def ready(self):
        return self.is_ready


def answered(call: Call | Reply) -> Reply:
    """Do what the server does with a call: run it, write its answer."""
    if isinstance(call, Reply):
        return call
    outputs = call.version.run(call.signature, call.arrays)
    if call.outputs is not None:
        outputs = {key: outputs[key] for key in call.outputs}
    return call.answer(outputs)


def half_plus_two(version=123) -> FakeVersion:
    """TensorFlow Serving's example: y = x / 2 + 2; and a signature on strings with a default."""
    texts = Signature(
        "texts",
        {"text": TensorSpec((None,), "string"), "again": TensorSpec((), "int32")},
        {"text": TensorSpec((None,), "string"), "text_bytes": TensorSpec((None,), "string")},
        {"again": np.int32(1)},
    )
    return FakeVersion(
        "half_plus_two",
        version,
        {
            "serving_default": Signature(
                "serving_default",
                {"x": TensorSpec((None,), "float32")},
                {"y": TensorSpec((None,), "float32"), "z": TensorSpec((None,), "int64")},
            ),
            "texts": texts,
        },
        {
            "serving_default": lambda x: {"y": x / 2 + 2, "z": np.arange(len(x))},
            "texts": lambda text, again: {"text": text * int(again), "text_bytes": text},
        },
    )


def echo(dtype: str, rank: int = 1) -> FakeModels:
    """A model that answers with its input."""
    spec = {"x": TensorSpec((None,) * rank, dtype)}
    signature = Signature("serving_default", spec, spec)
    version = FakeVersion(
        "echo", 1, {"serving_default": signature}, {"serving_default": lambda x: {"x": x}}
    )
    return FakeModels([version])


def of_examples() -> FakeVersion:
    """A model that classifies and regresses examples by the length of what it got."""

    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

    def signature(name, outputs, method, function):
        specs = {key: TensorSpec((None,), dtype) for key, dtype in outputs.items()}
        definition = SignatureDef(method_name=method)
        definition.inputs["inputs"].name = "examples:0"
        for key in outputs:
            definition.outputs[key].name = f"{key}:0"
        found = Signature(name, {"inputs": TensorSpec((None,), "string")}, specs)
        return name, found, definition, function

    def classes(inputs):
        sizes = np.array([[len(item), np.nan] for item in inputs], np.float32)
        return {"classes": np.array([[b"a", b"b"]] * len(inputs), object), "scores": sizes}

    def numbers(inputs):
        return {"outputs": np.array([[len(item)] for item in inputs], np.float32)}

    both = {"classes": "string", "scores": "float32"}
    made = [
        signature("serving_default", both, "tensorflow/serving/classify", classes),
        signature("regress", {"outputs": "float32"}, "tensorflow/serving/regress", numbers),
        signature("predict", {"y": "float32"}, "tensorflow/serving/predict", None),
        signature(
            "wrong",
            {"scores": "float32"},
            "tensorflow/serving/classify",
            lambda inputs: {"scores": np.zeros(3, "f")},
        ),
    ]
    return FakeVersion(
        "estimator",
        1,
        {name: found for name, found, _, _ in made},
        {name: function for name, _, _, function in made},
        {name: definition for name, _, definition, _ in made},
    )
