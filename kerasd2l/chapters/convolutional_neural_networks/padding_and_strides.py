"""6.3 Padding and stride."""

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
