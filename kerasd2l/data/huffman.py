"""Huffman's tree of words as arrays: the path from the root to each word.

Section: "approx-training".
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np


def huffman_paths(counts: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the inner nodes on the way to each word, and the turns taken at them.

    The rarest two nodes are joined until one is left, so that frequent words have short paths: the
    mean length, weighted by the counts, is the least of all binary trees. Words without a count
    are no leaves. Section: "approx-training".

    Args:
        counts: (V,) numbers >= 0, two of them positive.

    Returns:
        (nodes (V, L) int32, turns (V, L) int32): node numbers from 1 on, the root first, and 1
        where the path goes to the left child, 0 to the right; behind its end, 0 in both.

    Raises:
        ValueError: fewer than two words have a count.

    Example:
        >>> nodes, turns = huffman_paths([0, 5, 1, 1])
        >>> nodes.tolist(), turns.tolist()
        ([[0, 0], [1, 0], [1, 2], [1, 2]], [[0, 0], [0, 0], [1, 1], [1, 0]])

    Reference:
        Huffman, A method for the construction of minimum-redundancy codes, 1952.
    """
    counts = np.asarray(counts, float)
    words = np.flatnonzero(counts > 0)
    if len(words) < 2:
        raise ValueError(f"`counts` must have two words. Received: {len(words)} above 0.")
    heap = [(counts[word], int(word)) for word in words]
    heapq.heapify(heap)
    children: list[tuple[int, int]] = []
    while len(heap) > 1:
        (count, left), (more, right) = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, (count + more, len(counts) + len(children)))
        children.append((left, right))
    paths: dict[int, tuple] = {len(counts) + len(children) - 1: ()}
    for place in range(len(children) - 1, -1, -1):  # parents were made after their children
        path, node = paths.pop(len(counts) + place), len(children) - place
        for child, turn in zip(children[place], (1, 0), strict=True):
            paths[child] = (*path, (node, turn))
    longest = max(map(len, paths.values()))
    table = np.zeros((len(counts), longest, 2), np.int32)
    for word, path in paths.items():
        table[word, : len(path)] = path
    return table[..., 0], table[..., 1]
