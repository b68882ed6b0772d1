"""L.4 Backpropagation by hand."""

from __future__ import annotations

from collections.abc import Callable

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.scratch import chain_rule, descent

np = lazy("numpy")
tf = lazy("tensorflow")


def backprop_by_hand(*, learning_rate: float = 0.01, epochs: int = 100) -> Demo:
    """Derive the gradients of three models by hand, check them, and learn with them.

    Section: "backprop-by-hand". y = w x, y = w x + b and y = w_1 x^2 + w_2 x + b with the squared
    loss, on (1, 2), (2, 4), (3, 6). Prints loss and gradients at x = 2, y = 4 with all parameters
    at 1, by the chain rule and by a GradientTape; then trains each model, one point after the
    other. Figure: their losses.
    Expected: both gradients are the same; y = w x finds w = 2.
    Command: kerasd2l run backprop_by_hand --out figures
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    return Demo("backprop-by-hand", lambda: _compare_gradients(learning_rate, epochs))


_MODELS: dict[str, tuple[Callable, tuple[str, ...]]] = {
    "w x": (chain_rule.proportional, ("w",)),
    "w x + b": (chain_rule.linear, ("w", "b")),
    "w_1 x^2 + w_2 x + b": (chain_rule.quadratic, ("w_1", "w_2", "b")),
}


def _compare_gradients(learning_rate: float, epochs: int) -> DemoResult:
    values, curves = {}, {}
    for name, (backward, parameters) in _MODELS.items():
        loss, by_hand = backward(2.0, 4.0, *[1.0] * len(parameters))
        weights, losses = _learn(backward, parameters, learning_rate, epochs)
        values[f"y = {name}"] = {
            "loss": loss,
            "gradient by hand": by_hand,
            "gradient by tape": _by_tape(backward, parameters, 2.0, 4.0),
            "learned": weights,
            "loss after training": losses[-1],
        }
        curves[f"$y = {name}$"] = losses
    figure = figures.lines(
        np.arange(1, epochs + 1),
        curves,
        title="Learning with gradients from pencil and paper",
        xlabel="epoch",
        ylabel="squared loss, mean of three points",
        yscale="log",
    )
    return DemoResult(values, {"losses": figure})


def _by_tape(backward, parameters, x: float, y: float) -> dict[str, float]:
    """Return the gradient of a model's loss at 1, 1, ... as TensorFlow computes it."""
    variables = [tf.Variable(1.0) for _ in parameters]
    with tf.GradientTape() as tape:
        loss, _ = backward(x, y, *variables)
    return dict(zip(parameters, map(float, tape.gradient(loss, variables)), strict=True))


def _learn(backward, parameters, learning_rate: float, epochs: int):
    """Train from 1, 1, ... by hand, a step after each point; return weights and mean losses."""
    weights = dict.fromkeys(parameters, 1.0)
    means = []
    for _ in range(epochs):
        losses = []
        for x, y in descent.POINTS:
            loss, gradient = backward(x, y, **weights)
            losses.append(loss)
            for name in parameters:
                weights[name] -= learning_rate * gradient[name]
        means.append(float(np.mean(losses)))
    return weights, means
