"""Reading SNLI's and SICK's files a line at a time, strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from kerasd2l.data import files, limits
from kerasd2l.data.source import DataError

Pair = tuple[str, str, int]  # premise, hypothesis, label
CLASS_NAMES = ("entailment", "contradiction", "neutral")
LABELS = {name: label for label, name in enumerate(CLASS_NAMES)}
NO_LABEL = "-"  # the annotators did not agree
_BLOCK = 10  # pair_IDs of SICK that go to the same split
_SIDES = {
    True: ("sentence1_binary_parse", "sentence2_binary_parse"),
    False: ("sentence1", "sentence2"),
}


def read_snli(path: Path, *, parsed: bool = False) -> Iterator[Pair | None]:
    """Read SNLI's rows: a table with tabs and a header, or a JSON object in each line.

    Args:
        path: the file, plain or gzipped; JSON is told by the first character.
        parsed: bool, take the words of the binary parses, without parentheses.

    Yields:
        (premise, hypothesis, label), or None for a row whose gold label is `-`.

    Raises:
        DataError: names the line that is too long, not UTF-8, without a column, with another label
            or an empty sentence.
    """
    columns: list[str] = []
    for number, line in _lines(path):
        if number == 1 and not line.startswith("{"):
            columns = line.split("\t")
            continue
        where = f"{path}, line {number}"
        row = _row(line, columns, where)
        names = _SIDES[parsed]
        if any(not isinstance(row.get(name), str) for name in ("gold_label", *names)):
            raise DataError(f"{where}: expected gold_label, {names[0]} and {names[1]}.")
        premise, hypothesis = (row[name] for name in names)
        if parsed:
            premise, hypothesis = without_parentheses(premise), without_parentheses(hypothesis)
        yield _pair(premise, hypothesis, row["gold_label"], where)


def read_sick(path: Path, split: str) -> Iterator[Pair]:
    """Read a split of SICK's table: pair_ID, two sentences, a score, the judgment.

    Args:
        path: the file, plain or gzipped, with a header.
        split: "train" or "test": every fifth block of ten pair_IDs.

    Raises:
        DataError: names the line that is not right.
    """
    columns: list[str] = []
    for number, line in _lines(path):
        if number == 1:
            columns = line.split("\t")
            continue
        where = f"{path}, line {number}"
        row = _row(line, columns, where)
        names = ("pair_ID", "sentence_A", "sentence_B", "entailment_judgment")
        if any(name not in row for name in names) or not row["pair_ID"].isdecimal():
            raise DataError(f"{where}: expected {', '.join(names)}.")
        held = (int(row["pair_ID"]) - 1) // _BLOCK % 5 == 0
        if held == (split == "test"):
            label = row["entailment_judgment"].lower()
            pair = _pair(row["sentence_A"], row["sentence_B"], label, where)
            if pair is not None:
                yield pair


def without_parentheses(parse: str) -> str:
    """Return the words of a binary parse, between single spaces.

    Example:
        >>> without_parentheses("( ( Two women ) ( are ( hugging . ) ) )")
        'Two women are hugging .'
    """
    return " ".join(re.sub("[()]", " ", parse).split())


def _pair(premise: str, hypothesis: str, label: str, where: str) -> Pair | None:
    if label == NO_LABEL:
        return None
    if label not in LABELS:
        raise DataError(
            f"{where}: the label must be {', '.join(CLASS_NAMES)} or {NO_LABEL}. "
            f"Received: {label[:40]!r}."
        )
    if not premise.strip() or not hypothesis.strip():
        raise DataError(f"{where}: an empty sentence.")
    return premise, hypothesis, LABELS[label]


def _row(line: str, columns: list[str], where: str) -> dict[str, str]:
    """Return the fields of a line by their names."""
    if not columns:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: no JSON object ({error}).") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: no JSON object.")
        return row
    cells = line.split("\t")
    # lines of SNLI whose pair has fewer than five annotators end early in some copies
    if len(cells) > len(columns):
        raise DataError(f"{where}: {len(cells)} cells where the header has {len(columns)}.")
    return dict(zip(columns, cells, strict=False))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line; no more than one is in memory."""
    size = number = 0
    with files.unpacked(path) as file:
        while line := file.readline(limits.PAIR_LINE_BYTES + 1):
            number, size = number + 1, size + len(line)
            if len(line) > limits.PAIR_LINE_BYTES:
                most = limits.PAIR_LINE_BYTES
                raise DataError(f"{path}, line {number}: longer than {most} bytes.")
            if size > limits.PAIR_BYTES or number > limits.LINES:
                raise DataError(
                    f"{path}: at most {limits.LINES} lines and {limits.PAIR_BYTES} bytes are read. "
                    "Take a part of it."
                )
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf8")
            except UnicodeDecodeError as error:
                raise DataError(f"{path}, line {number}: not UTF-8 ({error.reason}).") from error
            yield number, text.rstrip("\r\n")
    if not number:
        raise DataError(f"{path} is empty. Get the file anew.")
