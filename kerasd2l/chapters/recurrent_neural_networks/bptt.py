"""8.7 Backpropagation through time."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")
tf = lazy("tensorflow")

_WEIGHTS = ("W_xh", "W_hh", "W_hq")


def backpropagation_through_time(
    *,
    radii: tuple[float, ...] = (0.9, 1.0, 1.1),
    num_steps: int = 64,
    truncation: int = 8,
    seed: int = 0,
) -> Demo:
    """Send gradients through the steps of a small RNN: in full, truncated, cut at random.

    Section: "bptt". Eight hidden units without biases. The gradient by the chain rule against a
    GradientTape, central differences, and (f linear) the section's sum over powers of W_hh; then
    what truncation leaves out: cut every `truncation` steps the gradient is biased; cut with the
    same frequency at random, and larger for it where it is not cut, it is right in the mean of many
    draws, but each draw is far off. Figure: the length of the gradient that reaches the state k
    steps back, for spectral radii of W_hh below, at and above 1.
    Expected: four equal gradients; lengths that go as radius^k where f is linear (the section's
    powers of W_hh), and that vanish sooner, or hardly explode, under tanh.
    Command: kerasd2l run backpropagation_through_time --out figures
    """
    if num_steps < 2 or truncation < 2:
        raise ValueError(
            "`num_steps` and `truncation` must be at least 2. "
            f"Received: num_steps={num_steps}, truncation={truncation}."
        )
    if not radii or not all(radius > 0 for radius in radii):
        raise ValueError(f"`radii` must be positive numbers. Received: radii={radii}.")
    return Demo("bptt", lambda: _run(radii, num_steps, truncation, seed))


def _run(radii, num_steps: int, truncation: int, seed: int) -> DemoResult:
    rng = np.random.default_rng(seed)
    problem = _problem(rng, num_steps)
    values: dict[str, Any] = {
        "largest difference from the chain rule": _differences(problem),
        "relative error of dL/dW_hh": _truncated(problem, truncation, seed),
    }
    W = _with_radius(rng, units=32, radius=1.0)
    panels: dict[str, dict[str, Any]] = {"linear": {}, "tanh": {}}
    for activation, lines in panels.items():
        for radius in radii:
            lengths = _lengths_by_lag(radius * W, activation, num_steps, seed)
            lines[f"spectral radius {radius:g}"] = lengths
            values[f"{activation}, spectral radius {radius:g}: gradient {num_steps - 1} back"] = (
                float(lengths[-1])
            )
    return DemoResult(values, {"gradient_by_lag": _draw(panels, num_steps)})


def _problem(rng, num_steps: int) -> dict[str, Any]:
    """Make inputs, targets and weights of a small RNN; W_hh has the spectral radius 0.95."""
    return {
        "X": rng.normal(size=(num_steps, 3)),
        "Y": rng.normal(size=(num_steps, 2)),
        "W_xh": rng.normal(0, 0.5, (3, 8)),
        "W_hh": _with_radius(rng, units=8, radius=0.95),
        "W_hq": rng.normal(0, 0.5, (8, 2)),
    }


def _with_radius(rng, *, units: int, radius: float):
    """Draw a matrix whose largest eigenvalue has the size `radius`."""
    W = rng.normal(size=(units, units))
    return W * (radius / np.abs(np.linalg.eigvals(W)).max())


def _differences(problem) -> dict[str, float]:
    """Compare the chain rule with three other ways to the same gradient."""
    _, by_hand = scratch.backpropagate_through_time(**problem)
    tensors = {name: tf.constant(value) for name, value in problem.items()}
    with tf.GradientTape() as tape:
        tape.watch([tensors[name] for name in _WEIGHTS])
        loss = scratch.rnn_objective(**tensors)
    by_tape = tape.gradient(loss, [tensors[name] for name in _WEIGHTS])
    _, linear = scratch.backpropagate_through_time(**problem, activation="linear")
    powers = scratch.gradient_by_powers(**problem)

    def central(place, width=1e-5):
        two = []
        for change in (width, -width):
            W = problem["W_hh"].copy()
            W[place] += change
            two.append(scratch.backpropagate_through_time(**{**problem, "W_hh": W})[0])
        return (two[0] - two[1]) / (2 * width)

    slopes = np.reshape([central(place) for place in np.ndindex(8, 8)], (8, 8))
    return {
        "GradientTape": max(
            float(np.abs(by_hand[name] - g).max())
            for name, g in zip(_WEIGHTS, by_tape, strict=True)
        ),
        "central differences": float(np.abs(by_hand["W_hh"] - slopes).max()),
        "sum over powers of W_hh, f linear": float(np.abs(linear["W_hh"] - powers).max()),
    }


def _truncated(problem, truncation: int, seed: int, draws: int = 1000) -> dict[str, float]:
    """Return how far off the gradient is when it is cut: regularly, and at random."""
    steps = len(problem["X"])

    def gradient(factors=None):
        return scratch.backpropagate_through_time(**problem, factors=factors)[1]["W_hh"]

    full = gradient()

    def error(found) -> float:
        return float(np.linalg.norm(found - full) / np.linalg.norm(full))

    keep = 1 - 1 / truncation
    random = [gradient(scratch.random_factors(steps, keep, seed + i)) for i in range(draws)]
    return {
        **{
            f"truncated after {length} steps": error(
                gradient(scratch.truncation_factors(steps, length))
            )
            for length in sorted({1, truncation, 2 * truncation, steps})
        },
        f"cut at random with probability 1/{truncation}, one draw (median)": float(
            np.median([error(one) for one in random])
        ),
        f"cut at random, mean of {draws} draws": error(np.mean(random, axis=0)),
    }


def _lengths_by_lag(W_hh, activation: str, num_steps: int, seed: int):
    """Return (num_steps,) lengths of v dH_T / dH_{T-k} for k = 0, 1, ..., |v| = 1."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(0, 0.3, (num_steps, len(W_hh)))
    H, states = np.zeros(len(W_hh)), []
    for x in inputs:
        H = np.tanh(x + H @ W_hh)
        states.append(H)
    g = rng.normal(size=len(W_hh))
    g /= np.linalg.norm(g)
    lengths = [1.0]
    for H in reversed(states[1:]):
        slope = 1 - H**2 if activation == "tanh" else 1.0
        g = (g * slope) @ W_hh.T
        lengths.append(np.linalg.norm(g))
    return np.array(lengths)


def _draw(panels, num_steps: int):
    figure, ((left, right),) = figures.new_figure(1, 2)
    titles = {"linear": "f linear: powers of W_hh", "tanh": "f = tanh"}
    for axes, (activation, lines) in zip((left, right), panels.items(), strict=True):
        for (name, lengths), style in zip(lines.items(), ("-", "--", "-.", ":") * 9, strict=False):
            axes.semilogy(range(num_steps), lengths, style, label=name)
        axes.set(
            title=f"Gradient through time, {titles[activation]}",
            xlabel="lag k (steps back)",
            ylabel=r"length of $v\,\partial H_T / \partial H_{T-k}$",
        )
        axes.grid(alpha=0.3)
        axes.legend()
    return figure
