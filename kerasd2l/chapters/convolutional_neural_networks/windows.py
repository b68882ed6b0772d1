"""How windows move over pictures and channels: padding, strides, channels, pooling."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")

# kernel, padding of each side, strides: the four convolutions of the section
_CASES = (
    ((3, 3), (1, 1), (1, 1)),
    ((5, 3), (2, 1), (1, 1)),
    ((3, 3), (1, 1), (2, 2)),
    ((3, 5), (0, 1), (3, 4)),
)


def padding_and_strides(*, seed: int = 0) -> Demo:
    """Convolve an 8 x 8 picture with four choices of kernel, padding and strides.

    Section: "padding-and-strides". Each result is compared with windows cut out by hand. Last, what
    Keras' "same" makes of stride 2: the right shape from other windows.
    Expected: 8 x 8, 8 x 8, 4 x 4 and 2 x 2 (course notes); the book's TensorFlow code gives 2 x 1
    for the last, having dropped its padding.
    Command: kerasd2l run padding_and_strides --out figures
    """
    return Demo(section="padding-and-strides", run=lambda: _run_padding_and_strides(seed))


def _run_padding_and_strides(seed: int) -> DemoResult:
    rng = np.random.default_rng(seed)
    X = rng.random((8, 8), "float32")
    values: dict[str, Any] = {}
    maps = []
    for kernel_size, padding, strides in _CASES:
        K = rng.random(kernel_size, "float32")
        Y = _convolve(X, K, padding, strides)
        padded = np.pad(X, [(p, p) for p in padding])
        by_hand = np.asarray(scratch.corr2d(padded, K))[:: strides[0], :: strides[1]]
        name = f"kernel {kernel_size}, padding {padding}, strides {strides}"
        values[name] = {
            "shape": list(Y.shape),
            "by the formula": list(
                layers.conv_output_size(X.shape, kernel_size, strides=strides, padding=padding)
            ),
            "largest difference from windows cut by hand": float(np.abs(Y - by_hand).max()),
        }
        maps.append((name.replace(", p", "\np").replace(", s", "\ns"), Y))
    values["3 x 3 ones over 0..63, stride 2, first row"] = _two_paddings()
    figure, panels = figures.new_figure(1, 5, width=2.8, height=3.6)
    for axes, (title, matrix) in zip(panels[0], [("input", X), *maps], strict=True):
        figures.heatmap(axes, matrix, title=title, numbers=None)
    return DemoResult(values, {"maps": figure})


def _two_paddings() -> dict[str, list[float]]:
    """Return the first row of the same convolution with padding 1 and with Keras' "same"."""
    X, K = np.arange(64, dtype="float32").reshape(8, 8), np.ones((3, 3), "float32")
    same = keras.layers.Conv2D(1, 3, 2, padding="same", kernel_initializer="ones")
    return {
        "padding 1": _convolve(X, K, (1, 1), (2, 2))[0].tolist(),
        "same": np.asarray(same(X[None, ..., None]))[0, 0, :, 0].tolist(),
    }


def _convolve(X, K, padding, strides):
    """Convolve a matrix with Keras' layer: batch and channel axes on, and off again."""
    layer = keras.layers.Conv2D(1, K.shape, strides=strides, use_bias=False)
    padded = keras.layers.ZeroPadding2D(padding)(X[None, ..., None])
    layer.build(padded.shape)
    layer.kernel.assign(K[..., None, None])
    return np.asarray(layer(padded))[0, ..., 0]


def channels() -> Demo:
    """Sum over input channels, stack output channels, and mix channels by a matrix product.

    Section: "channels". A 3 x 3 picture with two channels, 2 x 2 kernels; then random 1 x 1 kernels
    on three channels.
    Expected: [[56, 72], [104, 120]], then + 20 and + 40 and growing; a 1 x 1 convolution differs
    from the product by less than 1e-6 (d2l-zh).
    Command: kerasd2l run channels --out figures
    """
    return Demo(section="channels", run=_run_channels)


def _run_channels() -> DemoResult:
    X = np.arange(9, dtype="float32").reshape(3, 3)
    X = np.stack([X, X + 1], axis=-1)  # (3, 3, 2)
    K = np.array([[0, 1], [2, 3]], "float32")
    K = np.stack([K, K + 1], axis=-1)  # (2, 2, 2)
    several = np.stack([K, K + 1, K + 2], axis=-1)  # (2, 2, 2, 3)
    out = np.asarray(scratch.corr2d_multi_in_out(X, several))  # (2, 2, 3)
    rng = np.random.default_rng(0)
    image, mixer = rng.normal(size=(3, 3, 3)), rng.normal(size=(1, 1, 3, 2))
    image, mixer = image.astype("float32"), mixer.astype("float32")
    product = np.asarray(scratch.corr2d_multi_in_out_1x1(image, mixer))
    slid = np.asarray(scratch.corr2d_multi_in_out(image, mixer))
    values = {
        "two channels in, one out": np.asarray(scratch.corr2d_multi_in(X, K)).tolist(),
        "two channels in, three out": {
            f"channel {i}": out[..., i].tolist() for i in range(out.shape[-1])
        },
        "largest difference of a 1 x 1 convolution from the matrix product": float(
            np.abs(product - slid).max()
        ),
    }
    figure, panels = figures.new_figure(3, 5, width=2.2, height=2.5)
    for f, row in enumerate(panels):
        shown = (X[..., 0], X[..., 1], several[..., 0, f], several[..., 1, f], out[..., f])
        titles = (
            "input 0",
            "input 1",
            f"kernel {f}, channel 0",
            f"kernel {f}, channel 1",
            f"output {f}",
        )
        for axes, matrix, title in zip(row, shown, titles, strict=True):
            figures.heatmap(axes, matrix, title=title)
    return DemoResult(values, {"channels": figure})


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
