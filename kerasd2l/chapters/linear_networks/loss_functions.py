"""3.5 Loss functions."""

from __future__ import annotations

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

losses = lazy("kerasd2l.losses")
np = lazy("numpy")


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
