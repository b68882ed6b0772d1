"""S.3 Convolutions and pooling."""

from __future__ import annotations

import math

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def pooling_layers(*, output_size: int = 5, length: int = 11) -> Demo:
    """Pool any size into a fixed one, and by a factor that is not whole.

    Section: "conv-layers". Adaptive pooling of 0, 1, 2, ...: the bins and their means and maxima.
    Fractional max pooling of a photograph (427 x 640) to 0.7 of its size: three draws of regions.
    Expected: bins 0-2, 2-4, 4-6, 6-8, 8-10 for 11 values in 5 bins, means 1, 3, 5, 7, 9.
    Command: kerasd2l run pooling_layers --out figures
    """
    if not (1 <= output_size <= 64 and 1 <= length <= 64):
        raise ValueError(
            "`output_size` and `length` must be 1 to 64. "
            f"Received: output_size={output_size}, length={length}."
        )
    return Demo(section="conv-layers", run=lambda: _run_pooling(output_size, length))


def _run_pooling(output_size: int, length: int) -> DemoResult:
    from sklearn.datasets import load_sample_image

    x = np.arange(length, dtype="float32").reshape(1, -1, 1)
    first = [i * length // output_size for i in range(output_size)]
    last = [math.ceil((i + 1) * length / output_size) - 1 for i in range(output_size)]
    photograph = (load_sample_image("flower.jpg") / np.float32(255))[None]
    fractional = layers.FractionalMaxPooling2D(2, output_ratio=0.7, seed=0)
    draws = [np.asarray(fractional(photograph, training=True))[0] for _ in range(3)]
    served = np.asarray(fractional(photograph))[0]
    values = {
        "bins": [f"{a}-{b}" for a, b in zip(first, last, strict=True)],
        "means": np.ravel(layers.AdaptiveAveragePooling1D(output_size)(x)).tolist(),
        "maxima": np.ravel(layers.AdaptiveMaxPooling1D(output_size)(x)).tolist(),
        "427 x 640 pooled by 0.7": list(served.shape[:2]),
        "share of values that two draws have alike": float((draws[0] == draws[1]).mean()),
    }
    figure, panels = figures.new_figure(width=6, height=3)
    axes = panels[0, 0]
    for i, (a, b) in enumerate(zip(first, last, strict=True)):
        axes.barh(i, b - a + 1, left=a - 0.5, height=0.8, edgecolor="black")
    axes.set(
        title=f"Adaptive pooling: bins of {length} values",
        xlabel="place in the input",
        ylabel="place in the output",
        yticks=range(output_size),
    )
    axes.invert_yaxis()
    corner = [image[150:210, 250:340] for image in (*draws, served)]
    sheet = figures.pictures(
        corner,
        ["first draw", "second draw", "third draw", "inference"],
        columns=4,
        title="Fractional max pooling by 0.7: 60 x 90 pixels of the result",
    )
    sheet.set_size_inches(12, 2.8)
    return DemoResult(values, {"bins": figure, "fractional": sheet})


def unfold_and_fold(*, kernel_size: int = 3, side: int = 6) -> Demo:
    """Make a convolution out of Unfold, a matrix product and Fold.

    Section: "conv-layers". A random picture (side x side, 2 channels), 4 kernels. Then ones through
    Unfold and Fold: how many windows cover each pixel.
    Expected: no difference from Conv2D beyond rounding; 9 windows over inner pixels, 1 at corners.
    Command: kerasd2l run unfold_and_fold --out figures
    """
    if not 1 <= kernel_size <= side <= 64:
        raise ValueError(
            "`kernel_size` must be at least 1 and at most `side`, and `side` at most 64. "
            f"Received: kernel_size={kernel_size}, side={side}."
        )
    return Demo(section="conv-layers", run=lambda: _run_unfold(kernel_size, side))


def _run_unfold(kernel_size: int, side: int) -> DemoResult:
    x = np.random.default_rng(0).normal(size=(1, side, side, 2)).astype("float32")
    conv = keras.layers.Conv2D(4, kernel_size, kernel_initializer=keras.initializers.HeNormal(0))
    wanted = conv(x)
    columns = layers.Unfold(kernel_size)(x)  # (1, windows, kernel_size^2 * 2)
    rows = keras.ops.matmul(columns, keras.ops.reshape(conv.kernel, (-1, 4)))  # (1, windows, 4)
    folded = layers.Fold(tuple(wanted.shape[1:3]), 1)(rows)
    ones = np.ones((1, side, side, 1), "float32")
    counts = layers.Fold(side, kernel_size)(layers.Unfold(kernel_size)(ones))
    counts = np.asarray(counts)[0, ..., 0]
    values = {
        "windows": list(columns.shape[1:]),
        "largest difference from Conv2D": float(np.abs(folded - wanted).max()),
        "windows over each pixel": counts.astype(int).tolist(),
    }
    figure, panels = figures.new_figure(1, 4, width=3.2, height=3.6)
    shown = (x[0, ..., 0], np.asarray(columns)[0], np.asarray(folded)[0, ..., 0], counts)
    titles = (
        "input, channel 0",
        "windows as rows",
        "times kernel 0, folded",
        "windows over a pixel",
    )
    for i, (axes, matrix, title) in enumerate(zip(panels[0], shown, titles, strict=True)):
        figures.heatmap(axes, matrix, title=title, numbers="{:g}" if i == 3 and side < 13 else None)
    return DemoResult(values, {"unfold_and_fold": figure})
