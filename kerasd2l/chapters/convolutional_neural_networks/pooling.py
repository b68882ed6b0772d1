"""6.5 Pooling."""

from __future__ import annotations

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def pooling(*, pool_size: int = 8) -> Demo:
    """Take maxima and means under a window, with padding and strides, one channel at a time.

    Section: "pooling". Small matrices as in the book, and a photograph (427 x 640) pooled over
    `pool_size` pixels.
    Expected: [[4, 5], [7, 8]] and [[2, 3], [5, 6]]; 10; [[5, 7], [13, 15]] (book and notes).
    Command: kerasd2l run pooling --out figures
    """
    if not 1 <= pool_size <= 427:
        raise ValueError(
            "`pool_size` must be 1 to 427, the height of the photograph. "
            f"Received: pool_size={pool_size}."
        )
    return Demo(section="pooling", run=lambda: _run_pooling(pool_size))


def _run_pooling(pool_size: int) -> DemoResult:
    X = np.arange(9, dtype="float32").reshape(3, 3)
    square = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    pair = np.concatenate([square, square + 1], axis=-1)
    notes = np.arange(32, dtype="float32").reshape(1, 2, 4, 4).transpose(0, 2, 3, 1)
    maximum, mean = (np.asarray(scratch.pool2d(X, (2, 2), mode)) for mode in ("max", "avg"))
    values = {
        "2 x 2 maxima of 0..8": maximum.tolist(),
        "2 x 2 means of 0..8": mean.tolist(),
        "3 x 3 maximum of 0..15": _max_pool(square, 3)[0],
        "padding 1, strides 2": _max_pool(square, 3, 1, 2)[0],
        "window (2, 3), padding (0, 1), strides (2, 3)": _max_pool(square, (2, 3), (0, 1), (2, 3))[
            0
        ],
        "two channels": _max_pool(pair, 3, 1, 2),
        "two channels of 0..31, padding 1, strides (2, 1)": _max_pool(notes, 3, 1, (2, 1)),
    }
    figure, panels = figures.new_figure(1, 3, width=2.6, height=3)
    for axes, matrix, title in zip(
        panels[0], (X, maximum, mean), ("input", "2 x 2 maxima", "2 x 2 means"), strict=True
    ):
        figures.heatmap(axes, matrix, title=title)
    return DemoResult(values, {"matrices": figure, "photograph": _pooled_photograph(pool_size)})


def _max_pool(images, pool_size, padding=0, strides=None) -> list:
    """Max-pool with padding in pixels; return one matrix a channel."""
    padded = layers.ConstantPadding2D(padding, float("-inf"))(images)
    out = np.asarray(keras.layers.MaxPooling2D(pool_size, strides)(padded))[0]
    return [out[..., c].tolist() for c in range(out.shape[-1])]


def _pooled_photograph(pool_size: int):
    from sklearn.datasets import load_sample_image

    photograph = load_sample_image("china.jpg") / np.float32(255)
    maximum = np.asarray(keras.layers.MaxPooling2D(pool_size)(photograph[None]))[0]
    mean = np.asarray(keras.layers.AveragePooling2D(pool_size)(photograph[None]))[0]
    size = f"{maximum.shape[0]} x {maximum.shape[1]}"
    sheet = figures.pictures(
        [photograph, maximum, mean],
        ["input 427 x 640", f"maxima, {size}", f"means, {size}"],
        columns=3,
        title=f"Pooling over {pool_size} x {pool_size} pixels",
    )
    sheet.set_size_inches(12, 3.4)  # the photograph is half as wide again as it is high
    return sheet
