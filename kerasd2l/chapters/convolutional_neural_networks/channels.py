"""6.4 Multiple input and output channels."""

from __future__ import annotations

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


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
