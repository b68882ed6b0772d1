"""TensorFlow Serving's gRPC: PredictionService and ModelService, on the official messages.

Answers are in typed fields (`float_val`), as TensorFlow Serving's are: a common client reads only
those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
)
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest, MultiInferenceResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from kerasd2l.serving.server import examples, tensor_protos
from kerasd2l.serving.server.calls import CODES, Call, Reply, ServingError
from kerasd2l.serving.server.tensor_protos import parse

if TYPE_CHECKING:
    from kerasd2l.serving.server.loaded import LoadedVersion
    from kerasd2l.serving.server.repository import Models

DEFAULT = "serving_default"


def _predict(body: bytes, models: Models) -> Call:
    request = parse(PredictRequest, body)
    version, name = _found(request, models)
    if name not in version.signatures:
        raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
    signature = version.signatures[name]
    _check_names(request.inputs, signature.inputs, signature.defaults)
    arrays = {key: tensor_protos.read(proto, key) for key, proto in request.inputs.items()}
    wanted = _output_filter(request.output_filter, signature.outputs)
    arrays = version.checked(name, arrays)

    def answer(outputs: Mapping[str, np.ndarray]) -> Reply:
        response = PredictResponse()
        _fill_spec(response.model_spec, version, name)
        for key in wanted or outputs:
            tensor_protos.fill(response.outputs[key], outputs[key])
        return Reply(response.SerializeToString())

    return Call(version, name, arrays, answer, wanted)


def _check_names(given: Any, inputs: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    extra = sorted(set(given) - set(inputs))
    missing = sorted(set(inputs) - set(defaults) - set(given))
    if extra or missing:
        raise ServingError(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(given)}!={len(inputs)} "
            f"len({_set(given)}) != len({_set(inputs)}). "
            f"Sent extra: {_set(extra)}. Missing but required: {_set(missing)}.",
        )


def _output_filter(names: Any, outputs: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the outputs that are asked for, None for all."""
    wanted = tuple(names)
    for i, name in enumerate(wanted):
        if name not in outputs:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_set(outputs)}.",
            )
        if name in wanted[:i]:
            raise ServingError("INVALID_ARGUMENT", f"duplicate output tensor alias: {name}")
    return wanted or None


def _classify(body: bytes, models: Models) -> Call:
    request = parse(ClassificationRequest, body)
    return _of_examples(examples.CLASSIFY, request, ClassificationResponse, models)


def _regress(body: bytes, models: Models) -> Call:
    request = parse(RegressionRequest, body)
    return _of_examples(examples.REGRESS, request, RegressionResponse, models)


def _of_examples(method: str, request: Any, response: Callable[..., Any], models: Models) -> Call:
    version, name = _found(request, models)

    def write(result: examples.Result) -> Reply:
        message = response(result=result)
        _fill_spec(message.model_spec, version, name)
        return Reply(message.SerializeToString())

    return examples.call(method, version, name, examples.from_input(request.input), write)


def _multi_inference(body: bytes, models: Models) -> Call:
    """Several signatures of one model on the same examples."""
    request = parse(MultiInferenceRequest, body)
    version, tasks = _tasks(request, models)
    serialized = examples.from_input(request.input)
    first, *others = tasks
    arrays = {name: examples.inputs(version, name, serialized) for name, _ in tasks}

    def answer(outputs: Mapping[str, np.ndarray]) -> Reply:
        response = MultiInferenceResponse()
        answers = [outputs, *(version.run(name, arrays[name]) for name, _ in others)]
        for (name, method), values in zip(tasks, answers, strict=True):
            result = examples.result(method, values, len(serialized))
            added = response.results.add()
            _fill_spec(added.model_spec, version, name)
            if method == examples.CLASSIFY:
                added.classification_result.CopyFrom(result)
            else:
                added.regression_result.CopyFrom(result)
        return Reply(response.SerializeToString())

    return Call(version, first[0], arrays[first[0]], answer)


