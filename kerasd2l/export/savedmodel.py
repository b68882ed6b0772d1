"""Write a SavedModel: NAME/VERSION/, whole or not at all, while a server may be watching."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasd2l import finding
from kerasd2l._lazy import lazy
from kerasd2l.export import manifest, warmup
from kerasd2l.export.check import verify
from kerasd2l.export.examples import arrays_of, given, rows
from kerasd2l.export.kerasfile import load_model
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.export.messages import plain_message
from kerasd2l.export.publish import publish, workspace
from kerasd2l.recipe import Endpoint, Recipe, ServingFunction
from kerasd2l.run import Run, RunError, open_run

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras = lazy("keras")
    tf = lazy("tensorflow")


def export(
    model: keras.Model,
    recipe_name: str,
    endpoints: tuple[Endpoint, ...],
    assets: Mapping[str, Any],
    directory: str | os.PathLike,
    *,
    name: str,
    metrics: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    examples: Mapping[str, Mapping[str, Any]] | None = None,
    check: Callable[[Path], Any] | None = None,
) -> Path:
    """Write `directory/name/VERSION` with the next free VERSION, ready for TF Serving.

    The folder appears under its number only when it is complete and on the disk; until then its
    name is one that TF Serving ignores. Whatever fails leaves nothing behind. Several processes
    may export under one name at once: each gets a number of its own. Recurrent layers are written
    without cuDNN, so that what was made on a GPU can be served without one.

    Args:
        model: keras.Model, built.
        recipe_name: str, full name of the recipe, for the manifest.
        endpoints: the signatures, "serving_default" first. The function that `endpoint.build`
            returns is called with the named inputs and returns a dict. Lookup tables and other
            TensorFlow resources that are not part of `model` must be named: return a
            `recipe.ServingFunction` with them as its `resources`. Its `defaults`, values for the
            last inputs, make these optional: they stand in the SavedModel's signature.
        assets: plain data for `endpoint.build`: class names, vocabulary.
        directory: the savedmodels folder.
        name: str, name under which the model is served.
        metrics: name -> value, for the manifest.
        arguments: the recipe's resolved arguments, for the manifest.
        examples: signature -> input -> array with a batch axis, for the manifest and the warm-up.
            Default: what the endpoints give themselves.
        check: (folder of the SavedModel) -> anything; called before it is published. If it raises,
            nothing is.

    Returns:
        The path `directory/name/VERSION`.

    Raises:
        ValueError: a bad name, endpoint order, an input whose batch axis is not free, or a default
            of an input that has a batch axis or comes before one that has none; an example that
            does not fit, or that the model refuses.
        TypeError: an endpoint that does not return a dict of named outputs.
        SavedModelError: it cannot be written, or Keras computes with another backend.
    """
    _check_request(name, endpoints)
    endpoints = given(endpoints, examples)
    with workspace(Path(directory) / name) as folder, _without_cudnn(model):
        signatures = _write_archive(model, endpoints, assets, folder, tried=examples or {})
        warmup.write(folder, name, endpoints)
        shown = {
            endpoint.name: rows(endpoint, None)
            if endpoint.name in (examples or {})
            else rows(endpoint)
            for endpoint in endpoints
        }
        if check:
            check(folder)
        return publish(
            folder,
            lambda version: manifest.write(
                folder,
                name=name,
                version=version,
                recipe=recipe_name,
                arguments=arguments or {},
                signatures=signatures,
                assets=assets,
                metrics=metrics or {},
                examples={key: found for key, found in shown.items() if found},
            ),
        )


def export_run(
    run_path: str | os.PathLike,
    directory: str | os.PathLike,
    *,
    name: str | None = None,
    recipe: Recipe | None = None,
    metrics: Mapping[str, Any] | None = None,
    examples: Mapping[str, Mapping[str, Any]] | None = None,
    check: bool = True,
) -> Path:
    """Export what a run left on the disk: `model.keras` and `assets.json`, nothing that is live.

    Args:
        run_path: the folder of the run.
        directory: the savedmodels folder.
        name: str, name under which the model is served. Default: last part of the recipe's name.
        recipe: the run's recipe, if it is at hand. Default: loaded by its name and arguments.
        metrics: name -> value for the manifest. Default: those of `summary.json`.
        examples: see `export`.
        check: bool, load the export in a process without this library and compare its outputs
            with those of `model.keras` before it is published. Default: True.

    Returns:
        The path `directory/name/VERSION`.

    Raises:
        RunError: no run, no `model.keras`, or one that cannot be loaded.
        ValueError: the recipe has no endpoints; an example that does not fit.
        SavedModelError: the export does not give what the model gives.
    """
    run = open_run(run_path)
    found = recipe or recipe_of(run)
    model = load_model(run.model)
    if not found.endpoints:
        raise ValueError(f"{run.recipe} has no endpoints: there is nothing to export.")
    assets = run.read("assets.json") or {}
    if metrics is None:
        metrics = (run.read("summary.json") or {}).get("metrics") or {}

    def same_as_model(folder: Path) -> None:
        verify(folder, run.model, found.endpoints, assets)

    return export(
        model,
        run.recipe,
        found.endpoints,
        assets,
        directory,
        name=name or run.recipe.rpartition("/")[2],
        metrics=metrics,
        arguments=run.arguments,
        examples=examples,
        check=same_as_model if check else None,
    )


def recipe_of(run: Run) -> Recipe:
    """Return the recipe that a run was made with.

    Raises:
        RunError: its config.json names none, or arguments that it does not take.
    """
    try:
        found = finding.load(run.recipe, **run.arguments)
        if not isinstance(found, Recipe):
            raise TypeError(f"{run.recipe} is a demo")
        return found
    except (finding.UnknownName, TypeError, ValueError) as error:
        raise RunError(f"{run.path / 'config.json'} is not to be used: {error}") from error


def _check_request(name: str, endpoints: tuple[Endpoint, ...]) -> None:
    """Refuse what TF Serving would not serve, before anything is written."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise SavedModelError(
            f"KERAS_BACKEND={backend}: SavedModels are exported with TensorFlow. Unset "
            "KERAS_BACKEND, and `backend` in keras.json."
        )
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(
            "`name` must be made of letters, digits, `_`, `-` and `.` (TF Serving puts it into "
            f"the address). Received: name={name!r}."
        )
    if not endpoints or endpoints[0].name != "serving_default":
        raise ValueError(
            'The first endpoint must be named "serving_default". '
            f"Received: {[endpoint.name for endpoint in endpoints]}."
        )
    names = [endpoint.name for endpoint in endpoints]
    if len(set(names)) != len(names):
        raise ValueError(f"Two endpoints have the same name. Received: {names}.")
    for endpoint in endpoints:
        if not endpoint.signature:
            raise ValueError(f"Endpoint {endpoint.name!r} has no inputs.")
        for key, spec in endpoint.signature.items():
            if not key.isidentifier():
                raise ValueError(
                    f"Input names must be Python names. Received: {key!r} in {endpoint.name!r}."
                )
            if spec.shape and spec.shape[0] is not None:
                raise ValueError(
                    f"The batch axis of input {key!r} of {endpoint.name!r} must be None, so that "
                    f"any number of examples can be served. Received: shape={spec.shape}."
                )


