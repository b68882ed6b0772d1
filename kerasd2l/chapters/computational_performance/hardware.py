"""12.4 Hardware."""

from __future__ import annotations

import functools
from typing import Any

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

memory_speed = lazy("kerasd2l.scratch.memory_speed")
np = lazy("numpy")
tf = lazy("tensorflow")


def memory_access(*, largest: int = 2**26, steps: int = 50_000) -> Demo:
    """Measure how far memory is away: rows against columns, strides, and caches seen in a curve.

    Section: "hardware". The sums of the rows of a matrix that is kept by rows, and of its columns;
    one number of every 4 to 4096 bytes (a line of the cache is 64); a walk in random order through
    4 KB to `largest` bytes, whose steps take the latency of the cache that they fit into. Beside
    the curve the sizes of the caches that Linux tells, and the latencies that everybody should
    know: L1 0.5 ns (the course notes say ms), L2 7 ns, main memory 100 ns.
    Expected: rows are quicker than columns; a step is slower the more memory it walks through.
    Command: kerasd2l run memory_access --set largest=268435456 --out figures
    """
    if largest < 2**13 or steps < 1:
        raise ValueError(
            "`largest` must be at least 8192 bytes, `steps` 1. "
            f"Received: largest={largest}, steps={steps}."
        )
    return Demo("hardware", lambda: _access(largest, steps))


def _access(largest: int, steps: int) -> DemoResult:
    rows, columns = memory_speed.row_and_column_seconds()
    strides = memory_speed.stride_seconds([2**i for i in range(2, 13)], size=min(largest, 2**25))
    sizes = [2**i for i in range(12, largest.bit_length())]
    walk = memory_speed.walk_seconds(sizes, steps=steps)
    caches = memory_speed.cache_sizes()
    values = {
        "sums of 2048 rows, of 2048 columns, seconds": [rows, columns],
        "columns over rows": columns / rows,
        "nanoseconds a number, by the stride in bytes": _nanoseconds(strides),
        "nanoseconds a step, by the bytes walked through": _nanoseconds(walk),
        "caches, bytes": caches or "not told",
        "latencies to know, nanoseconds": _nanoseconds(memory_speed.LATENCIES),
    }
    return DemoResult(values, {"memory": _draw_memory(strides, walk, caches)})


def _nanoseconds(seconds: Any) -> dict[str, float]:
    return {str(name): 1e9 * time for name, time in seconds.items()}


def _draw_memory(strides: Any, walk: Any, caches: dict[str, int]):
    figure, (panels,) = figures.new_figure(1, 2, width=5, height=3.8)
    left, right = panels
    left.plot(list(strides), [1e9 * t for t in strides.values()], "o-", markersize=4)
    left.axvline(memory_speed.CACHE_LINE, color="0.6", linestyle="--")
    left.text(memory_speed.CACHE_LINE, left.get_ylim()[1], " a line", va="top", color="0.4")
    left.set(
        title="One number of so many bytes", xlabel="stride, bytes", ylabel="nanoseconds a number"
    )
    right.plot(
        [size / 2**10 for size in walk], [1e9 * t for t in walk.values()], "o-", markersize=4
    )
    for name, size in caches.items():
        right.axvline(size / 2**10, color="0.6", linestyle="--")
        right.text(size / 2**10, right.get_ylim()[1], f" {name}", va="top", color="0.4")
    right.set(
        title="A walk in random order",
        xlabel="memory walked through, KB",
        ylabel="nanoseconds a step",
    )
    for axes in panels:
        axes.set(xscale="log", yscale="log")
        axes.grid(alpha=0.3)
    return figure


def roofline(*, length: int = 2**24, repeats: int = 5) -> Demo:
    """Measure the two limits of this machine, and where operations stand between them.

    Section: "hardware". An operation that does f computations on each byte that it reads or writes
    gets at most min(peak, f * bandwidth). The peak is that of the largest product of matrices, the
    bandwidth that of a copy of `length` numbers; below this roof, y = x + 1 (1/8 of a computation a
    byte), a matrix by a vector (1/2), and products of matrices n x n (n / 6), in float32.
    Expected: the larger f, the more computations a second; none is far above the roof.
    Command: kerasd2l run roofline --out figures
    """
    if repeats < 1 or length < 2**12:
        raise ValueError(
            "`repeats` must be at least 1, `length` 4096. "
            f"Received: repeats={repeats}, length={length}."
        )
    return Demo("hardware", lambda: _measure_roofline(length, repeats))


