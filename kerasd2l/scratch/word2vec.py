"""The book's word2vec by hand: loops over sentences, and a product of batches.

Section: "word-embedding-dataset". `data.word_windows` does the same for whole batches in a graph:
where nothing is drawn the results are equal, else their distributions.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

Corpus = Sequence[Sequence[int]]


def subsample_scratch(
    sentences: Sequence[Sequence[str]], counts: Mapping[str, int], rng: random.Random
) -> list[list[str]]:
    """Leave out frequent words by chance: a word stays with probability sqrt(1e-4 / f), at most 1.

    Section: "word-embedding-dataset".

    Args:
        sentences: lists of words.
        counts: word -> how often it comes; words without a count are left out.
        rng: the chance.
    """
    total = sum(counts.values())

    def keep(word: str) -> bool:
        return word in counts and rng.random() < math.sqrt(1e-4 / counts[word] * total)

    return [[word for word in line if keep(word)] for line in sentences]


def get_centers_and_contexts(
    corpus: Corpus, max_window_size: int, rng: random.Random
) -> tuple[list[int], list[list[int]]]:
    """Return each word of sentences of two and more, and its neighbours in a window of random size.

    Section: "word-embedding-dataset".

    Example:
        >>> get_centers_and_contexts([[5, 6, 7], [8]], 1, random.Random(0))
        ([5, 6, 7], [[6], [5, 7], [6]])
    """
    centers: list[int] = []
    contexts: list[list[int]] = []
    for line in corpus:
        if len(line) < 2:
            continue
        for i, center in enumerate(line):
            window = rng.randint(1, max_window_size)
            centers.append(center)
            contexts.append([*line[max(0, i - window) : i], *line[i + 1 : i + 1 + window]])
    return centers, contexts


class RandomGenerator:
    """Draws the numbers 1 to n with given weights, 10,000 at a time.

    Section: "word-embedding-dataset".

    Args:
        sampling_weights: n numbers >= 0, the first one of number 1.
        rng: the chance.

    Example:
        >>> RandomGenerator([0, 1, 0], random.Random(0)).draw()
        2
    """

    def __init__(self, sampling_weights: Sequence[float], rng: random.Random):
        self.sums, self.rng = list(itertools.accumulate(sampling_weights)), rng
        self.candidates: list[int] = []

    def draw(self) -> int:
        """Return the next number."""
        if not self.candidates:
            total = self.sums[-1]
            draws = (self.rng.random() * total for _ in range(10_000))
            self.candidates = [bisect.bisect_right(self.sums, draw) + 1 for draw in draws]
        return self.candidates.pop()


def get_negatives(
    all_contexts: Corpus, generator: RandomGenerator, num_noise_words: int
) -> list[list[int]]:
    """Draw K noise words for each neighbour, none of which is a neighbour.

    Section: "word-embedding-dataset". Where all words are neighbours this never ends.
    """
    negatives = []
    for contexts in all_contexts:
        found: list[int] = []
        while len(found) < len(contexts) * num_noise_words:
            word = generator.draw()
            if word not in contexts:
                found.append(word)
        negatives.append(found)
    return negatives


def batchify(
    data: Sequence[tuple[int, Sequence[int], Sequence[int]]],
) -> tuple[list[list[int]], list[list[int]], list[list[int]], list[list[int]]]:
    """Put examples of different lengths into one batch, padded with 0.

    Section: "word-embedding-dataset".

    Args:
        data: (center, contexts, negatives) of each example.

    Returns:
        (centers (B, 1), contexts and negatives (B, M), masks (B, M), labels (B, M)).

    Example:
        >>> batchify([(1, [2, 2], [3, 3, 3, 3]), (1, [2, 2, 2], [3, 3])])[2]
        [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]
    """
    longest = max(len(contexts) + len(negatives) for _, contexts, negatives in data)
    centers, contexts_negatives, masks, labels = [], [], [], []
    for center, contexts, negatives in data:
        here = len(contexts) + len(negatives)
        centers.append([center])
        contexts_negatives.append([*contexts, *negatives, *[0] * (longest - here)])
        masks.append([1] * here + [0] * (longest - here))
        labels.append([1] * len(contexts) + [0] * (longest - len(contexts)))
    return centers, contexts_negatives, masks, labels


def skip_gram_scratch(center: Any, contexts_and_negatives: Any, v: Any, u: Any) -> Any:
    """Return the products of center and outer vectors, as the book's `skip_gram`.

    Section: "word2vec-pretraining".

    Args:
        center: (B, 1) int.
        contexts_and_negatives: (B, M) int.
        v: (V, D), vectors of the words in the middle.
        u: (V, D), vectors of their neighbours.

    Returns:
        (B, 1, M).
    """
    inner = ops.take(v, center, axis=0)  # (B, 1, D)
    outer = ops.take(u, contexts_and_negatives, axis=0)  # (B, M, D)
    return ops.matmul(inner, ops.transpose(outer, (0, 2, 1)))
