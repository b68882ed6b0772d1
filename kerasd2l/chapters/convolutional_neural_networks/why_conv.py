"""6.1 From fully connected layers to convolutions."""

from __future__ import annotations

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def why_convolutions() -> Demo:
    """Count the weights that sharing and locality save, and move a picture to see the map move.

    Section: "why-conv". One dense layer of 1,000 units on a megapixel, and one 3 x 3 kernel.
    Expected: 10^9 weights against 9 (course notes); a shift by 3 columns shifts the map by 3.
    Command: kerasd2l run why_convolutions --out figures
    """
    return Demo(section="why-conv", run=_run_why_convolutions)


def _run_why_convolutions() -> DemoResult:
    pixels, units, shift = 1000 * 1000, 1000, 3
    kernel = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], "float32")
    picture = np.zeros((12, 16), "float32")
    picture[4:9, 2:8] = 1
    moved = np.roll(picture, shift, axis=1)
    before, after = (np.asarray(scratch.corr2d(x, kernel)) for x in (picture, moved))
    difference = np.abs(after[:, shift:] - before[:, :-shift]).max()
    values = {
        "weights of a dense layer": pixels * units,
        "weights of a 3 x 3 kernel": kernel.size,
        "columns moved": shift,
        "largest difference of the moved maps": float(difference),
    }
    figure, panels = figures.new_figure(2, 2, width=4.2, height=3)
    for axes, image, title in zip(
        panels.flat,
        (picture, before, moved, after),
        ("picture", "feature map", f"moved by {shift} columns", "its feature map"),
        strict=True,
    ):
        figures.heatmap(axes, image, title=title, numbers=None)
    return DemoResult(values, {"moved": figure})
