"""Text: reading it strictly, cleaning it, cutting it into tokens.

A `Tokenizer` is plain data: it goes into the assets of a run, and `export.text` builds the same
cleaning and cutting into the graph of a SavedModel.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np

from kerasd2l.data import files, limits
from kerasd2l.data.source import DataError

SPACES = " \t\n\r\f\v"
_SPACES = re.compile(f"[{SPACES}]+")
_FOREIGN = re.compile(r"\[?[^\x00-\x7f]+\]?\+?")  # patterns of characters beyond ASCII
# How sentences become tokens for translation: no-break spaces are spaces, and the four signs that
# end a clause are words of their own.
PUNCTUATION = (("[\u00a0\u202f \t]+", " "), ("([,.!?])", r" \1"), (" +", " "))
# How prose becomes words: a break of HTML is a space, signs are words of their own, "isn't" is "is
# n't" and "dog's" is "dog 's", as in the Penn Treebank and in most files of word vectors.
PROSE = (
    ("[\u00a0\u202f]|<br ?/?>", " "),
    ("[\u2018\u2019]", "'"),
    ("[\u201c\u201d]", '"'),
    ("([A-Za-z])(n't|N'T)", r"\1 \2"),
    ("([A-Za-z])('([sdm]|re|ve|ll))([^A-Za-z]|$)", r"\1 \2\4"),
    (r"([,.!?;:()\[\]\"*/])", r" \1 "),
)
LETTERS = (("[^A-Za-z]+", " "),)
CONTINUES = "##"  # begins a piece that goes on a word


@dataclass(frozen=True)
class Tokenizer:
    r"""Cleans a text and cuts it into tokens. Section: "text-preprocessing".

    First single characters are replaced, then the patterns, in order; then lower case; then white
    space at both ends goes; then characters (Unicode code points) or words (between white space).
    Patterns are regular expressions that Python and RE2 read alike: no look-around, `\1` in a
    replacement for a group.

    Args:
        level: "char" or "word".
        replacements: ((pattern, replacement), ...).
        lower: bool, to lower case (letters up to Unicode 13 in the exported graph).
        strip: bool, remove white space at both ends.
        characters: ((character, text), ...), each of these characters becomes its text.
        pieces: bool, words are to be cut into pieces of the vocabulary: `word_pieces.reader`.

    Raises:
        ValueError: another level, a pattern that is no regular expression, or pieces of characters.

    Example:
        >>> Tokenizer("word", LETTERS)("The Time Machine, by H. G. Wells [1898]")
        ['the', 'time', 'machine', 'by', 'h', 'g', 'wells']
    """

    level: Literal["char", "word"] = "char"
    replacements: tuple[tuple[str, str], ...] = ()
    lower: bool = True
    strip: bool = True
    characters: tuple[tuple[str, str], ...] = ()
    pieces: bool = False

    def __post_init__(self):
        if self.level not in ("char", "word"):
            raise ValueError(f"`level` must be char or word. Received: level={self.level!r}.")
        if self.pieces and self.level == "char":
            raise ValueError("`pieces` are parts of words. Received: level='char', pieces=True.")
        pairs = tuple((str(pattern), str(text)) for pattern, text in self.replacements)
        object.__setattr__(self, "replacements", pairs)
        for pattern, _ in pairs:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"`replacements` has a bad pattern {pattern!r}: {error}") from None

    @classmethod
    def from_assets(cls, assets: Mapping[str, Any]) -> Tokenizer:
        """Make a tokenizer from what `to_assets` gave."""
        more = {"characters": tuple(assets.get("characters", {}).items())}
        return cls(**{**assets, "replacements": tuple(map(tuple, assets["replacements"])), **more})

    def to_assets(self) -> dict[str, Any]:
        """Return plain data for the assets of a run; what it once had not only where it is used."""
        assets: dict[str, Any] = {
            "level": self.level,
            "replacements": [list(pair) for pair in self.replacements],
            "lower": self.lower,
            "strip": self.strip,
        }
        if self.characters:
            assets["characters"] = dict(self.characters)
        return assets | ({"pieces": True} if self.pieces else {})

    @functools.cached_property
    def _table(self) -> dict[int, str]:
        return str.maketrans(dict(self.characters))

    @functools.cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str, bool]]:
        """Each pattern and its replacement, and whether all that it matches is beyond ASCII."""
        return [
            (re.compile(pattern), replacement, bool(_FOREIGN.fullmatch(pattern)))
            for pattern, replacement in self.replacements
        ]

    def clean(self, text: str) -> str:
        """Return the text after all replacements, lower case and strip."""
        text = text.translate(self._table) if self.characters else text
        for pattern, replacement, foreign in self._patterns:
            if not (foreign and text.isascii()):
                text = pattern.sub(replacement, text)
        text = text.lower() if self.lower else text
        return text.strip(SPACES) if self.strip else text

    def split(self, text: str) -> list[str]:
        """Cut a clean text into tokens."""
        # One object for each different token; Python has one for each Latin letter by itself.
        if self.level == "char":
            return list(text) if text.isascii() else list(map(sys.intern, text))
        return [sys.intern(word) for word in _SPACES.split(text) if word]

    def join(self, tokens: Sequence[str]) -> str:
        """Put tokens together again: pieces to words, words with a space between all of them."""
        text = ("" if self.level == "char" else " ").join(tokens)
        return text.replace(f" {CONTINUES}", "") if self.pieces else text

    def __call__(self, text: str) -> list[str]:
        return self.split(self.clean(text))


def tokenize(lines: Sequence[str], token: Literal["word", "char"] = "word") -> list[list[str]]:
    """Cut lines into words (at white space) or characters, as they are. "text-preprocessing".

    Args:
        lines: texts.
        token: "word" or "char".

    Returns:
        One list of tokens for each line; an empty one for an empty line.

    Raises:
        ValueError: another kind of token.
    """
    tokenizer = Tokenizer(token)
    return [tokenizer.split(line) for line in lines]


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return all runs of n tokens. Section: "language-models-and-dataset".

    Args:
        tokens: T tokens.
        n: int >= 1.

    Returns:
        T - n + 1 tuples.

    Raises:
        ValueError: n below 1.

    Example:
        >>> ngrams(["a", "b", "c"], 2)
        [('a', 'b'), ('b', 'c')]
    """
    if n < 1:
        raise ValueError(f"`n` must be at least 1. Received: n={n}.")
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))


