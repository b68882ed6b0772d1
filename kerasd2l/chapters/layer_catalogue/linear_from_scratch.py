"""S.10 A linear layer from scratch."""

from __future__ import annotations

import math

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def linear_by_hand(*, inputs: int = 256, units: int = 512, seed: int = 0) -> Demo:
    """Compare the first weights of a dense layer by hand with those of Keras' Dense.

    Section: "linear-from-scratch". By hand as in PyTorch: Kaiming's uniform rule with a = sqrt(5)
    is the bound 1 / sqrt(inputs), for weights and biases alike. Glorot's is sqrt(6 / (inputs +
    units)), for weights only.
    Expected: bound 0.0625 for 256 inputs, standard deviation 0.0625 / sqrt(3) = 0.0361.
    Command: kerasd2l run linear_by_hand --out figures
    """
    if inputs < 1 or units < 1:
        raise ValueError(
            f"`inputs` and `units` must be at least 1. Received: inputs={inputs}, units={units}."
        )
    return Demo(section="linear-from-scratch", run=lambda: _run_linear(inputs, units, seed))


def _run_linear(inputs: int, units: int, seed: int) -> DemoResult:
    glorot = keras.initializers.GlorotUniform(seed)
    made = {
        "Linear (PyTorch's rule)": layers.Linear(units, seed=seed),
        "Dense (Glorot's rule)": keras.layers.Dense(units, kernel_initializer=glorot),
    }
    bounds = {
        "Linear (PyTorch's rule)": 1 / math.sqrt(inputs),
        "Dense (Glorot's rule)": math.sqrt(6 / (inputs + units)),
    }
    x = np.random.default_rng(seed).normal(size=(1000, inputs)).astype("float32")
    values = {}
    figure, panels = figures.new_figure(1, 2, width=5, height=3.4)
    for axes, (name, layer) in zip(panels[0], made.items(), strict=True):
        y = np.asarray(layer(x))
        kernel, bias = layer.get_weights()
        values[name] = {
            "bound": bounds[name],
            "largest weight": float(np.abs(kernel).max()),
            "standard deviation of the weights": float(kernel.std()),
            "largest bias": float(np.abs(bias).max()),
            "variance of outputs for inputs of variance 1": float(y.var()),
        }
        axes.hist(kernel.ravel(), bins=40)
        for side in (-1, 1):
            axes.axvline(side * bounds[name], color="tab:red", linestyle="--")
        axes.set(title=name, xlabel="weight (dashed: the bound)", ylabel="weights (number)")
    return DemoResult(values, {"weights": figure})
