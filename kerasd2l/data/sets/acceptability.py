"""Sentences of Python's help texts as they are, or with their words in disorder.

Section: "finetuning-bert". A stand-in for the Corpus of Linguistic Acceptability, of which the
section speaks: can this be said?
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerasd2l.data.sets import facts, wikitext
from kerasd2l.data.source import SourceLike, builtin_only
from kerasd2l.recipe import Data

NAMES = ("unacceptable", "acceptable")


def load(
    source: SourceLike = None,
    *,
    batch_size: int = 64,
    max_len: int = 48,
    vocabulary: Sequence[str] | None = None,
) -> Data:
    """Load the sentences, each once as it is and once with its words shuffled.

    Args:
        source: Source, or the name of its kind: there is the built-in kind only.
        batch_size: int B, the global batch.
        max_len: int T, tokens of a row; longer sentences are cut.
        vocabulary: the tokens of a pre-trained model; None: those of the training set.

    Returns:
        Data: x {"tokens" (B, T), "segments" (B, T), "valid_lens" (B,)} int32, y (B,) int32, 1:
        acceptable; both forms of a sentence are in the same split. Assets as `facts.load`.

    Raises:
        DataError: another kind of source.

    Example:
        >>> load(batch_size=8).assets["class_names"]
        ['unacceptable', 'acceptable']
    """
    source = builtin_only(source, "acceptability")
    return facts.fine_tuning_data(
        source,
        sentences(max_len - 2),
        batch_size=batch_size,
        max_len=max_len,
        names=NAMES,
        vocabulary=vocabulary,
    )


def sentences(most: int) -> list[tuple[list[str], None, int]]:
    """Return (words, None, label) of all sentences of four words or more, cut to `most`."""
    rng = np.random.RandomState(0)  # numpy's frozen stream
    found: dict[tuple[str, ...], None] = {}
    for split in ("train", "valid", "test"):
        for paragraph in wikitext.paragraphs("builtin", split=split):
            found |= {tuple(sentence.split()[:most]): None for sentence in paragraph}
    made: list[tuple[list[str], None, int]] = []
    rest: list[tuple[list[str], None, int]] = []
    for place, words in enumerate(words for words in found if len(set(words)) >= 4):
        disorder = list(words)
        while disorder == list(words):
            disorder = [words[i] for i in rng.permutation(len(words))]
        both = [(list(words), None, 1), (disorder, None, 0)]
        (rest if place % 10 == 9 else made).extend(both)
    # every tenth of what is returned is for the test
    pieces = [made[i * 9 : i * 9 + 9] + rest[i : i + 1] for i in range(len(rest))]
    return [one for piece in pieces if len(piece) == 10 for one in piece]
