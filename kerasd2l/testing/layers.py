"""Check one layer: shapes, configuration, gradients, masks, precision, seeds."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np

from kerasd2l.testing import compare
from kerasd2l.testing.compare import require

# Arguments that every Keras layer has; they need no value of their own.
_OF_EVERY_LAYER = ("self", "name", "dtype", "trainable", "autocast", "activity_regularizer")


def check_layer(
    layer: Callable[..., keras.layers.Layer],
    arguments: Mapping[str, Any],
    inputs: Any,
    *,
    call_arguments: Mapping[str, Any] | None = None,
    mask: Literal["passes", "stops"] | None = None,
    free_axes: Sequence[int] | Mapping[Any, Sequence[int]] = (0,),
    mixed_precision: bool | str = True,
    no_gradient: Sequence[str] = (),
    tolerance: float = 1e-5,
) -> Any:
    """Check that a layer keeps its promises to Keras, and return its output.

    The shapes of a symbolic call are those of an eager call, with unknown sizes too; the
    configuration holds every constructor argument and rebuilds a layer with the same outputs; a
    gradient reaches every trainable weight; masks pass or stop; bfloat16 works; seeds repeat. A
    class of this library is registered under "kerasd2l", any other one is not.

    Args:
        layer: a class, or a function that makes a layer.
        arguments: every argument of `layer`, each at another value than its default.
        inputs: an array, or a list or dict of arrays, given as the one argument of the layer's
            call; a tuple of arrays is given as several positional arguments.
        call_arguments: further arguments of the call. Arrays among them count as inputs.
        mask: "passes": a Keras mask (B, T) on the first input reaches the first output; "stops":
            it does not; None: not checked.
        free_axes: the axes of every input that may be unknown, batch and lengths; or a mapping from
            the index or name of an input to its axes (others: the batch).
        mixed_precision: True: under mixed_bfloat16, of the process or of this layer alone
            (`dtype=`), it computes and returns bfloat16;
            "float32": it computes in bfloat16 and returns float32; False: not checked.
        no_gradient: ends of the paths of weights whose gradient is zero in theory.
        tolerance: float, largest difference between ways to compute the same.

    Returns:
        The output of the layer on the inputs, in inference.

    Raises:
        AssertionError: a promise is broken; the message says which.
        ValueError: an argument is missing, or stands at its default.

    Example:
        >>> check_layer(keras.layers.ReLU, RELU, np.ones((2, 3))).shape  # doctest: +SKIP
        TensorShape([2, 3])
    """
    _check_arguments(layer, arguments)
    case = _Case(layer, arguments, inputs, call_arguments or {}, free_axes, tolerance)
    made = case.make()
    output = case.call(made, case.inputs)
    compare.finite(output, "output")
    _check_registration(type(made))
    _check_config(layer, arguments, made)
    _check_rebuilt(case, made, output)
    _check_symbolic(case, made, output)
    compare.check_gradients(
        lambda training: case.call(made, case.inputs, training=training),
        made.trainable_weights,
        no_gradient,
    )
    if mask:
        _check_mask(case, made, mask)
    if mixed_precision:
        _check_precision(case, "bfloat16" if mixed_precision is True else mixed_precision)
    if has_seeds(made) and arguments.get("seed") is not None:
        _check_seeds(case, made)
    return output


class _Case:
    """A layer to make and inputs to call it with: positional ones and tensors by name."""

    def __init__(self, layer, arguments, inputs, call_arguments, free_axes, tolerance):
        self.layer, self.arguments, self.free_axes = layer, arguments, free_axes
        self.tolerance = tolerance
        tensors = {
            name: value
            for name, value in call_arguments.items()
            if isinstance(value, np.ndarray) or keras.ops.is_tensor(value)
        }
        self.plain = {name: v for name, v in call_arguments.items() if name not in tensors}
        positional = inputs if isinstance(inputs, tuple) else (inputs,)
        self.inputs = compare.arrays({"inputs": list(positional), "by name": tensors})

    def make(self) -> keras.layers.Layer:
        return self.layer(**self.arguments)

    def call(self, layer: Any, inputs: Any, **more: Any) -> Any:
        return layer(*inputs["inputs"], **inputs["by name"], **{**self.plain, **more})

    def symbols(self, free_axes: Any) -> Any:
        """Return Keras inputs like the inputs; an index of `free_axes` is that of the input."""
        positional = self.inputs["inputs"]
        several = positional if len(positional) > 1 else positional[0]
        return {
            "inputs": compare.free_inputs(several, free_axes)
            if len(positional) > 1
            else [compare.free_inputs(several, free_axes)],
            "by name": compare.free_inputs(self.inputs["by name"], free_axes),
        }

    def shorter(self) -> Any:
        positional = self.inputs["inputs"]
        several = positional if len(positional) > 1 else positional[0]
        cut = compare.shorter(several, self.free_axes)
        return {
            "inputs": cut if len(positional) > 1 else [cut],
            "by name": compare.shorter(self.inputs["by name"], self.free_axes),
        }


def has_seeds(layer: keras.layers.Layer) -> bool:
    """Whether a layer or model, or a part of it, draws random numbers from a SeedGenerator."""
    return any(part._seed_generators for part in layer._flatten_layers())


def _parameters(function: Callable) -> dict[str, inspect.Parameter]:
    """Return what a class or function takes.

    Some versions of Python (3.11.2) show of a class what its `__new__` takes: of a layer, anything.
    """
    if not inspect.isclass(function):
        return dict(inspect.signature(function).parameters)
    _, *own = inspect.signature(function.__init__).parameters.items()  # without `self`
    return dict(own)


def constructor_arguments(function: Callable) -> dict[str, inspect.Parameter]:
    """Return the named parameters of a class or function but those that every layer has."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: parameter
        for name, parameter in _parameters(function).items()
        if parameter.kind in named and name not in _OF_EVERY_LAYER
    }


