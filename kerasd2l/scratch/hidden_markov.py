"""Hidden Markov model: the most probable path through states that nobody sees."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np


def viterbi(
    initial: Any, transition: Any, emission: Any, observations: Sequence[int]
) -> tuple[list[int], float]:
    """Find the most probable sequence of hidden states, exactly, in O(T S^2).

    v_t(j) = max_i v_{t-1}(i) + log A_ij + log B_j(o_t). Section: "beam-search", as the search that
    keeps one best path for each state: a beam as wide as there are states, which here misses none.

    Args:
        initial: (S,) probabilities of the first state.
        transition: (S, S), row i: probabilities of the next state after state i.
        emission: (S, O), row i: probabilities of the observations in state i.
        observations: T >= 1 numbers of observations.

    Returns:
        (path of T states, log-probability of path and observations together); among equally
        probable paths one is returned.

    Raises:
        ValueError: shapes that do not fit, rows that are no probabilities, an unknown observation,
            no observations, or observations that no path can give.

    Example:
        >>> rows = [[0.7, 0.3], [0.4, 0.6]], [[0.9, 0.1], [0.2, 0.8]]
        >>> path, score = viterbi([0.6, 0.4], *rows, [0, 1])
        >>> path, round(float(np.exp(score)), 4)
        ([0, 1], 0.1296)

    Reference:
        Viterbi, Error bounds for convolutional codes, 1967.
    """
    start, step, seen = _log_model(initial, transition, emission, observations)
    best = start + seen[:, observations[0]]  # (S,)
    back = []
    for observation in observations[1:]:
        through = best[:, None] + step  # (S, S): from state i to state j
        back.append(np.argmax(through, axis=0))
        best = np.max(through, axis=0) + seen[:, observation]
    if np.isneginf(best.max()):
        raise ValueError("no path of states can give these observations.")
    path = [int(np.argmax(best))]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1], float(best.max())


def best_path_by_enumeration(
    initial: Any, transition: Any, emission: Any, observations: Sequence[int]
) -> tuple[list[int], float]:
    """Find the same by trying all S^T paths: exhaustive search, for tiny models only."""
    start, step, seen = _log_model(initial, transition, emission, observations)
    states = range(len(start))
    scored = []
    for path in itertools.product(states, repeat=len(observations)):
        score = start[path[0]] + seen[path[0], observations[0]]
        for i, j, observation in zip(path, path[1:], observations[1:], strict=False):
            score += step[i, j] + seen[j, observation]
        scored.append((score, path))
    score, path = max(scored)
    return list(path), float(score)


def _log_model(initial, transition, emission, observations):
    """Check the probabilities and return their logarithms."""
    arrays = {"initial": initial, "transition": transition, "emission": emission}
    tables = {name: np.asarray(table, np.float64) for name, table in arrays.items()}
    shapes = {name: table.shape for name, table in tables.items()}
    size = shapes["initial"][0] if len(shapes["initial"]) == 1 else 0
    fits = shapes["transition"] == (size, size) and len(shapes["emission"]) == 2
    if not size or not fits or shapes["emission"][0] != size:
        raise ValueError(
            "`initial` (S,), `transition` (S, S) and `emission` (S, O) must have the same S. "
            f"Received: {shapes}."
        )
    for name, table in tables.items():
        if np.any(table < 0) or not np.allclose(table.sum(-1), 1):
            raise ValueError(f"`{name}` must be probabilities whose rows sum to 1.")
    kinds = shapes["emission"][1]
    if not len(observations) or any(not 0 <= o < kinds for o in observations):
        raise ValueError(
            f"`observations` must be one or more numbers in 0..{kinds - 1}. "
            f"Received: {list(observations)}."
        )
    with np.errstate(divide="ignore"):  # log 0 = -infinity: a step that cannot be
        return tuple(np.log(table) for table in tables.values())
