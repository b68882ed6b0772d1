"""What `predict` reads: files, texts, tables, JSON and numbers, and of each no more than it may."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasd2l.export.manifest import SavedModelError
from kerasd2l.recipe import MISSING_NUMBER

MOST_BYTES = 256 << 20  # of a file
MOST_TEXT = 16 << 20  # bytes of JSON or of a table, which become many small objects
MOST_FIELDS = 10_000  # of a row
MOST_ROWS = 300_000


class InputError(SavedModelError):
    """An input that is missing or that the signature cannot take."""


def read_file(word: str, most: int = MOST_BYTES) -> bytes:
    """Read a whole file.

    Args:
        word: its name.
        most: int, most bytes that are taken.

    Raises:
        InputError: names the file, if it is missing, a folder, empty, too large or not readable.
    """
    path = Path(word)
    if path.is_dir():
        raise InputError(f"{word} is a folder. Give the files in it, such as {word}/*.png.")
    try:
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise InputError(f"{word} does not exist.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {word}: {error}") from error
    if not content:
        raise InputError(f"{word} is empty.")
    if len(content) > most:
        raise InputError(f"{word} is too large: at most {most} bytes are read.")
    return content


def read_text(word: str) -> str:
    """Read a whole UTF-8 file of JSON or CSV."""
    try:
        return read_file(word, MOST_TEXT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{word} is not UTF-8 text: {error}") from error


def read_rows(word: str) -> list[tuple[int, list[str]]]:
    """Read a .csv file: (number of the line, cells) for each row that is not blank."""
    reader = csv.reader(io.StringIO(read_text(word), newline=""))
    rows = []
    try:
        for cells in reader:
            if len(cells) > MOST_FIELDS:
                raise InputError(f"{word}, line {reader.line_num}: more than {MOST_FIELDS} cells.")
            if cells:
                rows.append((reader.line_num, cells))
            if len(rows) > MOST_ROWS:
                raise InputError(f"{word} has more than {MOST_ROWS} rows.")
    except csv.Error as error:
        raise InputError(f"{word}, line {reader.line_num}: {error}.") from error
    if not rows:
        raise InputError(f"{word} is empty.")
    return rows


def parse_json(text: str, source: str) -> Any:
    """Parse JSON without numbers that are too large; `source` is what errors call it."""
    try:
        return json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{cropped(source)} is not JSON: {error}") from error


def to_number(cell: str, dtype: str) -> float | int:
    """Turn text into a number; what is missing becomes NaN where the dtype has one."""
    if dtype in ("float16", "bfloat16", "float32", "float64"):
        if re.fullmatch(MISSING_NUMBER, cell):
            return float("nan")
        kinds: tuple[Callable[[str], float | int], ...] = (_finite,)
    else:
        kinds = (int, _finite)
    for kind in kinds:
        try:
            return kind(cell)
        except ValueError:
            continue
    raise InputError(f"{cropped(cell)!r} is not a number ({dtype}).")


def _finite(text: str) -> float:
    """Return the number; only the word "inf" may be infinite, digits may not."""
    value = float(text)
    if math.isinf(value) and any(map(str.isdigit, text)):
        raise ValueError(f"{cropped(text)} is too large")
    return value


def cropped(word: str, length: int = 60) -> str:
    """Crop what is long, but no file name."""
    if len(word) <= length or Path(word).suffix.lower() in (".csv", ".json", ".npy"):
        return word
    return word[: length - 3] + "..."
