"""Requests that wait for a model run together when it gets free.

No timer: a lone request runs at once. While the model is busy, others gather, and what has gathered
runs as one batch. Rows never see each other (`LoadedVersion.batchable`), and only inputs of equal
shapes are joined, so nothing is padded.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from kerasd2l.serving.server.calls import Call, ServingError
from kerasd2l.serving.server.loaded import LoadedVersion

MOST_ROWS = 128
MOST_BYTES = 64 << 20  # of the inputs of a batch that is joined
Outputs = Mapping[str, np.ndarray]


@dataclass(eq=False)
class Job:
    """A call that waits.

    Args:
        call: what to run.
        deadline: seconds of `time.monotonic()`, after which nobody waits for the answer.
        done: (outputs, None, job) or (None, error, job) -> anything; called once, by the runner.
    """

    call: Call
    deadline: float
    done: Callable[[Outputs | None, ServingError | None, Job], object]
    cancelled: bool = False
    queued: float = field(default_factory=time.monotonic)
    started: float = 0.0
    batch: int = 1

    @property
    def rows(self) -> int:
        """How many rows it has; 0 for one without a batch axis."""
        shape = next(iter(self.call.arrays.values())).shape if self.call.arrays else ()
        return shape[0] if shape else 0

    @property
    def kind(self) -> tuple:
        """Jobs of one kind can be joined."""
        return tuple((key, array.shape[1:]) for key, array in self.call.arrays.items())


class Closed(Exception):
    """The version has been unloaded; another one serves."""


class Queue:
    """The jobs of one signature. Who brings one while the model is free runs it, and what gathers.

    So a lone request waits for no other thread.

    Args:
        version: the model.
        signature: str, name of the signature.
        together: bool, run in one batch what has gathered.
        most: int, how many may wait.
    """

    def __init__(self, version: LoadedVersion, signature: str, *, together: bool, most: int):
        self.name = f"{version.name}/{version.version}"
        self._version = version
        self._signature = signature
        self._together = together and signature in version.batchable
        self._most = most
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._running = 0
        self._left: dict[int, float] = {}  # thread -> when nobody waits for its run any more
        # Together, one thread takes all that wait; alone, requests run side by side.
        self._threads = 1 if self._together else max(2, os.cpu_count() or 1)

    def submit(self, job: Job) -> None:
        """Put a job into the queue; where a thread is free for it, run it before returning.

        Raises:
            ServingError: the queue is full. Closed: the version is being unloaded.
        """
        with self._changed:
            if self._closed:
                raise Closed
            if len(self._waiting) >= self._most:  # who has left, or waited too long, takes no place
                self._waiting = deque(job for job in self._waiting if _alive(job))
            if len(self._waiting) >= self._most:
                raise ServingError(
                    "UNAVAILABLE",
                    f"The queue of {self._version.name} is full: {self._most} requests wait. "
                    "Try again later.",
                )
            self._waiting.append(job)
            if self._running == self._threads:
                return
            self._running += 1
        try:
            while jobs := self._take():
                if len(jobs) == 1:
                    self._run_alone(jobs[0])
                else:
                    self._run_together(jobs)
        except BaseException:  # an answer that cannot be written must not stop the queue for ever
            with self._changed:
                self._end_turn()
            raise

    def close(self) -> None:
        """Take no more jobs, and wait until those that are there are done."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._running)

    def stuck(self, patience: float) -> bool:
        """Tell whether a run goes on though nobody has waited for it for `patience` seconds."""
        with self._changed:
            return any(time.monotonic() - left > patience for left in self._left.values())

    def _end_turn(self) -> None:
        self._left.pop(threading.get_ident(), None)
        self._running -= 1
        self._changed.notify_all()

    def _take(self) -> list[Job]:
        """Return the jobs that run next; none ends the turn of this thread."""
        with self._changed:
            while self._waiting:
                first = self._waiting.popleft()
                if _alive(first):
                    break
            else:
                self._end_turn()
                return []
            jobs = [first]
            if self._together and first.rows:
                jobs += self._like(first)
            self._left[threading.get_ident()] = max(job.deadline for job in jobs)
        now = time.monotonic()
        for job in jobs:
            job.started, job.batch = now, len(jobs)
        return jobs

    def _like(self, first: Job) -> list[Job]:
        """Take the waiting jobs that can join the first one, in their order."""
        size = sum(array.nbytes for array in first.call.arrays.values()) // first.rows
        kind, room = first.kind, min(MOST_ROWS, MOST_BYTES // max(1, size)) - first.rows
        joined, others = [], []
        for job in self._waiting:
            if not job.cancelled and 0 < job.rows <= room and job.kind == kind:
                if _alive(job):
                    joined.append(job)
                    room -= job.rows
            else:
                others.append(job)
        self._waiting = deque(others)
        return joined

    def _run_alone(self, job: Job) -> None:
        try:
            outputs = self._version.run(self._signature, job.call.arrays)
        except ServingError as error:
            job.done(None, error, job)
        except Exception as error:  # of TensorFlow: a request gets an answer whatever happens
            job.done(
                None, ServingError("INTERNAL", f"the model failed: {type(error).__name__}"), job
            )
        else:
            job.done(outputs, None, job)

    def _run_together(self, jobs: list[Job]) -> None:
        rows = [job.rows for job in jobs]
        try:
            arrays = {
                key: np.concatenate([job.call.arrays[key] for job in jobs])
                for key in jobs[0].call.arrays
            }
            outputs = self._version.run(self._signature, arrays)
            whole = all(len(value) == sum(rows) for value in outputs.values())
        except Exception:  # one of them is wrong: each finds out for itself
            whole = False
        if not whole:
            for job in jobs:
                job.batch = 1
                self._run_alone(job)
            return
        ends = list(itertools.accumulate(rows))
        for job, count, end in zip(jobs, rows, ends, strict=True):
            job.done({key: value[end - count : end] for key, value in outputs.items()}, None, job)


def _alive(job: Job) -> bool:
    """Tell whether somebody waits for the job; who has waited too long is told so."""
    if job.cancelled:
        return False
    if time.monotonic() > job.deadline:
        job.done(None, ServingError("DEADLINE_EXCEEDED", "Timed out in the queue."), job)
        return False
    return True
