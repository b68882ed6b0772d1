"""The first lessons: the bits of a number, and three ways to find one weight."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.scratch import descent, floats

np = lazy("numpy")
_PREDICT_AT = 4.0


def float_representation(*, numbers: tuple[float, ...] = (0.875, 6.36)) -> Demo:
    """Take numbers apart into the 32 bits of a float32, and show where whole numbers end.

    Section: "float-representation". One bit for the sign, eight for the exponent (plus 127), 23 for
    the fraction. Figures: the bits; the distance from one number to the next.
    Expected: 0.875 = 1.75 x 2^-1, 6.36 has the fraction 10010111000010100011111. Whole numbers are
    exact up to 2^24 = 16777216 (the lesson's 2^23 is where the steps become 1).
    Command: kerasd2l run float_representation --set numbers=0.1,-2,inf --out figures
    """
    if not 1 <= len(numbers) <= 12:
        raise ValueError(f"`numbers` must be 1 to 12 numbers. Received: {len(numbers)}.")
    return Demo(section="float-representation", run=lambda: _take_apart(numbers))


def _take_apart(numbers) -> DemoResult:
    values: dict[str, Any] = {}
    for number in numbers:
        parts = floats.Float32.of(number)
        sign, exponent, fraction = parts.bits.split()
        values[f"{number:g}"] = {
            "sign": int(sign),
            "exponent bits": exponent,
            "exponent": max(parts.exponent, 1) - floats.BIAS,
            "fraction bits": fraction,
            "stored as": parts.value,
        }
    limit = 1
    while float(np.float32(limit + 1)) == limit + 1:
        limit *= 2
    values["whole numbers are exact up to"] = limit
    values[f"{limit + 1} is stored as"] = int(np.float32(limit + 1))
    border = 1 << floats.FRACTION_BITS
    values["steps from one number to the next"] = {
        f"below {border}": float(np.float32(border) - np.nextafter(np.float32(border), 0)),
        f"from {border}": float(np.spacing(np.float32(border))),
        f"from {2 * border}": float(np.spacing(np.float32(2 * border))),
    }
    return DemoResult(values, {"bits": _draw_bits(numbers), "steps": _draw_steps()})


def _draw_bits(numbers):
    """Draw a row of 32 cells for each number: sign, exponent, fraction."""
    figure, panels = figures.new_figure(width=11, height=1.4 + 0.6 * len(numbers))
    axes = panels[0, 0]
    groups = {"sign": (0, 1, "#f4a582"), "exponent": (1, 9, "#92c5de"), "fraction": (9, 32, "#ddd")}
    for row, number in enumerate(numbers):
        bits = floats.Float32.of(number).bits.replace(" ", "")
        for name, (first, last, colour) in groups.items():
            left = np.arange(first, last)
            axes.barh([row] * len(left), 0.94, 0.8, left, color=colour, label=None if row else name)
        for i, bit in enumerate(bits):
            axes.text(i + 0.47, row, bit, ha="center", va="center", family="monospace")
    axes.set_yticks(range(len(numbers)), [f"{number:g}" for number in numbers])
    axes.set_xticks(np.array([0, 1, 8, 9, 31]) + 0.47, [31, 30, 23, 22, 0])
    axes.set(title="float32: sign, exponent, fraction", xlabel="number of the bit", ylabel="number")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    figure.legend(ncols=3, loc="outside lower center")
    return figure


def _draw_steps():
    """Draw the distance to the next number for three formats."""
    x = 2.0 ** np.arange(-8, 31)
    formats = {"float32": (23, np.inf), "float16": (10, 65504), "bfloat16": (7, np.inf)}
    return figures.lines(
        {name: x[x <= largest] for name, (_, largest) in formats.items()},
        {name: x[x <= largest] * 2.0**-bits for name, (bits, largest) in formats.items()},
        title="The larger the number, the wider the steps",
        xlabel="number",
        ylabel="distance to the next number",
        xscale="log",
        yscale="log",
    )


def exhaustive_search(*, start: float = 0.0, stop: float = 4.1, step: float = 0.1) -> Demo:
    """Try 41 weights for y = w x on three points and keep the best.

    Section: "linear-model-exhaustive-search". Points (1, 2), (2, 4), (3, 6); w from 0 while w < 4.1
    in steps of 0.1; mean squared error. Figure: the cost over the weight.
    Expected: w = 2, cost 0, prediction 8 for x = 4.
    Command: kerasd2l run exhaustive_search --out figures
    """
    if not (step > 0 and stop > start):
        raise ValueError(
            "`step` must be positive and `stop` larger than `start`. "
            f"Received: start={start}, stop={stop}, step={step}."
        )
    return Demo("linear-model-exhaustive-search", lambda: _search(start, stop, step))


def _search(start: float, stop: float, step: float) -> DemoResult:
    x, y = np.transpose(descent.POINTS)
    weights, costs, best = descent.exhaustive_search(x, y, start=start, stop=stop, step=step)
    figure, panels = figures.new_figure(width=5.5, height=3.8)
    axes = panels[0, 0]
    axes.plot(weights, costs, "o", markersize=4, label="tried")
    axes.plot(best, costs.min(), "r*", markersize=14, label=f"best: w = {best:.3g}")
    axes.set(title="Exhaustive search for y = w x", xlabel="weight w", ylabel="mean squared error")
    axes.grid(alpha=0.3)
    axes.legend()
    values = {
        "weights tried": len(weights),
        "best weight": best,
        "cost of the best weight": float(costs.min()),
        f"prediction for x = {_PREDICT_AT:g}": best * _PREDICT_AT,
        "cost of other weights": {f"{w}": float(descent.cost(w, x, y)) for w in (0, 1, 3, 4)},
    }
    return DemoResult(values, {"cost": figure})


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
