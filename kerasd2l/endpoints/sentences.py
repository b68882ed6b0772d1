"""Signatures of models that read the words of a text, or of two: what is served with strings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.classes import label_answers
from kerasd2l.endpoints.text import TextTable
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras, tf = lazy("keras"), lazy("tensorflow")

SIDES = ("premise", "hypothesis")
MOST_PLACES = 1000  # of numbers; more only where a text may have more words
_PADDING = 1  # `<pad>`; what it is does not matter to models that end a text at its length


def sentence_classifier(*, example: Sequence[str]) -> tuple[Endpoint, ...]:
    """Make the endpoints of a model that maps the words of a text to logits.

    `serving_default` takes `text` (B,) string; `predict` takes what the model was trained on,
    `tokens` (B, T) int32 and `lengths` (B,) int32. Both return `label` (B,) string, the name of the
    class, `probabilities` (B, K) float32 and `class_ids` (B,) int64; `serving_default` also, int32
    (B,): `words_read`, the words that the model takes and knows (where it is 0 the label is a
    guess), `words_unknown`, those that it takes and does not know, and `words_left_out`, those
    behind the last one that it takes.

    The assets need `class_names`, `vocabulary`, `tokenizer` and `num_steps`, the words of a text.

    Args:
        example: texts to check the export with.

    Returns:
        Two endpoints, "serving_default" and "predict".

    Example:
        >>> [endpoint.name for endpoint in sentence_classifier(example=["great"])]
        ['serving_default', 'predict']
    """

    def build_text(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        words, answer = _Words(assets), label_answers(assets)

        def serve(text):
            read = words(text)
            logits = model({"tokens": read.ids, "lengths": read.lengths}, training=False)
            return answer(logits) | read.counts()

        return ServingFunction(_any_batch(serve), resources=words.resources)

    def build_ids(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        words, answer = _Words(assets), label_answers(assets)

        def predict(tokens, lengths):
            with tf.control_dependencies([words.check(tokens, lengths)]):
                inputs = {"tokens": tf.identity(tokens), "lengths": lengths}
            return answer(model(inputs, training=False))

        return _any_batch(predict)

    return (
        Endpoint(
            "serving_default",
            {"text": TensorSpec((None,), "string")},
            build_text,
            lambda: {"text": _bytes(example)},
        ),
        Endpoint(
            "predict",
            {"tokens": TensorSpec((None, None), "int32"), "lengths": TensorSpec((None,), "int32")},
            build_ids,
            lambda: dict(zip(("tokens", "lengths"), _numbers(7), strict=True)),
        ),
    )


def pair_classifier(
    *, example: Sequence[tuple[str, str]], attention: str = "attend"
) -> tuple[Endpoint, ...]:
    """Make the endpoints of a model that maps the words of two sentences to logits.

    `serving_default` takes `premise` and `hypothesis`, (B,) string; `predict` takes numbers:
    `premise` (B, S), `premise_lengths` (B,), `hypothesis` (B, T), `hypothesis_lengths` (B,), int32.
    Both return `label` (B,) string, `probabilities` (B, K) float32, `class_ids` (B,) int64 and
    `attention` (B, S, T) float32: how much each word of the premise looks at each word of the
    hypothesis, rows that add up to 1 and are 0 beyond the sentence. `serving_default` also gives
    the words, `premise_tokens` (B, S) and `hypothesis_tokens` (B, T), "" beyond the sentence, and
    of each sentence `..._words_read`, `..._words_unknown` and `..._words_left_out`, (B,) int32, as
    `sentence_classifier` does.

    The assets need `class_names`, `vocabulary`, `tokenizer` and `num_steps`.

    Args:
        example: pairs of sentences to check the export with.
        attention: str, the layer of the functional model whose last output are these weights.

    Returns:
        Two endpoints, "serving_default" and "predict".

    Example:
        >>> [endpoint.name for endpoint in pair_classifier(example=[("he is good", "he is bad")])]
        ['serving_default', 'predict']
    """
    numbers = [name for side in SIDES for name in (side, f"{side}_lengths")]

    def build_text(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        words, answer = _Words(assets), _pair_answers(model, assets, attention)

        def serve(premise, hypothesis):
            sides = dict(zip(SIDES, map(words, (premise, hypothesis)), strict=True))
            inputs = [part for read in sides.values() for part in (read.ids, read.lengths)]
            outputs = answer(dict(zip(numbers, inputs, strict=True)))
            for side, read in sides.items():
                outputs[f"{side}_tokens"] = read.tokens
                outputs |= {f"{side}_{key}": count for key, count in read.counts().items()}
            return outputs

        return ServingFunction(serve, resources=words.resources)

    def build_ids(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        words, answer = _Words(assets), _pair_answers(model, assets, attention)

        def predict(premise, premise_lengths, hypothesis, hypothesis_lengths):
            inputs = (premise, premise_lengths, hypothesis, hypothesis_lengths)
            with tf.control_dependencies([words.check(*inputs[:2]), words.check(*inputs[2:])]):
                return answer(dict(zip(numbers, map(tf.identity, inputs), strict=True)))

        return predict

    specs = (TensorSpec((None, None), "int32"), TensorSpec((None,), "int32"))
    return (
        Endpoint(
            "serving_default",
            {side: TensorSpec((None,), "string") for side in SIDES},
            build_text,
            lambda: {
                side: _bytes([pair[place] for pair in example]) for place, side in enumerate(SIDES)
            },
        ),
        Endpoint(
            "predict",
            dict(zip(numbers, specs * 2, strict=True)),
            build_ids,
            lambda: dict(zip(numbers, (*_numbers(7), *_numbers(5)), strict=True)),
        ),
    )


class _Read(NamedTuple):
    """What a model takes of (B,) texts: numbers, lengths, words, and how many are unknown, cut."""

    ids: tf.Tensor
    lengths: tf.Tensor
    tokens: tf.Tensor
    unknown: tf.Tensor
    left_out: tf.Tensor

    def counts(self) -> dict[str, tf.Tensor]:
        return {
            "words_read": self.lengths - self.unknown,
            "words_unknown": self.unknown,
            "words_left_out": self.left_out,
        }


class _Words:
    """Texts to the numbers of their first words."""

    def __init__(self, assets: Mapping[str, Any]):
        if not assets.get("num_steps"):
            raise ValueError(
                "a classifier of words needs `num_steps` in the assets of its data. "
                f"Received assets: {', '.join(assets) or 'none'}."
            )
        self.table = TextTable(assets.get("vocabulary", ()), assets.get("tokenizer", {}))
        self.num_steps = int(assets["num_steps"])
        self.resources = self.table.resources

    def __call__(self, text: tf.Tensor) -> _Read:
        words = self.table.tokenize(text)
        taken = words[:, : self.num_steps]
        ids = self.table.numbers(taken)
        lengths = tf.cast(taken.row_lengths(), tf.int32)
        padded = ids.to_tensor(_PADDING)
        more = [[0, 0], [0, tf.maximum(1 - tf.shape(padded)[1], 0)]]  # one step without any word
        return _Read(
            tf.pad(padded, more, constant_values=_PADDING),
            lengths,
            tf.pad(taken.to_tensor(""), more, constant_values=""),
            tf.reduce_sum(tf.cast(tf.equal(ids, 0), tf.int32), axis=1),
            tf.cast(words.row_lengths(), tf.int32) - lengths,
        )

    def check(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Operation:
        """Refuse numbers that are no words, and lengths beyond them."""
        steps, most = tf.shape(ids)[1], max(self.num_steps, MOST_PLACES)
        fits = (steps >= 1) & (steps <= most)
        fits &= tf.reduce_all((lengths >= 0) & (lengths <= steps))
        fits &= tf.reduce_all((ids >= 0) & (ids < self.table.size))
        said = (
            f"words must have 1 to {most} places and be from 0 to {self.table.size - 1}, "
            "lengths must be from 0 to as many places."
        )
        return tf.debugging.Assert(fits, [said])


def _any_batch(function: Callable[..., dict]) -> Callable[..., dict]:
    """Let a function answer no texts: it reads an empty one, of which nothing is kept.

    A convolution of TensorFlow on a CPU gives back the shape of what it reads where that is an
    empty batch (2.21, oneDNN).
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def answer(*given: tf.Tensor, **named: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = signature.bind(*given, **named).arguments
        texts = tf.shape(next(iter(inputs.values())))[0]
        one = tf.maximum(1 - texts, 0)
        some = {}
        for name, batch in inputs.items():
            shape = tf.concat([[one], tf.shape(batch)[1:]], axis=0)
            some[name] = tf.concat([batch, tf.zeros(shape, batch.dtype)], axis=0)
        return {name: output[:texts] for name, output in function(**some).items()}

    return answer


def _pair_answers(
    model: keras.Model, assets: Mapping[str, Any], attention: str
) -> Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """Return numbers and lengths -> `label`, `probabilities`, `class_ids`, `attention`."""
    answer = label_answers(assets)
    both = keras.Model(model.inputs, [model.output, model.get_layer(attention).output[-1]])
    names = [tensor.name for tensor in model.inputs]

    def answers(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        logits, weights = both([inputs[name] for name in names], training=False)
        real = tf.sequence_mask(inputs["premise_lengths"], tf.shape(weights)[1], weights.dtype)
        weights = tf.cast(weights * real[..., None], tf.float32)
        return answer(logits) | {"attention": weights}

    return answers


def _bytes(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode() for text in texts], dtype=object)


def _numbers(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and lengths of three texts, as an example."""
    ids = np.random.default_rng(0).integers(0, 2, (3, steps), np.int32)
    return ids, np.array([steps, 1, 3], np.int32)
