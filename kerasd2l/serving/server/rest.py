"""TensorFlow Serving's REST: status, metadata and predict of `/v1/models/...`.

Paths, bodies, texts and codes are those of TensorFlow Serving's http_rest_api_handler.cc. What goes
beyond it: `GET /v1/models` lists the models, inputs with a default may be left out in columns, and
strings that are not UTF-8 come back as `{"b64": ...}`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import orjson

from kerasd2l.serving.server import json_tensors
from kerasd2l.serving.server.calls import Call, Reply, Request, ServingError
from kerasd2l.serving.server.loaded import LoadedVersion
from kerasd2l.serving.server.repository import Models
from kerasd2l.serving.server.storage import LARGEST_VERSION

_WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
PREDICTION = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<verb>classify|regress|predict)", re.IGNORECASE
)
STATUS = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?P<metadata>/metadata)?", re.I)


def handle(request: Request, models: Models) -> Call | Reply:
    """Answer a request, or say which call answers it.

    Raises:
        ServingError: with TensorFlow Serving's code and text.
    """
    match = PREDICTION.fullmatch(request.path)
    if match and request.method == "POST":
        verb = match["verb"].lower()
        if verb != "predict":
            from kerasd2l.serving.server import examples

            return examples.handle(request, verb, *_which(match), models)
        return _predict(request, match, models)
    match = STATUS.fullmatch(request.path)
    if match and request.method == "GET":
        if match["name"] is None:
            return _list(models) if not match["metadata"] else _missing_name()
        return _metadata(match, models) if match["metadata"] else _status(match, models)
    raise ServingError("INVALID_ARGUMENT", f"Malformed request: {request.method} {request.path}")


def _which(match: re.Match) -> tuple[str, int | None, str | None]:
    """Return name, version and label of a path."""
    version = None if match["version"] is None else int(match["version"][:20])
    if version is not None and version > LARGEST_VERSION:
        raise ServingError(
            "INVALID_ARGUMENT", f"Failed to convert version: {match['version'][:40]} to numeric."
        )
    label = None if match["label"] is None else unquote(match["label"])
    return unquote(match["name"]), version, label


def _predict(request: Request, match: re.Match, models: Models) -> Call:
    which = _which(match)
    content = json_tensors.parse(request.body)
    if not isinstance(content, dict):
        raise ServingError("INVALID_ARGUMENT", "Request body must be a JSON object")
    name = content.get("signature_name", "serving_default")
    if not isinstance(name, str):
        raise ServingError("INVALID_ARGUMENT", "'signature_name' must be a string value")
    version = models.find(*which)
    signature = version.signature(name or "serving_default")
    if "instances" in content and "inputs" in content:
        raise ServingError(
            "INVALID_ARGUMENT", "Not formatted correctly: only one of 'inputs' or 'instances'"
        )
    if "instances" in content:
        arrays = json_tensors.rows(content["instances"], signature)
        write = json_tensors.predictions
        # a row is complete, as in TensorFlow Serving
        checked = version.checked(signature.name, arrays, defaults=False)
    elif "inputs" in content:
        arrays = json_tensors.columns(content["inputs"], signature)
        write = json_tensors.answer_columns
        checked = version.checked(signature.name, arrays)
    else:
        raise ServingError("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key")
    return Call(version, signature.name, checked, lambda outputs: Reply(write(outputs)))


def _list(models: Models) -> Reply:
    content = [
        {"name": name, "model_version_status": _states(name, None, models)}
        for name in models.names()
    ]
    return Reply(_json({"models": content}))


def _missing_name() -> Reply:
    raise ServingError("INVALID_ARGUMENT", "Missing model name in request.")


def _status(match: re.Match, models: Models) -> Reply:
    name, version, _ = _which(match)  # TensorFlow Serving ignores the label here
    return Reply(_json({"model_version_status": _states(name, version, models)}))


def _states(name: str, version: int | None, models: Models) -> list[dict[str, Any]]:
    return [
        {
            "version": str(state.version),
            "state": state.state,
            "status": {"error_code": state.code, "error_message": state.message},
        }
        for state in models.states(name, version)
    ]


def _metadata(match: re.Match, models: Models) -> Reply:
    version = models.find(*_which(match))
    return Reply(_json(metadata(version)))


def metadata(version: LoadedVersion) -> dict[str, Any]:
    """Return a version's signatures as TensorFlow Serving's REST tells them."""
    from google.protobuf.json_format import MessageToDict

    return {
        "model_spec": {
            "name": version.name,
            "signature_name": "",
            "version": str(version.version),
        },
        "metadata": {
            "signature_def": {
                "signature_def": {
                    key: MessageToDict(
                        definition,
                        preserving_proto_field_name=True,
                        always_print_fields_with_no_presence=True,
                    )
                    for key, definition in version.signature_defs.items()
                }
            }
        },
    }


def _json(content: Any) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)
