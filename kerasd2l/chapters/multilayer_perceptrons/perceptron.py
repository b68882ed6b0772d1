"""4.1 The perceptron."""

from __future__ import annotations

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")


def perceptron(*, size: int = 100, gap: float = 0.1, seed: int = 0) -> Demo:
    """Separate two clouds of points with a perceptron, and count its mistakes against the bound.

    Section: "perceptron". Points of the unit square at least `gap` away from a known line.
    Expected: it converges, after at most (r^2 + 1) / rho^2 updates.
    Command: kerasd2l run perceptron --out figures
    """
    if size < 2:
        raise ValueError(f"`size` must be at least 2. Received: size={size}.")
    if not 0 < gap < 0.5:
        raise ValueError(f"`gap` must be in (0, 0.5). Received: gap={gap}.")
    return Demo("perceptron", lambda: _separate(size, gap, seed))


def _separate(size: int, gap: float, seed: int) -> DemoResult:
    random = np.random.default_rng(seed)
    true_w, true_b = np.array([0.6, 0.8]), -0.1
    points = random.uniform(-1, 1, (20 * size, 2))
    distance = points @ true_w + true_b
    far = np.abs(distance) >= gap
    X, y = points[far][:size], np.sign(distance[far][:size])
    found = scratch.train_perceptron(X, y)
    bounds, gaps = [], (0.02, 0.05, 0.1, 0.2, 0.4)
    updates = []
    for width in gaps:  # the same points, less and less of them near the line
        wide = np.abs(distance) >= width
        X_g, y_g = points[wide][:size], np.sign(distance[wide][:size])
        bounds.append(scratch.convergence_bound(X_g, y_g, true_w, true_b))
        updates.append(scratch.train_perceptron(X_g, y_g).updates)
    values = {
        "converged": found.converged,
        "updates": found.updates,
        "bound (r^2 + 1) / rho^2": scratch.convergence_bound(X, y, true_w, true_b),
        "margin rho of the true line": scratch.margin(X, y, true_w, true_b),
        "margin rho of the perceptron": scratch.margin(X, y, found.w, found.b),
        "accuracy": float(np.mean(found(X) == y)),
    }
    figure, panels = figures.new_figure(1, 2)
    left, right = panels[0]
    for label, marker in ((1, "o"), (-1, "x")):
        left.plot(*X[y == label].T, marker, ms=4, label=f"class {label:+d}")
    ends = np.array([-1.0, 1.0])
    for name, w, b, style in (
        ("perceptron", found.w, found.b, "k-"),
        ("true", true_w, true_b, ":"),
    ):
        left.plot(ends, -(w[0] * ends + b) / w[1], style, label=f"{name} line")
    left.set(title="Separated", xlabel="$x_1$", ylabel="$x_2$", ylim=(-1.1, 1.1))
    left.legend(fontsize=7, loc="lower left")
    right.loglog(gaps, bounds, "k--", label="bound")
    right.loglog(gaps, np.maximum(updates, 1), "o-", label="perceptron")
    right.set(title="Mistakes until convergence", xlabel="gap", ylabel="updates")
    right.set_xticks(gaps, [f"{width:g}" for width in gaps])
    right.minorticks_off()
    right.legend()
    return DemoResult(values, {"perceptron": figure})


def xor(*, epochs: int = 300, seed: int = 0) -> Demo:
    """Learn XOR: no line can, the product of two lines and an MLP with 8 hidden units can.

    Section: "perceptron". 400 points; the class is +1 in the first and third quadrant.
    Expected: a single layer stays near 0.5, and gets at most 3 of the 4 corners right; the product
    of two perceptrons and the MLP reach about 1.
    Command: kerasd2l run xor --out figures
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    return Demo("perceptron", lambda: _solve_xor(epochs, seed))


def _solve_xor(epochs: int, seed: int) -> DemoResult:
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    X = random.uniform(-1, 1, (800, 2))
    X = X[np.abs(X).min(axis=1) > 0.05][:400].astype(np.float32)  # nothing on the borders
    y = np.sign(X[:, 0] * X[:, 1]).astype(int)
    single = scratch.train_perceptron(X, y, max_passes=100)
    vertical = scratch.train_perceptron(X, np.sign(X[:, 0]).astype(int), max_passes=1000)
    horizontal = scratch.train_perceptron(X, np.sign(X[:, 1]).astype(int), max_passes=1000)
    network = models.mlp((2,), 2, hidden_units=(8,), activation="tanh", stddev=0.5, seed=seed)
    network.compile(
        optimizer=keras.optimizers.Adam(0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for _ in range(epochs):
        network.train_on_batch(X, (y > 0).astype(int))
    classifiers = {
        "single layer": single,
        "product of two": lambda x: vertical(x) * horizontal(x),
        "MLP": lambda x: np.where(np.argmax(network.predict_on_batch(x), axis=1), 1, -1),
    }
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    values = {"single layer converged": single.converged}
    values |= {f"accuracy, {name}": float(np.mean(f(X) == y)) for name, f in classifiers.items()}
    values["most corners that a line gets right"] = _most_corners(corners, np.array([1, -1, 1, -1]))
    figure, panels = figures.new_figure(1, 3, width=3.6)
    grid = np.linspace(-1, 1, 101, dtype=np.float32)
    plane = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    for (name, classify), axes in zip(classifiers.items(), panels[0], strict=True):
        region = np.asarray(classify(plane)).reshape(101, 101)
        axes.contourf(grid, grid, region, levels=[-2, 0, 2], colors=["#fdd9b5", "#c6dbef"])
        for label, style in ((1, "b+"), (-1, "rx")):
            axes.plot(*X[y == label].T, style, ms=3, label=f"class {label:+d}")
        axes.set(
            title=f"{name}: {values[f'accuracy, {name}']:.0%} right", xlabel="$x_1$", ylabel="$x_2$"
        )
        axes.legend(fontsize=7, loc="upper right")
    return DemoResult(values, {"xor": figure})


def _most_corners(corners, labels) -> int:
    """Try lines of many directions and offsets: how many of the four corners can be right."""
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])  # (2, n)
    scores = (corners @ directions)[..., None] + np.linspace(-2, 2, 41)  # (4, n, offsets)
    right = np.sign(scores) == labels[:, None, None]
    return int(right.sum(0).max())
