"""S.6 Upsampling."""

from __future__ import annotations

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def upsampling(*, size: int = 2) -> Demo:
    """Enlarge [[1, 2], [3, 4]] by nearest neighbours and by bilinear interpolation.

    Section: "upsample". Bilinear with aligned corners keeps the first and last values; Keras'
    UpSampling2D takes the middle of pixels as their place and does not.
    Expected: rows 1, 1.3333, 1.6667, 2 with aligned corners and 1, 1.25, 1.75, 2 in Keras.
    Command: kerasd2l run upsampling --out figures
    """
    if not 1 <= size <= 8:
        raise ValueError(f"`size` must be 1 to 8. Received: size={size}.")
    return Demo(section="upsample", run=lambda: _run_upsampling(size))


def _run_upsampling(size: int) -> DemoResult:
    square = np.array([[1, 2], [3, 4]], "float32")
    made = {
        "nearest": keras.layers.UpSampling2D(size),
        "bilinear, aligned corners": layers.BilinearUpSampling2D(size),
        "bilinear, Keras": keras.layers.UpSampling2D(size, interpolation="bilinear"),
    }
    maps = {
        name: np.asarray(layer(square[None, ..., None]))[0, ..., 0] for name, layer in made.items()
    }
    figure, panels = figures.new_figure(1, 4, width=3, height=3.4)
    for axes, (name, matrix) in zip(panels[0], {"input": square, **maps}.items(), strict=True):
        figures.heatmap(axes, matrix, title=name, numbers="{:.3g}" if size <= 3 else None)
    values = {name: matrix.astype(float).round(4).tolist() for name, matrix in maps.items()}
    return DemoResult(values, {"upsampling": figure})
