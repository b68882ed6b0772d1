"""S.2 Basic layers."""

from __future__ import annotations

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


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
