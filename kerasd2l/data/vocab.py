"""Vocabulary: the table between tokens and the numbers that models take."""

from __future__ import annotations

import collections
import itertools
import json
import logging
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kerasd2l.data import files
from kerasd2l.data.source import DataError

UNKNOWN = "<unk>"
_MANY = 0.1  # the share of unknown tokens that is worth a warning

_log = logging.getLogger(__name__)


class Vocab:
    """Numbers for tokens: 0 is `<unk>`, then the reserved tokens, then by falling frequency.

    Tokens of equal frequency stay in the order in which they were first seen, so the same text
    always gives the same table. Section: "text-preprocessing".

    Args:
        tokens: the text, as a list of tokens or a list of lists of tokens; or a Counter of them.
        min_freq: int >= 0, rarer tokens become `<unk>`. Default: 0.
        reserved_tokens: tokens with the numbers 1, 2, ... whatever the text, e.g. `<pad>`.

    Raises:
        ValueError: a negative `min_freq`, or reserved tokens that are not distinct.

    Example:
        >>> vocab = Vocab(["b", "a", "b"], reserved_tokens=["<pad>"])
        >>> vocab["b"], vocab[["a", "never seen"]], vocab.to_tokens([0, 1])
        (2, [3, 0], ['<unk>', '<pad>'])
    """

    def __init__(
        self,
        tokens: Iterable[str] | Iterable[Sequence[str]] | collections.Counter = (),
        *,
        min_freq: int = 0,
        reserved_tokens: Sequence[str] = (),
    ):
        if min_freq < 0:
            raise ValueError(f"`min_freq` must be at least 0. Received: min_freq={min_freq}.")
        counts = count_corpus(tokens)
        frequencies = sorted(counts.items(), key=operator.itemgetter(1), reverse=True)
        known = [UNKNOWN, *reserved_tokens]
        reserved = set(known)
        frequent = [token for token, count in frequencies if count >= min_freq]
        self._fill(known + [token for token in frequent if token not in reserved], frequencies)

    @classmethod
    def from_list(cls, tokens: Sequence[str]) -> Vocab:
        """Make a vocabulary from its list of tokens (`vocab.tokens`), as stored in the assets.

        Raises:
            ValueError: tokens that are not distinct, or the first one is not `<unk>`.
        """
        if not tokens or tokens[0] != UNKNOWN:
            first = repr(tokens[0]) if tokens else "nothing"
            raise ValueError(f"token 0 of a vocabulary must be {UNKNOWN!r}. Received: {first}.")
        vocab = cls()
        vocab._fill(list(tokens), [])
        return vocab

    @classmethod
    def load(cls, path: str | os.PathLike) -> Vocab:
        """Read what `save` wrote.

        Raises:
            DataError: no such file, or not a vocabulary.
        """
        try:
            tokens = files.read_json(path)
            if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
                raise ValueError("expected a JSON list of texts")
            return cls.from_list(tokens)
        except (DataError, ValueError) as error:
            raise DataError(f"{path} is not a vocabulary: {error}") from error

    def save(self, path: str | os.PathLike) -> None:
        """Write the tokens as plain text: a JSON list with one token a line."""
        text = json.dumps(self._tokens, ensure_ascii=False, indent=0)
        Path(path).write_text(text + "\n", "utf8")

    def _fill(self, tokens: list[str], frequencies: list[tuple[str, int]]) -> None:
        self._tokens = tokens
        self._ids = {token: i for i, token in enumerate(tokens)}
        self._frequencies = frequencies
        if len(self._ids) != len(tokens):
            twice = next(t for t, n in collections.Counter(tokens).items() if n > 1)
            raise ValueError(f"the tokens of a vocabulary must be distinct. Twice: {twice!r}.")

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, tokens: Any) -> Any:
        """Return the number of a token, or the (nested) list of the numbers of a list of tokens."""
        if isinstance(tokens, str):
            return self._ids.get(tokens, self.unk)
        return [self[token] for token in tokens]

    def numbers(self, tokens: Iterable[str]) -> Iterator[int]:
        """Yield the number of each token of a flat sequence: a long text without a list of it."""
        return map(self._ids.get, tokens, itertools.repeat(self.unk))

    def to_tokens(self, ids: Any) -> Any:
        """Return the token of a number, or the (nested) list of tokens of a list or an array.

        Raises:
            IndexError: a number that is not in the vocabulary.
        """
        if hasattr(ids, "__len__") and not hasattr(ids, "__index__"):
            return [self.to_tokens(i) for i in ids]
        if getattr(ids, "shape", ()) != ():
            return [self.to_tokens(i) for i in ids]
        i = operator.index(ids)
        if not 0 <= i < len(self):
            raise IndexError(f"token numbers must be in 0..{len(self) - 1}. Received: {i}.")
        return self._tokens[i]

    @property
    def tokens(self) -> list[str]:
        """All tokens in the order of their numbers: plain data for the assets."""
        return list(self._tokens)

    @property
    def unk(self) -> int:
        """The number of tokens that are not in the table: 0."""
        return 0

    @property
    def token_freqs(self) -> list[tuple[str, int]]:
        """(token, count) of the text, by falling count; empty for a table that was loaded."""
        return list(self._frequencies)


