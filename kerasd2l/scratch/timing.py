"""How long something takes: the book's Benchmark, and the best of several calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any


class Benchmark:
    """Measure the seconds of a `with` block: the book's Benchmark, which tells instead of printing.

    Section: "hybridize".

    Args:
        description: str, what is measured.

    Example:
        >>> with Benchmark("nothing") as benchmark:
        ...     pass
        >>> benchmark.seconds < 1
        True
    """

    def __init__(self, description: str = "Done"):
        self.description, self.seconds = description, 0.0

    def __enter__(self) -> Benchmark:
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start

    def __str__(self) -> str:
        return f"{self.description}: {self.seconds:.4f} sec"


def best_seconds(call: Callable[[], Any], *, repeats: int = 3, warm_up: int = 1) -> float:
    """Return the least time of several calls: other work on the machine only adds to it.

    Args:
        call: () -> anything; it must wait for what it computes.
        repeats: int >= 1, calls that are timed.
        warm_up: int >= 0, calls before, for tracing and caches.
    """
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(repeats):
        with Benchmark() as benchmark:
            call()
        times.append(benchmark.seconds)
    return min(times)
