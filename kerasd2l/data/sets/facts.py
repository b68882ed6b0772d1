"""Notes of a date and a few amounts, from CLDR: pairs, tags and questions to fine-tune BERT on.

Section: "finetuning-bert". The words are Babel's English; what is right follows from how a note was
made. Three tasks: does a claim follow from a note, what is each word, where is the answer?
"""

from __future__ import annotations

import datetime
import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import bert_inputs, pipeline, word_pieces
from kerasd2l.data.source import Source, SourceLike, builtin_only
from kerasd2l.data.text import Tokenizer
from kerasd2l.data.vocab import known_or_counted
from kerasd2l.recipe import Data

dates, units = lazy("babel.dates"), lazy("babel.units")

Task = Literal["pair", "tokens", "span"]
RELATIONS = ("entailment", "contradiction", "neutral")
TAGS = ("<pad>", "other", "weekday", "month", "day", "year", "number", "unit")
MOST = 6  # the largest number of an amount; the smallest is 2
NO_TAG = 0  # of signs and padding; no word has it
_UNITS = (
    "length-kilometer",
    "length-meter",
    "mass-kilogram",
    "volume-liter",
    "duration-hour",
    "duration-day",
    "temperature-celsius",
)
_LAYOUTS = (("EEEE", ",", "MMMM", "d", ",", "y"), ("d", "MMMM", "y"), ("MMMM", "d", ",", "y"))
_FIELDS = {"EEEE": "weekday", "MMMM": "month", "d": "day", "y": "year"}


