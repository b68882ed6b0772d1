"""Linear regression: as a recipe, by hand, in closed form; the losses; why vectors are fast."""

from __future__ import annotations

import time
from typing import Literal

from kerasd2l import data, endpoints, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Expected, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
losses = lazy("kerasd2l.losses")
np = lazy("numpy")


def linear_regression(
    *,
    implementation: Literal["concise", "scratch"] = "concise",
    learning_rate: float = 0.03,
    batch_size: int = 10,
    epochs: int = 3,
    data_seed: int = 0,
) -> Recipe:
    """Train linear regression on 1000 + 1000 examples of y = 2 x1 - 3.4 x2 + 4.2 + noise.

    Section: "linear-regression-concise": one Dense unit, mean squared error, SGD. "scratch" is
    section "linear-regression-scratch": own model, own SGD, half the squared error.
    Expected: test loss about 0.0001, the variance of the noise (0.01^2); half of it for "scratch".
    d2l-zh's notebooks end at 0.000098-0.000103 and 0.000050-0.000051 on the training examples.
    Serve: kerasd2l predict savedmodels/linear_regression 1,2
    Command: kerasd2l train linear_regression --data builtin --export
    """
    by_hand = implementation == "scratch"
    low, high = (5.0e-5, 5.1e-5) if by_hand else (9.8e-5, 1.03e-4)
    return Recipe(
        section=f"linear-regression-{implementation}",
        dataset="synthetic",
        data=lambda source: data.synthetic.linear(
            source, batch_size=batch_size, data_seed=data_seed
        ),
        model=lambda d: (
            scratch.LinearRegressionScratch()
            if by_hand
            else models.linear_regression(d.features["features"].shape[0])
        ),
        optimizer=lambda: (scratch.SGDScratch if by_hand else keras.optimizers.SGD)(learning_rate),
        loss=lambda: losses.HalfSquaredError() if by_hand else keras.losses.MeanSquaredError(),
        metrics=lambda: [keras.metrics.MeanAbsoluteError(name="absolute_error")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=(endpoints.regressor((2,)),),
        expected=Expected("test_loss", low, high, "d2l-zh notebooks, on the training examples"),
    )


def linear_regression_by_hand(*, seed: int = 0, epochs: int = 3) -> Demo:
    """Recover w = [2, -3.4], b = 4.2 with a GradientTape and five lines, and in closed form.

    Section: "linear-regression-scratch" and "linear-regression". 1000 examples, batches of 10.
    Expected: losses near 0.04, 0.0002, 0.00005 after the three epochs (d2l-zh notebooks: 0.042790,
    0.000162, 0.000051); both ways find the truth to about 0.001.
    Command: kerasd2l run linear_regression_by_hand --out figures
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    return Demo("linear-regression-scratch", lambda: _recover_a_line(seed, epochs))


def _recover_a_line(seed: int, epochs: int) -> DemoResult:
    true_w, true_b = np.array([2, -3.4]), 4.2
    x, y = data.synthetic.linear_examples(true_w, true_b, 1000, seed=seed)
    w, b, epoch_losses = scratch.train_linear_regression(x, y, num_epochs=epochs, seed=seed)
    solved_w, solved_b = scratch.closed_form(x, y)
    values = {
        "features": list(x.shape),
        "labels": list(y.shape),
        "loss after each epoch": epoch_losses,
        "error of w by SGD": (true_w - w).tolist(),
        "error of b by SGD": true_b - b,
        "error of w in closed form": (true_w - solved_w).tolist(),
        "error of b in closed form": true_b - solved_b,
    }
    figure, panels = figures.new_figure(1, 2)
    left, right = panels[0]
    left.scatter(x[:, 1], y[:, 0], s=2, label="examples")
    ends = np.array([x[:, 1].min(), x[:, 1].max()])
    left.plot(ends, w[1] * ends + b, "k", label="fit at $x_1$ = 0")
    left.set(title="1000 examples", xlabel="second feature $x_2$", ylabel="label y")
    left.legend()
    right.semilogy(range(1, epochs + 1), epoch_losses, "o-", label="SGD by hand")
    best = scratch.squared_loss(x @ solved_w[:, None] + solved_b, y)
    right.axhline(float(np.mean(best)), ls="--", color="k", label="closed form")
    right.set(title="mean of half the squared error", xlabel="epoch", ylabel="loss")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend()
    return DemoResult(values, {"linear_regression": figure})


def loss_functions(*, delta: float = 1.0) -> Demo:
    """Show the L2, L1 and Huber losses with their gradients and likelihoods on [-3, 3].

    Section: "loss-functions". Errors of 3 and more pull L2 ever harder, L1 always the same.
    Expected: at an error of 3 the losses are 4.5, 3 and 2.5, the gradients 3, 1 and 1.
    Command: kerasd2l run loss_functions --out figures
    """
    if delta <= 0:
        raise ValueError(f"`delta` must be positive. Received: delta={delta}.")
    return Demo("loss-functions", lambda: _show_losses(delta))


def _show_losses(delta: float) -> DemoResult:
    import tensorflow as tf

    functions = {
        "L2": losses.half_squared_error,
        "L1": losses.absolute_error,
        "Huber": lambda y, y_hat: losses.huber(y, y_hat, delta),
    }
    prediction = tf.linspace(-3.0, 3.0, 601)  # the truth is 0
    figure, panels = figures.new_figure(1, 3)
    values = {}
    for (name, function), axes in zip(functions.items(), panels[0], strict=True):
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            loss = function(tf.zeros_like(prediction), prediction)
        gradient = tape.gradient(loss, prediction)
        axes.plot(prediction, loss, label="loss l")
        axes.plot(prediction, gradient, "--", label="gradient dl/dy'")
        axes.plot(prediction, np.exp(-loss), ":", label="likelihood $e^{-l}$")
        axes.set(title=name, xlabel="prediction y' (truth y = 0)", ylabel="value", ylim=(-3.2, 4.7))
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center")
        values[name] = {
            f"{what} at {point:g}": float(np.interp(point, prediction, curve))
            for what, curve in (("loss", loss), ("gradient", gradient))
            for point in (-3.0, 0.5, 3.0)
        }
    return DemoResult(values, {"loss_functions": figure})


def vectorization(*, size: int = 10000) -> Demo:
    """Add two vectors of 10000 ones, one by one and at once; draw three normal densities.

    Section: "linear-regression". The times are of this machine.
    Expected: d2l-zh's notebook measured 0.167 s for the loop and 0.0004 s for the vectors.
    Command: kerasd2l run vectorization --out figures
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1. Received: size={size}.")
    return Demo("linear-regression", lambda: _time_addition(size))


def _time_addition(size: int) -> DemoResult:
    import tensorflow as tf

    a, b = tf.ones(size), tf.ones(size)
    start = time.perf_counter()
    one_by_one = tf.stack([x + y for x, y in zip(a, b, strict=True)])
    middle = time.perf_counter()
    at_once = a + b
    end = time.perf_counter()
    x = np.arange(-7, 7, 0.01)
    densities = {
        f"mean {mean}, deviation {sigma}": np.exp(-((x - mean) ** 2) / (2 * sigma**2))
        / np.sqrt(2 * np.pi * sigma**2)
        for mean, sigma in ((0, 1), (0, 2), (3, 1))
    }
    values = {
        "seconds in a loop": middle - start,
        "seconds as vectors": end - middle,
        "same sum": bool(tf.reduce_all(one_by_one == at_once)),
        "area under each density": [float(np.sum(p) * 0.01) for p in densities.values()],
    }
    figure = figures.lines(
        x, densities, title="Normal distributions", xlabel="x", ylabel="probability density p(x)"
    )
    figure.axes[0].legend(loc="upper left", fontsize=7)
    return DemoResult(values, {"normal": figure})
