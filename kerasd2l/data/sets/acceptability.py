"""Texts as they are, or with words in disorder: notes of dates and amounts, or Python's help texts.

Section: "finetuning-bert". A stand-in for the Corpus of Linguistic Acceptability, of which the
section speaks: can this be said?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from kerasd2l.data.sets import facts, wikitext
from kerasd2l.data.source import SourceLike, builtin_only
from kerasd2l.data.text import Tokenizer
from kerasd2l.recipe import Data

Texts = Literal["notes", "help"]
NAMES = ("unacceptable", "acceptable")
_DIGITS = ("day", "year", "number")
_Example = tuple[list[str], None, int]  # words, no second text, 1: acceptable


def load(
    source: SourceLike = None,
    *,
    texts: Texts = "notes",
    examples: int = 10_000,
    batch_size: int = 64,
    max_len: int = 48,
    vocabulary: Sequence[str] | None = None,
    tokenizer: Tokenizer | None = None,
) -> Data:
    """Load texts, some of them in disorder.

    Args:
        source: Source, or the name of its kind: there is the built-in kind only.
        texts: "notes" (of `facts.notes`, half of them with two words exchanged: see `exchanged`) or
            "help" (800 sentences of Python's help texts, each as it is and with its words
            shuffled: too few to learn the order of English words from).
        examples: int >= 20, notes; every tenth is for the test.
        batch_size: int B, the global batch.
        max_len: int T, tokens of a row; longer texts are cut.
        vocabulary: the tokens of a pre-trained model; None: those of the training set.
        tokenizer: that of a pre-trained model, which cuts these words again; None: they are whole.

    Returns:
        Data: x {"tokens" (B, T), "segments" (B, T), "valid_lens" (B,)} int32, y (B,) int32, 1:
        acceptable; both forms of a sentence are in the same split. Assets as `facts.load`.

    Raises:
        DataError: another kind of source. ValueError: other texts, or a number out of range.

    Example:
        >>> load(examples=40, batch_size=8).assets["class_names"]
        ['unacceptable', 'acceptable']
    """
    source = builtin_only(source, "acceptability")
    if texts not in ("notes", "help"):
        raise ValueError(f"`texts` must be notes or help. Received: texts={texts!r}.")
    if examples < 20:
        raise ValueError(f"`examples` must be at least 20. Received: examples={examples}.")
    return facts.fine_tuning_data(
        source,
        notes(examples) if texts == "notes" else sentences(max_len - 2),
        batch_size=batch_size,
        max_len=max_len,
        names=NAMES,
        vocabulary=vocabulary,
        tokenizer=tokenizer,
    )


def notes(examples: int) -> list[_Example]:
    """Return so many different notes, (words, None, label); label 0: two words are exchanged."""
    rng = np.random.RandomState(2)  # numpy's frozen stream
    made: list[_Example] = []
    for note in facts.notes(examples):
        label = int(rng.randint(2))
        made.append((list(note.words) if label else exchanged(note, rng), None, label))
    return made


def exchanged(note: facts.Note, rng: np.random.RandomState) -> list[str]:
    """Return the words of a note with two of different kinds in each other's place.

    Weekdays, months, digits, units and other words are kinds: "25 kilometers on July 4" may become
    "25 July on kilometers 4", but not "4 kilometers on July 25", which can be said, too. Nor do a
    day and the month beside it change places.
    """
    kinds = ["digits" if tag in _DIGITS else tag for tag in note.tags]
    words = list(note.words)
    while True:
        i, j = sorted(rng.choice(len(words), 2, replace=False))
        date = j == i + 1 and {kinds[i], kinds[j]} == {"digits", "month"}
        if kinds[i] != kinds[j] and not date:
            words[i], words[j] = words[j], words[i]
            return words


def sentences(most: int) -> list[_Example]:
    """Return (words, None, label) of all sentences of four words or more, cut to `most`."""
    rng = np.random.RandomState(0)  # numpy's frozen stream
    found: dict[tuple[str, ...], None] = {}
    for split in ("train", "valid", "test"):
        for paragraph in wikitext.paragraphs("builtin", split=split):
            found |= {tuple(sentence.split()[:most]): None for sentence in paragraph}
    made: list[_Example] = []
    rest: list[_Example] = []
    for place, words in enumerate(words for words in found if len(set(words)) >= 4):
        disorder = list(words)
        while disorder == list(words):
            disorder = [words[i] for i in rng.permutation(len(words))]
        both = [(list(words), None, 1), (disorder, None, 0)]
        (rest if place % 10 == 9 else made).extend(both)
    # every tenth of what is returned is for the test
    pieces = [made[i * 9 : i * 9 + 9] + rest[i : i + 1] for i in range(len(rest))]
    return [one for piece in pieces if len(piece) == 10 for one in piece]