def _check_arguments(layer: Callable, arguments: Mapping[str, Any]) -> None:
    """Refuse a check that would prove nothing: an argument at its default may be forgotten."""
    for name, parameter in constructor_arguments(layer).items():
        if name not in arguments:
            raise ValueError(f"`arguments` must give every argument. {name!r} is missing.")
        default = parameter.default
        if default is not parameter.empty and arguments[name] == default:
            raise ValueError(
                "`arguments` must differ from the defaults, or a forgotten one stays unseen. "
                f"Received: {name}={default!r}, which is the default."
            )


def _check_registration(kind: type) -> None:
    """Require "kerasd2l>Name" for our own classes and nothing of the kind for others."""
    name = keras.saving.get_registered_name(kind)
    ours = kind.__module__.partition(".")[0] == "kerasd2l"
    require(
        name.startswith("kerasd2l>") == ours,
        f"{kind.__qualname__} of {kind.__module__} is registered as {name!r}. Expected: "
        + (
            'under the package "kerasd2l" (keras.saving.register_keras_serializable).'
            if ours
            else "under a package of its own: kerasd2l> is for the classes of this library."
        ),
    )


def check_config_names(made: keras.layers.Layer) -> None:
    """Require that every constructor argument of the layer's class is in its configuration."""
    if type(made).__module__.partition(".")[0] == "keras":
        return  # Keras' own layers leave out what is None
    missing = set(constructor_arguments(type(made))) - set(made.get_config())
    require(
        not missing,
        f"get_config of {type(made).__name__} lacks {', '.join(sorted(missing))}: "
        "a saved layer would come back without.",
    )


def _check_config(layer: Callable, arguments: Mapping[str, Any], made: Any) -> None:
    """Require the configuration to hold every argument's value, in plain data."""
    check_config_names(made)
    if not inspect.isclass(layer):
        return
    config = made.get_config()
    for name, parameter in constructor_arguments(layer).items():
        if parameter.default is parameter.empty:
            continue
        try:
            other: Any = layer(**{key: value for key, value in arguments.items() if key != name})
        except (TypeError, ValueError):  # the default does not go with the other values
            continue
        require(
            _plain(other.get_config()[name]) != _plain(config[name]),
            f"get_config()[{name!r}] of {layer.__name__} is {config[name]!r} whether "
            f"{name}={arguments[name]!r} or {name}={parameter.default!r}: the value is lost.",
        )


def _plain(value: Any) -> str:
    return json.dumps(keras.saving.serialize_keras_object(value), sort_keys=True)


def _rebuild(made: keras.layers.Layer) -> keras.layers.Layer:
    """Send a layer through JSON, as a .keras file does."""
    try:
        text = json.dumps(keras.saving.serialize_keras_object(made))
    except TypeError as error:
        raise AssertionError(f"the configuration is not plain data: {error}.") from error
    known = {keras.saving.get_registered_name(type(made)): type(made)}
    return keras.saving.deserialize_keras_object(json.loads(text), custom_objects=known)


def _check_rebuilt(case: _Case, made: keras.layers.Layer, output: Any) -> None:
    """Require a layer rebuilt from its configuration to have it, too, and the same outputs."""
    rebuilt = _rebuild(made)
    before, after = made.get_config(), rebuilt.get_config()
    require(
        _plain(before) == _plain(after),
        f"the configuration changes when rebuilt from itself: {before} becomes {after}.",
    )
    if not rebuilt.built:
        case.call(rebuilt, case.inputs)
    _copy_weights(made, rebuilt)
    compare.same(
        case.call(rebuilt, case.inputs),
        output,
        "output of the layer rebuilt from its configuration",
        tolerance=case.tolerance,
    )


