"""4.6 Weight decay."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, endpoints, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
losses = lazy("kerasd2l.losses")
np = lazy("numpy")


def weight_decay(
    *,
    implementation: Literal["concise", "scratch"] = "concise",
    weight_decay: float = 3.0,
    learning_rate: float = 0.003,
    batch_size: int = 5,
    epochs: int = 100,
    data_seed: int = 0,
) -> Recipe:
    """Fit 200 weights to 20 examples, with weight decay (weight_decay=0: without).

    Section: "weight-decay". y = 0.05 + sum 0.01 x_i + noise; 100 test examples. All weights start
    from N(0, 1); the bias does not decay. "concise": SGD(weight_decay=...) on the mean squared
    error; "scratch": lambda |w|^2 / 2 in the loss, on half the squared error (bias from 0).
    Expected: without decay a tiny training and a huge test loss; with it the norm of w falls to
    about 0.36 (d2l-zh notebooks: 12.96 without, 0.356 with). `kerasd2l run weight_decay_norms`.
    Command: kerasd2l train weight_decay --data builtin
    """
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(
            f"`weight_decay` must be 0 or a positive number. Received: weight_decay={weight_decay}."
        )
    by_hand = implementation == "scratch"
    return Recipe(
        section="weight-decay",
        dataset="synthetic",
        data=lambda source: data.synthetic.high_dimensional(
            source, batch_size=batch_size, data_seed=data_seed
        ),
        model=lambda d: (
            scratch.WeightDecayScratch(weight_decay)
            if by_hand
            else models.linear_regression(
                d.features["features"].shape[0],
                kernel_initializer=keras.initializers.RandomNormal(stddev=1.0),
                bias_initializer=keras.initializers.RandomNormal(stddev=1.0),
            )
        ),
        optimizer=lambda: (
            scratch.SGDScratch(learning_rate)
            if by_hand
            else _decaying_sgd(learning_rate, weight_decay)
        ),
        loss=lambda: losses.HalfSquaredError() if by_hand else keras.losses.MeanSquaredError(),
        metrics=lambda: [keras.metrics.MeanSquaredError(name="squared_error")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=(endpoints.regressor((200,)),),
    )


def _decaying_sgd(learning_rate: float, weight_decay: float):
    """Make SGD whose weights decay and whose biases do not."""
    optimizer = keras.optimizers.SGD(learning_rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def weight_decay_norms(*, epochs: int = 100, seed: int = 0) -> Demo:
    """Train with lambda 0 and 3, by hand and with Keras; compare the penalty with a constraint.

    Section: "weight-decay". 200 weights, 20 examples, 100 test examples.
    Expected: norm of w by hand 12.963 without decay and 0.3557 with it, with the framework 13.728
    and 0.3891 (d2l-zh's PyTorch notebook; random initial weights).
    Command: kerasd2l run weight_decay_norms --out figures
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    return Demo("weight-decay", lambda: _compare_norms(epochs, seed))


def _compare_norms(epochs: int, seed: int) -> DemoResult:
    loaded = data.synthetic.high_dimensional()
    train, test = _all_examples(loaded.train), _all_examples(loaded.test)
    values = {}
    figure, panels = figures.new_figure(1, 3, width=4.2)
    for axes, lambd in zip(panels[0], (0.0, 3.0), strict=False):
        found = scratch.train_weight_decay(train, test, lambd, num_epochs=epochs, seed=seed)
        model, keras_losses = _train_keras(train, test, lambd, epochs, seed)
        values[f"lambda {lambd:g}"] = {
            "norm of w, by hand": found.norm,
            "norm of w, Keras": float(np.linalg.norm(model.get_weights()[0])),
            "test loss, by hand": found.test_losses[-1],
            "test loss, Keras": keras_losses[-1],
        }
        steps = range(1, epochs + 1)
        axes.semilogy(steps, found.train_losses, label="train, by hand")
        axes.semilogy(steps, found.test_losses, "--", label="test, by hand")
        axes.semilogy(steps, keras_losses, ":", label="test, Keras")
        axes.set(title=f"$\\lambda$ = {lambd:g}", xlabel="epoch", ylabel="half the squared error")
        axes.legend(fontsize=7)
    values["constraint"] = _draw_constraint(panels[0, 2])
    return DemoResult(values, {"weight_decay": figure})


def _draw_constraint(axes) -> dict[str, list[float] | float]:
    """Solve a problem with two weights with a penalty and with a hard constraint, and draw it."""
    x, y = data.synthetic.linear_examples([2.0, 1.0], 0.5, 50, noise=0.5, seed=1)
    lambd = 0.7
    free, _ = scratch.closed_form(x, y)
    penalised, _ = scratch.ridge(x, y, lambd)
    radius = float(np.linalg.norm(penalised))
    constrained, _ = scratch.constrained(x, y, radius)
    grid = np.linspace(-0.5, 2.8, 120)
    plane = np.stack(np.meshgrid(grid, grid), axis=-1)  # (120, 120, 2)
    errors = plane @ (x - x.mean(0)).T - (y - y.mean())[:, 0]
    axes.contour(grid, grid, np.mean(errors**2, axis=-1) / 2, levels=8, cmap="Greens_r")
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(radius * np.cos(angle), radius * np.sin(angle), "tab:orange", label="|w| = radius")
    axes.plot(*free, "g*", ms=10, label="without penalty")
    axes.plot(*penalised, "ks", ms=7, label=f"penalty, $\\lambda$ = {lambd}")
    axes.plot(*constrained, "rx", ms=8, label="constraint")
    axes.set(title="Penalty and constraint", xlabel="$w_1$", ylabel="$w_2$", aspect="equal")
    axes.set(xlim=(-0.5, 2.8), ylim=(-0.5, 2.8))
    axes.legend(fontsize=7, loc="upper right")
    return {
        "w without penalty": free.tolist(),
        f"w with the penalty lambda = {lambd}": penalised.tolist(),
        f"w with |w| <= {radius:.4f}": constrained.tolist(),
    }


def _train_keras(train, test, weight_decay_rate: float, epochs: int, seed: int):
    """Train the recipe's model and optimizer; return the model and its halved test losses."""
    recipe = weight_decay(weight_decay=weight_decay_rate, epochs=epochs)
    keras.utils.set_random_seed(seed)
    model = recipe.model(recipe.data(data.Source("builtin", seed=seed)))
    model.compile(optimizer=recipe.optimizer(), loss=recipe.loss())
    test_losses = []
    for epoch in range(epochs):
        for x, y in scratch.data_iter(recipe.batch_size, *train, seed=seed + epoch):
            model.train_on_batch(x, y)
        w, b = model.get_weights()
        test_losses.append(float(np.mean((test[0] @ w + b - test[1]) ** 2) / 2))
    return model, test_losses


def _all_examples(dataset) -> tuple:
    """Return all examples of a split as two arrays."""
    parts = [(np.asarray(x), np.asarray(y)) for x, y in dataset]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