def truncate_pad(line: Sequence[int], num_steps: int, padding_token: int) -> list[int]:
    """Cut or fill a sequence to a length. Section: "machine-translation-and-dataset".

    Example:
        >>> truncate_pad([47, 4], 5, 1), truncate_pad([1, 2, 3], 2, 0)
        ([47, 4, 1, 1, 1], [1, 2])
    """
    line = list(line[:num_steps])
    return line + [padding_token] * (num_steps - len(line))


def pad_batch(
    sequences: Sequence[Sequence[int]], padding: int, num_steps: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Put sequences of different length into one array.

    Args:
        sequences: B lists of numbers.
        padding: int, the number that fills the rest.
        num_steps: int >= 1, the length T; longer sequences are cut. None: the longest one's.

    Returns:
        ((B, T) int32, lengths (B,) int32). A length counts what is not padding.

    Raises:
        ValueError: num_steps below 1.

    Example:
        >>> ids, lengths = pad_batch([[5, 6, 7], [8]], padding=1)
        >>> ids.tolist(), lengths.tolist()
        ([[5, 6, 7], [8, 1, 1]], [3, 1])
    """
    if num_steps is None:
        num_steps = max((len(sequence) for sequence in sequences), default=1) or 1
    if num_steps < 1:
        raise ValueError(f"`num_steps` must be at least 1. Received: num_steps={num_steps}.")
    ids = np.full((len(sequences), num_steps), padding, np.int32)
    lengths = np.array([min(len(s), num_steps) for s in sequences], np.int32).reshape(-1)
    for row, sequence in zip(ids, sequences, strict=True):
        row[: len(sequence)] = sequence[:num_steps]
    return ids, lengths


def check_size(lines: Iterable[str]) -> None:
    """Refuse a text that is too long to be cut into tokens in memory.

    Raises:
        DataError: more than `limits.CHARACTERS`.
    """
    count = sum(map(len, lines))
    if count > limits.CHARACTERS:
        raise DataError(
            f"the text has {count} characters, at most {limits.CHARACTERS} are cut into tokens. "
            "Take a part of it."
        )


def read_lines(
    path: str | os.PathLike,
    *,
    max_bytes: int = limits.TEXT_BYTES,
    max_lines: int = limits.LINES,
) -> list[str]:
    """Read a UTF-8 text, plain or gzipped, as lines without their ends (LF or CRLF).

    Only LF ends a line: other characters that Unicode calls line ends stay what they are, so that
    two parallel files keep their lines side by side. A byte order mark is left out.

    Args:
        path: the file; gzip is recognised by its content.
        max_bytes: int, a longer text is refused.
        max_lines: int, a text with more lines is refused.

    Returns:
        Lines; a last empty one is left out.

    Raises:
        DataError: names the file, and the line that is not UTF-8.
    """
    with files.unpacked(path) as file:
        return lines_of(file, path, max_bytes=max_bytes, max_lines=max_lines)


def lines_of(
    file: IO[bytes],
    name: str | os.PathLike,
    *,
    max_bytes: int = limits.TEXT_BYTES,
    max_lines: int = limits.LINES,
) -> list[str]:
    """Read the lines of an open file, as `read_lines` does; `name` begins the errors.

    Raises:
        DataError: as `read_lines`.
    """
    lines: list[str] = []
    size = 0
    # a line at a time: of a text that is too long, no more than the limit is ever in memory
    while line := file.readline(max_bytes + 1 - size):
        size += len(line)
        if size > max_bytes:
            raise DataError(f"{name} is longer than {max_bytes} bytes.")
        if len(lines) == max_lines:
            raise DataError(f"{name} has more than {max_lines} lines.")
        lines.append(_line(name, len(lines) + 1, line))
    return lines


def _line(path: str | os.PathLike, number: int, line: bytes) -> str:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: not UTF-8 (byte 0x{error.object[error.start]:02x}). "
            "Save the file in UTF-8."
        ) from error
    return text.removesuffix("\n").removesuffix("\r")
