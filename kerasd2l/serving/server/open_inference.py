"""The Open Inference protocol (KServe V2) over HTTP: JSON, and Triton's binary extension.

Beyond the protocol: the parameter `signature_name` of a request says which signature answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from kerasd2l import __version__
from kerasd2l.serving.server import json_tensors
from kerasd2l.serving.server import open_inference_tensors as tensors
from kerasd2l.serving.server.calls import Call, Reply, Request, ServingError

if TYPE_CHECKING:
    from kerasd2l.serving.predict import Signature
    from kerasd2l.serving.server.loaded import LoadedVersion
    from kerasd2l.serving.server.repository import Models

DEFAULT = "serving_default"
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "tensorflow_savedmodel"
HEADER_LENGTH = "inference-header-content-length"
_MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/(ready|infer))?")
_SERVER = {"/v2", "/v2/health/live", "/v2/health/ready"}


def handle(request: Request, models: Models) -> Call | Reply:
    """Answer a request under /v2.

    Args:
        request: what arrived.
        models: what is served.

    Raises:
        ServingError: the request is wrong, or what it asks for is not there.
    """
    path = request.path.rstrip("/")
    found = _MODEL.fullmatch(path)
    if path not in _SERVER and not found:
        raise ServingError("NOT_FOUND", f"There is no {request.path}.")
    wanted = "POST" if found and found[3] == "infer" else "GET"
    if request.method != wanted:
        return _json({"error": f"{request.path} takes {wanted}."}, 405)
    if not found:
        return _server(path, models)
    name, version = unquote(found[1]), version_number(unquote(found[2] or ""))
    if found[3] == "infer":
        return _infer(request, models.find(name, version=version))
    if found[3] == "ready":
        models.find(name, version=version)
        return _json({"name": name, "ready": True})
    return _json(metadata(models, name, version))


def version_number(text: str) -> int | None:
    """Return the number of a version, None for the newest.

    Raises:
        ServingError: it is no number.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ServingError(
            "INVALID_ARGUMENT",
            f"failed to get model version from specified version string '{text[:40]}' "
            "(an integral value > 0 is expected)",
        )
    return int(text)


def metadata(models: Models, name: str, version: int | None) -> dict[str, Any]:
    """Say what a model takes and gives.

    Args:
        models: what is served.
        name: str, name of the model.
        version: int, None for the newest.

    Raises:
        ServingError: it is not served.
    """
    loaded = models.find(name, version=version)
    default = loaded.signatures.get(DEFAULT) or next(iter(loaded.signatures.values()))
    versions = sorted(state.version for state in models.states(name) if state.state == "AVAILABLE")
    return {
        "name": name,
        "versions": [str(number) for number in versions],
        "platform": PLATFORM,
        "inputs": [_described(key, spec) for key, spec in default.inputs.items()],
        "outputs": [_described(key, spec) for key, spec in default.outputs.items()],
        "properties": {"signature_names": ",".join(loaded.signatures)},
    }


def signature_of(version: LoadedVersion, parameters: Mapping[str, Any]) -> Signature:
    """Return the signature that a request's parameters ask for.

    Raises:
        ServingError: there is no such signature.
    """
    name = parameters.get("signature_name", DEFAULT)
    if not isinstance(name, str):
        raise ServingError("INVALID_ARGUMENT", "The parameter signature_name must be a string.")
    return version.signature(name)


def check_output(signature: Signature, version: LoadedVersion, name: Any, seen: Any) -> None:
    """Check that an output is there and is asked for once.

    Raises:
        ServingError: it is not.
    """
    if name not in signature.outputs:
        raise ServingError(
            "INVALID_ARGUMENT",
            f"unexpected inference output '{name}' for model '{version.name}'. "
            f"{signature.name} gives {', '.join(signature.outputs)}.",
        )
    if name in seen:
        raise ServingError("INVALID_ARGUMENT", f"output '{name}' is asked for twice.")


def _server(path: str, models: Models) -> Reply:
    if path == "/v2":
        return _json({"name": "kerasd2l", "version": __version__, "extensions": EXTENSIONS})
    if path == "/v2/health/live":
        return _json({"live": True})
    ready = models.ready()
    return _json({"ready": ready}, None if ready else 503)


def _described(name: str, spec: Any) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in spec.shape]
    return {"name": name, "datatype": tensors.datatype(spec.dtype), "shape": shape}


@dataclass(frozen=True)
class _Wish:
    """What a request wants back."""

    version: LoadedVersion
    signature: str
    id: str | None
    outputs: Mapping[str, bool]  # name -> in binary form
    binary: bool  # what is not in `outputs`


