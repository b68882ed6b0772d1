"""Rosenblatt's perceptron: learns a separating line, and how many mistakes it can make at most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Perceptron:
    """A trained perceptron.

    Args:
        w: (D,) weights.
        b: float.
        updates: int, mistakes that were learned from.
        converged: bool, whether a whole pass went without a mistake.
    """

    w: np.ndarray
    b: float
    updates: int
    converged: bool

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return +1 or -1 for each row: (n, D) -> (n,)."""
        return np.where(X @ self.w + self.b > 0, 1, -1)


def train_perceptron(X: np.ndarray, y: np.ndarray, *, max_passes: int = 1000) -> Perceptron:
    """Learn from mistakes until there are none: w += y x and b += y where y (w x + b) <= 0.

    This is gradient descent with batch size 1 and step 1 on max(0, -y (w x + b)), from zero.
    Section: "perceptron".

    Args:
        X: (n, D).
        y: (n,) of +1 and -1.
        max_passes: int, passes over the data after which it gives up.

    Returns:
        Perceptron.

    Raises:
        ValueError: labels other than +1 and -1.

    Reference:
        Rosenblatt, The perceptron, 1958.
    """
    X, y = np.asarray(X, float), np.asarray(y)
    if not np.isin(y, (-1, 1)).all():
        raise ValueError(f"`y` must be +1 or -1. Received: {sorted(set(y.tolist()))[:5]}.")
    w, b, updates = np.zeros(X.shape[1]), 0.0, 0
    for _ in range(max_passes):
        before = updates
        for x_i, y_i in zip(X, y, strict=True):
            if y_i * (w @ x_i + b) <= 0:
                w, b, updates = w + y_i * x_i, b + y_i, updates + 1
        if updates == before:
            return Perceptron(w, b, updates, True)
    return Perceptron(w, b, updates, False)


def margin(X: np.ndarray, y: np.ndarray, w: np.ndarray, b: float) -> float:
    """Return the smallest y (w x + b) after scaling to |w|^2 + b^2 = 1: rho of the theorem.

    Negative if (w, b) does not separate the data.
    """
    scale = np.sqrt(np.dot(w, w) + b * b)
    return float(np.min(y * (np.asarray(X) @ w + b)) / scale)


def convergence_bound(X: np.ndarray, y: np.ndarray, w: np.ndarray, b: float) -> float:
    """Return how many updates the perceptron needs at most: (r^2 + 1) / rho^2.

    r is the radius of the data and rho the margin of *any* separating solution with
    |w|^2 + b^2 <= 1; the condition is on that solution, not on the initial weights.
    Section: "perceptron".

    Args:
        X: (n, D).
        y: (n,) of +1 and -1.
        w: (D,) weights of a solution that separates the data.
        b: float, its bias.

    Raises:
        ValueError: the solution does not separate the data.

    Reference:
        Novikoff, On convergence proofs on perceptrons, 1962.
    """
    rho = margin(X, y, w, b)
    if rho <= 0:
        raise ValueError(f"`w` and `b` must separate the data. Received a margin of {rho:.3g}.")
    return float((np.max(np.sum(np.square(X), axis=1)) + 1) / rho**2)