def _write_archive(
    model: keras.Model,
    endpoints: tuple[Endpoint, ...],
    assets: Mapping[str, Any],
    folder: Path,
    *,
    tried: Container[str] = (),
) -> dict[str, Any]:
    """Write the SavedModel itself and return its signatures as the manifest lists them.

    The examples of those in `tried` are put to the model, which may refuse them.
    """
    module, signatures = tf.Module(), {}
    module.resources, module.weights = _tables(model), []
    functions: dict[str, Any] = {}
    for endpoint in endpoints:
        built = endpoint.build(model, assets)
        if not isinstance(built, ServingFunction):
            built = ServingFunction(built)
        module.resources += built.resources
        specs = [
            tf.TensorSpec(spec.shape, spec.dtype, name=key)
            for key, spec in endpoint.signature.items()
        ]
        function = tf.function(_named(endpoint, built), input_signature=specs, autograph=False)
        graph = function.get_concrete_function()
        # Defaults are in the tf.function, which TensorFlow traces once more to save it.
        functions[endpoint.name] = function if built.defaults else graph
        module.weights += graph.variables
        if endpoint.name in tried:
            _try(endpoint, graph)
        signatures[endpoint.name] = {
            "inputs": {
                spec.name: _describe(spec)
                | ({"default": built.defaults[spec.name]} if spec.name in built.defaults else {})
                for spec in specs
            },
            "outputs": {key: _describe(value) for key, value in graph.structured_outputs.items()},
        }
    try:
        tf.saved_model.save(module, str(folder), signatures=functions)
    except tf.errors.OpError as error:  # of the disk: TensorFlow has no OSError
        reason = (error.message or str(error)).splitlines()[0].rpartition("}} ")[2]
        raise SavedModelError(f"cannot write the export: {reason}") from error
    for part in ("assets", "assets.extra"):
        (folder / part).mkdir(exist_ok=True)
    return signatures


