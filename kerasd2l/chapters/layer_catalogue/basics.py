"""Layers that need no sliding window: dense, dropout, padding."""

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


def dropout_layers(*, rate: float = 0.4, seed: int = 0) -> Demo:
    """Drop single values, and whole channels: Keras' SpatialDropout is PyTorch's Dropout2d.

    Section: "basic-layers". Pictures of ones, 8 channels of 6 x 6; what stays grows by 1 / (1 -
    rate), so that the mean stays 1 on average.
    Expected: values 0 and 1 / (1 - 0.4) = 1.667; under SpatialDropout2D each channel has one value.
    Command: kerasd2l run dropout_layers --out figures
    """
    if not 0 <= rate < 1:
        raise ValueError(f"`rate` must be in [0, 1). Received: rate={rate}.")
    return Demo(section="basic-layers", run=lambda: _run_dropout(rate, seed))


def _run_dropout(rate: float, seed: int) -> DemoResult:
    ones = np.ones((1, 6, 6, 8), "float32")
    values = {}
    figure, panels = figures.new_figure(2, 8, width=1.3, height=1.7)
    made = (keras.layers.Dropout(rate, seed=seed), keras.layers.SpatialDropout2D(rate, seed=seed))
    for row, layer in zip(panels, made, strict=True):
        name = type(layer).__name__
        y = np.asarray(layer(ones, training=True))[0]
        values[name] = {
            "values": np.unique(y).tolist(),
            "channels with more than one value": int((y.min((0, 1)) < y.max((0, 1))).sum()),
        }
        for c, axes in enumerate(row):
            axes.imshow(y[..., c], vmin=0, vmax=1 / (1 - rate), cmap="gray")
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{name}\nchannel {c}", fontsize=7)
    figure.suptitle(f"rate {rate:g}: black is dropped")
    return DemoResult(values, {"dropout": figure})


def padding_layers(*, padding: int = 60) -> Demo:
    """Surround a row of numbers and a photograph with zeros, a constant, or copies of the border.

    Section: "basic-layers". ZeroPadding is Keras', the other two are ours. Also: Threshold(2, -1).
    Expected: 1, 2, 3 becomes 0, 0, 1, 2, 3, 0 and 7, 7, 1, 2, 3, 7 and 1, 1, 1, 2, 3, 3.
    Command: kerasd2l run padding_layers --out figures
    """
    if not 1 <= padding <= 500:
        raise ValueError(f"`padding` must be 1 to 500 pixels. Received: padding={padding}.")
    return Demo(section="basic-layers", run=lambda: _run_padding(padding))


def _run_padding(padding: int) -> DemoResult:
    from sklearn.datasets import load_sample_image

    row = np.array([1, 2, 3], "float32").reshape(1, 3, 1)
    photograph = (load_sample_image("flower.jpg") / np.float32(255))[None]
    made = {
        "ZeroPadding": (keras.layers.ZeroPadding1D((2, 1)), keras.layers.ZeroPadding2D(padding)),
        "ConstantPadding": (
            layers.ConstantPadding1D((2, 1), value=7.0),
            layers.ConstantPadding2D(padding, value=0.7),
        ),
        "ReplicationPadding": (
            layers.ReplicationPadding1D((2, 1)),
            layers.ReplicationPadding2D(padding),
        ),
    }
    values = {name: np.ravel(line(row)).tolist() for name, (line, _) in made.items()}
    values["Threshold(2, -1)"] = np.ravel(layers.Threshold(2.0, -1.0)(row)).tolist()
    padded = [np.asarray(plane(photograph))[0] for _, plane in made.values()]
    sheet = figures.pictures(padded, list(made), columns=3, title=f"{padding} pixels on each side")
    sheet.set_size_inches(12, 3.4)
    return DemoResult(values, {"photograph": sheet})
