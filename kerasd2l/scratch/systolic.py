"""A systolic array: a grid of small cells that multiply, add, and pass numbers on at every tick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SystolicRun:
    """What the array computed, and at what cost.

    Args:
        product: (n, m), the result.
        ticks: int, steps of the clock.
        busy: (ticks,) int, cells that multiplied something at each tick.
        cells: int, cells of the array.
    """

    product: np.ndarray
    ticks: int
    busy: np.ndarray
    cells: int

    @property
    def utilisation(self) -> float:
        """The share of cells and ticks that did something."""
        return float(self.busy.sum()) / (self.ticks * self.cells)


def systolic_matmul(A: np.ndarray, B: np.ndarray, size: int | None = None) -> SystolicRun:
    """Multiply matrices as a systolic array does. Section: "hardware".

    Cell (i, j) keeps C[i, j]. At every tick it takes a number from its left neighbour and one from
    above, adds their product, and passes both on, to the right and down. Row i of A comes in i
    ticks late, column j of B j ticks late, so that A[i, k] and B[k, j] meet. Larger matrices are
    cut into blocks of the array's size, filled up with zeros, one after the other.

    Args:
        A: (n, K).
        B: (K, m).
        size: int or None, rows and columns of the array; None: n x m cells.

    Returns:
        SystolicRun; an n x m array takes K + n + m - 2 ticks.

    Raises:
        ValueError: matrices that do not fit together, or a size below 1.

    Example:
        >>> run = systolic_matmul(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]))
        >>> run.product.tolist(), run.ticks
        ([[1.0, 2.0], [3.0, 4.0]], 4)
    """
    A, B = np.asarray(A), np.asarray(B)
    if A.ndim != 2 or B.ndim != 2 or A.shape[1] != B.shape[0] or 0 in A.shape + B.shape:
        raise ValueError(
            "`A` must be (n, K), `B` (K, m), none of them 0. "
            f"Received: shapes {A.shape} and {B.shape}."
        )
    if size is not None and size < 1:
        raise ValueError(f"`size` must be at least 1. Received: size={size}.")
    (n, K), m = A.shape, B.shape[1]
    if size is None:
        product, busy = _stream(A, B, np.ones((n, K)), np.ones((K, m)))
        return SystolicRun(product, len(busy), busy, n * m)
    product = np.zeros((n, m), np.result_type(A, B))
    blocks = []
    for top in range(0, n, size):
        for left in range(0, m, size):
            rows, columns = A[top : top + size], B[:, left : left + size]
            above, beside = size - len(rows), size - columns.shape[1]
            a, there_a = (np.pad(x, ((0, above), (0, 0))) for x in (rows, np.ones_like(rows)))
            b, there_b = (
                np.pad(x, ((0, 0), (0, beside))) for x in (columns, np.ones_like(columns))
            )
            block, ticks = _stream(a, b, there_a, there_b)
            product[top : top + size, left : left + size] = block[: len(rows), : columns.shape[1]]
            blocks.append(ticks)
    busy = np.concatenate(blocks)
    return SystolicRun(product, len(busy), busy, size * size)


def _stream(A, B, real_A, real_B) -> tuple[np.ndarray, np.ndarray]:
    """Run one block through an array of its size; count cells where two real numbers meet."""
    (n, K), m = A.shape, B.shape[1]
    C = np.zeros((n, m), np.result_type(A, B))
    right, down = np.zeros((n, m), A.dtype), np.zeros((n, m), B.dtype)  # registers of the cells
    right_real, down_real = np.zeros((n, m), bool), np.zeros((n, m), bool)
    busy = []
    for tick in range(K + n + m - 2):
        for register, feed in ((right, A), (right_real, real_A)):
            register[:, 1:] = register[:, :-1].copy()
            register[:, 0] = [feed[i, tick - i] if 0 <= tick - i < K else 0 for i in range(n)]
        for register, feed in ((down, B), (down_real, real_B)):
            register[1:] = register[:-1].copy()
            register[0] = [feed[tick - j, j] if 0 <= tick - j < K else 0 for j in range(m)]
        C += right * down
        busy.append(int((right_real & down_real).sum()))
    return C, np.array(busy)