def known_or_counted(
    known: Sequence[str] | None,
    tokens: Iterable[Sequence[str]] | collections.Counter,
    *,
    min_freq: int = 0,
    reserved_tokens: Sequence[str] = (),
) -> Vocab:
    """Return the vocabulary of an earlier run, or count a new one.

    Tokens that an earlier run has not met become `<unk>`; a warning says if they are many, or if
    the new one lacks most of the running text.

    Args:
        known: its tokens by their numbers, from its assets; None: there is no earlier run.
        tokens: the text, as lists of tokens, one after the other, or a Counter of them.
        min_freq: int, as Vocab.
        reserved_tokens: as Vocab.

    Raises:
        ValueError: no token of the text is as frequent as `min_freq`; see also `Vocab`.
    """
    if known is None:
        vocab = Vocab(tokens, min_freq=min_freq, reserved_tokens=reserved_tokens)
        _check_kept(vocab, min_freq, {UNKNOWN, *reserved_tokens})
        return vocab
    vocab = Vocab.from_list(known)
    counts = count_corpus(tokens)
    missed = sum(count for token, count in counts.items() if token not in vocab)
    total = sum(counts.values())
    if missed > _MANY * total:
        _log.warning(
            "%d of %d tokens are not in the model's vocabulary: they count as %s, and a perplexity "
            "is that of the others and of %s",
            missed,
            total,
            UNKNOWN,
            UNKNOWN,
        )
    return vocab


def _check_kept(vocab: Vocab, min_freq: int, reserved: set[str]) -> None:
    """Refuse a vocabulary without a token of its text; warn of one that lacks most of it."""
    text = [(token, count) for token, count in vocab.token_freqs if token not in reserved]
    kept = [(token, count) for token, count in text if token in vocab]
    if text and not kept:
        raise ValueError(
            f"`min_freq` leaves no token of the text. Received: min_freq={min_freq}; the most "
            f"frequent token comes {text[0][1]} times. Take a smaller one."
        )
    share = sum(n for _, n in kept) / sum(n for _, n in text) if text else 1.0
    if share < 0.5:
        message = "min_freq=%d keeps %d of %d tokens, %.0f %% of the running text; the rest is %s"
        _log.warning(message, min_freq, len(kept), len(text), 100 * share, UNKNOWN)


def count_corpus(tokens: Iterable[Any]) -> collections.Counter:
    """Count tokens in a list of tokens, or in a list of lists of tokens.

    Returns:
        Counter; its order is that of first appearance. A Counter is returned as it is.

    Example:
        >>> count_corpus([["a", "b"], ["a"]])
        Counter({'a': 2, 'b': 1})
    """
    if isinstance(tokens, collections.Counter):
        return tokens
    counts: collections.Counter = collections.Counter()
    for item in tokens:
        if isinstance(item, (str, tuple)):  # a tuple of tokens is an n-gram
            counts[item] += 1
        else:
            counts.update(item)
    return counts
