"""Byte pair encoding: words as pieces that were joined where they often stand together.

Section: "subword-embedding".
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Mapping, MutableSequence, Sequence

UNKNOWN = "[UNK]"
Pair = tuple[str, str]


def get_max_freq_pair(token_freqs: Mapping[str, int]) -> Pair:
    """Return the most frequent pair of neighbouring symbols; of equal ones the first seen.

    Args:
        token_freqs: words with spaces between their symbols -> how often they come.

    Raises:
        ValueError: no word has two symbols.

    Example:
        >>> get_max_freq_pair({"t a l l _": 4, "f a t _": 2})
        ('t', 'a')
    """
    pairs: collections.Counter = collections.Counter()
    for token, freq in token_freqs.items():
        symbols = token.split()
        for pair in itertools.pairwise(symbols):
            pairs[pair] += freq
    if not pairs:
        raise ValueError("`token_freqs` has no word of two symbols: nothing is left to join.")
    return max(pairs, key=pairs.__getitem__)


def merge_symbols(
    max_freq_pair: Pair, token_freqs: Mapping[str, int], symbols: MutableSequence[str]
) -> dict[str, int]:
    """Join a pair of symbols wherever it stands in the words, and add it to the symbols.

    Only whole symbols are joined. (The book replaces text, which would join the end of one.)

    Args:
        max_freq_pair: two symbols.
        token_freqs: as `get_max_freq_pair`.
        symbols: gets the joined one.

    Returns:
        The words with the joined symbol -> how often they come.

    Example:
        >>> merge_symbols(("t", "a"), {"t a l l _": 4, "b t a": 1}, [])
        {'ta l l _': 4, 'b ta': 1}
    """
    joined = "".join(max_freq_pair)
    symbols.append(joined)
    merged: dict[str, int] = {}
    for token, freq in token_freqs.items():
        old, new = token.split(), []
        while old:
            if tuple(old[:2]) == tuple(max_freq_pair):
                new.append(joined)
                del old[:2]
            else:
                new.append(old.pop(0))
        merged[" ".join(new)] = freq
    return merged


def learn_bpe(
    raw_token_freqs: Mapping[str, int], num_merges: int
) -> tuple[list[Pair], list[str], dict[str, int]]:
    """Join the most frequent pair of symbols again and again. Section: "subword-embedding".

    Args:
        raw_token_freqs: words that end in `_` -> how often they come.
        num_merges: int >= 0; fewer are made where words are whole before.

    Returns:
        (the pairs in the order in which they were joined; the symbols: the letters a to z, `_`,
        `[UNK]`, others of the words, and the joined ones; the words in symbols -> how often they
        come).

    Example:
        >>> learn_bpe({"fast_": 4, "faster_": 3}, 2)[0]
        [('f', 'a'), ('fa', 's')]
    """
    symbols = [*"abcdefghijklmnopqrstuvwxyz", "_", UNKNOWN]
    symbols += sorted({letter for token in raw_token_freqs for letter in token} - set(symbols))
    token_freqs = {" ".join(token): freq for token, freq in raw_token_freqs.items()}
    pairs = []
    for _ in range(num_merges):
        if not any(" " in token for token in token_freqs):
            break
        pairs.append(get_max_freq_pair(token_freqs))
        token_freqs = merge_symbols(pairs[-1], token_freqs, symbols)
    return pairs, symbols, token_freqs


def segment_BPE(tokens: Iterable[str], symbols: Sequence[str]) -> list[str]:
    """Cut words into the longest symbols that there are, from the left.

    Section: "subword-embedding".

    Args:
        tokens: words that end in `_`.
        symbols: as `learn_bpe` returns them.

    Returns:
        Of each word its symbols between spaces; what no symbol begins with is `[UNK]`, to the end.

    Example:
        >>> segment_BPE(["tallest_"], ["tall", "e", "s", "t", "_"])
        ['tall e s t _']
    """
    known, outputs = set(symbols), []
    for token in tokens:
        start, found = 0, []
        while start < len(token):
            end = next((e for e in range(len(token), start, -1) if token[start:e] in known), None)
            if end is None:
                found.append(UNKNOWN)
                break
            found.append(token[start:end])
            start = end
        outputs.append(" ".join(found))
    return outputs
