"""3.1 Linear regression."""

from __future__ import annotations

import time

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def vectorization(*, size: int = 10000) -> Demo:
    """Add two vectors of 10000 ones, one by one and at once; draw three normal densities.

    Section: "linear-regression". The times are of this machine.
    Expected: d2l-zh's notebook measured 0.167 s for the loop and 0.0004 s for the vectors.
    Command: kerasd2l run vectorization --out figures
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1. Received: size={size}.")
    return Demo("linear-regression", lambda: _time_addition(size))


def _time_addition(size: int) -> DemoResult:
    import tensorflow as tf

    a, b = tf.ones(size), tf.ones(size)
    start = time.perf_counter()
    one_by_one = tf.stack([x + y for x, y in zip(a, b, strict=True)])
    middle = time.perf_counter()
    at_once = a + b
    end = time.perf_counter()
    x = np.arange(-7, 7, 0.01)
    densities = {
        f"mean {mean}, deviation {sigma}": np.exp(-((x - mean) ** 2) / (2 * sigma**2))
        / np.sqrt(2 * np.pi * sigma**2)
        for mean, sigma in ((0, 1), (0, 2), (3, 1))
    }
    values = {
        "seconds in a loop": middle - start,
        "seconds as vectors": end - middle,
        "same sum": bool(tf.reduce_all(one_by_one == at_once)),
        "area under each density": [float(np.sum(p) * 0.01) for p in densities.values()],
    }
    figure = figures.lines(
        x, densities, title="Normal distributions", xlabel="x", ylabel="probability density p(x)"
    )
    figure.axes[0].legend(loc="upper left", fontsize=7)
    return DemoResult(values, {"normal": figure})
