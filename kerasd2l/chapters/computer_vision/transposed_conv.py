"""13.10 Transposed convolution."""

from __future__ import annotations

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def transposed_conv() -> Demo:
    """Enlarge [[0, 1], [2, 3]] by the kernel [[0, 1], [2, 3]], with padding and with strides.

    Section: "transposed-conv". By hand and by the layer; the way back to the size before a
    convolution; a convolution and its transpose as one matrix.
    Expected: [[0, 0, 1], [0, 4, 6], [4, 12, 9]]; with padding 1: 4; with strides 2: a 4 x 4 picture
    whose last row is 4, 6, 6, 9; [[27, 37], [57, 67]] and True for the matrix (the book's output).
    Command: kerasd2l run transposed_conv --out figures
    """
    return Demo(section="transposed-conv", run=_run)


def _run() -> DemoResult:
    X = K = np.array([[0, 1], [2, 3]], "float32")
    made = {
        "strides 1": scratch.trans_conv(X, K),
        "padding 1": scratch.trans_conv(X, K, padding=1),
        "strides 2": scratch.trans_conv(X, K, strides=2),
    }
    settings = {"strides 1": {}, "padding 1": {"padding": 1}, "strides 2": {"strides": 2}}
    values = {name: np.asarray(Y).tolist() for name, Y in made.items()}
    values["largest difference from the layer"] = max(
        float(np.abs(_by_layer(X, K, **settings[name]) - np.asarray(Y)).max())
        for name, Y in made.items()
    )
    picture = np.zeros((1, 16, 16, 10), "float32")
    padded = keras.layers.ZeroPadding2D(2)(picture)
    small = keras.layers.Conv2D(20, 5, strides=3)(padded)
    back = layers.TransposedConv2D(10, 5, strides=3, padding=2)(small)
    values["sizes there and back"] = [list(x.shape) for x in (picture, small, back)]

    kernel = np.array([[1, 2], [3, 4]], "float32")
    nine = np.arange(9, dtype="float32").reshape(3, 3)
    W = scratch.kernel2matrix(kernel)
    Y = np.asarray(scratch.corr2d(nine, kernel))
    values["convolution of 0 to 8"] = Y.tolist()
    values["W x is the convolution"] = bool((W @ nine.ravel() == Y.ravel()).all())
    transposed = np.asarray(scratch.trans_conv(Y, kernel))
    values["W^T y is the transposed one"] = bool((W.T @ Y.ravel() == transposed.ravel()).all())
    figure, panels = figures.new_figure(1, 5, width=2.7, height=2.9)
    shown = {"X = K": X, **made, "W": W}
    for axes, (name, matrix) in zip(panels[0], shown.items(), strict=True):
        figures.heatmap(axes, matrix, title=name)
    return DemoResult(values, {"transposed_conv": figure})


def _by_layer(X, K, **settings):
    layer = layers.TransposedConv2D(1, 2, use_bias=False, **settings)
    layer.build((None, *X.shape, 1))
    layer.kernel.assign(K[..., None, None])
    return np.asarray(layer(X[None, ..., None]))[0, ..., 0]
