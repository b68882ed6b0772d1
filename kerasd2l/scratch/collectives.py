"""All-reduce by hand: who sends what to whom, so that in the end all have the sum.

An all-reduce is a list of rounds, a round a list of sends that happen at once. The same list is
carried out (`carry_out`), counted (`traffic`), timed over sockets (`time_over_sockets`) and priced
(`cost_model.seconds`). Section: "parameterserver".
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Send:
    """A message of a round: part of the numbers of a worker, to another one.

    Args:
        source: int, who sends.
        target: int, who receives.
        start: int, first number of the part.
        stop: int, behind the last one.
        add: bool, add to what the target has there; False: replace it.
    """

    source: int
    target: int
    start: int
    stop: int
    add: bool


Schedule = list[list[Send]]


def ring(n: int, size: int) -> Schedule:
    """Return the ring: each worker sends a part of 1/n to the next one, 2 (n - 1) times.

    The first n - 1 rounds add (reduce-scatter): then each worker has one part of the sum. The
    others pass these on (all-gather). Each worker sends 2 (n - 1) / n of the numbers, however many
    workers there are. Section: "parameterserver".

    Args:
        n: int >= 1, workers.
        size: int, numbers.
    """
    _check(n, size)

    def turn(add: bool, first: int) -> Schedule:
        rounds = []
        for step in range(n - 1):
            sends = []
            for worker in range(n):
                start, stop = _part((worker + first - step) % n, n, size)
                sends.append(Send(worker, (worker + 1) % n, start, stop, add))
            rounds.append(sends)
        return rounds

    return turn(True, 0) + turn(False, 1)


def tree(n: int, size: int) -> Schedule:
    """Return the binomial tree: sums go up in log2 n rounds, the total comes down in as many.

    Every message has all numbers. Section: "parameterserver".

    Args:
        n: int >= 1, workers; worker 0 is the root.
        size: int, numbers.
    """
    _check(n, size)
    up = []
    for distance in itertools.takewhile(lambda d: d < n, (2**i for i in itertools.count())):
        children = range(distance, n, 2 * distance)
        up.append([Send(child, child - distance, 0, size, True) for child in children])
    down = [
        [Send(send.target, send.source, 0, size, False) for send in sends] for sends in up[::-1]
    ]
    return up + down


def one_server(n: int, size: int) -> Schedule:
    """Return the central server: all send everything to worker 0, which sends the sum to all.

    Section: "parameterserver".

    Args:
        n: int >= 1, workers; worker 0 is the server.
        size: int, numbers.
    """
    _check(n, size)
    if n == 1:
        return []
    push = [Send(worker, 0, 0, size, True) for worker in range(1, n)]
    return [push, [Send(0, worker, 0, size, False) for worker in range(1, n)]]


def split_server(n: int, size: int) -> Schedule:
    """Return the server in n parts: each worker serves 1/n of the numbers. Two rounds.

    As much traffic as a ring, in messages to everybody. Section: "parameterserver".

    Args:
        n: int >= 1, workers.
        size: int, numbers.
    """
    _check(n, size)
    if n == 1:
        return []
    push, pull = [], []
    for server in range(n):
        start, stop = _part(server, n, size)
        for worker in range(n):
            if worker != server:
                push.append(Send(worker, server, start, stop, True))
                pull.append(Send(server, worker, start, stop, False))
    return [push, pull]


SCHEDULES: dict[str, Callable[[int, int], Schedule]] = {
    "one server": one_server,
    "tree": tree,
    "split server": split_server,
    "ring": ring,
}


def carry_out(schedule: Schedule, arrays: Sequence[np.ndarray]) -> None:
    """Carry out an all-reduce in memory, in place. Section: "parameterserver".

    Args:
        schedule: rounds.
        arrays: (size,) numbers of each worker; afterwards all are the sum.

    Example:
        >>> arrays = [np.array([1.0, 1.0]), np.array([2.0, 2.0])]
        >>> carry_out(ring(2, 2), arrays)
        >>> [a.tolist() for a in arrays]
        [[3.0, 3.0], [3.0, 3.0]]
    """
    for sends in schedule:
        sent = [arrays[s.source][s.start : s.stop].copy() for s in sends]  # all at once
        for send, numbers in zip(sends, sent, strict=True):
            _receive(send, numbers, arrays[send.target])


def traffic(schedule: Schedule, n: int, itemsize: int = 4) -> dict[str, list[int]]:
    """Count bytes: "sent" and "received" of each worker. Section: "parameterserver".

    Args:
        schedule: rounds.
        n: int, workers.
        itemsize: int, bytes of a number.

    Example:
        >>> traffic(ring(4, 40), 4)["sent"]
        [240, 240, 240, 240]
    """
    sent, received = [0] * n, [0] * n
    for send in itertools.chain.from_iterable(schedule):
        sent[send.source] += (send.stop - send.start) * itemsize
        received[send.target] += (send.stop - send.start) * itemsize
    return {"sent": sent, "received": received}


def time_over_sockets(schedule: Schedule, arrays: Sequence[np.ndarray]) -> float:
    """Carry out an all-reduce between threads over sockets, in place; return its seconds.

    Every pair that talks has a connection; bytes go through the kernel, as on a network of one
    machine. Section: "parameterserver".

    Args:
        schedule: rounds.
        arrays: (size,) contiguous numbers of each worker.
    """
    pairs = {(s.source, s.target) for sends in schedule for s in sends}
    ends = {pair: socket.socketpair() for pair in pairs}
    gate = threading.Barrier(len(arrays) + 1)

    def work(worker: int) -> None:
        gate.wait()
        for sends in schedule:
            mine = [s for s in sends if s.source == worker]
            # Sent from copies: what comes in meanwhile must not change what goes out.
            out = [
                (ends[worker, s.target][0], arrays[worker][s.start : s.stop].tobytes())
                for s in mine
            ]
            sender = threading.Thread(target=lambda out=out: [end.sendall(b) for end, b in out])
            sender.start()
            for send in [s for s in sends if s.target == worker]:
                array = arrays[worker]
                room = bytearray((send.stop - send.start) * array.itemsize)
                _read(ends[send.source, worker][1], memoryview(room))
                _receive(send, np.frombuffer(room, array.dtype), array)
            sender.join()

    try:
        with ThreadPoolExecutor(len(arrays)) as pool:
            done = [pool.submit(work, worker) for worker in range(len(arrays))]
            gate.wait()
            start = time.perf_counter()
            for one in done:
                one.result()
            return time.perf_counter() - start
    finally:
        for end in itertools.chain.from_iterable(ends.values()):
            end.close()


def _check(n: int, size: int) -> None:
    if n < 1 or size < 0:
        raise ValueError(
            f"`n` must be at least 1, `size` not negative. Received: n={n}, size={size}."
        )


def _part(i: int, n: int, size: int) -> tuple[int, int]:
    """Return where part i of n begins and ends; sizes differ by one at most."""
    return i * size // n, (i + 1) * size // n


def _receive(send: Send, numbers: np.ndarray, target: np.ndarray) -> None:
    if send.add:
        target[send.start : send.stop] += numbers
    else:
        target[send.start : send.stop] = numbers


def _read(end: socket.socket, view: memoryview) -> None:
    while view:
        view = view[end.recv_into(view) :]
