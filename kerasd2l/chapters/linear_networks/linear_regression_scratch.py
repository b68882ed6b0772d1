"""3.2 Linear regression from scratch."""

from __future__ import annotations

from kerasd2l import data, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


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