def _tables(model: keras.Model) -> list[Any]:
    """Return the lookup tables and other resources of TensorFlow in a model's layers."""
    kind = tf.saved_model.experimental.TrackableResource
    parts = tf.train.TrackableView(model).descendants()
    return [part for part in parts if isinstance(part, kind)]


def _try(endpoint: Endpoint, graph: Callable[..., Any]) -> None:
    """Put the example of an endpoint to its function, which must answer."""
    try:
        graph(**{key: tf.constant(value) for key, value in arrays_of(endpoint).items()})
    except (tf.errors.OpError, TypeError, ValueError) as error:
        raise ValueError(
            f"the model refuses the example of {endpoint.name!r}: {plain_message(error)}"
        ) from error


@contextlib.contextmanager
def _without_cudnn(model: keras.Model) -> Iterator[None]:
    """Let recurrent layers do without cuDNN while graphs are made: a CPU must serve them, too."""
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    before = [layer.use_cudnn for layer in layers]
    for layer in layers:
        layer.use_cudnn = False
    try:
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer.use_cudnn = value


def _named(endpoint: Endpoint, function: ServingFunction) -> Callable[..., dict]:
    """Wrap an endpoint's function: inputs by position in, a checked dict of tensors out."""

    def serve(*values):
        outputs = function.call(**_checked(endpoint, values))
        if not isinstance(outputs, Mapping) or not outputs:
            raise TypeError(
                f"Endpoint {endpoint.name!r} must return a dict of named outputs, such as "
                f"{{'probabilities': ...}}. Received: {type(outputs).__name__}."
            )
        wrong = [key for key in outputs if not isinstance(key, str) or not key.isidentifier()]
        if wrong:
            raise TypeError(
                f"The outputs of endpoint {endpoint.name!r} must have Python names. "
                f"Received: {wrong}."
            )
        return {key: tf.convert_to_tensor(value) for key, value in outputs.items()}

    serve.__signature__ = _parameters(endpoint, function.defaults)  # type: ignore
    return serve


def _checked(endpoint: Endpoint, values: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
    """Return the named inputs behind a check of their shapes, which is part of the graph.

    Nothing checks what comes in when a SavedModel is called, and some wrong shapes end the process.
    """
    inputs = {
        key: tf.ensure_shape(tensor, spec.shape, name=key)
        for (key, spec), tensor in zip(endpoint.signature.items(), values, strict=True)
    }
    batched = [key for key, spec in endpoint.signature.items() if spec.shape]
    if len(batched) < 2:
        return inputs
    sizes = tf.stack([tf.shape(inputs[key])[0] for key in batched])
    message = f"{', '.join(batched[:3])}{', ...' * (len(batched) > 3)} must be of the same length"
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.reduce_all(sizes == sizes[0]), [message])]
    ):
        return {key: tf.identity(tensor) for key, tensor in inputs.items()}


def _parameters(endpoint: Endpoint, defaults: Mapping[str, Any]) -> inspect.Signature:
    """Name the inputs; a default becomes that of the signature in the SavedModel."""
    names = list(endpoint.signature)
    batched = [key for key in defaults if key in names and endpoint.signature[key].shape != ()]
    if set(names[len(names) - len(defaults) :]) != set(defaults) or batched:
        raise ValueError(
            f"The defaults of endpoint {endpoint.name!r} must be of its last inputs, and of inputs "
            f"without a batch axis. Received: defaults of {list(defaults)}, inputs {names}."
        )
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            inspect.Parameter(
                key,
                kind,
                default=tf.constant(defaults[key], endpoint.signature[key].dtype)
                if key in defaults
                else inspect.Parameter.empty,
            )
            for key in names
        ]
    )


def _describe(spec: Any) -> dict[str, Any]:
    shape = None if spec.shape.rank is None else spec.shape.as_list()
    return {"dtype": spec.dtype.name, "shape": shape}