def _tasks(request: Any, models: Models) -> tuple[LoadedVersion, list[tuple[str, str]]]:
    """Return the model of all tasks, and (signature, method) of each."""
    tasks: list[tuple[str, str]] = []
    if not request.tasks:
        raise ServingError("INVALID_ARGUMENT", "MultiInferenceRequest has no tasks.")
    version, _ = _found(request.tasks[0], models)
    for task in request.tasks:
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise ServingError(
                "INVALID_ARGUMENT",
                "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
            )
        name = task.model_spec.signature_name or DEFAULT
        if name in [known for known, _ in tasks]:
            raise ServingError("INVALID_ARGUMENT", f"Duplicate evaluation of signature: {name}")
        if name not in version.signatures:
            raise ServingError(
                "INVALID_ARGUMENT", f"Requested signature not found in model graph: {name}"
            )
        if task.method_name not in examples.METHODS.values():
            raise ServingError(
                "UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name}"
            )
        examples.check_signature(task.method_name, version, name)
        tasks.append((name, task.method_name))
    return version, tasks


def _metadata(body: bytes, models: Models) -> Reply:
    request = parse(GetModelMetadataRequest, body)
    spec = _spec(request)
    if not request.metadata_field:
        raise ServingError(
            "INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for name in request.metadata_field:
        if name != "signature_def":
            raise ServingError("INVALID_ARGUMENT", f"Metadata field {name} is not supported")
    version = _find(spec, models)
    signatures = SignatureDefMap()
    for name, definition in version.signature_defs.items():
        signatures.signature_def[name].CopyFrom(definition)
    response = GetModelMetadataResponse()
    _fill_spec(response.model_spec, version, "")
    response.metadata["signature_def"].Pack(signatures)
    return Reply(response.SerializeToString())


def _status(body: bytes, models: Models) -> Reply:
    request = parse(GetModelStatusRequest, body)
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    # As in TensorFlow Serving, a label is ignored: all versions are told.
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    response = GetModelStatusResponse()
    for state in models.states(spec.name, version):
        added = response.model_version_status.add(version=state.version)
        added.state = ModelVersionStatus.State.Value(state.state)
        added.status.error_code = CODES[state.code][0]
        added.status.error_message = state.message
    return Reply(response.SerializeToString())


def _reload(body: bytes, models: Models) -> Reply:
    raise ServingError(
        "UNIMPLEMENTED",
        "The models of this server come from its folder: put a version there, or take it away.",
    )


def _found(request: Any, models: Models) -> tuple[LoadedVersion, str]:
    """Return the version that a request asks, and the name of the signature."""
    spec = _spec(request)
    return _find(spec, models), spec.signature_name or DEFAULT


def _spec(request: Any) -> ModelSpec:
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
    if not request.model_spec.name:
        raise ServingError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    return request.model_spec


def _find(spec: ModelSpec, models: Models) -> LoadedVersion:
    choice = spec.WhichOneof("version_choice")
    if choice == "version":
        return models.find(spec.name, version=spec.version.value)
    if choice == "version_label":
        return models.find(spec.name, label=spec.version_label)
    return models.find(spec.name)


def _fill_spec(spec: ModelSpec, version: LoadedVersion, signature: str) -> None:
    spec.name = version.name
    spec.version.value = version.version
    spec.signature_name = signature


def _set(names: Any) -> str:
    return "{" + ",".join(sorted(names)) + "}"


METHODS: dict[str, Callable[[bytes, Any], Call | Reply]] = {
    "/tensorflow.serving.PredictionService/Predict": _predict,
    "/tensorflow.serving.PredictionService/Classify": _classify,
    "/tensorflow.serving.PredictionService/Regress": _regress,
    "/tensorflow.serving.PredictionService/MultiInference": _multi_inference,
    "/tensorflow.serving.PredictionService/GetModelMetadata": _metadata,
    "/tensorflow.serving.ModelService/GetModelStatus": _status,
    "/tensorflow.serving.ModelService/HandleReloadConfigRequest": _reload,
}
