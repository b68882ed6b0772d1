"""Vectors of words from a text file, for the rows of an embedding."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from kerasd2l.data import files, limits
from kerasd2l.data.source import DataError


def load_vectors(path: str | os.PathLike, tokens: Sequence[str]) -> np.ndarray:
    """Read the vectors of a vocabulary: a word and its numbers in each line, as GloVe's files.

    Args:
        path: the file, plain or gzipped; a first line with two numbers, as word2vec writes it, is
            passed over.
        tokens: the vocabulary's; of a word that is twice in the file, the first vector counts.

    Returns:
        (V, D) float32; zeros for tokens that the file does not have, as the book has it.

    Raises:
        DataError: names the line that has another number of numbers, or what is none; or no token
            is in the file.
    """
    places = {token.encode(): place for place, token in enumerate(tokens)}
    table: np.ndarray | None = None
    with files.unpacked(path) as file:
        number = 0
        while line := file.readline(limits.VECTOR_BYTES):
            number += 1
            word, *numbers = line.rstrip().split(b" ")
            if number == 1 and len(numbers) == 1:
                continue  # how many words, and how many numbers
            if table is None:
                table = np.zeros((len(tokens), len(numbers)), np.float32)
            if len(numbers) != table.shape[1] or not numbers:
                raise DataError(
                    f"{path}, line {number}: expected a word and {table.shape[1] or 'its'} "
                    f"numbers, received {len(numbers)}. Get the file anew."
                )
            place = places.pop(word, None)
            if place is not None:
                table[place] = _numbers(path, number, numbers)
    if table is None or len(places) == len(tokens):
        raise DataError(f"{path} has no vector for any of the {len(tokens)} words of the data.")
    return table


def _numbers(path: str | os.PathLike, line: int, numbers: Sequence[bytes]) -> np.ndarray:
    try:
        vector = np.array([float(number) for number in numbers])
        if not np.all(np.abs(vector) <= limits.FLOAT):
            raise ValueError("one of them is not finite")
    except ValueError as error:
        raise DataError(f"{path}, line {line}: not a vector of numbers ({error}).") from None
    return vector.astype(np.float32)
