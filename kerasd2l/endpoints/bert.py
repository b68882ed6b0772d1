"""The signatures of BERT: a text or two in; masked words, classes, tags or an answer out.

Texts are cleaned and cut as in training. What is too long for the model is cut: `words_left_out`
says how many words. `words_known` says how many of those read the vocabulary knows; where words are
cut into pieces, those whose pieces it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.bert_texts import BERTTexts
from kerasd2l.endpoints.classes import class_answers, label_answers
from kerasd2l.endpoints.numbers import finite
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

BEST = 5  # words told for a mask
_LONGEST = 10  # words of an answer


def masked_words(*, example: Sequence[str]) -> tuple[Endpoint, ...]:
    """Make the signatures of a pre-trained BERT.

    `serving_default` takes `text` (B,) string, in which words may be `<mask>`, and returns `words`
    (B, M, 5) string, the most probable ones for each mask, with `probabilities` (B, M, 5) float32
    ("" and 0 where a text has fewer masks than M; unknown words and signs are none); `encoding`
    (B, D) float32, the vector of `<cls>`; `words_known` and `words_left_out` (B,) int32.
    `next_sentence` takes `first` and `second` (B,) string and returns `probability` (B,) float32
    that the second follows.

    Args:
        example: texts to check the export with.

    Returns:
        Two endpoints, "serving_default" and "next_sentence".
    """

    def build_masks(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        texts = BERTTexts(assets)

        def serve(text):
            inputs, report, _ = texts(text)
            encoded = model.encode(inputs)
            masks = tf.equal(inputs["tokens"], texts.mask)  # (B, T)
            places = tf.broadcast_to(tf.range(tf.shape(masks)[1])[None], tf.shape(masks))
            places = tf.ragged.boolean_mask(places, masks)
            real = tf.sequence_mask(places.row_lengths())[..., None]  # (B, M, 1)
            logits = finite(model.words(encoded, places.to_tensor(0)))  # (B, M, V)
            likely = tf.where(texts.is_word, tf.nn.softmax(logits), 0.0)
            likely, ids = tf.math.top_k(likely, min(BEST, texts.table.size))
            words = tf.gather(texts.table.tokens, ids)
            return {
                "words": tf.where(real, words, ""),
                "probabilities": tf.where(real, likely, 0.0),
                "encoding": tf.cast(encoded[:, 0], tf.float32),
                **report,
            }

        return ServingFunction(serve, resources=texts.table.resources)

    def build_next(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        texts = BERTTexts(assets)

        def serve(first, second):
            inputs, report, _ = texts(first, second)
            logits = finite(model.nsp(model.hidden(model.encode(inputs)[:, 0])))
            return {"probability": tf.nn.softmax(logits)[:, 1], **report}

        return ServingFunction(serve, resources=texts.table.resources)

    one, two = _one(example), _two(example, example[::-1])
    return (
        Endpoint("serving_default", one[0], build_masks, one[1]),
        Endpoint("next_sentence", two[0], build_next, two[1]),
    )


def bert_classifier(
    *, example: Sequence[str], second: Sequence[str] | None = None
) -> tuple[Endpoint, ...]:
    """Make the signature of a BERT that tells the class of a text, or of a pair of texts.

    `serving_default` takes `text` (B,) string, or `first` and `second`; it returns what
    `class_answers` does, `words_known` and `words_left_out` (B,) int32.

    Args:
        example: texts to check the export with.
        second: as many second texts; None: the model reads one.
    """

    def build(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        texts, answer = BERTTexts(assets), class_answers(assets)

        def classify(*given):
            inputs, report, _ = texts(*given)
            return answer(model(inputs, training=False)) | report

        def serve(text):
            return classify(text)

        def serve_pair(first, second):
            return classify(first, second)

        function = serve if second is None else serve_pair
        return ServingFunction(function, resources=texts.table.resources)

    signature, sample = _one(example) if second is None else _two(example, second)
    return (Endpoint("serving_default", signature, build, sample),)


def bert_inference(*, example: Sequence[tuple[str, str]]) -> tuple[Endpoint, ...]:
    """Make the signature of a BERT that tells what one sentence says of another.

    `serving_default` takes `premise` and `hypothesis` (B,) string; it returns `label` (B,) string,
    `probabilities` (B, K) float32, `class_ids` (B,) int64, `words_known` and `words_left_out` (B,)
    int32.

    Args:
        example: pairs of sentences to check the export with.
    """

    def build(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        texts, answer = BERTTexts(assets), label_answers(assets)

        def serve(premise, hypothesis):
            inputs, report, _ = texts(premise, hypothesis)
            return answer(model(inputs, training=False)) | report

        return ServingFunction(serve, resources=texts.table.resources)

    premises, hypotheses = zip(*example, strict=True)
    signature, sample = _two(premises, hypotheses, names=("premise", "hypothesis"))
    return (Endpoint("serving_default", signature, build, sample),)


def bert_tagger(*, example: Sequence[str]) -> tuple[Endpoint, ...]:
    """Make the signature of a BERT that tells a tag for each word.

    `serving_default` takes `text` (B,) string and returns `words` and `tags` (B, W) string and
    `probabilities` (B, W) float32 of the tags, filled up with "" and 0; `words_known` and
    `words_left_out` (B,) int32. Class 0 is no word's.

    Args:
        example: texts to check the export with.
    """

    def build(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        texts, names = BERTTexts(assets), tf.constant(list(assets["class_names"])[1:])

        def serve(text):
            inputs, report, said = texts(text)
            likely = tf.nn.softmax(finite(model(inputs, training=False))[..., 1:])
            likely = said.of_words(likely)[:, 1:-1].to_tensor()  # without `<cls>` and `<sep>`
            words = said.words[:, 1:-1]
            real = tf.sequence_mask(words.row_lengths(), tf.shape(likely)[1])
            tags = tf.gather(names, tf.argmax(likely, axis=-1))
            return {
                "words": words.to_tensor(""),
                "tags": tf.where(real, tags, ""),
                "probabilities": tf.where(real, tf.reduce_max(likely, axis=-1), 0.0),
                **report,
            }

        return ServingFunction(serve, resources=texts.table.resources)

    signature, sample = _one(example)
    return (Endpoint("serving_default", signature, build, sample),)


def bert_answers(*, questions: Sequence[str], example: Sequence[str]) -> tuple[Endpoint, ...]:
    """Make the signature of a BERT that finds the answer to a question in a text.

    `serving_default` takes `question` and `text` (B,) string and returns `answer` (B,) string, at
    most ten words of the text; `probability` (B,) float32, that it begins there times that it ends
    there; `words_known` and `words_left_out` (B,) int32. A text without words answers "".

    Args:
        questions: questions to check the export with.
        example: as many texts.
    """

    def build(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        texts = BERTTexts(assets)

        def serve(question, text):
            inputs, report, said = texts(question, text)
            logits = model(inputs, training=False)
            start, end = (tf.nn.softmax(finite(logits[name])) for name in ("start", "end"))
            places = said.places()
            *ends, likely = _best_span(start, end, places)
            first, last = (tf.gather(places, at[:, None], batch_dims=1) for at in ends)  # (B, 1)
            words = said.words[:, :-1].to_tensor("")  # without the last `<sep>`
            place = tf.range(tf.shape(words)[1])[None]
            inside = (place >= first) & (place <= last) & tf.not_equal(words, "")
            inside &= tf.equal(said.of_words(inputs["segments"])[:, :-1].to_tensor(), 1)
            words = tf.ragged.boolean_mask(words, inside)
            some = words.row_lengths() > 0
            return {
                "answer": tf.strings.reduce_join(words, axis=-1, separator=" "),
                "probability": tf.where(some, likely, 0.0),
                **report,
            }

        return ServingFunction(serve, resources=texts.table.resources)

    signature, sample = _two(questions, example, names=("question", "text"))
    return (Endpoint("serving_default", signature, build, sample),)


def _best_span(
    start: tf.Tensor, end: tf.Tensor, places: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the most probable tokens (B,) of start and end, and their probability.

    The end is not before the start, and few enough words on: `places` (B, T) are those of words.
    """
    steps = tf.shape(start)[1]
    token = tf.range(steps)
    fits = token[None, :] >= token[:, None]
    fits &= places[:, None, :] - places[:, :, None] < _LONGEST
    both = tf.where(fits, start[:, :, None] * end[:, None, :], 0.0)  # (B, T, T)
    flat = tf.reshape(both, (-1, steps * steps))
    best = tf.argmax(flat, axis=1, output_type=tf.int32)
    return best // steps, best % steps, tf.reduce_max(flat, axis=1)


def _texts(some: Sequence[str]) -> np.ndarray:
    return np.array([item.encode() for item in some], dtype=object)


def _one(example: Sequence[str]) -> tuple[dict, Callable[[], dict]]:
    return {"text": TensorSpec((None,), "string")}, lambda: {"text": _texts(example)}


def _two(
    first: Sequence[str], second: Sequence[str], names: tuple[str, str] = ("first", "second")
) -> tuple[dict, Callable[[], dict]]:
    signature = {name: TensorSpec((None,), "string") for name in names}
    sides = (first, second)
    return signature, lambda: {n: _texts(side) for n, side in zip(names, sides, strict=True)}
