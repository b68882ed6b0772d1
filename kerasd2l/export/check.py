"""Check an export: a process without this library must get from it what `model.keras` gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.export import fresh
from kerasd2l.export.examples import arrays_of
from kerasd2l.export.kerasfile import load_model
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.recipe import Endpoint

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


def verify(
    saved_model: str | os.PathLike,
    model: str | os.PathLike | keras.Model,
    endpoints: tuple[Endpoint, ...],
    assets: Mapping[str, Any],
    *,
    tolerance: float = 1e-5,
    start: Callable[[str, str], tuple[int, str]] | None = None,
) -> dict[str, float]:
    """Feed every endpoint's example to the SavedModel elsewhere and to the model here, and compare.

    The SavedModel runs in a fresh process in which neither kerasd2l nor Keras can be imported.
    Both sides compute on the CPU, so that the check works beside a training that holds the GPU.

    Args:
        saved_model: the folder with `saved_model.pb`.
        model: path of `model.keras`, or a model.
        endpoints: the signatures that were exported.
        assets: what they were exported with.
        tolerance: float, largest difference of a number, absolute below 1 and relative above.
            Text and whole numbers must be equal. Default: 1e-5.
        start: (script, stdin) -> (exit code, stderr), runs a Python file in a fresh process that
            cannot import this library. Default: a process of its own.

    Returns:
        "endpoint/output" -> largest difference (0.0 for text).

    Raises:
        SavedModelError: it cannot be loaded there, a name or dtype is wrong, or an output differs;
            the message names endpoint, output and difference.
    """
    reply = ask_elsewhere(saved_model, endpoints, start=start)
    with tf.device("/CPU:0"):
        if isinstance(model, (str, os.PathLike)):
            model = load_model(model)
        expected = answers(model, endpoints, assets)
    return compare(reply, expected, tolerance=tolerance)


Answers = dict[str, dict[str, np.ndarray]]  # endpoint -> output -> array


def answers(
    model: keras.Model,
    endpoints: tuple[Endpoint, ...],
    assets: Mapping[str, Any],
    *,
    graph: bool = True,
) -> Answers:
    """Return what the endpoints of a model here make of their examples.

    As graphs, like the export: otherwise the rounding of TensorFlow's optimizer of graphs counts as
    a fault. Of the small models of tests it is below 1e-7, and without graphs they answer sooner.
    """
    found = {}
    for endpoint in endpoints:
        function = endpoint.build(model, assets)
        if graph:
            function = tf.function(function, autograph=False)
        outputs = function(**{k: tf.constant(value) for k, value in arrays_of(endpoint).items()})
        found[endpoint.name] = {
            key: fresh.decode(fresh.encode(value.numpy())) for key, value in outputs.items()
        }
    return found


def ask_elsewhere(
    saved_model: str | os.PathLike,
    endpoints: tuple[Endpoint, ...],
    *,
    start: Callable[[str, str], tuple[int, str]] | None = None,
    empty: bool = False,
) -> Answers:
    """Return what a SavedModel makes of the examples in a process without this library.

    Args and Raises: see `verify`. empty: ask each signature with a batch of nothing, too, to which
    the answer must be empty.
    """
    examples = {endpoint.name: arrays_of(endpoint) for endpoint in endpoints}
    reply = _elsewhere(Path(saved_model), examples, start or _start, empty)
    if set(reply["signatures"]) != set(examples):
        raise SavedModelError(
            f"{saved_model} has the signatures {', '.join(reply['signatures'])}. "
            f"Expected: {', '.join(sorted(examples))}."
        )
    found = {}
    for endpoint in endpoints:
        there = reply["results"][endpoint.name]
        declared = {key: tf.as_dtype(spec.dtype).name for key, spec in endpoint.signature.items()}
        if there["inputs"] != declared:
            raise SavedModelError(
                f"{saved_model}: signature {endpoint.name!r} takes {there['inputs']}. "
                f"Expected: {declared}."
            )
        too_many = {key: n for key, n in there.get("answers to nothing", {}).items() if n}
        if too_many:
            raise SavedModelError(
                f"{saved_model}: signature {endpoint.name!r} answers an empty batch with "
                f"{too_many}. Expected: outputs of the length 0."
            )
        found[endpoint.name] = {key: fresh.decode(v) for key, v in there["outputs"].items()}
    return found


def compare(found: Answers, expected: Answers, *, tolerance: float) -> dict[str, float]:
    """Return "endpoint/output" -> largest difference; too large a one is a SavedModelError."""
    differences: dict[str, float] = {}
    for name, outputs in expected.items():
        differences |= _compare(name, outputs, found[name], tolerance)
    return differences


def _start(script: str, stdin: str) -> tuple[int, str]:
    """Run a Python file in an empty folder of a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            isolated(script),
            input=stdin,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    return done.returncode, done.stderr


