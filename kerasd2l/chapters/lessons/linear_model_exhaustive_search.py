"""L.2 A linear model by exhaustive search."""

from __future__ import annotations

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.scratch import descent

np = lazy("numpy")

_PREDICT_AT = 4.0


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
