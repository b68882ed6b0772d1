"""Counts and times of requests, under TensorFlow Serving's names, in Prometheus' text form."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

# TensorFlow Serving's buckets: microseconds, each 1.8 times the one before
BUCKETS = tuple(10 * 1.8**power for power in range(33))


class Measures:
    """What is counted. Names of models come from the folder, never from a request."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = defaultdict(int)
        self._times: dict[tuple[str, str, str], list[int]] = {}
        self._sums: dict[tuple[str, str, str], float] = defaultdict(float)

    def count(self, model: str, api: str, entrypoint: str, code: str, seconds: float) -> None:
        """Count a request that has been answered.

        Args:
            model: str, empty if it never came to a model.
            api: str, such as "Predict".
            entrypoint: "REST" or "GRPC".
            code: str, a key of `CODES`.
            seconds: how long it took.
        """
        self._counts[model, code] += 1
        key = (model, api, entrypoint)
        micros = 1e6 * seconds
        if key not in self._times:
            self._times[key] = [0] * (len(BUCKETS) + 1)
        self._times[key][bisect_left(BUCKETS, micros)] += 1
        self._sums[key] += micros

    def text(self, restarts: int) -> str:
        """Write all of it.

        Args:
            restarts: int, how often the model process was started anew.
        """
        name = ":tensorflow:serving:request_count"
        lines = [f"# TYPE {name} counter"]
        for (model, code), count in sorted(self._counts.items()):
            lines.append(f'{name}{{model_name="{_quoted(model)}",status="{code}"}} {count}')
        name = ":tensorflow:serving:request_latency"
        lines.append(f"# TYPE {name} histogram")
        for key, buckets in sorted(self._times.items()):
            model, api, entrypoint = key
            labels = f'model_name="{_quoted(model)}",API="{api}",entrypoint="{entrypoint}"'
            total = 0
            for limit, count in zip((*BUCKETS, None), buckets, strict=True):
                total += count
                border = "+Inf" if limit is None else f"{limit:.6g}"
                lines.append(f'{name}_bucket{{{labels},le="{border}"}} {total}')
            lines.append(f"{name}_sum{{{labels}}} {self._sums[key]:.6f}")
            lines.append(f"{name}_count{{{labels}}} {total}")
        name = ":kerasd2l:serving:model_process_restarts"
        return "\n".join([*lines, f"# TYPE {name} counter", f"{name} {restarts}", ""])


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
