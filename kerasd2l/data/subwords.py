"""Parts of words: the character n-grams of fastText, hashed into buckets.

Section: "subword-embedding". `endpoints.words` computes the same numbers in the graph of an export.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FNV_START, FNV_PRIME = 2166136261, 16777619


def fnv1a(text: bytes) -> int:
    """Return the 32-bit FNV-1a hash as fastText has it: a byte above 127 counts as negative.

    Section: "subword-embedding".

    Example:
        >>> hex(fnv1a(b"foobar"))
        '0xbf9cf968'
    """
    found = FNV_START
    for byte in text:
        found = (found ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * FNV_PRIME & 0xFFFFFFFF
    return found


@dataclass(frozen=True)
class Subwords:
    """How words are cut into character n-grams, and how these are numbered.

    Args:
        min_n: int >= 1, characters of the shortest n-gram.
        max_n: int >= min_n, of the longest.
        buckets: int >= 1, numbers for all n-grams together.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> Subwords(3, 3).ngrams("where")
        ['<wh', 'whe', 'her', 'ere', 're>']

    Reference:
        Bojanowski et al., Enriching word vectors with subword information, 2017.
    """

    min_n: int = 3
    max_n: int = 6
    buckets: int = 20_000

    def __post_init__(self):
        if not 1 <= self.min_n <= self.max_n or self.buckets < 1:
            raise ValueError(
                "`min_n` must be 1 to `max_n`, `buckets` at least 1. Received: "
                f"min_n={self.min_n}, max_n={self.max_n}, buckets={self.buckets}."
            )

    def to_assets(self) -> dict[str, int]:
        """Return plain data for the assets of a run."""
        return asdict(self)

    @classmethod
    def from_assets(cls, assets: Mapping[str, int]) -> Subwords:
        """Make one from what `to_assets` gave."""
        return cls(**assets)

    def ngrams(self, word: str) -> list[str]:
        """Return the n-grams of `<word>`, the shortest first; of single characters not < and >."""
        marked = f"<{word}>"
        return [
            marked[start : start + n]
            for n in range(self.min_n, self.max_n + 1)
            for start in range(len(marked) - n + 1)
            if not (n == 1 and start in (0, len(marked) - 1))
        ]

    def numbers(self, word: str, first: int) -> list[int]:
        """Return the numbers of the n-grams of a word, buckets counted from `first` on."""
        return [first + fnv1a(part.encode()) % self.buckets for part in self.ngrams(word)]

    def table(self, vocabulary: Sequence[str]) -> np.ndarray:
        """Return of each word its number and those of its n-grams.

        Args:
            vocabulary: V words; number 0 is `<unk>`, which has no parts.

        Returns:
            (V, S) int32, padded with 0; n-grams are numbered from V on.
        """
        rows: list[list[int]] = [[]]
        for number, word in enumerate(vocabulary[1:], 1):
            rows.append([number, *self.numbers(word, len(vocabulary))])
        found = np.zeros((len(vocabulary), max(1, *map(len, rows))), np.int32)
        for row, parts in zip(found, rows, strict=True):
            row[: len(parts)] = parts
        return found


def parts_of(assets: Mapping[str, Any]) -> Subwords | None:
    """Return how the words of a run are cut, by its assets; None: they are whole."""
    return Subwords.from_assets(assets["subwords"]) if "subwords" in assets else None