def _copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Copy the weights; their shapes must agree."""
    shapes = [[tuple(weight.shape) for weight in one.weights] for one in (source, target)]
    require(
        shapes[0] == shapes[1],
        f"another layer made from the same arguments has other weights: {shapes[1]}. "
        f"Expected: {shapes[0]}.",
    )
    target.set_weights(source.get_weights())


def _check_symbolic(case: _Case, made: keras.layers.Layer, output: Any) -> None:
    """Require symbolic calls to promise what comes, with known and with unknown sizes."""
    known = case.call(case.make(), case.symbols(()))
    compare.same_shapes(known, output, "output of known sizes")
    for (path, symbol), (_, tensor) in zip(
        compare.leaves(known), compare.leaves(output), strict=True
    ):
        require(
            tuple(symbol.shape) == tuple(tensor.shape),
            f"output {path}: symbolic shape {tuple(symbol.shape)} of known sizes is unknown. "
            f"Expected: {tuple(tensor.shape)}.",
        )
    twin, symbols = case.make(), case.symbols(case.free_axes)
    free = case.call(twin, symbols)
    compare.same_shapes(free, output, "output of unknown sizes")
    _copy_weights(made, twin)
    model = keras.Model(keras.tree.flatten(symbols), free)
    for inputs in (case.inputs, case.shorter()):
        compare.same(
            model(keras.tree.flatten(inputs)),
            case.call(made, inputs),
            "output of the layer built with unknown sizes",
            tolerance=case.tolerance,
        )


def _check_mask(case: _Case, made: keras.layers.Layer, contract: str) -> None:
    """Require a mask on the first input to reach the first output, or not to."""
    if contract not in ("passes", "stops"):
        raise ValueError(f'`mask` must be "passes", "stops" or None. Received: {contract!r}.')
    flat = [keras.ops.convert_to_tensor(value) for value in keras.tree.flatten(case.inputs)]
    first = next(iter(keras.tree.flatten(case.inputs["inputs"])))
    place = [id(value) for value in keras.tree.flatten(case.inputs)].index(id(first))
    if first.ndim < 2:
        raise ValueError(f"a mask needs an input (B, T, ...). Received: shape {first.shape}.")
    keep = np.ones(first.shape[:2], bool)
    keep[-1, -1] = False
    keras.src.backend.set_keras_mask(flat[place], keras.ops.convert_to_tensor(keep))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not support masking")
        output = case.call(made, keras.tree.pack_sequence_as(case.inputs, flat))
    found = keras.src.backend.get_keras_mask(keras.tree.flatten(output)[0])
    if contract == "stops":
        require(found is None, "the mask of the input is on the output. Expected: it stops here.")
        return
    require(found is not None, "the mask of the input is lost. Expected: it passes.")
    compare.same(np.asarray(found), keep, "mask of the output")


def _check_precision(case: _Case, expected: str) -> None:
    """Require bfloat16 inside, and the expected dtype outside, under mixed_bfloat16.

    The policy is that of the process, and then of this layer alone: its parts must follow it.
    """
    with compare.precision("mixed_bfloat16"):
        made = case.make()
        _check_dtypes(made, case.call(made, case.inputs), expected)
    if _takes_dtype(case.layer):
        made = case.layer(**case.arguments, dtype="mixed_bfloat16")
        _check_dtypes(made, case.call(made, case.inputs), expected)


def _takes_dtype(layer: Callable) -> bool:
    parameters = _parameters(layer).values()
    return any(p.name == "dtype" or p.kind is p.VAR_KEYWORD for p in parameters)


def _check_dtypes(made: keras.layers.Layer, output: Any, expected: str) -> None:
    require(
        made.compute_dtype == "bfloat16",
        f"under mixed_bfloat16 the layer computes in {made.compute_dtype}. Expected: bfloat16.",
    )
    compare.finite(output, "bfloat16 output")
    for path, leaf in compare.leaves(output):
        require(
            not compare.is_float(leaf) or compare.dtype(leaf) == expected,
            f"under mixed_bfloat16 output {path} is {compare.dtype(leaf)}. Expected: {expected}.",
        )


def _check_seeds(case: _Case, made: keras.layers.Layer) -> None:
    """Require two layers of the same seed to draw the same numbers in training."""
    first, second = case.make(), case.make()
    outputs = []
    for layer in (first, second):
        case.call(layer, case.inputs)
        _copy_weights(made, layer)
    for layer in (first, second):
        outputs.append(case.call(layer, case.inputs, training=True))
    compare.same(outputs[1], outputs[0], "training output of a layer with the same seed")
