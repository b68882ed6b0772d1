"""The signatures of word vectors: a word in, its neighbours out; and analogies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.numbers import finite
from kerasd2l.endpoints.text import TextTable
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

NEIGHBOURS = 10
MOST_CHARACTERS = 100  # of a word whose parts are read
_WORDS = {"word": TensorSpec((None,), "string")}


def word_neighbours(
    *,
    example: tuple[str, ...] = ("chip", "Print", "no such word", ""),
    analogy: tuple[str, str, str] = ("is", "are", "was"),
) -> tuple[Endpoint, ...]:
    """Make the signatures of a model with word vectors.

    `serving_default` takes `word` (B,) string and returns the 10 words whose vectors point most
    nearly in the same direction, itself left out: `neighbours` (B, 10) string, `similarities`
    (B, 10) float32, their cosines, `known` (B,) bool, and `words_left_out` (B,) int32: of a text
    of several words all, since it is none. `analogy` takes `a`, `b` and `c` (B,) string and returns
    the same of the vector b - a + c, the three words left out: a is to b as c is to what? A word
    that is not known has no neighbours: "" and 0; with parts of words (fastText) it has those of
    the n-grams of its first 100 characters, and `characters_left_out` (B,) int32 says how many are
    not read. A small vocabulary fills the last places with "" and 0, too.

    The assets need `vocabulary` and `tokenizer`; `subwords` where the vectors are made of parts.

    Args:
        example: words to check the export with.
        analogy: three words to check the export with.

    Returns:
        Two endpoints, "serving_default" and "analogy".

    Example:
        >>> [endpoint.name for endpoint in word_neighbours()]
        ['serving_default', 'analogy']
    """

    def build_word(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        words = _Words(model, assets)

        def serve(word):
            ids, vectors, report = words.look_up(word)
            return words.nearest(vectors, ids[:, None]) | report

        return ServingFunction(serve, resources=words.resources)

    def build_analogy(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        words = _Words(model, assets)

        def serve(a, b, c):
            found = [words.look_up(word) for word in (a, b, c)]
            ids, vectors, reports = (list(part) for part in zip(*found, strict=True))
            there = tf.reduce_all(tf.stack([tf.norm(v, axis=-1) > 0 for v in vectors], 1), axis=1)
            target = (vectors[1] - vectors[0] + vectors[2]) * tf.cast(there, tf.float32)[:, None]
            answers = words.nearest(target, tf.stack(ids, axis=1))
            report = {key: [one[key] for one in reports] for key in reports[0]}
            known = tf.reduce_all(tf.stack(report.pop("known"), axis=1), axis=1)
            return answers | {"known": known} | {k: tf.add_n(some) for k, some in report.items()}

        return ServingFunction(serve, resources=words.resources)

    def strings(*items: str) -> np.ndarray:
        return np.array([item.encode() for item in items], dtype=object)

    three = {name: TensorSpec((None,), "string") for name in "abc"}
    asked = {name: strings(word, "") for name, word in zip("abc", analogy, strict=True)}
    return (
        Endpoint("serving_default", _WORDS, build_word, lambda: {"word": strings(*example)}),
        Endpoint("analogy", three, build_analogy, lambda: asked),
    )


class _Words:
    """A vocabulary and the vectors that a model has of it."""

    def __init__(self, model: keras.Model, assets: Mapping[str, Any]):
        self.vocabulary = list(assets.get("vocabulary", ()))
        self.table = TextTable(self.vocabulary, assets.get("tokenizer", {}))
        self.resources = self.table.resources
        self.model = model
        self.parts = (
            _Parts(assets["subwords"], len(self.vocabulary)) if "subwords" in assets else None
        )

    def look_up(self, words: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """Return the numbers (B,) and vectors (B, D) of words, and what the answer says of them."""
        tokens = self.table.tokenize(words)
        count = tf.cast(tokens.row_lengths(), tf.int32)
        single = tf.equal(count, 1)
        text = tf.where(single, tokens[:, :1].to_tensor("", shape=(None, 1))[:, 0], "")
        ids = tf.where(single, self.table.numbers(text), 0)
        vectors = self._vectors(ids, text)
        real = ids > 0 if self.parts is None else text != ""
        report = {"known": ids > 0, "words_left_out": tf.where(single, 0, count)}
        if self.parts is not None:
            letters = tf.strings.length(text, unit="UTF8_CHAR")
            report["characters_left_out"] = tf.maximum(letters - MOST_CHARACTERS, 0)
        return ids, vectors * tf.cast(real, tf.float32)[:, None], report

    def nearest(self, vectors: tf.Tensor, left_out: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the words nearest to vectors (B, D) but those of numbers `left_out` (B, N)."""
        size, k = len(self.vocabulary), min(NEIGHBOURS, len(self.vocabulary))
        every = tf.range(size)
        table = self._vectors(every, tf.constant(self.vocabulary))
        unit = [
            tf.math.divide_no_nan(v, tf.norm(v, axis=-1, keepdims=True)) for v in (vectors, table)
        ]
        cosines = tf.matmul(unit[0], unit[1], transpose_b=True)  # (B, V)
        never = tf.reduce_any(left_out[:, :, None] == every, axis=1) | (every == 0)
        never |= tf.norm(vectors, axis=-1, keepdims=True) == 0
        scores, best = tf.math.top_k(tf.where(never, -2.0, cosines), k)
        real = scores > -2
        names = tf.where(real, tf.gather(tf.constant(self.vocabulary), best), "")
        missing = [[0, 0], [0, NEIGHBOURS - k]]
        return {
            "neighbours": tf.pad(names, missing, constant_values=""),
            "similarities": tf.pad(tf.where(real, scores, 0.0), missing),
        }

    def _vectors(self, ids: tf.Tensor, text: tf.Tensor) -> tf.Tensor:
        return finite(self.model.vectors(ids if self.parts is None else self.parts(ids, text)))


