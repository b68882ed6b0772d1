"""Use a model on a server that speaks TensorFlow Serving's REST: `kerasd2l serve`, or itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.recipe import TensorSpec
from kerasd2l.serving.inputs import InputError
from kerasd2l.serving.predict import Asked, Signature, in_order

requests = lazy("requests")

_NUMBERS = ("float_val", "double_val", "int_val", "int64_val", "bool_val")
SECONDS = 60.0  # to wait for an answer


class Remote(Asked):
    """A model on a server; it answers like `Served`.

    Args:
        url: str, of the server, such as "http://127.0.0.1:8501".
        name: str, NAME or NAME/VERSION.

    Raises:
        SavedModelError: no server answers there, or it has no such model.

    Example:
        `Remote("http://127.0.0.1:8501", "lenet").predict(["seven.png"])["class_names"]`
    """

    chunk = 8  # files in a request: a server limits its size

    def __init__(self, url: str, name: str):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise SavedModelError(
                f"{url} is no address of a server, such as http://127.0.0.1:8501."
            )
        base = f"{url.rstrip('/')}/v1/models/"
        model, _, version = name.strip("/").partition("/")
        self._session = requests.Session()
        if not version:
            answer = self._get(f"{base}{quote(model, safe='')}/metadata")
            version = answer["model_spec"]["version"]
        self.path = f"{base}{quote(model, safe='')}/versions/{quote(version, safe='')}"
        content = self._get(f"{self.path}/metadata")["metadata"]["signature_def"]["signature_def"]
        self.signatures = _signatures(content)
        self.manifest = self._about(f"{url.rstrip('/')}/page/models", model, version)

    def call(
        self, arrays: Mapping[str, Any], signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        """Run a signature on arrays with a batch axis; see `Served.call`."""
        arrays = self.complete(arrays, signature)
        found = self.signatures[signature]
        values = {key: _plain(arrays[key], spec) for key, spec in found.inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": values}).encode()
        outputs = self._post(f"{self.path}:predict", body)["outputs"]
        if len(found.outputs) == 1:
            outputs = {next(iter(found.outputs)): outputs}
        return {key: _array(outputs[key], spec) for key, spec in found.outputs.items()}

    def _about(self, url: str, model: str, version: str) -> Mapping[str, Any]:
        """Return what the page of `kerasd2l serve` knows; TF Serving has none."""
        try:
            models = self._get(url)["models"]
        except SavedModelError:
            return {}
        fits = [m for m in models if m["name"] == model and str(m["version"]) == version]
        keys = ("recipe", "created", "metrics", "assets")
        return {key: fits[0][key] for key in keys if fits and fits[0].get(key)}

    def _get(self, url: str) -> Any:
        answer = self._request("GET", url)
        if answer.status_code != 200:
            raise SavedModelError(f"{url}: {_error(answer)}")
        return _json(answer)

    def _post(self, url: str, body: bytes) -> Any:
        answer = self._request("POST", url, data=body, headers={"content-type": "application/json"})
        if answer.status_code in (400, 413):
            raise InputError(_error(answer))
        if answer.status_code != 200:
            raise SavedModelError(f"{url}: {_error(answer)}")
        return _json(answer)

    def _request(self, method: str, url: str, **named: Any) -> Any:
        try:
            return self._session.request(method, url, timeout=SECONDS, **named)
        except requests.exceptions.Timeout:
            raise SavedModelError(f"{url} did not answer within {SECONDS:.0f} s.") from None
        except requests.exceptions.RequestException as error:
            raise SavedModelError(
                f"no server answers at {url}: {type(error).__name__}. "
                "Start one: kerasd2l serve savedmodels/"
            ) from None


def _json(answer: Any) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise SavedModelError(f"{answer.url} does not answer with JSON: no model server?") from None


def _error(answer: Any) -> str:
    try:
        return f"{answer.json()['error']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code} {answer.reason}"


def _signatures(content: Mapping[str, Any]) -> dict[str, Signature]:
    """Read the signatures of TensorFlow Serving's metadata."""
    return in_order(
        Signature(
            name,
            {key: _spec(value) for key, value in entry["inputs"].items()},
            {key: _spec(entry["outputs"][key]) for key in sorted(entry["outputs"])},
            {key: _default(value) for key, value in entry.get("defaults", {}).items()},
        )
        for name, entry in content.items()
        if not name.startswith("__")  # the graph's own: __saved_model_init_op
    )


def _spec(entry: Mapping[str, Any]) -> TensorSpec:
    dtype = entry["dtype"].removeprefix("DT_").lower()
    sizes = [int(dim["size"]) for dim in entry["tensor_shape"].get("dim", [])]
    shape = tuple(None if size < 0 else size for size in sizes)
    if entry["tensor_shape"].get("unknown_rank"):
        shape = (None,)
    return TensorSpec(shape, {"float": "float32", "double": "float64"}.get(dtype, dtype))


def _default(entry: Mapping[str, Any]) -> np.ndarray:
    """Turn a TensorProto as JSON into an array, if it is a number without TensorFlow's help."""
    values: list = next((entry[key] for key in _NUMBERS if entry.get(key)), [])
    if len(values) == 1 and not entry["tensor_shape"].get("dim"):
        return np.array(values[0]).astype(_spec(entry).dtype)  # int64 are strings in JSON
    import tensorflow as tf
    from google.protobuf.json_format import ParseDict
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    return tf.make_ndarray(ParseDict(entry, TensorProto()))


def _plain(value: Any, spec: TensorSpec) -> Any:
    if spec.dtype != "string":
        return np.asarray(value, spec.dtype).tolist()
    array = np.asarray(value, dtype=object)
    if array.ndim:
        return [_plain(part, spec) for part in array]
    item = array.item()
    content = item.encode("utf8") if isinstance(item, str) else bytes(item)
    return {"b64": base64.b64encode(content).decode()}


def _array(value: Any, spec: TensorSpec) -> np.ndarray:
    if spec.dtype != "string":
        return _shaped(np.array(value, dtype=spec.dtype), spec)
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    items = list(_bytes(value))
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return _shaped(array.reshape(shape), spec)


def _bytes(part: Any) -> Iterator[bytes]:
    """Yield the strings of nested lists."""
    if isinstance(part, list):
        for item in part:
            yield from _bytes(item)
    else:
        yield base64.b64decode(part["b64"]) if isinstance(part, dict) else part.encode("utf8")


def _shaped(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Give an array without values the axes that empty lists do not show."""
    more = spec.shape[array.ndim :]
    return array if array.size else array.reshape(array.shape + tuple(n or 0 for n in more))
