"""12.2 Asynchronous computation."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")
tf = lazy("tensorflow")


def async_computation(*, size: int = 700, milliseconds: float = 4.0, batches: int = 25) -> Demo:
    """Look at when a call returns, and when its answer is there; and at data made in advance.

    Section: "async-computation". Ten products of matrices (700 x 700; the book's --set size=1000)
    in numpy and in TensorFlow: the time until the calls return, and until the numbers are there.
    On a CPU TensorFlow's eager operations are synchronous: a call returns with its answer.
    `tf.config.experimental.set_synchronous_execution(False)` makes them asynchronous, and an error
    comes late. On a GPU calls return before it has computed, always. Then a data set whose batches
    take 4 ms to make, and a step that takes 4 ms: one after the other, and with `prefetch` at the
    same time.
    Expected: z = [[3, 3]]; with prefetch the time of one of the two.
    Command: kerasd2l run async_computation --set size=1000 --out figures
    """
    if size < 1 or batches < 2 or not 0 < milliseconds < float("inf"):
        raise ValueError(
            "`size` must be at least 1, `batches` 2, `milliseconds` positive. "
            f"Received: {size}, {batches}, {milliseconds}."
        )
    return Demo("async-computation", lambda: _look(size, milliseconds / 1000, batches))


def _look(size: int, seconds: float, batches: int) -> DemoResult:
    device = scratch.try_gpu()
    times = {"numpy": _numpy_products(size)}
    times["TensorFlow, synchronous"] = _products(size, device)
    with _asynchronous():
        times["TensorFlow, asynchronous"] = _products(size, device)
    values: dict[str, Any] = {
        "z = x y + 2": _z(device).numpy().tolist(),
        "device": device,
        "ten products, seconds": times,
        "where an error comes": _late_error(),
        "batches and steps, seconds": _prefetch(seconds, batches),
    }
    return DemoResult(values, {"returned": _draw(times)})


def _numpy_products(size: int) -> dict[str, float]:
    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    with scratch.Benchmark() as returned:
        for _ in range(10):
            a @ a
    return {"calls returned": returned.seconds, "numbers there": returned.seconds}


def _products(size: int, device: str) -> dict[str, float]:
    """Time ten products: until the calls return, and until the last one's numbers are read."""
    with tf.device(device):
        a = tf.random.stateless_normal((size, size), (0, 0))
        tf.linalg.matmul(a, a).numpy()  # the first call makes what later ones use
        start = time.perf_counter()
        for _ in range(10):
            b = tf.linalg.matmul(a, a)
        returned = time.perf_counter() - start
        b[0, 0].numpy()  # waits
        return {"calls returned": returned, "numbers there": time.perf_counter() - start}


def _z(device: str) -> Any:
    with tf.device(device):
        x, y = tf.ones((1, 2)), tf.ones((1, 2))
        return x * y + 2


def _late_error() -> dict[str, str]:
    """Tell where the error of a wrong operation comes: at the call, or when somebody waits."""
    places = {"synchronous": _place_of_error()}
    with _asynchronous():
        places["asynchronous"] = _place_of_error()
    return places


def _place_of_error() -> str:
    place = "at the call"
    try:
        inverse = tf.linalg.inv(tf.zeros((2, 2)))  # there is none
        place = "when the numbers are read"
        inverse.numpy()
    except tf.errors.InvalidArgumentError:
        tf.experimental.async_clear_error()
        return place
    return "nowhere"


@contextlib.contextmanager
def _asynchronous() -> Iterator[None]:
    """Let eager operations return before they are done, while the context lasts."""
    before = tf.config.experimental.get_synchronous_execution()
    tf.config.experimental.set_synchronous_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.set_synchronous_execution(before)


def _prefetch(seconds: float, batches: int) -> dict[str, float]:
    """Time a loop over batches that take as long to make as to use."""

    def slowly(number):
        time.sleep(seconds)
        return number

    def make(i):
        return tf.numpy_function(slowly, [i], tf.int64)

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # tf.data would prefetch by itself
    made = tf.data.Dataset.range(batches).map(make).with_options(options)
    times = {}
    for name, dataset in (("one after the other", made), ("prefetch", made.prefetch(1))):
        with scratch.Benchmark() as loop:
            for _ in dataset:
                time.sleep(seconds)  # the step
        times[name] = loop.seconds
    return {**times, "making alone": batches * seconds, "steps alone": batches * seconds}


def _draw(times: dict[str, dict[str, float]]):
    figure, panels = figures.new_figure(width=6)
    axes, places = panels[0, 0], np.arange(len(times))
    for shift, name in ((-0.2, "calls returned"), (0.2, "numbers there")):
        heights = [1000 * one[name] for one in times.values()]
        axes.bar_label(axes.bar(places + shift, heights, 0.4, label=name), fmt="%.2f", fontsize=8)
    axes.set_xticks(places, [name.replace(", ", ",\n") for name in times])
    axes.set(title="Ten products of matrices", ylabel="milliseconds", yscale="log")
    axes.margins(y=0.15)
    axes.legend()
    return figure
