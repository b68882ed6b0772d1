"""L.3 Gradient descent."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.scratch import descent

np = lazy("numpy")

_PREDICT_AT = 4.0


def gradient_descent(*, start: float = 1.0, learning_rate: float = 0.01, epochs: int = 100) -> Demo:
    """Find the weight of y = w x by gradient descent: one step per pass over the three points.

    Section: "gradient-descent-and-sgd". Points (1, 2), (2, 4), (3, 6), w = 1, learning rate 0.01,
    100 epochs. Figure: the way down the cost, and the cost over the epochs.
    Expected: w = 1.0933 after one step, 1.99994 after 100.
    Command: kerasd2l run gradient_descent --set learning_rate=0.2 --out figures
    """
    _check_epochs(epochs)
    return Demo(
        "gradient-descent-and-sgd", lambda: _descend(start, learning_rate, epochs, batch_size=3)
    )


def stochastic_gradient_descent(
    *,
    start: float = 1.0,
    learning_rate: float = 0.01,
    epochs: int = 100,
    batch_size: int = 1,
) -> Demo:
    """Find the weight of y = w x by stochastic gradient descent: a step after every point.

    Section: "gradient-descent-and-sgd". Points (1, 2), (2, 4), (3, 6), w = 1, learning rate 0.01,
    100 epochs. `batch_size` 2 is the compromise, mini-batches. Figure: the way down, and the cost
    beside that of gradient descent.
    Expected: w = 1.2607 after the first epoch, 2 to 13 digits after 100.
    Command: kerasd2l run stochastic_gradient_descent --out figures
    """
    _check_epochs(epochs)
    if not 1 <= batch_size <= len(descent.POINTS):
        raise ValueError(f"`batch_size` must be 1-3. Received: batch_size={batch_size}.")
    return Demo(
        "gradient-descent-and-sgd", lambda: _descend(start, learning_rate, epochs, batch_size)
    )


def _check_epochs(epochs: int) -> None:
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")


def _descend(start: float, learning_rate: float, epochs: int, batch_size: int) -> DemoResult:
    x, y = np.transpose(descent.POINTS)
    options: dict[str, Any] = {"w": start, "learning_rate": learning_rate, "epochs": epochs}
    with np.errstate(over="ignore", invalid="ignore"):  # too large a learning rate shows as inf
        way = descent.gradient_descent(x, y, batch_size=batch_size, **options)
        plain = descent.gradient_descent(x, y, **options)
        costs = {_steps(way): descent.cost(way[:, -1], x, y)}
        costs.setdefault(_steps(plain), descent.cost(plain[:, -1], x, y))
        (own, *_) = costs.values()
    values = {
        "weight after epoch 1": float(way[1, -1]),
        f"weight after epoch {epochs}": float(way[-1, -1]),
        "cost at the start": float(own[0]),
        f"cost before epoch {epochs}": float(own[-2]),
        f"cost after epoch {epochs}": float(own[-1]),
        f"prediction for x = {_PREDICT_AT:g} after epoch 1": float(way[1, -1]) * _PREDICT_AT,
        f"prediction for x = {_PREDICT_AT:g}": float(way[-1, -1]) * _PREDICT_AT,
    }
    return DemoResult(values, {"descent": _draw_descent(way, costs, x, y)})


def _steps(way) -> str:
    return "1 step per epoch" if way.shape[1] == 1 else f"{way.shape[1]} steps per epoch"


def _draw_descent(way, costs, x, y):
    """Draw the way on the parabola of the cost, and the costs over the epochs."""
    figure, (panels,) = figures.new_figure(1, 2, width=5, height=3.8)
    left, right = panels
    steps = np.concatenate([way[0, :1], way[1:].ravel()])[:40]
    steps = steps[np.isfinite(steps)]
    reach = max(1.2, 1.1 * float(np.max(np.abs(steps - 2))))
    grid = np.linspace(2 - reach, 2 + reach, 200)
    left.plot(grid, descent.cost(grid, x, y), color="0.6", label="cost")
    left.plot(steps, descent.cost(steps, x, y), "o-", markersize=4, label="first steps")
    left.set(title="The way down", xlabel="weight w", ylabel="mean squared error")
    for style, (name, cost) in zip(("-", "--"), costs.items(), strict=False):
        positive = np.where((cost > 0) & (cost < 1e99), cost, np.nan)  # else no logarithm
        right.plot(np.arange(len(cost)), positive, style, label=name)
    right.set(title="Cost", xlabel="epoch", ylabel="mean squared error", yscale="log")
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.legend()
    return figure
