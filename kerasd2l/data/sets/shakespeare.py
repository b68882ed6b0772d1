"""Forty thousand lines of Shakespeare's plays, one text: Karpathy's "tiny Shakespeare", 2015."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kerasd2l.data import downloads, sequences, tfds_sets
from kerasd2l.data.sets import time_machine
from kerasd2l.data.source import DataError, Source, file_in, from_tfds, resolve
from kerasd2l.data.text import Tokenizer, read_lines
from kerasd2l.recipe import Data

FILE = "input.txt"
PACKED = "shakespeare.txt.gz"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"  # tfds' table, too
MIRRORS = ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",)


def text(source: Source | str | None = None) -> str:
    """Read the whole text: 1115394 characters, 65 different ones, line ends among them.

    Args:
        source: Source or the name of its kind. Files: DIR/shakespeare/input.txt, or
            shakespeare.txt.gz in DIR/shakespeare or DIR/names. Built in: The Time Machine's
            stand-in.

    Raises:
        DataError: the file is not to be had or not right.
    """
    source = Source.of(source)
    if source.kind in ("auto", "files") and source.data_dir:
        for name in ("shakespeare", "names"):
            path = file_in(Path(source.data_dir) / name, PACKED)
            if path.is_file():
                return _some(path)
    if from_tfds(source, "tiny_shakespeare", (FILE,)):
        return tfds_sets.text("tiny_shakespeare", source)
    folder = resolve(
        source,
        "shakespeare",
        (FILE,),
        lambda folder: downloads.fetch(folder, {FILE: SHA256}, MIRRORS, source, max_bytes=1 << 22),
    )
    if folder is None:
        return "\n".join(time_machine.help_texts()) + "\n"
    return _some(folder / FILE)


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    num_steps: int = 35,
    max_tokens: int | None = None,
    held_out_tokens: int = 10_000,
    partition: Literal["random", "sequential"] = "random",
    level: Literal["char", "word"] = "char",
    mark_start: bool = False,
    min_freq: int = 0,
) -> Data:
    """Load next-token batches of Shakespeare: characters as they are, capitals and line ends too.

    Section: "language-models-and-dataset"; the course lesson's second text. With level="word",
    words are what stands between white space.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int B.
        num_steps: int T, tokens in a window.
        max_tokens: int, train on the first so many tokens; None: on all but the held out.
        held_out_tokens: int, test on the next so many; 0: no test set.
        partition: "random" or "sequential", see `time_machine.load`.
        level: "char" or "word".
        mark_start: bool, with "sequential": x is a dict, see `sequential_batches`.
        min_freq: int, rarer tokens become `<unk>`.

    Returns:
        Data: x (B, T) int32, y (B, T) int32; assets["vocabulary"], assets["tokenizer"].

    Raises:
        DataError: the file is not to be had or not right. ValueError: too few tokens.

    Example:
        >>> load("builtin", batch_size=8, num_steps=10).features["tokens"].dtype
        'int32'
    """
    source = Source.of(source)
    return sequences.language_model_data(
        [text(source)],
        Tokenizer(level, (), lower=False, strip=False),
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


def _some(path: Path) -> str:
    found = read_lines(path)
    if not any(line.strip() for line in found):
        raise DataError(f"{path} is empty. Get the file anew.")
    return "\n".join(found) + "\n"
