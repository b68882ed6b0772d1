"""The signatures of BERT: a text or two in; masked words, classes, tags or an answer out.

Texts are cleaned and cut as in training. What is too long for the model is cut: `words_left_out`
says how many words. `words_known` says how many of those read the vocabulary knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.classes import class_answers, label_answers
from kerasd2l.endpoints.numbers import finite
from kerasd2l.endpoints.text import TextTable
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

SIGNS = ("<pad>", "<mask>", "<cls>", "<sep>")
BEST = 5  # words told for a mask
_LONGEST = 10  # words of an answer


class BERTTexts:
    """Texts to the inputs of a BERT model, inside a graph.

    Args:
        assets: `vocabulary` (with the four signs), `tokenizer` and `max_len`.

    Raises:
        ValueError: an asset or a sign is missing.
    """

    def __init__(self, assets: Mapping[str, Any]):
        missing = [key for key in ("vocabulary", "tokenizer", "max_len") if not assets.get(key)]
        known = list(assets.get("vocabulary", ()))
        missing += [sign for sign in SIGNS if known and sign not in known]
        if missing:
            raise ValueError(f"the assets of a BERT model lack {', '.join(missing)}.")
        self.table = TextTable(known, assets["tokenizer"])
        self.max_len = int(assets["max_len"])
        self.is_word = tf.constant([i > 0 and word not in SIGNS for i, word in enumerate(known)])
        self.pad, self.mask, self.cls, self.sep = (known.index(sign) for sign in SIGNS)

    def __call__(self, first: tf.Tensor, second: tf.Tensor | None = None) -> tuple[dict, dict, Any]:
        """Return the inputs of the model, what the answer says of the texts, and the words.

        Args:
            first: (B,) string.
            second: (B,) string, or None.

        Returns:
            ({tokens (B, T), segments (B, T), valid_lens (B,)} int32, {words_known, words_left_out}
            (B,) int32, ragged (B, None) string: the words that were read, signs included).
        """
        words = [self.table.tokenize(text) for text in (first, second) if text is not None]
        lens = [tf.cast(one.row_lengths(), tf.int32) for one in words]
        if second is None:
            kept = [tf.minimum(lens[0], self.max_len - 2)]
        else:  # the longer one loses its last words first
            room = self.max_len - 3
            mine = tf.minimum(lens[0], tf.maximum(room - lens[1], room - room // 2))
            kept = [mine, tf.minimum(lens[1], room - mine)]
        row = [tf.fill([tf.shape(first)[0], 1], SIGNS[2])]
        for one, length in zip(words, kept, strict=True):
            row += [_first(one, length), tf.fill([tf.shape(first)[0], 1], SIGNS[3])]
        said = tf.concat(row, axis=1)  # ragged (B, None)
        ids = self.table.numbers(said)
        valid = tf.cast(ids.row_lengths(), tf.int32)
        tokens = ids.to_tensor(self.pad)
        none = tf.maximum(2 - tf.shape(tokens)[1], 0)  # of no texts: as if there were one
        tokens = tf.pad(tokens, [[0, 0], [0, none]], constant_values=self.pad)
        places = tf.range(tf.shape(tokens)[1])[None]
        later = (places >= kept[0][:, None] + 2) & (places < valid[:, None])
        known = tf.math.count_nonzero(tf.not_equal(tokens, 0) & (places < valid[:, None]), axis=1)
        inputs = {"tokens": tokens, "segments": tf.cast(later, tf.int32), "valid_lens": valid}
        report = {
            "words_known": tf.cast(known, tf.int32) - len(words) - 1,
            "words_left_out": tf.add_n(lens) - tf.add_n(kept),
        }
        return inputs, report, said


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
            likely = tf.nn.softmax(finite(model(inputs, training=False))[:, 1:-1, 1:])
            words = said[:, 1:-1].to_tensor("")  # without `<cls>` and `<sep>`
            real = tf.sequence_mask(inputs["valid_lens"] - 2, tf.shape(words)[1])
            tags = tf.gather(names, tf.argmax(likely, axis=-1))
            return {
                "words": words,
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
            start_at, end_at, likely = _best_span(start, end)
            places = tf.range(tf.shape(start)[1])[None]
            inside = (places >= start_at[:, None]) & (places <= end_at[:, None])
            inside &= tf.equal(inputs["segments"], 1)
            inside &= places < inputs["valid_lens"][:, None] - 1
            words = tf.ragged.boolean_mask(said.to_tensor("", shape=tf.shape(start)), inside)
            some = words.row_lengths() > 0
            return {
                "answer": tf.strings.reduce_join(words, axis=-1, separator=" "),
                "probability": tf.where(some, likely, 0.0),
                **report,
            }

        return ServingFunction(serve, resources=texts.table.resources)

    signature, sample = _two(questions, example, names=("question", "text"))
    return (Endpoint("serving_default", signature, build, sample),)


def _best_span(start: tf.Tensor, end: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the most probable pair of places (B,), end not before start, and its probability."""
    steps = tf.shape(start)[1]
    further = tf.range(steps)[None] - tf.range(steps)[:, None]  # from the start to the end
    fits = (further >= 0) & (further < _LONGEST)
    both = tf.where(fits, start[:, :, None] * end[:, None, :], 0.0)  # (B, T, T)
    flat = tf.reshape(both, (-1, steps * steps))
    best = tf.argmax(flat, axis=1, output_type=tf.int32)
    return best // steps, best % steps, tf.reduce_max(flat, axis=1)


def _first(words: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    """Return the first words of each row, as many as its length says."""
    place = tf.ragged.range(words.row_lengths())
    keep = place < tf.cast(tf.expand_dims(lengths, 1), place.dtype)
    return tf.ragged.boolean_mask(words, keep)


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