def _measure_roofline(length: int, repeats: int) -> DemoResult:
    with tf.device(scratch.try_gpu()):
        long = tf.ones(length)
        side = int(length**0.5)
        wide, vector = tf.ones((side, side)), tf.ones((side, 1))
        squares = {n: tf.eye(n) for n in (32, 128, 512, 1024)}
    # name -> computations, bytes, function, inputs
    operations: dict[str, tuple[float, float, Any, tuple]] = {
        "copy": (0, 2 * 4 * length, lambda x: tf.reverse(x, [0]), (long,)),
        "x + 1": (length, 2 * 4 * length, lambda x: x + 1, (long,)),
        "matrix by vector": (2 * side**2, 4 * side**2, tf.linalg.matmul, (wide, vector)),
    }
    for n, square in squares.items():
        times = max(1, 2**26 // n**3)  # so that the call of a graph is a small part
        operations[f"{n} x {n}"] = (
            times * 2 * n**3,
            times * 3 * 4 * n**2,
            functools.partial(_products, times=times),
            (square,),
        )
    points = {}
    for name, (computations, moved, function, inputs) in operations.items():
        graph = tf.function(function, autograph=False)

        def call(graph=graph, inputs=inputs):
            return graph(*inputs)[:1].numpy()

        seconds = scratch.best_seconds(call, repeats=repeats)
        points[name] = (computations / moved, computations / seconds, moved / seconds)
    bandwidth = max(points.pop("copy")[2], *(point[2] for point in points.values()))
    peak = max(point[1] for point in points.values())
    values = {
        "peak, 10^9 computations a second": peak / 1e9,
        "bandwidth, 10^9 bytes a second": bandwidth / 1e9,
        "computations a byte where the roof bends": peak / bandwidth,
        "computations a byte": {name: point[0] for name, point in points.items()},
        "10^9 computations a second": {name: point[1] / 1e9 for name, point in points.items()},
    }
    return DemoResult(values, {"roofline": _draw_roofline(points, peak, bandwidth)})


def _products(x: Any, times: int) -> Any:
    y = x
    for _ in range(times):
        y = tf.linalg.matmul(x, y)
    return y


def _draw_roofline(points: Any, peak: float, bandwidth: float):
    grid = np.logspace(-1.5, 3, 200)
    figure = figures.lines(
        grid,
        {"the roof": np.minimum(peak, grid * bandwidth) / 1e9},
        title="Roofline of this machine",
        xlabel="computations a byte",
        ylabel="10^9 computations a second",
        xscale="log",
        yscale="log",
    )
    (axes,) = figure.axes
    for name, (intensity, rate, _) in points.items():
        axes.plot(intensity, rate / 1e9, "o", color="tab:orange")
        axes.annotate(  # downwards: large products lie side by side below the roof
            name,
            (intensity, rate / 1e9),
            (0, -6),
            textcoords="offset points",
            ha="center",
            va="top",
            rotation=90,
            fontsize=8,
        )
    return figure


def systolic_array(*, size: int = 4, inner: int = 6, seed: int = 0) -> Demo:
    """Multiply matrices tick by tick in a grid of cells, as a TPU does.

    Section: "hardware". 4 x 6 by 6 x 4 whole numbers in 4 x 4 cells: the wave of cells at work;
    more of the inner dimension (a batch) fills the array better; larger matrices come in blocks,
    filled up with zeros.
    Expected: equal to numpy; K + n + m - 2 = 12 ticks, half of the cells at work on average.
    Command: kerasd2l run systolic_array --out figures
    """
    if size < 1 or inner < 1:
        raise ValueError(
            f"`size` and `inner` must be at least 1. Received: size={size}, inner={inner}."
        )
    return Demo("hardware", lambda: _multiply(size, inner, seed))


def _multiply(size: int, inner: int, seed: int) -> DemoResult:
    random = np.random.default_rng(seed)
    A, B = random.integers(-4, 5, (size, inner)), random.integers(-4, 5, (inner, size))
    run = scratch.systolic_matmul(A, B)
    depths = [2**i for i in range(8)]
    utilisation = [
        scratch.systolic_matmul(np.ones((size, k)), np.ones((k, size))).utilisation for k in depths
    ]
    large, other = random.integers(-4, 5, (size + 1, inner)), random.integers(-4, 5, (inner, size))
    blocks = scratch.systolic_matmul(large, other, size)
    values = {
        "product": run.product.tolist(),
        "equal to numpy": bool((run.product == A @ B).all()),
        "ticks": run.ticks,
        "cells at work at each tick": run.busy.tolist(),
        "utilisation": run.utilisation,
        "utilisation by the inner dimension": dict(zip(map(str, depths), utilisation, strict=True)),
        f"{size + 1} rows in blocks": {
            "equal to numpy": bool((blocks.product == large @ other).all()),
            "ticks": blocks.ticks,
            "utilisation": blocks.utilisation,
        },
    }
    figure, (panels,) = figures.new_figure(1, 2)
    panels[0].bar(np.arange(run.ticks), run.busy)
    panels[0].set(title="The wave", xlabel="tick", ylabel=f"cells at work, of {run.cells}")
    panels[1].plot(depths, utilisation, "o-")
    panels[1].set(
        title="More numbers fill it better", xlabel="inner dimension K", ylabel="utilisation"
    )
    panels[1].set(xscale="log", ylim=(0, 1))
    panels[1].grid(alpha=0.3)
    return DemoResult(values, {"systolic": figure})
