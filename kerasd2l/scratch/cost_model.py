"""What a step of distributed training costs: computing, communicating, and their balance.

Section: "parameterserver". t1 is the time that a device computes on its b examples, t2 the time
that gradients and parameters travel. Where both happen at once, a step takes max(t1, t2), else
t1 + t2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasd2l.scratch.collectives import Schedule


@dataclass(frozen=True)
class Line:
    """Seconds that grow with an amount: fixed + each * amount.

    Args:
        fixed: float, seconds of nothing: the latency of a message, the overhead of a call.
        each: float, seconds of one unit: of an example, or of a byte (1 / bandwidth).
    """

    fixed: float
    each: float

    def __call__(self, amount: Any) -> Any:
        return self.fixed + self.each * amount


def fit_line(amounts: Sequence[float], seconds: Sequence[float]) -> Line:
    """Fit `Line` to measured times by least squares of their relative errors; neither is negative.

    Section: "parameterserver".

    Args:
        amounts: (n,) examples or bytes.
        seconds: (n,) measured, positive.

    Example:
        >>> line = fit_line([1, 2, 4], [3.0, 5.0, 9.0])
        >>> round(line.fixed, 6), round(line.each, 6)
        (1.0, 2.0)
    """
    from scipy.optimize import nnls

    x, t = np.asarray(amounts, float), np.asarray(seconds, float)
    scale = np.abs(x).max()
    fixed, each = nnls(np.stack([1 / t, x / scale / t], axis=1), np.ones(len(t)))[0]
    return Line(float(fixed), float(each / scale))


def seconds(schedule: Schedule, n: int, link: Line, itemsize: int = 4) -> float:
    """Return the seconds of an all-reduce: of each round, those of the busiest worker.

    Links take both directions at once. Section: "parameterserver".

    Args:
        schedule: rounds, of `collectives`.
        n: int, workers.
        link: seconds of a message over its bytes.
        itemsize: int, bytes of a number.

    Example:
        >>> from kerasd2l.scratch.collectives import ring
        >>> round(seconds(ring(4, 40_000_000), 4, Line(0, 1 / 16e9)), 4)  # 160 MB, 16 GB/s
        0.015
    """
    total = 0.0
    for sends in schedule:
        out, into = np.zeros(n), np.zeros(n)
        for send in sends:
            out[send.source] += link.each * (send.stop - send.start) * itemsize
            into[send.target] += link.each * (send.stop - send.start) * itemsize
        total += link.fixed + float(max(out.max(), into.max()))
    return total


def step_seconds(t1: Any, t2: Any, *, overlapped: bool = True) -> Any:
    """Return the time of a step: max(t1, t2) where both happen at once, else t1 + t2.

    Section: "parameterserver".
    """
    return np.maximum(t1, t2) if overlapped else np.add(t1, t2)


def throughput(n: int, b: Any, step: Any) -> Any:
    """Return examples per second of n devices with b examples each. Section: "parameterserver"."""
    return n * np.asarray(b) / step


def efficiency(t1: Any, step: Any) -> Any:
    """Return the share of a step that a device computes: 1 is a speed-up by n devices.

    Section: "parameterserver".
    """
    return np.asarray(t1) / step


def enough_examples(compute: Line, t2: float) -> float:
    """Return the least b with t1 >= t2: from there on devices do not wait for the network.

    Section: "parameterserver".
    """
    if compute.each <= 0:
        return 0.0 if compute.fixed >= t2 else float("inf")
    return max(0.0, (t2 - compute.fixed) / compute.each)
