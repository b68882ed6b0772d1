"""S.4 The size of a convolution's output."""

from __future__ import annotations

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def convolution_sizes() -> Demo:
    """Convolve 0..24 with a 2 x 2 kernel of ones: as it is, with strides, padding, dilation.

    Section: "conv-output-size". o = floor((i + 2p - k') / s) + 1 with k' = d (k - 1) + 1.
    Expected: 4, 2, 6 and 3 pixels a side (layer catalogue).
    Command: kerasd2l run convolution_sizes --out figures
    """
    return Demo(section="conv-output-size", run=_run_sizes)


def _run_sizes() -> DemoResult:
    x = np.arange(25, dtype="float32").reshape(5, 5)
    cases = {
        "plain": {},
        "strides 2": {"strides": 2},
        "padding 1": {"padding": 1},
        "dilation 2": {"dilation_rate": 2},
    }
    values, maps = {}, {"input": x}
    for name, case in cases.items():
        padded = np.pad(x, case.get("padding", 0))[None, ..., None]
        more = {key: value for key, value in case.items() if key != "padding"}
        layer = keras.layers.Conv2D(1, 2, kernel_initializer="ones", **more)
        maps[name] = np.asarray(layer(padded))[0, ..., 0]
        values[name] = {
            "size by the formula": layers.conv_output_size(5, 2, **case),
            "output": maps[name].astype(int).tolist(),
        }
    figure, panels = figures.new_figure(1, 5, width=2.6, height=3)
    for axes, (name, matrix) in zip(panels[0], maps.items(), strict=True):
        figures.heatmap(axes, matrix, title=name)
    return DemoResult(values, {"sizes": figure})
