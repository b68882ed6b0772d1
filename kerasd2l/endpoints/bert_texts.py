"""Texts to the inputs of a BERT model, cleaned and cut as in training, inside a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.text import TextTable
from kerasd2l.endpoints.word_pieces import CONTINUES

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

SIGNS = ("<pad>", "<mask>", "<cls>", "<sep>")


@dataclass(frozen=True)
class ReadWords:
    """The words that a model reads, and where they are among its tokens. Signs are words, too.

    Args:
        words: ragged (B, W) string.
        begins: (B, T) bool, whether a token is the first one of a word; padding is.
    """

    words: tf.RaggedTensor
    begins: tf.Tensor

    def places(self) -> tf.Tensor:
        """Return which word, from 0 on, each token is of: (B, T) int32."""
        return tf.cumsum(tf.cast(self.begins, tf.int32), axis=1) - 1

    def of_words(self, tokens: tf.Tensor) -> tf.RaggedTensor:
        """Return of (B, T, ...) what stands at the first token of each word: ragged (B, W, ...)."""
        return _first(tf.ragged.boolean_mask(tokens, self.begins), self.words.row_lengths())


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
        self.is_word = tf.constant([i > 0 and self._is_word(word) for i, word in enumerate(known)])
        self.pad, self.mask, self.cls, self.sep = (known.index(sign) for sign in SIGNS)

    def _is_word(self, token: str) -> bool:
        """Whether a token is a word: no sign of ours or BERT's (`[unused7]`), no later piece."""
        later = self.table.has_pieces and token.startswith(CONTINUES)
        unused = self.table.has_pieces and token.startswith("[") and len(token) > 1
        return not (token in SIGNS or later or unused)

    def __call__(
        self, first: tf.Tensor, second: tf.Tensor | None = None
    ) -> tuple[dict, dict, ReadWords]:
        """Return the inputs of the model, what the answer says of the texts, and the words.

        A word is read if its first token is.

        Args:
            first: (B,) string.
            second: (B,) string, or None.

        Returns:
            ({tokens (B, T), segments (B, T), valid_lens (B,)} int32, {words_known, words_left_out}
            (B,) int32, ReadWords).
        """
        texts = [text for text in (first, second) if text is not None]
        words = [self.table.words(text) for text in texts]
        # a word has a token at least: so many words are enough
        pieces = [self.table.pieces(some[:, : self.max_len]) for some in words]
        tokens = [some.merge_dims(1, 2) for some in pieces]
        begins = [
            flat.with_values(_begins(some)) for flat, some in zip(tokens, pieces, strict=True)
        ]
        lens = [tf.cast(some.row_lengths(), tf.int32) for some in tokens]
        if second is None:
            kept = [tf.minimum(lens[0], self.max_len - 2)]
        else:  # the longer one loses its last tokens first
            room = self.max_len - 3
            mine = tf.minimum(lens[0], tf.maximum(room - lens[1], room - room // 2))
            kept = [mine, tf.minimum(lens[1], room - mine)]
        begins = [_first(some, length) for some, length in zip(begins, kept, strict=True)]
        tokens = [_first(some, length) for some, length in zip(tokens, kept, strict=True)]
        number = [
            tf.math.unsorted_segment_sum(
                tf.cast(some.values, tf.int32), some.value_rowids(), some.nrows()
            )
            for some in begins
        ]
        read = [_first(some, length) for some, length in zip(words, number, strict=True)]
        ids = self.table.numbers(_between_signs(tokens, *SIGNS[2:]))
        valid = tf.cast(ids.row_lengths(), tf.int32)
        ids = ids.to_tensor(self.pad)
        none = tf.maximum(2 - tf.shape(ids)[1], 0)  # of no texts: as if there were one
        ids = tf.pad(ids, [[0, 0], [0, none]], constant_values=self.pad)
        first_ones = _between_signs(begins, True, True).to_tensor(True, shape=tf.shape(ids))
        places = tf.range(tf.shape(ids)[1])[None]
        later = (places >= kept[0][:, None] + 2) & (places < valid[:, None])
        known = tf.not_equal(ids, 0) & (places < valid[:, None]) & first_ones
        inputs = {"tokens": ids, "segments": tf.cast(later, tf.int32), "valid_lens": valid}
        given = tf.add_n([tf.cast(some.row_lengths(), tf.int32) for some in words])
        report = {
            "words_known": tf.math.count_nonzero(known, axis=1, dtype=tf.int32) - len(texts) - 1,
            "words_left_out": given - tf.add_n(number),
        }
        return inputs, report, ReadWords(_between_signs(read, *SIGNS[2:]), first_ones)


def _begins(pieces: tf.RaggedTensor) -> tf.Tensor:
    """Return of ragged (B, W, P), as a flat tensor, whether each token is the first of its word."""
    return tf.equal(tf.ragged.range(pieces.values.row_lengths()).values, 0)


def _between_signs(texts: Sequence[tf.RaggedTensor], start: Any, end: Any) -> tf.RaggedTensor:
    """Return `start` first `end`, or `start` first `end` second `end`, row by row."""
    # on the flat items, as in `_first`: each with its row, then sorted by row
    number = texts[0].nrows()
    each = tf.range(number)
    values, rows = [tf.repeat(start, number)], [each]
    for some in texts:
        values += [some.values, tf.repeat(end, number)]
        rows += [some.value_rowids(), each]
    rows = tf.concat(rows, axis=0)
    order = tf.argsort(rows, stable=True)
    return tf.RaggedTensor.from_value_rowids(
        tf.gather(tf.concat(values, axis=0), order),
        tf.gather(rows, order),
        nrows=number,
        validate=False,
    )


def _first(some: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    """Return the first items of each row, as many as its length says."""
    # on the flat items: `ragged < lengths` is a graph of hundreds of operations
    rows = some.value_rowids()
    place = tf.range(tf.size(rows, tf.int64)) - tf.gather(some.row_starts(), rows)
    keep = place < tf.gather(tf.cast(lengths, tf.int64), rows)
    return tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(some.values, keep),
        tf.boolean_mask(rows, keep),
        nrows=some.nrows(),
        validate=False,
    )