@dataclass(frozen=True)
class Note:
    """A note: its words with their tags, and the amounts that it names.

    Args:
        words: e.g. ("25", "kilometers", "on", "july", "4", ",", "1999", ".").
        tags: as many names of `TAGS`.
        amounts: ((number, words of the unit), ...).
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    amounts: tuple[tuple[int, tuple[str, ...]], ...]


def load(
    source: SourceLike = None,
    *,
    task: Task = "pair",
    batch_size: int = 64,
    max_len: int = 32,
    examples: int = 4000,
    vocabulary: Sequence[str] | None = None,
    tokenizer: Tokenizer | None = None,
) -> Data:
    """Load a task about notes.

    Args:
        source: Source, or the name of its kind: there is the built-in kind only.
        task: "pair" (a note and a claim: entailment, contradiction or neutral), "tokens" (the tag
            of each word of a note) or "span" (a question and a note: where the answer is).
        batch_size: int B, the global batch.
        max_len: int T, tokens of a row.
        examples: int >= 20; every tenth is for the test.
        vocabulary: the tokens of a pre-trained model; None: those of the training set.
        tokenizer: that of a pre-trained model, which cuts these words again; None: they are whole.

    Returns:
        Data: x {"tokens" (B, T), "segments" (B, T), "valid_lens" (B,)} int32; y (B,) int32 for
        "pair"; (B, T) int32 for "tokens", 0 where no word begins, with weights that make a mean
        that of the words; {"start" (B,), "end" (B,)} int32 for "span", both ends inside.
        assets["vocabulary"], ["tokenizer"], ["max_len"], and ["class_names"] but for "span".

    Raises:
        DataError: another kind of source. ValueError: a number out of range.

    Example:
        >>> load(task="tokens", examples=40).assets["class_names"][:3]
        ['<pad>', 'other', 'weekday']
    """
    source = builtin_only(source, "facts")
    if task not in _MAKERS:
        raise ValueError(f"`task` must be pair, tokens or span. Received: task={task!r}.")
    if examples < 20:
        raise ValueError(f"`examples` must be at least 20. Received: examples={examples}.")
    made = _MAKERS[task](notes(examples), np.random.RandomState(1))
    names = {"pair": RELATIONS, "tokens": TAGS}.get(task)
    return fine_tuning_data(
        source,
        made,
        batch_size=batch_size,
        max_len=max_len,
        names=names,
        vocabulary=vocabulary,
        tokenizer=tokenizer,
    )


def fine_tuning_data(
    source: Source,
    made: Sequence[tuple],
    *,
    batch_size: int,
    max_len: int,
    names: Sequence[str] | None,
    vocabulary: Sequence[str] | None,
    tokenizer: Tokenizer | None,
) -> Data:
    """Make the Data of examples (first words, second words or None, label); see `load`.

    A label is a number, a tag for each word, or {"start", "end"}: places in the second text. Every
    tenth example is for the test.
    """
    known, tokenizer = bert_inputs.reading(source, vocabulary, tokenizer)
    read = functools.cache(word_pieces.reader(tokenizer, known))
    made = [_in_tokens(one, read) for one in made]
    parts = {
        "train": [one for i, one in enumerate(made) if i % 10 != 9],
        "test": [one for i, one in enumerate(made) if i % 10 == 9],
    }
    vocab = known_or_counted(
        known,
        [words for one in parts["train"] for words in one[:2] if words is not None],
        reserved_tokens=bert_inputs.RESERVED,
    )
    batches = {}
    for split, some in parts.items():
        first = [one[0] for one in some]
        second = None if some[0][1] is None else [one[1] for one in some]
        x = bert_inputs.rows(vocab, first, second, max_len)
        arrays, transform = _labels(some, max_len)
        batches[split] = pipeline.from_arrays(
            (x, arrays),
            batch_size=batch_size,
            seed=source.seed if split == "train" else None,
            transform=transform,
        )
    assets: dict[str, Any] = {"class_names": list(names)} if names else {}
    assets |= {"vocabulary": vocab.tokens, "tokenizer": tokenizer.to_assets()}
    return pipeline.make_data(
        batches["train"],
        test=batches["test"],
        features=bert_inputs.features(max_len),
        assets=assets | {"max_len": max_len},
    )


def notes(examples: int) -> list[Note]:
    """Make so many different notes, always the same ones."""
    rng = np.random.RandomState(0)  # numpy's frozen stream
    found: dict[Note, None] = {}
    while len(found) < examples:
        found[_note(rng)] = None
    return list(found)


def _note(rng: np.random.RandomState) -> Note:
    day = datetime.date(1950, 1, 1) + datetime.timedelta(days=int(rng.randint(365 * 100)))
    layout = _LAYOUTS[rng.randint(len(_LAYOUTS))]
    when = [("on", "other")]
    for field in layout:
        if field == ",":
            when.append((",", "other"))
        else:
            word = dates.format_date(day, field, locale="en")
            when.append((word.lower(), _FIELDS[field]))
    amounts: list[tuple[int, tuple[str, ...]]] = []
    what: list[tuple[str, str]] = []
    for kind in rng.permutation(len(_UNITS))[: rng.randint(2, 4)]:
        number = int(rng.randint(2, MOST + 1))
        amounts.append((number, _unit(kind)))
        what += [(",", "other")] if what else []
        what += [(str(number), "number"), *((word, "unit") for word in _unit(kind))]
    sides = [when, what] if rng.rand() < 0.5 else [what, when]
    pairs = [*sides[0], *([(":", "other")] if sides[0] is when else []), *sides[1], (".", "other")]
    words, tags = zip(*pairs, strict=True)
    return Note(words, tags, tuple(amounts))


def _unit(kind: int) -> tuple[str, ...]:
    """Return the words of a unit, plural: CLDR's of two of them, without the number."""
    return tuple(units.format_unit(2, _UNITS[kind], locale="en").lower().split()[1:])


