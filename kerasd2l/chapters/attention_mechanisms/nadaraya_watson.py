"""10.2 Attention pooling: Nadaraya-Watson kernel regression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
models = lazy("kerasd2l.models")
np = lazy("numpy")

# Kernels of the distance between a query and a key: the weights before they are made to sum to 1.
KERNELS: dict[str, Callable[[Any], Any]] = {
    "Gaussian": lambda d: np.exp(-(d**2) / 2),
    "boxcar": lambda d: (abs(d) < 1).astype(float),
    "constant": lambda d: np.ones_like(d),
    "Epanechnikov": lambda d: np.maximum(1 - abs(d), 0),
}


def nadaraya_watson(
    *, num_examples: int = 50, epochs: int = 5, learning_rate: float = 0.5, seed: int = 1
) -> Demo:
    """Estimate a curve from noisy points: the mean, four kernels, and a width that is learned.

    Section: "nadaraya-watson". y = 2 sin x + x^0.8 + N(0, 0.5) at 50 points of [0, 5]. The value at
    a query is the mean of all y, weighted by a kernel of the distance: attention whose keys are x
    and whose values are y. The parametric one learns w in softmax(-((q - k) w)^2 / 2) by descent at
    0.5 for 5 epochs, each point predicted from all others.
    Expected: the learned weights are sharper (w > 1) and the curve less smooth, as in the book.
    Command: kerasd2l run nadaraya_watson --out figures
    """
    if num_examples < 2 or epochs < 1:
        raise ValueError(
            "`num_examples` must be at least 2 and `epochs` at least 1. "
            f"Received: num_examples={num_examples}, epochs={epochs}."
        )
    return Demo("nadaraya-watson", lambda: _run(num_examples, epochs, learning_rate, seed))


def _run(num_examples: int, epochs: int, learning_rate: float, seed: int) -> DemoResult:
    rng = np.random.RandomState(seed)  # numpy's frozen stream
    x = np.sort(rng.uniform(0, 5, num_examples)).astype("float32")
    y = (_truth(x) + rng.normal(0, 0.5, num_examples)).astype("float32")
    queries = np.arange(0, 5, 0.1, dtype="float32")
    truth = _truth(queries)
    estimates = {"mean": np.full_like(queries, y.mean())}
    weights = {}
    for name, kernel in KERNELS.items():
        weights[name] = _normed(kernel(queries[:, None] - x))  # (queries, examples)
        estimates[name] = weights[name] @ y
    model, losses = _train(x, y, epochs, learning_rate, seed)
    keys = np.broadcast_to(x, (len(queries), num_examples))
    estimates["learned"] = np.asarray(model([queries, keys, np.broadcast_to(y, keys.shape)]))
    weights["learned"] = np.asarray(model.weights_of(queries, keys))
    values: dict[str, Any] = {
        f"mean squared error, {name}": float(np.mean((estimate - truth) ** 2))
        for name, estimate in estimates.items()
    }
    values["learned w"] = float(model.w)
    values["loss of the epochs"] = losses
    curves = figures.lines(
        queries,
        {"truth": truth, **estimates},
        title=f"Kernel regression on {num_examples} noisy points",
        xlabel="x",
        ylabel="y",
    )
    maps, panels = figures.new_figure(1, 2, width=3.4, height=3.4)
    for axes, name in zip(panels[0], ("Gaussian", "learned"), strict=True):
        figures.heatmap(axes, weights[name], title=f"{name}: queries down, keys", numbers=None)
    return DemoResult(values, {"curves": curves, "weights": maps})


def _truth(x: Any) -> Any:
    return 2 * np.sin(x) + x**0.8


def _normed(weights: Any) -> Any:
    """Make rows sum to 1; a query without any neighbour takes all alike."""
    total = weights.sum(-1, keepdims=True)
    return np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / weights.shape[-1])


def _train(x: Any, y: Any, epochs: int, learning_rate: float, seed: int) -> tuple[Any, list[float]]:
    """Learn the width: each point is a query, the keys are all others."""
    n = len(x)
    others = ~np.eye(n, dtype=bool)
    keys = np.broadcast_to(x, (n, n))[others].reshape(n, n - 1)
    values = np.broadcast_to(y, (n, n))[others].reshape(n, n - 1)
    model = models.NWKernelRegression(seed=seed)
    loss = keras.losses.MeanSquaredError(reduction="sum")
    model.compile(keras.optimizers.SGD(learning_rate / 2), loss)  # the book's loss is halved
    history = model.fit([x, keys, values], y, batch_size=n, epochs=epochs, verbose=0)
    return model, [value / 2 for value in history.history["loss"]]