def isolated(script: str, *arguments: str) -> list[str]:
    """Return the command that runs a Python file with what is installed here, and nothing else.

    `-I` keeps PYTHON* variables and the current folder from it, but also what `pip install --user`,
    `--target` and PYTHONPATH bring, so the process gets the search path of this one. This library
    may lie beside TensorFlow there: the script must see to it that it does without.
    """
    boot = (
        "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[1]); del sys.argv[:2]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return [sys.executable, "-I", "-c", boot, json.dumps(search_path()), script, *arguments]


def search_path() -> list[str]:
    """Return `sys.path` for a process that has what is installed here, and nothing that lies about.

    The folder of this library and the current one are left out, unless TensorFlow itself is there.
    """
    about = {os.path.realpath(""), os.path.realpath(Path(__file__).parents[2])}
    paths = [os.path.abspath(entry) for entry in sys.path]
    return [
        path
        for path in dict.fromkeys(paths)
        if os.path.realpath(path) not in about or os.path.isdir(os.path.join(path, "tensorflow"))
    ]


def _elsewhere(
    path: Path,
    examples: Mapping[str, Mapping[str, np.ndarray]],
    start: Callable[[str, str], tuple[int, str]] = _start,
    empty: bool = False,
) -> dict[str, Any]:
    """Run the examples through the SavedModel in a process of its own and return its reply."""
    inputs = {
        name: {key: fresh.encode(value) for key, value in example.items()}
        for name, example in examples.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        reply = Path(folder) / "reply.json"
        request = {
            "path": str(path.resolve()),
            "reply": str(reply),
            "inputs": inputs,
            "empty": empty,
        }
        code, errors = start(fresh.__file__, json.dumps(request))
        if code or not reply.exists():
            raise SavedModelError(
                f"{path} cannot be used without this library. The process that tried ended with "
                f"exit code {code}:\n{errors[-2000:].strip()}"
            )
        return json.loads(reply.read_text("utf8"))


def _compare(
    endpoint: str, here: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray], tolerance: float
) -> dict[str, float]:
    """Return the largest difference of every output; raise for the first that is too large."""
    if set(here) != set(there):
        raise SavedModelError(
            f"endpoint {endpoint!r} of the SavedModel gives {sorted(there)}. "
            f"The model gives {sorted(here)}."
        )
    differences = {}
    for key, expected in here.items():
        found = there[key]
        what = f"output {key!r} of endpoint {endpoint!r}"
        if found.shape != expected.shape:
            raise SavedModelError(
                f"{what} has shape {found.shape} in the SavedModel, {expected.shape} in the model."
            )
        if found.dtype != expected.dtype:
            raise SavedModelError(
                f"{what} is {found.dtype} in the SavedModel, {expected.dtype} in the model."
            )
        if expected.dtype.kind == "O":
            difference = 0.0 if np.array_equal(found, expected) else float("inf")
        else:
            difference = _difference(found, expected)
        if not difference <= (tolerance if expected.dtype.kind not in "iubO" else 0):
            raise SavedModelError(
                f"{what} differs between the SavedModel and the model: largest difference "
                f"{difference:.3g}, allowed {tolerance:g}."
            )
        differences[f"{endpoint}/{key}"] = difference
    return differences


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference: absolute below 1, relative above; equal NaN and infinity count as 0."""
    found, expected = found.astype("float64"), expected.astype("float64")
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        distance = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    distance = np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))
    return float(distance.max(initial=0.0))
