"""12.3 Automatic parallelism."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")
tf = lazy("tensorflow")


def auto_parallelism(*, size: int = 96, steps: int = 150, repeats: int = 40) -> Demo:
    """Put two branches that do not need each other into one graph: they run at the same time.

    Section: "auto-parallelism". A branch is a chain of 150 small products of matrices, 96 x 96: too
    small for an operation to be cut over cores, so what is gained is gained between operations. The
    branches one by one, both in one graph, and both in one graph where the second waits for the
    first; the best of 40 calls, as other work on the machine takes cores away. Beside it two large
    products, each of which is cut over all cores by itself: nothing is left to gain. With two GPUs,
    a branch each, and the copies to the CPU, alone and at the same time as the computing.
    Expected: both branches take nearly the time of one (on one core: of two); answers are equal.
    Command: kerasd2l run auto_parallelism --out figures
    """
    if size < 1 or steps < 1 or repeats < 1:
        raise ValueError(
            f"`size`, `steps`, `repeats` must be at least 1. Received: {size}, {steps}, {repeats}."
        )
    return Demo("auto-parallelism", lambda: _measure(size, steps, repeats))


def _measure(size: int, steps: int, repeats: int) -> DemoResult:
    gpus = scratch.num_gpus()
    places = [scratch.try_gpu(i) if gpus > 1 else scratch.try_gpu() for i in range(2)]
    seconds, differ = _branches(size, steps, places, repeats)
    large, _ = _branches(768, 2, places, min(repeats, 10))
    values: dict[str, Any] = {
        "devices of the branches": places,
        "chains of small products, seconds": seconds,
        "both over one": seconds["both"] / max(seconds["first"], seconds["second"]),
        "two large products, seconds": large,
        "large ones: both over one": large["both"] / max(large["first"], large["second"]),
        "largest difference of answers": differ,
    }
    if gpus:
        values["computing and copying, seconds"] = _copies(repeats)
    return DemoResult(values, {"branches": _draw(seconds, large)})


def _branches(
    size: int, steps: int, places: list[str], repeats: int
) -> tuple[dict[str, float], float]:
    inputs = []
    for i, place in enumerate(places):
        with tf.device(place):
            noise = tf.random.stateless_normal((size, size), (i, 0))
            inputs.append(tf.linalg.qr(noise)[0])  # products of it neither grow nor vanish

    def chain(x):
        y = x
        for _ in range(steps):
            y = tf.linalg.matmul(y, x)
        return y

    def first(a, b):
        with tf.device(places[0]):
            return [chain(a)]

    def second(a, b):
        with tf.device(places[1]):
            return [chain(b)]

    def both(a, b):
        return first(a, b) + second(a, b)

    def in_turn(a, b):
        one = first(a, b)
        with tf.control_dependencies(one):
            return one + second(a, tf.identity(b))

    ways = {"first": first, "second": second, "both": both, "both, in turn": in_turn}
    graphs = {name: tf.function(way, autograph=False) for name, way in ways.items()}
    answers = {name: [y.numpy() for y in graph(*inputs)] for name, graph in graphs.items()}

    def call(graph):
        return [y.numpy() for y in graph(*inputs)]

    seconds = {
        name: scratch.best_seconds(lambda graph=graph: call(graph), repeats=repeats)
        for name, graph in graphs.items()
    }
    alone = answers["first"] + answers["second"]
    differences = [
        float(np.abs(one - other).max())
        for name in ("both", "both, in turn")
        for one, other in zip(answers[name], alone, strict=True)
    ]
    return seconds, max(differences)


def _copies(repeats: int) -> dict[str, float]:
    """Time products on a GPU, the copies of them to the CPU, and both at the same time."""
    with tf.device("GPU:0"):
        x = tf.random.stateless_normal((2048, 2048), (0, 0))

    def compute(x):
        with tf.device("GPU:0"):
            return [tf.linalg.matmul(x, x + float(i)) for i in range(20)]

    def copy(ys):
        with tf.device("CPU:0"):
            return [tf.identity(y) for y in ys]

    ready = compute(x)
    graphs = {
        "computing": (tf.function(lambda: tf.add_n(compute(x)))),
        "copying": tf.function(lambda: copy(ready)),
        "both in one graph": tf.function(lambda: copy(compute(x))),
    }
    return {
        name: scratch.best_seconds(
            lambda graph=graph: [y.numpy() for y in tf.nest.flatten(graph())], repeats=repeats
        )
        for name, graph in graphs.items()
    }


def _draw(small: dict[str, float], large: dict[str, float]):
    figure, (panels,) = figures.new_figure(1, 2)
    titles = ("Chains of small products", "Large products, cut over all cores")
    for axes, seconds, title in zip(panels, (small, large), titles, strict=True):
        bars = axes.bar(list(seconds), [1000 * time for time in seconds.values()])
        axes.bar_label(bars, fmt="%.1f")
        axes.margins(y=0.12)
        axes.set(title=title, ylabel="milliseconds", xlabel="what one graph computes")
    return figure
