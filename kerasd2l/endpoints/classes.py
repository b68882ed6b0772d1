"""What every classifier answers, and the signatures of those that read characters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.numbers import finite
from kerasd2l.endpoints.text import MOST_CHARACTERS, TextTable
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


_STEPS = f"characters must have 1 to {MOST_CHARACTERS} places, lengths must be from 0 to as many"


def class_answers(assets: Mapping[str, Any]) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return logits (B, K) -> `probabilities`, `class_ids` and `class_names`.

    Args:
        assets: with `class_names`, one for each of the K logits.

    Raises:
        ValueError: there are none; and when called, another number of them.
    """
    names = assets.get("class_names")
    if not names:
        raise ValueError(
            "a classifier needs `class_names` in the assets of its data. "
            f"Received assets: {', '.join(assets) or 'none'}."
        )

    def answer(logits: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = finite(logits)
        if logits.shape[-1] != len(names):
            raise ValueError(
                f"the model has {logits.shape[-1]} outputs, the assets have {len(names)} "
                "class names. They must be as many."
            )
        ids = tf.argmax(logits, axis=-1, output_type=tf.int64)
        return {
            "probabilities": tf.nn.softmax(logits),
            "class_ids": ids,
            "class_names": tf.gather(tf.constant(list(names), tf.string), ids),
        }

    return answer


def label_answers(assets: Mapping[str, Any]) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return logits (B, K) -> `label`, `probabilities` and `class_ids`; see `class_answers`."""
    answer = class_answers(assets)

    def labelled(logits: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = answer(logits)
        return {"label": outputs.pop("class_names"), **outputs}

    return labelled


def text_classifier(*, example: Sequence[str]) -> tuple[Endpoint, ...]:
    """Make the endpoints of a model that maps the characters of a text to logits.

    `serving_default` takes `text` (B,) string; `predict` takes what the model was trained on,
    `characters` (B, T) int32 and `lengths` (B,) int32. Both return `probabilities` (B, K) float32,
    `class_ids` (B,) int64 and `class_names` (B,) string; `serving_default` also
    `characters_read` (B,) int32: how many characters of the text the vocabulary knows. Where it is
    0, of an empty text or one in another script, the classes are a guess. Of a text of more than
    1000 characters only the last 1000 are read; `characters_left_out` (B,) int32 says how many are
    not. `predict` refuses more.

    The assets need `class_names`, `vocabulary` and `tokenizer`.

    Args:
        example: texts to check the export with.

    Returns:
        Two endpoints, "serving_default" and "predict".

    Example:
        >>> [endpoint.name for endpoint in text_classifier(example=["Satoshi"])]
        ['serving_default', 'predict']
    """

    def build_text(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        table = TextTable(assets.get("vocabulary", ()), assets.get("tokenizer", {}))
        answer = class_answers(assets)

        def serve(text):
            characters, lengths = table.encode_padded(table.ending(text))
            known = tf.math.count_nonzero(characters, axis=1, dtype=tf.int32)  # 0: unknown, padding
            inputs = {"characters": characters, "lengths": lengths}
            report = {"characters_read": known, "characters_left_out": table.left_out(text)}
            return answer(model(inputs, training=False)) | report

        return ServingFunction(serve, resources=table.resources)

    def build_ids(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        answer = class_answers(assets)

        def predict(characters, lengths):
            steps = tf.shape(characters)[1]
            fits = (steps >= 1) & (steps <= MOST_CHARACTERS)
            fits &= tf.reduce_all((lengths >= 0) & (lengths <= steps))
            with tf.control_dependencies([tf.debugging.Assert(fits, [_STEPS])]):
                inputs = {"characters": tf.identity(characters), "lengths": lengths}
            return answer(model(inputs, training=False))

        return predict

    def ids() -> dict[str, np.ndarray]:
        characters = np.random.default_rng(0).integers(1, 128, (3, 7), np.int32)
        return {"characters": characters, "lengths": np.array([7, 1, 4], np.int32)}

    return (
        Endpoint(
            "serving_default",
            {"text": TensorSpec((None,), "string")},
            build_text,
            lambda: {"text": np.array([item.encode() for item in example], dtype=object)},
        ),
        Endpoint(
            "predict",
            {
                "characters": TensorSpec((None, None), "int32"),
                "lengths": TensorSpec((None,), "int32"),
            },
            build_ids,
            ids,
        ),
    )
