"""4.5 Model selection, underfitting and overfitting."""

from __future__ import annotations

from typing import Any

from kerasd2l import data, endpoints, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
losses = lazy("kerasd2l.losses")
np = lazy("numpy")


def polynomial_regression(
    *,
    degree: int = 3,
    learning_rate: float = 0.01,
    batch_size: int = 10,
    epochs: int = 400,
    data_seed: int = 0,
) -> Recipe:
    """Fit a polynomial to 100 + 100 noisy points of 5 + 1.2 x - 3.4 x^2/2! + 5.6 x^3/3!.

    Section: "underfit-overfit". degree=3 is the truth, degree=1 underfits, degree=19 (all 20
    powers; the book trains it for 1500 epochs) can overfit. No bias: x^0 is one of the features.
    Expected: for degree=3 a test loss near 0.01, the variance of the noise.
    Serve: kerasd2l predict savedmodels/polynomial_regression 0.5
    Command: kerasd2l train polynomial_regression --data builtin --export
    """
    if not 0 <= degree <= 19:
        raise ValueError(f"`degree` must be 0-19. Received: degree={degree}.")
    size = degree + 1
    return Recipe(
        section="underfit-overfit",
        dataset="synthetic",
        data=lambda source: data.synthetic.polynomial(
            source, num_features=size, batch_size=batch_size, data_seed=data_seed
        ),
        model=lambda d: models.linear_regression(
            size,
            use_bias=False,
            # U(-1/sqrt(D), 1/sqrt(D)), the initial weights of the book's PyTorch layer
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
            name="polynomial_regression",
        ),
        optimizer=lambda: keras.optimizers.SGD(learning_rate),
        loss=lambda: keras.losses.MeanSquaredError(),
        metrics=lambda: [],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=(
            endpoints.regressor(
                (),
                input_name="x",
                transform=lambda x: data.synthetic.polynomial_features(x, size),
            ),
            endpoints.regressor((size,), name="predict"),
        ),
    )


def polynomial_fits(*, epochs: int = 400, epochs_of_degree_19: int = 1500, seed: int = 0) -> Demo:
    """Fit the cubic with degree 1, 3 and 19 by hand, and compare weights, losses and curves.

    Section: "underfit-overfit". 100 + 100 points; the training of the recipe polynomial_regression.
    Expected: d2l-zh's notebooks find [5.01, 1.24, -3.42, 5.50] and [5.02, 1.28, -3.50, 5.31] for
    degree 3, [3.41, 3.99] and [3.46, 3.90] for degree 1.
    Command: kerasd2l run polynomial_fits --out figures
    """
    if min(epochs, epochs_of_degree_19) < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: {epochs}, {epochs_of_degree_19}.")
    plan = {1: epochs, 3: epochs, 19: epochs_of_degree_19}
    return Demo("underfit-overfit", lambda: _fit_polynomials(plan, seed))


def _fit_polynomials(plan: dict[int, int], seed: int) -> DemoResult:
    values: dict[str, Any] = {"true weights": list(data.synthetic.POLYNOMIAL_WEIGHTS)}
    figure, panels = figures.new_figure(2, len(plan), width=3.8)
    x = np.linspace(-3, 3, 200, dtype=np.float32)
    for (degree, epochs), (above, below) in zip(plan.items(), panels.T, strict=True):
        loaded = data.synthetic.polynomial(num_features=degree + 1)
        examples = {split: _all_examples(getattr(loaded, split)) for split in ("train", "test")}
        weights, *curves = scratch.train_least_squares(
            examples["train"], examples["test"], num_epochs=epochs, seed=seed
        )
        values[f"degree {degree}"] = {
            "weights": weights.tolist(),
            "train loss": curves[0][-1],
            "test loss": curves[1][-1],
        }
        for split, marker in (("train", "o"), ("test", "x")):
            features, labels = examples[split]
            above.plot(features[:, 1], labels[:, 0], marker, ms=3, alpha=0.6, label=split)
        above.plot(x, data.synthetic.polynomial_features(x, degree + 1) @ weights, "k", label="fit")
        name = {1: "underfitting", 3: "normal", 19: "all 20 powers"}[degree]
        above.set(title=f"Degree {degree}: {name}", xlabel="x", ylabel="y", ylim=(-45, 35))
        above.legend(fontsize=7)
        for split, curve, style in zip(examples, curves, ("-", "--"), strict=True):
            below.semilogy(range(1, epochs + 1), curve, style, label=split)
        below.set(title="Mean squared error", xlabel="epoch", ylabel="loss", ylim=(5e-3, 2e2))
        below.legend(fontsize=7)
    return DemoResult(values, {"polynomials": figure})


def _all_examples(dataset) -> tuple:
    """Return all examples of a split as two arrays."""
    parts = [(np.asarray(x), np.asarray(y)) for x, y in dataset]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
