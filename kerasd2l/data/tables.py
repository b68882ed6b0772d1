"""Tables of comma-separated values: read whole or not at all, with errors that name the line."""

from __future__ import annotations

import csv
import io
import os

import numpy as np

from kerasd2l.data import files, limits
from kerasd2l.data.source import DataError

Row = tuple[int, list[str]]


def read(path: str | os.PathLike) -> list[Row]:
    """Read the rows of a UTF-8 table, plain or gzipped; a blank line is a row without cells.

    The last line must have its end, too: a row that was cut in its last cell looks like a whole one
    and has another number in it.

    Args:
        path: the file.

    Returns:
        (number of the line that ends the row, cells as they stand there) for each row.

    Raises:
        DataError: no such file, not UTF-8, no table, cut off, or larger than `limits` say.
    """
    return parse(files.content(path, limits.TABLE_BYTES), path)


def parse(content: bytes, path: str | os.PathLike) -> list[Row]:
    """Return the rows of a table's bytes, as `read` does.

    Args:
        content: the bytes.
        path: what errors call them.

    Raises:
        DataError: as `read`.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} is no table of comma-separated values: line {number}: not UTF-8 "
            f"(byte 0x{error.object[error.start]:02x})."
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    try:
        for cells in reader:
            _check(path, reader.line_num, cells)
            rows.append((reader.line_num, cells))
            if len(rows) > limits.ROWS:
                raise DataError(f"{path} has more than {limits.ROWS} rows.")
    except csv.Error as error:
        raise DataError(
            f"{path} is no table of comma-separated values: line {reader.line_num}: {error}."
        ) from error
    if text and not text.endswith(("\n", "\r")):
        raise DataError(
            f"{path}, line {reader.line_num}: the last line has no end, so the file may be cut "
            "off. Get it anew, or end its last line if nothing is missing."
        )
    return rows


def _check(path: str | os.PathLike, number: int, cells: list[str]) -> None:
    if len(cells) > limits.FIELDS:
        raise DataError(f"{path}, line {number}: {len(cells)} cells, at most {limits.FIELDS}.")
    for cell in cells:
        if len(cell) > limits.FIELD_CHARACTERS:
            raise DataError(
                f"{path}, line {number}: a cell of {len(cell)} characters, "
                f"at most {limits.FIELD_CHARACTERS}."
            )
        if "\0" in cell:
            raise DataError(f"{path}, line {number}: a NUL character in {cell[:40]!r}.")


def number(cell: str) -> float:
    """Turn a cell into a number; NaN where it is none, or too large for a float32.

    Python alone takes `1_000` and the digits of other scripts for numbers, too.
    """
    try:
        value = float(cell if cell.isascii() and "_" not in cell else "nan")
    except ValueError:
        return float("nan")
    return value if np.abs(value) <= limits.FLOAT else float("nan")