def _pairs(found: Sequence[Note], rng: np.random.RandomState) -> list[tuple]:
    """Return (note, claim, relation): an amount of the note, another one, or of another unit."""
    made = []
    for note in found:
        label = int(rng.randint(3))
        number, unit = note.amounts[rng.randint(len(note.amounts))]
        if label == 1:
            number = (number - 2 + int(rng.randint(1, MOST - 1))) % (MOST - 1) + 2  # another one
        elif label == 2:
            named = {words for _, words in note.amounts}
            others = [u for u in map(_unit, range(len(_UNITS))) if u not in named]
            number, unit = int(rng.randint(2, MOST + 1)), others[rng.randint(len(others))]
        made.append((list(note.words), [str(number), *unit, "."], label))
    return made


def _tags(found: Sequence[Note], rng: np.random.RandomState) -> list[tuple]:
    """Return (note, None, the number of each word's tag)."""
    return [(list(note.words), None, [TAGS.index(tag) for tag in note.tags]) for note in found]


def _questions(found: Sequence[Note], rng: np.random.RandomState) -> list[tuple]:
    """Return (question, note, where the answer begins and ends)."""
    made = []
    for note in found:
        asked = [tag for tag in ("weekday", "month", "day", "year") if tag in note.tags]
        kind = rng.randint(len(asked) + len(note.amounts))
        if kind < len(asked):
            question, place = ["which", asked[kind], "?"], note.tags.index(asked[kind])
            made.append((question, list(note.words), {"start": place, "end": place}))
            continue
        number, unit = note.amounts[kind - len(asked)]
        whole = (str(number), *unit)
        place = next(i for i in range(len(note.words)) if note.words[i:][: len(whole)] == whole)
        label = {"start": place, "end": place + len(unit)}
        made.append((["how", "many", unit[-1], "?"], list(note.words), label))
    return made


_MAKERS: dict[str, Any] = {"pair": _pairs, "tokens": _tags, "span": _questions}


def _in_tokens(one: tuple, read: Callable[[str], list[str]]) -> tuple:
    """Return an example with tokens for words, and its label by their places.

    A word's tag stands at its first token, the others have none; an answer begins with the first
    token of a word and ends with the last one of a word.
    """
    first, second, label = one
    sides = [words and [read(word) for word in words] for words in (first, second)]
    if isinstance(label, list):
        tokens = zip(label, sides[0], strict=True)
        label = [NO_TAG if i else tag for tag, some in tokens for i in range(len(some))]
    elif isinstance(label, dict):
        ends = list(itertools.accumulate(map(len, sides[1])))
        begins = ends[label["start"]] - len(sides[1][label["start"]])
        label = {"start": begins, "end": ends[label["end"]] - 1}
    return *(some and list(itertools.chain.from_iterable(some)) for some in sides), label


def _labels(some: Sequence[tuple], max_len: int) -> tuple[Any, Any]:
    """Return the labels of examples as arrays, and what their batches go through."""
    kind = some[0][2]
    if isinstance(kind, dict):  # a place in the second text: behind `<cls>`, the first and `<sep>`
        where = {
            name: np.array([one[2][name] + len(one[0]) + 2 for one in some], np.int32)
            for name in kind
        }
        if max(where["end"].max(), 0) >= max_len - 1:
            raise ValueError(
                f"`max_len` is too small for the answers. Received: max_len={max_len}. "
                f"Take {int(where['end'].max()) + 2} or more."
            )
        return where, None
    if isinstance(kind, list):
        tags = np.full((len(some), max_len), NO_TAG, np.int32)
        for row, one in zip(tags, some, strict=True):
            kept = one[2][: max_len - 2]
            row[1 : len(kept) + 1] = kept
        return tags, _weigh_tags
    return np.array([one[2] for one in some], np.int32), None


def _weigh_tags(x: dict, tags: Any) -> tuple:
    """Add weights that make the mean over a batch, on any number of replicas, that of its words."""
    tf = bert_inputs.tf
    real = tf.cast(tf.not_equal(tags, NO_TAG), tf.float32)
    return x, tags, real * (tf.cast(tf.size(real), tf.float32) / tf.reduce_sum(real))
