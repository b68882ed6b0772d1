"""What all checks share: comparing nests of arrays, gradients, a precision for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def require(condition: Any, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def leaves(tree: Any) -> list[tuple[str, Any]]:
    """Return (path, leaf) for every leaf of a nest of dicts, lists and tuples but None."""
    return [
        ("/".join(map(str, path)), leaf)
        for path, leaf in keras.tree.flatten_with_path(tree)
        if leaf is not None
    ]


def array(value: Any) -> np.ndarray:
    """Return a tensor or an array as a numpy array; bfloat16 becomes float32."""
    found = np.asarray(value)
    if found.dtype.name == "bfloat16":
        return found.astype(np.float32)
    return found


def arrays(tree: Any) -> Any:
    """Return a nest of numpy arrays for inputs: float64, which nothing here uses, as float32."""

    def one(value):
        found = np.asarray(value)
        return found.astype(np.float32) if found.dtype == np.float64 else found

    return keras.tree.map_structure(one, tree)


def is_float(value: Any) -> bool:
    """Whether a tensor or an array holds floating point numbers."""
    return keras.backend.is_float_dtype(dtype(value))


def dtype(value: Any) -> str:
    """Return the name of a dtype, the same for tensors, arrays and symbols."""
    return tf.as_dtype(value.dtype).name


def finite(tree: Any, what: str) -> None:
    """Require that all floating point numbers of a nest are finite."""
    for path, leaf in leaves(tree):
        if is_float(leaf):
            require(np.isfinite(array(leaf)).all(), f"{what} {path} is not finite everywhere.")


def same(found: Any, expected: Any, what: str, *, tolerance: float = 0.0) -> None:
    """Require two nests of arrays to be equal in structure, shape, dtype and value.

    Args:
        found: nest of arrays or tensors.
        expected: the same.
        what: str, begins the message.
        tolerance: float, largest difference: absolute below 1, relative above. Text and whole
            numbers must be equal.
    """
    found, expected = leaves(found), leaves(expected)
    names = [path for path, _ in found]
    require(
        names == [path for path, _ in expected],
        f"{what}: other parts. Expected: {[path for path, _ in expected]}. Found: {names}.",
    )
    for (path, one), (_, other) in zip(found, expected, strict=True):
        where = f"{what} {path}".rstrip()
        require(
            tuple(one.shape) == tuple(other.shape),
            f"{where}: shape {tuple(one.shape)}. Expected: {tuple(other.shape)}.",
        )
        require(
            dtype(one) == dtype(other), f"{where}: dtype {dtype(one)}. Expected: {dtype(other)}."
        )
        distance = difference(array(one), array(other))
        allowed = tolerance if is_float(one) else 0.0
        require(
            distance <= allowed,
            f"{where}: largest difference {distance:.3g}. Allowed: {allowed:g}.",
        )


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference: absolute below 1, relative above; infinite for other text."""
    if found.dtype.kind in "OSU":
        return 0.0 if np.array_equal(found, expected) else float("inf")
    found, expected = found.astype("float64"), expected.astype("float64")
    equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        distance = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    distance = np.where(equal, 0.0, np.where(np.isnan(distance), np.inf, distance))
    return float(distance.max(initial=0.0))


def same_shapes(symbolic: Any, eager: Any, what: str) -> None:
    """Require that symbols promised what came: rank, known sizes, dtype."""
    promised, came = leaves(symbolic), leaves(eager)
    require(
        [path for path, _ in promised] == [path for path, _ in came],
        f"{what}: the symbolic call gives {[path for path, _ in promised]}, "
        f"the eager call {[path for path, _ in came]}.",
    )
    for (path, symbol), (_, tensor) in zip(promised, came, strict=True):
        wanted, found = tuple(symbol.shape), tuple(tensor.shape)
        fits = len(wanted) == len(found) and all(
            size in (None, there) for size, there in zip(wanted, found, strict=True)
        )
        where = f"{what} {path}".rstrip()
        require(fits, f"{where}: symbolic shape {wanted}, eager shape {found}.")
        require(
            dtype(symbol) == dtype(tensor),
            f"{where}: symbolic dtype {dtype(symbol)}, eager dtype {dtype(tensor)}.",
        )


def free_inputs(tree: Any, free_axes: Sequence[int] | Mapping[Any, Sequence[int]]) -> Any:
    """Return Keras inputs for a nest of arrays, with the free axes unknown."""

    def one(path, value):
        axes = axes_of(path, free_axes)
        shape = [None if i in axes else size for i, size in enumerate(value.shape)]
        return keras.Input(batch_shape=shape, dtype=dtype(value))

    return _map_with_path(one, tree)


def shorter(tree: Any, free_axes: Sequence[int] | Mapping[Any, Sequence[int]]) -> Any:
    """Return a nest of arrays with one element less along every free axis that has two."""

    def one(path, value):
        for axis in axes_of(path, free_axes):
            if axis < value.ndim and value.shape[axis] > 1:
                value = value.take(range(value.shape[axis] - 1), axis)
        return value

    return _map_with_path(one, tree)


def axes_of(
    path: Sequence[Any], free_axes: Sequence[int] | Mapping[Any, Sequence[int]]
) -> Sequence[int]:
    """Return the free axes of the input at a path: given for all, or by index or name."""
    if isinstance(free_axes, Mapping):
        return next((free_axes[key] for key in reversed(path) if key in free_axes), (0,))
    return free_axes


def _map_with_path(function: Callable[[Any, Any], Any], tree: Any) -> Any:
    mapped = [function(path, leaf) for path, leaf in keras.tree.flatten_with_path(tree)]
    return keras.tree.pack_sequence_as(tree, mapped)


def check_gradients(
    call: Callable[[bool], Any], weights: Sequence[Any], no_gradient: Sequence[str]
) -> None:
    """Require a finite gradient that is not all zero for every weight.

    Args:
        call: (training) -> nest of outputs.
        weights: Keras variables.
        no_gradient: ends of the paths of weights whose gradient is zero in theory, such as the
            bias of the keys before a softmax.
    """
    zero = _without_gradient(call, weights, training=True)
    if zero:  # dropout may have silenced a small layer altogether
        zero &= _without_gradient(call, weights, training=False)
    zero = {path for path in zero if not path.endswith(tuple(no_gradient))}
    require(not zero, f"the gradient of {', '.join(sorted(zero))} is zero everywhere.")


def _without_gradient(call, weights, *, training: bool) -> set[str]:
    """Return the paths of the weights whose gradient is zero; None and infinite ones raise."""
    random = np.random.default_rng(0)
    with tf.GradientTape() as tape:
        outputs = [tf.cast(leaf, "float32") for _, leaf in leaves(call(training)) if is_float(leaf)]
        loss = sum(
            tf.reduce_sum(output * random.normal(size=output.shape).astype("float32"))
            for output in outputs
        )
    require(outputs or not weights, "no output is a floating point number: nothing to train by.")
    zero = set()
    for weight, gradient in zip(
        weights, tape.gradient(loss, [w.value for w in weights]), strict=True
    ):
        require(gradient is not None, f"no gradient reaches {weight.path}.")
        value = tf.convert_to_tensor(gradient).numpy()
        require(np.isfinite(value).all(), f"the gradient of {weight.path} is not finite.")
        if not value.any():
            zero.add(weight.path)
    return zero


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Make layers with a dtype policy, then go back to the one before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
