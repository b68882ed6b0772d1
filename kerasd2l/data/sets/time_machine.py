"""The Time Machine by H. G. Wells, 1895: the book's text; built in: English that CPython ships."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kerasd2l.data import downloads, sequences
from kerasd2l.data.source import DataError, Source, resolve
from kerasd2l.data.text import LETTERS, Tokenizer, read_lines
from kerasd2l.recipe import Data

FILE = "timemachine.txt"
SHA1 = "090b5e7e70c295757f55df93cb0a180b9691891a"
URL = "https://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt"
# Help texts of Python whose letters are the same in 3.10, 3.11, 3.12 and 3.13.
TOPICS = (
    "exceptions with comparisons import global assert return yield del truth slicings integers "
    "booleans context-managers id-classes in typesmodules atom-literals unary bitwise floating "
    "while conversions dynamic-features else break lambda imaginary continue numbers pass"
).split()


def lines(source: Source | str | None = None) -> list[str]:
    """Read the lines of the text, raw; the stand-in's are letters only, lower case.

    Args:
        source: Source or the name of its kind. Files: DIR/timemachine.txt as the book keeps it, or
            DIR/time_machine/timemachine.txt.

    Returns:
        3221 lines, some empty; built in: Python's own help texts on some 30 topics.

    Raises:
        DataError: the file is not to be had or not right.
    """
    source = Source.of(source)
    plain = Path(source.data_dir or ".") / FILE
    if source.kind in ("auto", "files") and source.data_dir and plain.is_file():
        return _some(plain)
    folder = resolve(
        source,
        "time_machine",
        (FILE,),
        lambda folder: downloads.fetch(
            folder, {FILE: SHA1}, (URL.removesuffix(FILE),), source, max_bytes=1 << 20
        ),
    )
    return help_texts() if folder is None else _some(folder / FILE)


def help_topics() -> list[str]:
    """Return Python's help texts on some 30 topics; their letters are the same on 3.10 to 3.13.

    Raises:
        DataError: this Python comes without its help texts.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            f"this Python has no pydoc_data, the built-in text ({error}). Use --data files."
        ) from error
    missing = [topic for topic in TOPICS if topic not in topics]
    if missing:
        raise DataError(f"the help of this Python has no {', '.join(missing)}. Use --data files.")
    return [topics[topic] for topic in TOPICS]


def help_texts() -> list[str]:
    """Return the stand-in's lines: letters and spaces, the same on Python 3.10 to 3.13.

    Raises:
        DataError: this Python comes without its help texts.
    """
    clean = Tokenizer("char", LETTERS).clean
    return [line for topic in help_topics() for line in map(clean, topic.split("\n")) if line]


def corpus(source: Source | str | None = None, level: Literal["char", "word"] = "char"):
    """Return (token numbers (L,) int32, Vocab) of the whole text: the book's corpus.

    Section: "text-preprocessing". With characters: 170580 numbers, 28 tokens.
    """
    return sequences.corpus_ids(lines(source), Tokenizer(level, LETTERS))


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    num_steps: int = 35,
    max_tokens: int | None = 10_000,
    held_out_tokens: int = 5_000,
    partition: Literal["random", "sequential"] = "random",
    level: Literal["char", "word"] = "char",
    mark_start: bool = False,
    min_freq: int = 0,
) -> Data:
    """Load next-token batches of The Time Machine. Section: "language-models-and-dataset".

    Letters only, lower case, lines put one after the other without a space, as in the book. The
    tokens after those of the training are a test set, which the book does not have.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int B.
        num_steps: int T, tokens in a window.
        max_tokens: int, train on the first so many tokens; None: on all but the held out.
        held_out_tokens: int, test on the next so many; 0: no test set.
        partition: "random" (the state starts anew in every batch) or "sequential" (row b goes on
            where it ended in the batch before).
        level: "char" or "word".
        mark_start: bool, with "sequential": x is a dict, see `sequential_batches`.
        min_freq: int, rarer tokens become `<unk>`.

    Returns:
        Data: x (B, T) int32, y (B, T) int32; assets["vocabulary"], assets["tokenizer"].

    Raises:
        DataError: the file is not to be had or not right. ValueError: too few tokens.

    Example:
        >>> data = load("builtin", batch_size=8, num_steps=10)
        >>> len(data.assets["vocabulary"])
        28
    """
    source = Source.of(source)
    return sequences.language_model_data(
        lines(source),
        Tokenizer(level, LETTERS),
        batch_size=batch_size,
        num_steps=num_steps,
        seed=source.seed,
        max_tokens=max_tokens,
        held_out_tokens=held_out_tokens,
        partition=partition,
        mark_start=mark_start,
        min_freq=min_freq,
        vocabulary=source.known("vocabulary"),
    )


def _some(path: Path) -> list[str]:
    found = read_lines(path)
    if not any(line.strip() for line in found):
        raise DataError(f"{path} is empty. Get the file anew.")
    if not any(letter.isascii() and letter.isalpha() for line in found for letter in line):
        raise DataError(f"{path}: expected English text, received none of the letters A-Z.")
    return found
