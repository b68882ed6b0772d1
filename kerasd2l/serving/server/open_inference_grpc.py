"""The Open Inference protocol (KServe V2) over gRPC: `inference.GRPCInferenceService`.

A request with `raw_input_contents` is answered with `raw_output_contents`, one with typed contents
with typed contents - except where an output has none, as half precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l import __version__
from kerasd2l.serving.server import open_inference as http
from kerasd2l.serving.server import open_inference_tensors as tensors
from kerasd2l.serving.server.calls import Call, Reply, ServingError
from kerasd2l.serving.server.open_inference_messages import MESSAGES
from kerasd2l.serving.server.tensor_protos import parse

if TYPE_CHECKING:
    from kerasd2l.serving.server.loaded import LoadedVersion
    from kerasd2l.serving.server.repository import Models

SERVICE = "inference.GRPCInferenceService"

_CONTENTS = {  # datatype -> field of InferTensorContents
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def _live(request: Any, models: Models) -> Reply:
    return _reply("ServerLiveResponse", live=True)


def _ready(request: Any, models: Models) -> Reply:
    return _reply("ServerReadyResponse", ready=models.ready())


def _model_ready(request: Any, models: Models) -> Reply:
    version = http.version_number(request.version)
    try:
        models.find(request.name, version=version)
    except ServingError:
        return _reply("ModelReadyResponse", ready=False)
    return _reply("ModelReadyResponse", ready=True)


def _metadata(request: Any, models: Models) -> Reply:
    return _reply(
        "ServerMetadataResponse", name="kerasd2l", version=__version__, extensions=http.EXTENSIONS
    )


def _model_metadata(request: Any, models: Models) -> Reply:
    version = http.version_number(request.version)
    return _reply("ModelMetadataResponse", **http.metadata(models, request.name, version))


def _infer(request: Any, models: Models) -> Call:
    version = models.find(request.model_name, version=http.version_number(request.model_version))
    signature = http.signature_of(version, _parameters(request.parameters))
    raw = bool(request.raw_input_contents)
    arrays = version.checked(signature.name, _inputs(request))
    wanted: list[str] = []
    for output in request.outputs:
        http.check_output(signature, version, output.name, wanted)
        for key in output.parameters:
            if key == "classification" or key.startswith("shared_memory"):
                raise ServingError(
                    "INVALID_ARGUMENT", f"output '{output.name}': {key} is not supported here."
                )
        wanted.append(output.name)
    names, number = tuple(wanted) or None, request.id

    def answer(outputs: Mapping[str, np.ndarray]) -> Reply:
        return _answer({key: outputs[key] for key in names or outputs}, version, number, raw)

    return Call(version, signature.name, arrays, answer, names)


def _inputs(request: Any) -> dict[str, np.ndarray]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise ServingError(
            "INVALID_ARGUMENT",
            f"There are {len(request.inputs)} inputs and {len(raw)} raw_input_contents.",
        )
    arrays: dict[str, np.ndarray] = {}
    for i, tensor in enumerate(request.inputs):
        name, shape = tensor.name, list(tensor.shape)
        if name in arrays:
            raise tensors.wrong(name, "is there twice")
        if any(key.startswith("shared_memory") for key in tensor.parameters):
            raise tensors.wrong(name, "is in shared memory, which this server does not read")
        if raw:
            if tensor.HasField("contents") and tensor.contents.ByteSize():
                raise tensors.wrong(name, "has contents beside raw_input_contents")
            arrays[name] = tensors.from_raw(name, tensor.datatype, shape, raw[i])
        else:
            arrays[name] = _typed(name, tensor, shape)
    return arrays


def _typed(name: str, tensor: Any, shape: list[int]) -> np.ndarray:
    dtype = tensors.dtype_of(name, tensor.datatype)
    sizes = tensors.checked_shape(name, shape)
    if tensor.datatype not in _CONTENTS:
        raise tensors.wrong(name, f"of datatype {tensor.datatype} must be in raw_input_contents")
    field = getattr(tensor.contents, _CONTENTS[tensor.datatype])
    if dtype.hasobject:
        values = np.empty(len(field), object)
        values[:] = list(field)
    else:
        wide = dtype.kind in "iu" and dtype.itemsize < 4
        values = np.array(field, np.dtype(f"{dtype.kind}4") if wide else dtype)
        if wide and len(values):
            limits = np.iinfo(dtype)
            if values.min() < limits.min or values.max() > limits.max:
                raise tensors.wrong(name, f"has a number out of the range of {tensor.datatype}")
        values = values.astype(dtype, copy=False)
    return tensors.reshaped(name, values, sizes)


def _answer(
    outputs: Mapping[str, np.ndarray], version: LoadedVersion, number: str, raw: bool
) -> Reply:
    response = MESSAGES["ModelInferResponse"](
        model_name=version.name, model_version=str(version.version), id=number
    )
    datatypes = {key: tensors.datatype(array.dtype.name) for key, array in outputs.items()}
    raw = raw or not set(datatypes.values()) <= set(_CONTENTS)
    for name, array in outputs.items():
        datatype = datatypes[name]
        added = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(tensors.to_raw(array))
        else:
            getattr(added.contents, _CONTENTS[datatype]).extend(array.ravel().tolist())
    return Reply(response.SerializeToString())


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for key, value in parameters.items():
        choice = value.WhichOneof("parameter_choice")
        values[key] = getattr(value, choice) if choice else None
    return values


def _reply(message: str, **fields: Any) -> Reply:
    return Reply(MESSAGES[message](**fields).SerializeToString())


def _read(name: str, method: Callable[[Any, Any], Call | Reply]) -> Callable[..., Call | Reply]:
    """Return the method as it takes the bytes of its message."""
    return lambda body, models: method(parse(MESSAGES[f"{name}Request"], body), models)


_METHODS: dict[str, Callable[[Any, Any], Call | Reply]] = {
    "ServerLive": _live,
    "ServerReady": _ready,
    "ModelReady": _model_ready,
    "ServerMetadata": _metadata,
    "ModelMetadata": _model_metadata,
    "ModelInfer": _infer,
}
METHODS = {f"/{SERVICE}/{name}": _read(name, method) for name, method in _METHODS.items()}
