"""Text inside a graph: the cleaning, cutting and vocabulary of the training, without Python.

Every signature that reads texts says how much of each it did not read, in an output whose name ends
in `words_left_out` or `characters_left_out`.

`data.text.Tokenizer` and `data.vocab.Vocab` are what a model is trained with; their plain data lie
in the assets. What is built from them here gives the same numbers for the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kerasd2l._lazy import lazy
from kerasd2l.endpoints import word_pieces

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


MOST_CHARACTERS = 1000  # of a text that is read step by step: one request must not take minutes


class TextTable:
    """A tokenizer and its vocabulary as TensorFlow operations and a tracked lookup table.

    An endpoint that uses one must hand its resources to the export:

        table = endpoints.TextTable(assets["vocabulary"], assets["tokenizer"])
        def serve(text): ...
        return ServingFunction(serve, resources=table.resources)

    Bytes that are not UTF-8 become U+FFFD, which no vocabulary knows: `<unk>`, number 0.

    Args:
        vocabulary: the tokens in the order of their numbers; number 0 is the unknown token.
        tokenizer: what `Tokenizer.to_assets` gave: level, replacements, lower, strip; and, where
            they are used, characters and pieces.

    Raises:
        ValueError: an empty vocabulary, or a tokenizer without its fields.

    Example:
        >>> rules = {"level": "word", "replacements": [], "lower": True, "strip": True}
        >>> table = TextTable(["<unk>", "time"], rules)
        >>> table.encode(["Time flies"]).to_list()
        [[1, 0]]
    """

    def __init__(self, vocabulary: Sequence[str], tokenizer: Mapping[str, Any]):
        missing = {"level", "replacements", "lower", "strip"} - set(tokenizer)
        if missing or not vocabulary:
            what = f"a tokenizer without {', '.join(sorted(missing))}" if missing else "no tokens"
            raise ValueError(f"the assets need `vocabulary` and `tokenizer`. Received: {what}.")
        self._rules = dict(tokenizer)
        self._separator = "" if tokenizer["level"] == "char" else " "
        self.size = len(vocabulary)
        self.has_pieces = bool(tokenizer.get("pieces"))
        self._longest = max(map(len, vocabulary[1:]), default=0)  # characters of a token
        self.unknown = vocabulary[0]
        self.tokens = tf.constant(list(vocabulary), tf.string)
        self._numbers = _numbered(self.tokens, default=0)
        characters = tokenizer.get("characters") or {}
        self._replaced: Any = _numbered(tf.constant(list(characters)), -1) if characters else None
        self._characters = tf.constant(list(characters.values()), tf.string)

    @property
    def resources(self) -> list[Any]:
        """What the export must track."""
        return [self._numbers] if self._replaced is None else [self._numbers, self._replaced]

    def ending(self, texts: tf.Tensor, most: int = MOST_CHARACTERS) -> tf.Tensor:
        """Return the last characters of (B,) texts; what is shorter stays as it is."""
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        start = tf.maximum(tf.strings.length(texts, unit="UTF8_CHAR") - most, 0)
        return tf.strings.substr(texts, start, tf.fill(tf.shape(start), most), unit="UTF8_CHAR")

    def left_out(self, texts: tf.Tensor, most: int = MOST_CHARACTERS) -> tf.Tensor:
        """Return how many characters of (B,) texts `ending` cuts off: (B,) int32."""
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        return tf.maximum(tf.strings.length(texts, unit="UTF8_CHAR") - most, 0)

    def clean(self, texts: tf.Tensor, *, strip: bool | None = None) -> tf.Tensor:
        """Return the texts after all replacements, lower case and strip.

        Args:
            texts: (B,) string.
            strip: bool, remove white space at both ends; None: as the tokenizer says. A prefix that
                ends in a space may want False.
        """
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        texts = texts if self._replaced is None else self._replace(texts)
        for pattern, replacement in self._rules["replacements"]:
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        if self._rules["lower"]:
            texts = tf.strings.lower(texts, encoding="utf-8")
        strip = self._rules["strip"] if strip is None else strip
        return tf.strings.strip(texts) if strip else texts

    def _replace(self, texts: tf.Tensor) -> tf.Tensor:
        split = tf.strings.unicode_split(texts, "UTF-8")
        number = self._replaced.lookup(split.values)
        other = tf.gather(self._characters, tf.maximum(number, 0))
        split = split.with_values(tf.where(number < 0, split.values, other))
        return tf.strings.reduce_join(split, axis=-1)

    def words(self, texts: tf.Tensor, *, strip: bool | None = None) -> tf.RaggedTensor:
        """Return the words of (B,) texts, or their characters: ragged (B, None) string."""
        texts = self.clean(tf.convert_to_tensor(texts, tf.string), strip=strip)
        if self._rules["level"] == "char":
            return tf.strings.unicode_split(texts, "UTF-8")
        return tf.strings.split(texts)

    def pieces(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Return the tokens of each word, its pieces or itself: ragged (B, None, None) string."""
        if not self.has_pieces:
            return words.with_values(tf.RaggedTensor.from_uniform_row_length(words.values, 1))
        return words.with_values(
            word_pieces.cut(
                words.values,
                lambda some: self._numbers.lookup(some) > 0,
                self._longest,
                self.unknown,
            )
        )

    def tokenize(self, texts: tf.Tensor, *, strip: bool | None = None) -> tf.RaggedTensor:
        """Return the tokens of (B,) texts: ragged (B, None) string."""
        words = self.words(texts, strip=strip)
        return self.pieces(words).merge_dims(1, 2) if self.has_pieces else words

    def encode(self, texts: tf.Tensor, *, strip: bool | None = None) -> tf.RaggedTensor:
        """Return the token numbers of (B,) texts: ragged (B, None) int32."""
        return self.numbers(self.tokenize(texts, strip=strip))

    def numbers(self, tokens: Any) -> Any:
        """Return the numbers of tokens, ragged or not: the same shape, int32; 0 of unknown ones."""
        return tf.ragged.map_flat_values(
            lambda one: tf.cast(self._numbers.lookup(one), tf.int32), tokens
        )

    def encode_padded(
        self,
        texts: tf.Tensor,
        *,
        padding: int = 0,
        length: int | None = None,
        end: int | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the token numbers of texts in one array, as the training data has them.

        Args:
            texts: (B,) string.
            padding: int, the number that fills the rest.
            length: int T, longer texts are cut; None: that of the longest text, at least 1.
            end: int, a number put behind each text before it is cut, e.g. that of `<eos>`.

        Returns:
            ((B, T) int32, lengths (B,) int32).
        """
        ids = self.encode(texts)
        if end is not None:
            ends = tf.fill(tf.stack([ids.nrows(), tf.constant(1, ids.row_splits.dtype)]), end)
            ids = tf.concat([ids, tf.RaggedTensor.from_tensor(ends)], axis=1)
        if length is not None:
            ids = ids[:, :length]
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        if length is not None:
            return ids.to_tensor(padding, shape=(None, length)), lengths
        padded = ids.to_tensor(padding)
        empty = tf.maximum(1 - tf.shape(padded)[1], 0)  # a text without tokens has one step, too
        return tf.pad(padded, [[0, 0], [0, empty]], constant_values=padding), lengths

    def decode(
        self, ids: tf.Tensor, *, end: int | None = None, lengths: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the texts of token numbers, pieces joined to words, words by spaces.

        Args:
            ids: (B, T) int32, or ragged.
            end: int, what comes from the first such number on is left out.
            lengths: (B,) int32, only the first so many numbers count.

        Returns:
            (B,) string.
        """
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.convert_to_tensor(ids)
            keep = tf.ones_like(ids, tf.bool)
            if lengths is not None:
                keep &= tf.sequence_mask(lengths, tf.shape(ids)[1])
            if end is not None:
                ended = tf.cumsum(tf.cast(tf.equal(ids, end), tf.int32), axis=1)
                keep &= tf.equal(ended, 0)
            ids = tf.ragged.boolean_mask(ids, keep)
        tokens = ids.with_values(tf.gather(self.tokens, ids.values))
        texts = tf.strings.reduce_join(tokens, axis=-1, separator=self._separator)
        joint = f" {word_pieces.CONTINUES}"
        return tf.strings.regex_replace(texts, joint, "") if self.has_pieces else texts


def _numbered(keys: tf.Tensor, default: int) -> Any:
    """Return the table from texts to their places."""
    places = tf.range(tf.size(keys, tf.int64))
    start = tf.lookup.KeyValueTensorInitializer(keys, places)
    return tf.lookup.StaticHashTable(start, default_value=default)
