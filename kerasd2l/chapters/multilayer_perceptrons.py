"""Multilayer perceptrons: hidden layers, and the nonlinearities that make them worth having."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, export, models
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Expected, Recipe

keras = lazy("keras")
np = lazy("numpy")


def mlp(
    *,
    hidden_units: tuple[int, ...] = (256,),
    activation: Literal["relu", "sigmoid", "tanh"] = "relu",
    learning_rate: float = 0.1,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train a multilayer perceptron 784-256-10 on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "mlp-concise". ReLU, weights from N(0, 0.01^2), SGD, cross-entropy.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train mlp --data files
    """
    return Recipe(
        section="mlp-concise",
        dataset="fashion_mnist",
        data=lambda source: data.fashion_mnist.load(source, batch_size=batch_size),
        model=lambda d: models.mlp(
            d.features["pixels"].shape,
            len(d.assets["class_names"]),
            hidden_units=hidden_units,
            activation=activation,
        ),
        optimizer=lambda: keras.optimizers.SGD(learning_rate),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=export.image_classifier(height=28, width=28, channels=1),
        expected=Expected("test_accuracy", 0.7, 1.0, "asserted by the book"),
    )


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
