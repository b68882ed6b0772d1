"""Words of many texts as numbers, a text at a time: neither texts nor lists of words are kept."""

from __future__ import annotations

import collections
from array import array
from collections.abc import Callable, Sequence

import numpy as np

from kerasd2l.data import limits, text
from kerasd2l.data.source import DataError
from kerasd2l.data.vocab import Vocab, known_or_counted

PAD_TOKEN = "<pad>"
PAD = 1  # its number in every vocabulary made here


class WordTable:
    """Numbers words in the order in which they come, and counts those of the training texts.

    The numbers of the vocabulary are known only when all texts are read: `vocabulary` makes it, and
    `pad` turns the numbers of texts into its.

    Args:
        tokenizer: cuts a text into words, or pieces of words: a Tokenizer, `word_pieces.reader`.
        num_steps: int >= 1, words that are kept of a text; all of its words are counted.

    Raises:
        ValueError: `num_steps` below 1.

    Example:
        >>> table = WordTable(text.Tokenizer("word"), 3)
        >>> some = [table.encode(line) for line in ("a b a c", "b")]
        >>> vocab = table.vocabulary(None, min_freq=2)
        >>> table.pad(some, vocab)[0].tolist()
        [[2, 3, 2], [3, 1, 1]]
    """

    def __init__(self, tokenizer: Callable[[str], Sequence[str]], num_steps: int):
        if num_steps < 1:
            raise ValueError(f"`num_steps` must be at least 1. Received: num_steps={num_steps}.")
        self.tokenizer, self.num_steps = tokenizer, num_steps
        self._numbers: dict[str, int] = {}
        self._counts = array("q")

    def encode(self, line: str, *, count: bool = True) -> array:
        """Return the numbers of the first words of a text, as this table has them.

        Args:
            line: the text.
            count: bool, whether its words count for the vocabulary: those of training texts do.

        Raises:
            DataError: more different words than `limits.DIFFERENT_WORDS`.
        """
        numbers, counts, kept = self._numbers, self._counts, array("i")
        for place, word in enumerate(self.tokenizer(line)):
            number = numbers.setdefault(word, len(counts))
            if number == len(counts):
                counts.append(0)
            counts[number] += count
            if place < self.num_steps:
                kept.append(number)
        if len(counts) > limits.DIFFERENT_WORDS:
            most = limits.DIFFERENT_WORDS
            raise DataError(f"the texts have more than {most} different words. Take a part.")
        return kept

    def vocabulary(
        self,
        known: Sequence[str] | None,
        *,
        min_freq: int,
        reserved_tokens: Sequence[str] = (PAD_TOKEN,),
    ) -> Vocab:
        """Return the vocabulary: `<unk>`, the reserved tokens, the words of the training texts.

        Args:
            known: that of an earlier run, or None.
            min_freq: int >= 0, rarer words become `<unk>`.
            reserved_tokens: `<pad>`, and others behind it.

        Raises:
            ValueError: `min_freq` leaves no word.
        """
        pairs = zip(self._numbers, self._counts, strict=True)
        counter = collections.Counter({word: count for word, count in pairs if count})
        return known_or_counted(known, counter, min_freq=min_freq, reserved_tokens=reserved_tokens)

    def pad(self, texts: Sequence[array], vocab: Vocab) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the vocabulary, (B, T) int32, and the lengths (B,) int32."""
        ids, lengths = text.pad_batch(texts, -1, self.num_steps)
        renumbered = np.fromiter(vocab.numbers(self._numbers), np.int32, len(self._numbers))
        renumbered = np.append(renumbered, PAD).astype(np.int32)  # place -1: the padding
        return renumbered[ids], lengths
