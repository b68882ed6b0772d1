"""The signatures of a model that maps numbers to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Endpoint, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


_TOO_LARGE = "the numbers given are too large: the answer is no finite number"


def finite(answers: tf.Tensor) -> tf.Tensor:
    """Return a model's answers behind a check that they are finite numbers, as float32."""
    return tf.debugging.check_numerics(tf.cast(answers, tf.float32), _TOO_LARGE)


def regressor(
    shape: tuple[int, ...],
    *,
    name: str = "serving_default",
    input_name: str = "features",
    transform: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> Endpoint:
    """Make an endpoint from named numbers to `prediction` (B,) float32.

    Args:
        shape: shape of one example, e.g. (2,), or () for a single number.
        name: str, of the signature. Default: "serving_default".
        input_name: str, of the input. Default: "features".
        transform: (B, *shape) float32 -> what the model takes; becomes part of the graph.

    Returns:
        An Endpoint. The exported signature refuses NaN and infinity, and numbers so large that
        the answer is no finite one.

    Example:
        >>> regressor((2,)).signature["features"].shape
        (None, 2)
    """

    def build(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        def predict(**inputs):
            values = tf.debugging.check_numerics(
                inputs[input_name], f"{input_name} must be finite numbers"
            )
            values = transform(values) if transform else values
            output = finite(model(values, training=False))  # (B, 1)
            return {"prediction": tf.reshape(output, (-1,))}

        return predict

    def example() -> dict[str, np.ndarray]:
        values = np.random.default_rng(0).normal(size=(3, *shape))
        return {input_name: values.astype(np.float32)}

    return Endpoint(name, {input_name: TensorSpec((None, *shape))}, build, example)