def _infer(request: Request, version: LoadedVersion) -> Call:
    content, binary = _split(request)
    parameters = _parameters(content)
    signature = signature_of(version, parameters)
    arrays = version.checked(signature.name, _inputs(content, binary))
    number = content.get("id")
    if number is not None and not (isinstance(number, str) and _is_text(number)):
        raise ServingError("INVALID_ARGUMENT", "The id of a request must be a string.")
    in_binary = parameters.get("binary_data_output", False) is True
    outputs = _outputs(content, signature, version, in_binary)
    wish = _Wish(version, signature.name, number, outputs, in_binary)
    return Call(
        version, signature.name, arrays, lambda out: _answer(out, wish), tuple(outputs) or None
    )


def _split(request: Request) -> tuple[dict[str, Any], bytes]:
    """Return the JSON of a request, and the bytes behind it."""
    body, length = request.body, request.headers.get(HEADER_LENGTH)
    size = len(body)
    if length is not None:
        if not (length.isascii() and length.isdigit() and int(length[:18]) <= len(body)):
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Inference-Header-Content-Length must be a number of at most {len(body)}, "
                f"the length of the body. Received: {length[:40]}.",
            )
        size = int(length)
    content = json_tensors.parse(body[:size])
    if not isinstance(content, dict):
        raise ServingError("INVALID_ARGUMENT", "The request must be a JSON object.")
    return content, body[size:]


def _inputs(content: Mapping[str, Any], binary: bytes) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for tensor in _list(content, "inputs"):
        name = tensor.get("name")
        if not isinstance(name, str):
            raise ServingError("INVALID_ARGUMENT", "Every input needs a name.")
        if name in arrays:
            raise tensors.wrong(name, "is there twice")
        parameters, form = _parameters(tensor), (tensor.get("datatype"), tensor.get("shape"))
        if any(key.startswith("shared_memory") for key in parameters):
            raise tensors.wrong(name, "is in shared memory, which this server does not read")
        size = parameters.get("binary_data_size")
        if size is None:
            as_base64 = parameters.get("content_type") == tensors.BASE64["content_type"]
            arrays[name] = tensors.from_json(name, *form, tensor.get("data"), as_base64=as_base64)
            continue
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise tensors.wrong(name, "needs a number of bytes as binary_data_size")
        if "data" in tensor:
            raise tensors.wrong(name, "has both data and binary_data_size")
        if size > len(binary) - at:
            raise tensors.wrong(
                name, f"takes {size} bytes of binary data, {len(binary) - at} are left"
            )
        arrays[name] = tensors.from_raw(name, *form, binary[at : at + size])
        at += size
    if at != len(binary):
        raise ServingError(
            "INVALID_ARGUMENT", f"{len(binary) - at} bytes of binary data belong to no input."
        )
    return arrays


def _outputs(
    content: Mapping[str, Any], signature: Signature, version: LoadedVersion, binary: bool
) -> dict[str, bool]:
    """Return the outputs that are asked for by name, and whether in binary form."""
    outputs: dict[str, bool] = {}
    for wanted in _list(content, "outputs") if content.get("outputs") is not None else []:
        name, parameters = wanted.get("name"), _parameters(wanted)
        check_output(signature, version, name if isinstance(name, str) else "", outputs)
        for key in parameters:
            if key == "classification" or key.startswith("shared_memory"):
                raise ServingError(
                    "INVALID_ARGUMENT", f"output '{name}': {key} is not supported here."
                )
        outputs[str(name)] = parameters.get("binary_data", binary) is True
    return outputs


def _answer(outputs: Mapping[str, np.ndarray], wish: _Wish) -> Reply:
    described, raw = [], []
    for name in wish.outputs or outputs:
        array = np.asarray(outputs[name])
        tensor: dict[str, Any] = {
            "name": name,
            "datatype": tensors.datatype(array.dtype.name),
            "shape": list(array.shape),
        }
        if wish.outputs.get(name, wish.binary):
            raw.append(tensors.to_raw(array))
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"], parameters = tensors.to_json(name, array)
            if parameters:
                tensor["parameters"] = parameters
        described.append(tensor)
    head: dict[str, Any] = {
        "model_name": wish.version.name,
        "model_version": str(wish.version.version),
    }
    if wish.id is not None:
        head["id"] = wish.id
    body = tensors.dumps({**head, "outputs": described})
    if not raw:
        return Reply(body)
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(body))}
    return Reply(b"".join([body, *raw]), headers=headers)


def _is_text(text: str) -> bool:
    """Tell whether UTF-8 has it: JSON can escape half a surrogate pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _json(content: Mapping[str, Any], status: int | None = None) -> Reply:
    return Reply(tensors.dumps(content), http_status=status)


def _parameters(content: Mapping[str, Any]) -> dict[str, Any]:
    parameters = content.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise ServingError("INVALID_ARGUMENT", "parameters must be an object.")
    return parameters


def _list(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = content.get(key)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ServingError("INVALID_ARGUMENT", f"The request needs {key}: a list of objects.")
    return items
