"""4.10 Environment and distribution shift."""

from __future__ import annotations

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def distribution_shift(*, size: int = 2000, seed: int = 0) -> Demo:
    """Correct for covariate shift and for label shift, and measure what it brings.

    Section: "environment". Covariate shift: a line is fitted to a cubic where the training inputs
    are, then weighted towards where the test inputs are. Label shift: three overlapping classes
    that are 1/3 each in training, and 0.7, 0.2, 0.1 in use.
    Expected: the weighted line has a much smaller test error; the new shares of the classes are
    found from predictions alone, and training anew with them makes fewer mistakes.
    Command: kerasd2l run distribution_shift --out figures
    """
    if size < 100:
        raise ValueError(f"`size` must be at least 100. Received: size={size}.")
    return Demo("environment", lambda: _correct_shifts(size, seed))


def _correct_shifts(size: int, seed: int) -> DemoResult:
    figure, panels = figures.new_figure(1, 3)
    values = {
        "covariate shift": _covariate_shift(size, seed, panels[0, 0]),
        "label shift": _label_shift(size, seed, *panels[0, 1:]),
    }
    return DemoResult(values, {"distribution_shift": figure})


def _covariate_shift(size: int, seed: int, axes) -> dict[str, float]:
    random = np.random.default_rng(seed)

    def draw(mean, deviation):
        x = random.normal(mean, deviation, size)
        return x, x**3 - x + random.normal(0, 0.1, size)

    (x, y), (x_test, y_test) = draw(0.5, 0.5), draw(0.0, 0.3)

    def fit(weights):
        root = np.sqrt(weights)
        columns = np.column_stack([x, np.ones(size)])
        return np.linalg.lstsq(columns * root[:, None], y * root, rcond=None)[0]

    weights = scratch.covariate_shift_weights(
        np.column_stack([x, x**2]), np.column_stack([x_test, x_test**2])
    )
    lines = {"unweighted": fit(np.ones(size)), "weighted": fit(weights)}
    errors = {
        name: float(np.mean((slope * x_test + offset - y_test) ** 2))
        for name, (slope, offset) in lines.items()
    }
    shown = slice(0, 300)
    axes.plot(x[shown], y[shown], "o", ms=2, alpha=0.5, label="training")
    axes.plot(x_test[shown], y_test[shown], "x", ms=3, alpha=0.5, label="test")
    ends = np.array([-1.0, 1.6])
    for (name, (slope, offset)), style in zip(lines.items(), ("k--", "k-"), strict=True):
        axes.plot(ends, slope * ends + offset, style, label=f"{name}: error {errors[name]:.3f}")
    axes.set(title="Covariate shift", xlabel="x", ylabel="y", ylim=(-1.2, 2.2))
    axes.legend(fontsize=7)
    return {
        "test error without weights": errors["unweighted"],
        "test error with weights": errors["weighted"],
        "mean weight": float(np.mean(weights)),
        "largest weight": float(np.max(weights)),
    }


def _label_shift(size: int, seed: int, bars, plane) -> dict[str, float | list[float]]:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(seed + 1)
    centres = np.array([[0.0, 0.0], [1.5, 0.5], [0.5, 1.5]])
    old, new = np.full(3, 1 / 3), np.array([0.7, 0.2, 0.1])

    def draw(shares):
        labels = random.choice(3, size, p=shares)
        return centres[labels] + random.normal(0, 0.8, (size, 2)), labels

    (x, y), (held_out_x, held_out_y), (x_test, y_test) = draw(old), draw(old), draw(new)
    model = LogisticRegression().fit(x, y)
    confusion = scratch.confusion_matrix(held_out_y, model.predict(held_out_x), 3)
    prior = scratch.label_shift_prior(confusion, model.predict(x_test))
    share = np.bincount(y, minlength=3) / size
    corrected = LogisticRegression().fit(x, y, sample_weight=(prior / share)[y])
    predicted = np.bincount(model.predict(x_test), minlength=3) / size
    places = np.arange(3)
    for i, (name, shares) in enumerate(
        {"training": old, "test, true": new, "predicted": predicted, "corrected": prior}.items()
    ):
        bars.bar(places + 0.2 * i - 0.3, shares, 0.2, label=name)
    bars.set(title="Label shift: shares", xlabel="class", ylabel="share", xticks=places)
    bars.legend(fontsize=7)
    accuracy = {
        "before": float(model.score(x_test, y_test)),
        "corrected": float(corrected.score(x_test, y_test)),
    }
    for label in range(3):
        plane.plot(*x_test[:500][y_test[:500] == label].T, ".", ms=3, label=f"class {label}")
    grid = np.linspace(-2.5, 4, 150)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    for classifier, style in ((model, "dashed"), (corrected, "solid")):
        region = classifier.predict(points).reshape(150, 150)
        plane.contour(grid, grid, region, levels=[0.5, 1.5], colors="k", linestyles=style)
    plane.set(title="Borders before (dashed) and after", xlabel="$x_1$", ylabel="$x_2$")
    plane.legend(fontsize=7)
    return {
        "true shares": new.tolist(),
        "estimated shares": prior.tolist(),
        "shares of the predictions": predicted.tolist(),
        "test accuracy before": accuracy["before"],
        "test accuracy corrected": accuracy["corrected"],
    }
