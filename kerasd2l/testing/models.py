"""Check one model: parameters, shapes, a reload in a fresh process, gradients, precision."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kerasd2l.testing import compare, elsewhere
from kerasd2l.testing.compare import require
from kerasd2l.testing.layers import check_config_names


def check_model(
    build: Callable[[], keras.Model],
    inputs: Any,
    *,
    parameters: int | None = None,
    free_axes: Sequence[int] | Mapping[Any, Sequence[int]] = (0,),
    fresh: bool = True,
    modules: Sequence[str] = (),
    mixed_precision: bool = True,
    no_gradient: Sequence[str] = (),
    tolerance: float = 1e-6,
) -> Any:
    """Check that a model can be trained, saved, reloaded elsewhere and served; return its output.

    Args:
        build: () -> model; call it with a lambda to give arguments.
        inputs: array, or list or dict of arrays: the model's one argument. At least two examples.
        parameters: int, number of parameters; None: not checked.
        free_axes: the axes of every input that may be unknown, as for `check_layer`.
        fresh: bool, save the model and reload it in a process that imports Keras and those rooms of
            this library that the file names.
        modules: names of further modules to import there, for classes that are not of this library.
        mixed_precision: bool, require float32 outputs of a model that computes in bfloat16.
        no_gradient: ends of the paths of weights whose gradient is zero in theory.
        tolerance: float, largest difference after the reload.

    Returns:
        The output of the model on the inputs, in inference.

    Raises:
        AssertionError: a promise is broken; the message says which.

    Example:
        >>> from kerasd2l.models import lenet
        >>> pixels = np.zeros((2, 28, 28, 1))
        >>> check_model(lenet, pixels, parameters=61706).shape  # doctest: +SKIP
        TensorShape([2, 10])
    """
    inputs = compare.arrays(inputs)
    model = build()
    output = model(inputs, training=False)
    compare.finite(output, "output")
    found = model.count_params()
    require(parameters in (None, found), f"{found:,} parameters. Expected: {parameters or 0:,}.")
    compare.same_shapes(
        model(compare.free_inputs(inputs, free_axes), training=False), output, "output:"
    )
    _check_free_batch(model, inputs, output, free_axes)
    if not isinstance(model, (keras.Sequential, keras.src.models.functional.Functional)):
        check_config_names(model)
    compare.check_gradients(
        lambda training: model(inputs, training=training), model.trainable_weights, no_gradient
    )
    if fresh:
        _check_reload(model, inputs, tuple(modules), tolerance)
    if mixed_precision:
        _check_precision(build, inputs)
    return output


def _check_free_batch(model: keras.Model, inputs: Any, output: Any, free_axes: Any) -> None:
    """Require one example alone to give what it gives among others, and other lengths to work."""
    one = keras.tree.map_structure(lambda value: value[:1], inputs)
    batch = keras.tree.flatten(inputs)[0].shape[0]
    if batch < 2:
        raise ValueError(f"`inputs` must have at least two examples. Received: {batch}.")
    alone = model(one, training=False)
    for (path, found), (_, among) in zip(
        compare.leaves(alone), compare.leaves(output), strict=True
    ):
        expected = among[:1] if among.shape[0] == batch else among
        compare.same(found, expected, f"output {path} of one example alone", tolerance=1e-5)
    compare.finite(model(compare.shorter(inputs, free_axes), training=False), "output")


def _check_reload(
    model: keras.Model, inputs: Any, modules: tuple[str, ...], tolerance: float
) -> None:
    """Require the same outputs from the saved model in a fresh process, both on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        found = elsewhere.reload(path, inputs, modules)
    with keras.device("cpu:0"):
        output = model(inputs, training=False)
    expected = keras.tree.map_structure(keras.ops.convert_to_numpy, output)
    compare.same(found, expected, "output after the reload", tolerance=tolerance)


def _check_precision(build: Callable[[], keras.Model], inputs: Any) -> None:
    """Require float32 outputs from layers that compute in bfloat16."""
    with compare.precision("mixed_bfloat16"):
        model = build()
        output = model(inputs, training=False)
    compare.finite(output, "output under mixed_bfloat16")
    for path, leaf in compare.leaves(output):
        require(
            not compare.is_float(leaf) or compare.dtype(leaf) == "float32",
            f"under mixed_bfloat16 output {path} is {compare.dtype(leaf)}. Expected: float32 "
            '(the last layer with dtype="float32").',
        )
    require(
        any(layer.compute_dtype == "bfloat16" for layer in model._flatten_layers()),
        "under mixed_bfloat16 no layer computes in bfloat16.",
    )
