"""4.2 Multilayer perceptrons."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def activation_functions() -> Demo:
    """Show ReLU, sigmoid and tanh with their gradients on [-8, 8).

    Section: "mlp". Values at 0 and at the ends; one figure per function.
    Expected: sigmoid'(0) = 1/4, tanh'(0) = 1, tanh(x) = (1 - e^-2x) / (1 + e^-2x).
    Command: kerasd2l run activation_functions --out figures
    """
    return Demo(section="mlp", run=_show_activation_functions)


def _show_activation_functions() -> DemoResult:
    import tensorflow as tf
    from matplotlib.figure import Figure

    x = tf.range(-8.0, 8.0, 0.1)
    values, figures = {}, {}
    for name in ("relu", "sigmoid", "tanh"):
        function = keras.activations.get(name)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        gradient = tape.gradient(y, x)
        middle = int(np.argmin(np.abs(x)))  # the point nearest to 0, from the right
        values[name] = {
            "at -8": float(y[0]),
            "at 0": float(y[middle]),
            "gradient at -8": float(gradient[0]),
            "gradient at 0": float(gradient[middle]),
            "largest gradient": float(np.max(gradient)),
        }
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        figure.suptitle(name)
        left, right = figure.subplots(1, 2)
        left.plot(x, y)
        left.set(title="function", xlabel="x", ylabel=f"{name}(x)")
        right.plot(x, gradient, color="tab:orange")
        right.set(title="gradient", xlabel="x", ylabel=f"{name}'(x)")
        for axes in (left, right):
            axes.grid(alpha=0.3)
        figures[name] = figure
    tanh = np.tanh(np.asarray(x, np.float64))
    formula = (1 - np.exp(-2 * np.asarray(x, np.float64))) / (
        1 + np.exp(-2 * np.asarray(x, np.float64))
    )
    values["tanh"]["largest difference from its formula"] = float(np.max(np.abs(tanh - formula)))
    return DemoResult(values, figures)