class _Parts:
    """Words to the numbers of their parts in the graph: `data.subwords.Subwords` there."""

    def __init__(self, rules: Mapping[str, int], first: int):
        self.rules, self.first = rules, first

    def __call__(self, ids: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        """Return (B, S) int32: each word's number, or 0, and those of its character n-grams."""
        letters = tf.strings.unicode_split(words, "UTF-8")[:, :MOST_CHARACTERS]
        fence = tf.fill(tf.stack([letters.nrows(), tf.constant(1, letters.row_splits.dtype)]), "")
        left, right = (tf.RaggedTensor.from_tensor(tf.strings.join([fence, s])) for s in "<>")
        marked = tf.concat([left, letters, right], axis=1)
        grams = []
        for n in range(self.rules["min_n"], self.rules["max_n"] + 1):
            inner = letters if n == 1 else marked
            grams.append(tf.strings.ngrams(inner, n, separator=""))
        parts = tf.concat(grams, axis=1)
        hashes = tf.math.floormod(_fnv1a(parts.values), self.rules["buckets"])
        numbers = parts.with_values(tf.cast(hashes, tf.int32) + self.first)
        return tf.concat([ids[:, None], numbers.to_tensor(0)], axis=1)


def _fnv1a(texts: tf.Tensor) -> tf.Tensor:
    """Return the hashes (N,) int64 of strings, as `data.subwords.fnv1a` does."""
    lengths = tf.strings.length(texts)
    longest = tf.maximum(tf.reduce_max(tf.concat([lengths, [1]], 0)), 1)
    rows = tf.cast(tf.io.decode_raw(texts, tf.uint8, fixed_length=longest), tf.int64)
    rows = tf.where(
        rows < 128, rows, tf.bitwise.bitwise_or(rows, tf.constant(0xFFFFFF00, tf.int64))
    )
    mask = tf.constant(0xFFFFFFFF, tf.int64)

    def add(place, found):
        mixed = tf.bitwise.bitwise_xor(found, rows[:, place]) * 16777619
        return place + 1, tf.where(place < lengths, tf.bitwise.bitwise_and(mixed, mask), found)

    start = tf.fill(tf.shape(texts), tf.constant(2166136261, tf.int64))
    return tf.while_loop(lambda place, _: place < longest, add, [0, start])[1]
