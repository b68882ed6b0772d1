"""The signature of a model that maps numbers to the logit of the second of two classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.numbers import finite
from kerasd2l.recipe import Endpoint, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


def binary_classifier(
    shape: tuple[int, ...],
    *,
    name: str = "serving_default",
    input_name: str = "features",
    transform: Callable[[tf.Tensor, Mapping[str, Any]], tf.Tensor] | None = None,
    example: Callable[[], Any] | None = None,
) -> Endpoint:
    """Make an endpoint from numbers to `probabilities`, `class_ids` and `class_names`.

    `probabilities` (B, 2) float32 are 1 - sigmoid(z) and sigmoid(z) of the model's logit z (B, 1);
    the decision, `class_ids` (B,) int64, is made at z = 0, and `class_names` (B,) string are from
    `assets["class_names"]`. NaN and infinity are refused.

    Args:
        shape: shape of one example, e.g. (8,), or () for a single number.
        name: str, of the signature. Default: "serving_default".
        input_name: str, of the input. Default: "features".
        transform: ((B, *shape) float32, assets) -> what the model takes; part of the graph.
        example: () -> (B, *shape) numbers; None: from N(0, 1).

    Returns:
        An Endpoint.

    Raises:
        ValueError: when exporting, other than two class names.

    Example:
        >>> binary_classifier((8,)).signature["features"].shape
        (None, 8)
    """

    def build(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        names = list(assets.get("class_names", ()))
        if len(names) != 2:
            raise ValueError(
                "a binary classifier needs two `class_names` in the assets of its data. "
                f"Received: {', '.join(names) or 'none'}."
            )

        def classify(**inputs):
            values = tf.debugging.check_numerics(
                inputs[input_name], f"{input_name} must be finite numbers"
            )
            values = transform(values, assets) if transform else values
            logits = finite(model(values, training=False))  # (B, 1)
            ids = tf.cast(logits[:, 0] > 0, tf.int64)
            return {
                "probabilities": tf.sigmoid(tf.concat([-logits, logits], axis=-1)),
                "class_ids": ids,
                "class_names": tf.gather(tf.constant(names, tf.string), ids),
            }

        return classify

    def numbers() -> dict[str, np.ndarray]:
        values = example() if example else np.random.default_rng(0).normal(size=(3, *shape))
        return {input_name: np.asarray(values, np.float32)}

    return Endpoint(name, {input_name: TensorSpec((None, *shape))}, build, numbers)
