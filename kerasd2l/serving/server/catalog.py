"""What the page knows of the models: from their manifests and signatures, as JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from kerasd2l.serving.server.calls import Reply, Request
from kerasd2l.serving.server.loaded import LoadedVersion
from kerasd2l.serving.server.repository import Models


def handle(request: Request, models: Models) -> Reply:
    """Answer `GET /page/models`."""
    del request
    content = {
        "models": [_model(name, models) for name in models.names()],
        "problems": models.problems(),
    }
    return Reply(json.dumps(_finite(content)).encode())


def _model(name: str, models: Models) -> dict[str, Any]:
    labels = models.labels(name)
    versions = [
        {
            "version": state.version,
            "state": state.state,
            "message": state.message,
            "labels": [label for label, number in labels.items() if number == state.version],
        }
        for state in models.states(name)
    ]
    serving = [state.version for state in models.states(name) if state.state == "AVAILABLE"]
    content: dict[str, Any] = {"name": name, "version": None, "versions": versions}
    if not serving:
        return content | {"signatures": {}, "examples": {}, "warning": f"{name} is not loaded"}
    version = models.find(name, max(serving))
    manifest = version.manifest
    return content | {
        "version": version.version,
        "recipe": manifest.get("recipe"),
        "created": manifest.get("created"),
        "metrics": manifest.get("metrics", {}),
        "assets": manifest.get("assets", {}),
        "examples": manifest.get("examples", {}),
        "signatures": {key: _signature(version, key) for key in version.signatures},
        "warning": None if manifest else "not exported by kerasd2l: there is no manifest",
    }


def _signature(version: LoadedVersion, name: str) -> dict[str, Any]:
    signature = version.signatures[name]
    inputs = {}
    for key, spec in signature.inputs.items():
        inputs[key] = {"dtype": spec.dtype, "shape": list(spec.shape)}
        if key in signature.defaults:
            inputs[key]["default"] = _plain(signature.defaults[key])
    outputs = {
        key: {"dtype": spec.dtype, "shape": list(spec.shape)}
        for key, spec in signature.outputs.items()
    }
    return {"inputs": inputs, "outputs": outputs}


def _plain(value: np.ndarray) -> Any:
    if value.dtype.kind in "OSU":
        item = value.item() if value.ndim == 0 else None
        if not isinstance(item, bytes):
            return None if item is None else str(item)
        try:
            return item.decode("utf8")
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(item).decode()}
    return value.tolist()


def _finite(content: Any) -> Any:
    """Replace NaN and Infinity by their names: a browser reads no such JSON."""
    if isinstance(content, float) and not np.isfinite(content):
        return str(content)
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_finite(value) for value in content]
    return content
