"""How far memory is away: rows against columns, strides, and a walk through caches.

Section: "hardware". Times are of the machine, other work on it included: look at their shape.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasd2l.scratch.timing import Benchmark, best_seconds

# What everybody should know, in seconds; the course notes have L1 at .5 ms, a million times it.
LATENCIES = {
    "L1 cache": 0.5e-9,
    "L2 cache": 7e-9,
    "main memory": 100e-9,
}
CACHE_LINE = 64  # bytes


def cache_sizes(folder: str | Path = "/sys/devices/system/cpu/cpu0/cache") -> dict[str, int]:
    """Return the bytes of each data cache of the first core, "L1" to "L3", where Linux tells.

    Section: "hardware".
    """
    sizes = {}
    for index in sorted(Path(folder).glob("index*")):
        try:
            kind, level, size = (
                (index / name).read_text().strip() for name in ("type", "level", "size")
            )
        except OSError:
            continue
        number = re.fullmatch(r"(\d+)([KMG]?)", size)
        if kind != "Instruction" and number:
            unit = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[number[2]]
            sizes[f"L{level}"] = int(number[1]) * unit
    return sizes


def row_and_column_seconds(n: int = 2048, *, repeats: int = 3) -> tuple[float, float]:
    """Return the seconds to add up all rows, and all columns, of a matrix kept by rows.

    A row is read in the order in which it lies there; of a column each number is in another line of
    the cache. Section: "hardware".

    Args:
        n: int, rows and columns.
        repeats: int, the best of so many.
    """
    matrix = np.ones((n, n))
    rows = best_seconds(lambda: [matrix[i].sum() for i in range(n)], repeats=repeats)
    columns = best_seconds(lambda: [matrix[:, j].sum() for j in range(n)], repeats=repeats)
    return rows, columns


def stride_seconds(
    strides: Sequence[int], *, size: int = 2**26, repeats: int = 3
) -> dict[int, float]:
    """Return seconds per number where only one every `stride` bytes of an array is looked at.

    Up to a line of the cache, 64 bytes, every line is fetched whatever the stride; beyond, a number
    costs a line of its own. Section: "hardware".

    Args:
        strides: bytes from a number (float32) to the next one, multiples of 4.
        size: int, bytes of the array: more than the caches hold.
        repeats: int, the best of so many.
    """
    array = np.ones(size // 4, np.float32)
    seconds = {}
    for stride in strides:
        view = array[:: stride // 4]
        seconds[stride] = best_seconds(view.max, repeats=repeats) / len(view)
    return seconds


@tf.function(jit_compile=True)
def _walk(following: tf.Tensor, steps: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Go from place to place: no step can begin before the one before it has read its number."""
    return tf.while_loop(
        lambda i, place: i < steps,
        lambda i, place: (i + 1, following[place]),
        (tf.constant(0), start),
    )[1]


def walk_seconds(
    sizes: Sequence[int], *, steps: int = 50_000, repeats: int = 10, seed: int = 0
) -> dict[int, float]:
    """Return seconds per step of a walk through memory in random order, a cache line at a time.

    As long as the array fits into a cache, a step takes that cache's latency (and a few
    instructions). Compiled by XLA: a loop in Python would take longer than any memory.
    Section: "hardware".

    Args:
        sizes: bytes of the arrays.
        steps: int, of a walk.
        repeats: int, walks, each from where the last one ended; the quickest counts.
        seed: int, of the order.
    """
    random = np.random.default_rng(seed)
    seconds = {}
    with tf.device("CPU:0"):
        count = tf.constant(steps)
        for size in sizes:
            following = tf.constant(_round_trip(max(2, size // CACHE_LINE), random))
            # Once through all of it: into the caches, as far as it fits.
            place = _walk(following, tf.constant(min(len(following), 1_000_000)), tf.constant(0))
            times = []
            for _ in range(repeats):
                with Benchmark() as benchmark:
                    place = _walk(following, count, place)
                    place.numpy()
                times.append(benchmark.seconds)
            seconds[size] = min(times) / steps
    return seconds


def _round_trip(lines: int, random: np.random.Generator) -> np.ndarray:
    """Return numbers of which the first in each line says where the next one is."""
    numbers = CACHE_LINE // 4
    order = random.permutation(lines) * numbers
    following = np.zeros(lines * numbers, np.int32)
    following[order] = np.roll(order, -1)
    return following
