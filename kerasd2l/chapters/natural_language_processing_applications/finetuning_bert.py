"""15.6 Fine-tuning BERT for sequences and tokens.

`weights=RUN` brings the vocabulary and the tokenizer of RUN along: of a BERT that was converted,
the pieces of words, too.
"""

from __future__ import annotations

import functools

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.run import open_run
from kerasd2l.tasks.bert import Blocks, PreTrained, fine_tuning
from kerasd2l.tasks.descent import PlainAdam

export = lazy("kerasd2l.export")

NOTE = "On July 4, 1999: 25 kilometers, 3 hours."


def bert_single(
    *,
    weights: str = "",
    texts: data.acceptability.Texts = "notes",
    examples: int = 10_000,
    max_len: int = 48,
    blocks: Blocks = Blocks(num_heads=4, dropout_rate=0.0),
    descent: PlainAdam = PlainAdam(0.0005, batch_size=32, epochs=10),
) -> Recipe:
    """Fine-tune BERT to tell of one text whether its words are in order.

    Section: "finetuning-bert". A stand-in for the Corpus of Linguistic Acceptability: notes of a
    date and amounts, made from CLDR, half of them with two words exchanged; every tenth of the
    10,000 is for the test. texts=help are 720 + 80 sentences of Python's help texts, half of them
    shuffled, from which nothing can be learned without weights. weights=RUN begins from the model
    of a run of bert_pretraining, with its vocabulary and the sizes of its encoder.
    Expected: no figure is published; who guesses is right for half.
    Command: kerasd2l train bert_single --data builtin --export
    """
    example = ["On July 4, 1999: 25 kilometers.", "On 4 July kilometers: 1999 25.", ""]
    return fine_tuning(
        functools.partial(data.acceptability.load, texts=texts, examples=examples),
        "classes",
        dataset="acceptability",
        max_len=max_len,
        blocks=blocks,
        descent=descent,
        signatures=endpoints.bert_classifier(example=example),
        pretrained=_pretrained(weights),
    )


def bert_pair(
    *,
    weights: str = "",
    max_len: int = 32,
    examples: int = 10_000,
    blocks: Blocks = Blocks(num_heads=4, dropout_rate=0.0),
    descent: PlainAdam = PlainAdam(0.0003, batch_size=32, epochs=15),
) -> Recipe:
    """Fine-tune BERT to tell of a pair of texts whether the claim follows from the note.

    Section: "finetuning-bert". Notes of a date and two or three amounts, made from CLDR; the claim
    names one of the amounts (entailment), the same unit with another number (contradiction), or a
    unit of which the note says nothing (neutral). Every tenth of the 10,000 is for the test.
    weights=RUN begins from a run of bert_pretraining, with its vocabulary and sizes. (At a rate of
    0.001 the model does not learn to compare numbers.)
    Expected: no figure is published; who guesses is right for a third.
    Command: kerasd2l train bert_pair --data builtin --export
    """
    signatures = endpoints.bert_classifier(
        example=[NOTE, NOTE, ""], second=["25 kilometers.", "7 liters.", ""]
    )
    return _of_notes("pair", "classes", signatures, weights, max_len, examples, blocks, descent)


def bert_tagging(
    *,
    weights: str = "",
    max_len: int = 32,
    examples: int = 4000,
    blocks: Blocks = Blocks(dropout_rate=0.1),
    descent: PlainAdam = PlainAdam(0.001, batch_size=64, epochs=5),
) -> Recipe:
    """Fine-tune BERT to tell of every word what it is: a day, a year, a number.

    Section: "finetuning-bert". The words of notes, made from CLDR: weekday, month, day, year,
    number, unit or another word; "25" is a day in one place and a number in another. Every tenth
    of the 4000 notes is for the test. weights=RUN begins from a run of bert_pretraining, with its
    vocabulary and sizes.
    Expected: no figure is published.
    Command: kerasd2l train bert_tagging --data builtin --export
    """
    signatures = endpoints.bert_tagger(example=[NOTE, "25 25", ""])
    return _of_notes("tokens", "tags", signatures, weights, max_len, examples, blocks, descent)


def bert_answers(
    *,
    weights: str = "",
    max_len: int = 32,
    examples: int = 4000,
    blocks: Blocks = Blocks(num_heads=4, dropout_rate=0.0),
    descent: PlainAdam = PlainAdam(0.0003, batch_size=32, epochs=15),
) -> Recipe:
    """Fine-tune BERT to answer questions: where the answer begins in a note, and where it ends.

    Section: "finetuning-bert". "Which year?", "How many kilometers?" and such, about notes made
    from CLDR: an answer is words of the note. Every tenth of the 4000 is for the test. weights=RUN
    begins from a run of bert_pretraining, with its vocabulary and sizes.
    Expected: no figure is published.
    Command: kerasd2l train bert_answers --data builtin --export
    """
    signatures = endpoints.bert_answers(
        questions=["Which year?", "How many hours?", ""], example=[NOTE, NOTE, ""]
    )
    return _of_notes("span", "span", signatures, weights, max_len, examples, blocks, descent)


def _of_notes(task, head, signatures, weights, max_len, examples, blocks, descent) -> Recipe:
    return fine_tuning(
        functools.partial(data.facts.load, task=task, examples=examples),
        head,
        dataset="facts",
        max_len=max_len,
        blocks=blocks,
        descent=descent,
        signatures=signatures,
        pretrained=_pretrained(weights),
    )


def _pretrained(folder: str) -> PreTrained | None:
    return PreTrained(folder, open_run, export.load_model) if folder else None
