"""One weight, three points: exhaustive search, gradient descent and stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

POINTS = ((1.0, 2.0), (2.0, 4.0), (3.0, 6.0))  # of the lessons: y = 2 x


def cost(w: Any, x: Any, y: Any) -> Any:
    """Return the mean squared error of y = w x.

    cost(w) = 1/N sum (x_n w - y_n)^2. Section: "linear-model-exhaustive-search".

    Args:
        w: float, or array (M,) of weights to try.
        x: (N,) inputs.
        y: (N,) what they should give.

    Returns:
        float, or (M,).

    Example:
        >>> float(cost(3.0, *np.transpose(POINTS)).round(4))
        4.6667
    """
    errors = np.multiply.outer(np.asarray(w, float), x) - y  # (M, N)
    return np.mean(errors**2, axis=-1)


def cost_gradient(w: float, x: Any, y: Any) -> float:
    """Return the derivative of `cost`: 1/N sum 2 x_n (x_n w - y_n).

    Section: "gradient-descent-and-sgd".
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    return float(np.mean(2 * x * (x * w - y)))


def exhaustive_search(
    x: Any, y: Any, *, start: float = 0.0, stop: float = 4.1, step: float = 0.1
) -> tuple[np.ndarray, np.ndarray, float]:
    """Try every weight from `start` up to, but without, `stop` and keep the best.

    Section: "linear-model-exhaustive-search".

    Args:
        x: (N,) inputs.
        y: (N,) what they should give.
        start: float, the first weight.
        stop: float, no weight reaches it.
        step: float > 0, between two weights.

    Returns:
        weights (M,), costs (M,), and the best weight.

    Raises:
        ValueError: no weight to try.
    """
    # w += step, as in the lesson, would add up rounding errors: 40 steps of 0.1 are not 4
    count = int(np.ceil((stop - start) / step - 1e-9)) if step > 0 else 0
    if count < 1:
        raise ValueError(
            "`step` must be positive and `stop` larger than `start`. "
            f"Received: start={start}, stop={stop}, step={step}."
        )
    weights = start + step * np.arange(count)
    costs = cost(weights, x, y)
    return weights, costs, float(weights[np.argmin(costs)])


def gradient_descent(
    x: Any,
    y: Any,
    *,
    w: float = 1.0,
    learning_rate: float = 0.01,
    epochs: int = 100,
    batch_size: int | None = None,
) -> np.ndarray:
    """Step against the gradient again and again, and keep the way.

    w <- w - learning_rate 1/|B| sum over B of 2 x_n (x_n w - y_n).
    Section: "gradient-descent-and-sgd".

    Args:
        x: (N,) inputs.
        y: (N,) what they should give.
        w: float, where to start.
        learning_rate: float > 0.
        epochs: int, passes over the points.
        batch_size: int, points of one step, in their order: None (default) is all of them,
            gradient descent; 1 is stochastic gradient descent; anything between is the compromise.

    Returns:
        (epochs + 1, steps of an epoch) float64: row 0 holds the start, row e the weights after each
        step of epoch e; `[:, -1]` is where the epochs end.

    Raises:
        ValueError: a batch size out of range.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    size = len(x) if batch_size is None else batch_size
    if not 1 <= size <= len(x):
        raise ValueError(f"`batch_size` must be 1-{len(x)}. Received: batch_size={batch_size}.")
    starts = range(0, len(x), size)
    way = np.full((epochs + 1, len(starts)), float(w))
    for epoch in range(1, epochs + 1):
        for i, start in enumerate(starts):
            batch = slice(start, start + size)
            w -= learning_rate * cost_gradient(w, x[batch], y[batch])
            way[epoch, i] = w
    return way
