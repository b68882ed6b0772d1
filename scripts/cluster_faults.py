"""Rounds of faults on two local workers: how they end, and what --resume makes of it.

python scripts/cluster_faults.py --rounds 20

In each round two processes train by TF_CONFIG, one of them is killed, frozen, late, or has no port;
then both are started again with --resume. The weights must equal those of a run without faults.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

FAULTS = {  # name -> the worker that it befalls, the signal that it gets
    "kill-chief": (0, signal.SIGKILL),
    "kill-worker": (1, signal.SIGKILL),
    "freeze-chief": (0, signal.SIGSTOP),
    "freeze-worker": (1, signal.SIGSTOP),
    "port-taken": (1, None),
    "late-worker": (1, None),
}
TRAIN = "train mlp --data builtin --batch-size 126 --seed 2 --checkpoint-seconds 0".split()


class Workers:
    """Two processes that train together, and what they say."""

    def __init__(self, out: Path, addresses: list[str], words: list[str], late: float = 0.0):
        stamp = time.time_ns()
        self.logs = [out.with_suffix(f".{stamp}.{rank}.log") for rank in range(2)]
        self.processes = []
        for rank, log in enumerate(self.logs):
            time.sleep(late * rank)
            task = {"type": "worker", "index": rank}
            config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            line = [sys.executable, "-m", "kerasd2l.cli", *words, "--out", str(out)]
            with open(log, "wb") as file:
                process = subprocess.Popen(
                    line, env={**os.environ, "TF_CONFIG": config}, stdout=file, stderr=file
                )
            self.processes.append(process)

    def until_epoch(self, number: int) -> None:
        """Wait until both have trained an epoch."""
        while not all(f"epoch {number}/" in log.read_text(errors="replace") for log in self.logs):
            for rank, process in enumerate(self.processes):
                if process.poll() is not None:
                    raise click.ClickException(f"worker {rank} ended: {self.logs[rank]}")
            time.sleep(0.02)

    def ended(self, ranks: list[int], seconds: float = 120.0) -> dict[int, int]:
        """Wait for some of them; return the exit codes of those that end in time."""
        until = time.monotonic() + seconds
        self.told: dict[int, float] = {}  # when each had written an error
        while True:
            codes = {rank: self.processes[rank].poll() for rank in ranks}
            for rank in ranks:
                if rank not in self.told and "\nError: " in self.logs[rank].read_text(
                    "utf8", "replace"
                ):
                    self.told[rank] = time.monotonic()
            if None not in codes.values() or time.monotonic() > until:
                return {
                    rank: 128 - code if code < 0 else code
                    for rank, code in codes.items()
                    if code is not None
                }
            time.sleep(0.02)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def free_addresses() -> list[str]:
    """Return two addresses of this machine that nobody has."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for sock in sockets:
            sock.bind(("", 0))
        return [f"127.0.0.1:{sock.getsockname()[1]}" for sock in sockets]


def one_round(fault: str, folder: Path, words: list[str], epochs: int) -> dict[str, Any]:
    """Let one thing go wrong; return exit codes, seconds to the error, and whether it was named."""
    rank, number = FAULTS[fault]
    addresses, out = free_addresses(), folder / f"{fault}-{time.time_ns()}"
    with ExitStack() as stack:
        if fault == "port-taken":
            port = int(addresses[1].rpartition(":")[2])
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        workers = Workers(out, addresses, words, late=5.0 if fault == "late-worker" else 0.0)
        stack.callback(workers.kill)
        if number is not None:
            workers.until_epoch(random.randrange(1, epochs - 1))
            time.sleep(random.uniform(0, 0.3))
            workers.processes[rank].send_signal(number)
        begin = time.monotonic()
        survivors = [0, 1] if number is None else [1 - rank]
        ends = workers.ended(survivors)
        end = time.monotonic()
    log = workers.logs[0 if number is None else survivors[0]].read_text(errors="replace")
    named = any(addresses[rank] in line for line in log.splitlines() if line.startswith("Error"))
    if fault == "late-worker":
        if ends != {0: 0, 1: 0}:
            raise click.ClickException(f"{fault}: it ended with {ends}: {workers.logs}")
    else:
        resume = ["--resume"] if (out / "config.json").exists() else []
        again = Workers(out, free_addresses(), [*words, *resume])
        codes = again.ended([0, 1], 600.0)
        again.kill()
        if codes != {0: 0, 1: 0}:
            raise click.ClickException(f"{fault}: the restart ended with {codes}: {again.logs}")
    return {
        "codes": ends,
        "seconds": max(workers.told.values(), default=begin) - begin,
        "seconds_to_end": end - begin,
        "named": named,
        "hung": len(survivors) - len(ends),
        "out": out,
    }


def difference(one: Path, other: Path) -> float:
    """Return the largest difference of two runs' weights."""
    import keras
    import numpy as np

    a, b = (keras.saving.load_model(path / "model.keras", compile=False) for path in (one, other))
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    return max(float(np.abs(x - y).max()) for x, y in pairs)


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--fault", "faults", multiple=True, type=click.Choice(list(FAULTS)))
@click.option("--epochs", type=click.IntRange(min=3), default=30, show_default=True)
@click.option(
    "--timeout",
    type=float,
    default=20.0,
    show_default=True,
    help="--rendezvous-timeout of the workers; a busy machine takes as long to import TensorFlow.",
)
def main(rounds: int, faults: tuple[str, ...], epochs: int, timeout: float) -> None:
    """Do ROUNDS of each fault in turns, and print a row for each kind."""
    words = [*TRAIN, "--epochs", str(epochs), "--rendezvous-timeout", str(timeout)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = Workers(folder / "whole", free_addresses(), words)
        codes = whole.ended([0, 1], 600.0)
        if codes != {0: 0, 1: 0}:
            raise click.ClickException(f"the run without faults ended with {codes}")
        done: dict[str, list[dict[str, Any]]] = {fault: [] for fault in faults or FAULTS}
        try:
            for _ in range(rounds):
                for fault, ends in done.items():
                    one = one_round(fault, folder, words, epochs)
                    one["difference"] = difference(folder / "whole", one["out"])
                    ends.append(one)
                    click.echo(f"{fault}: {one}", err=True)
        finally:  # also of those that were done before Ctrl-C
            for fault, ends in done.items():
                if ends:
                    click.echo(row(fault, ends))


def row(fault: str, done: list[dict[str, Any]]) -> str:
    """Say what the rounds of one fault have in common."""
    seconds = [one["seconds"] for one in done]
    last = max(one["seconds_to_end"] for one in done)
    codes = {json.dumps(one["codes"]) for one in done}
    return (
        f"{fault}: {len(done)} rounds, exit codes {' or '.join(sorted(codes))}, "
        f"error after {statistics.median(seconds):.1f} s (at most {max(seconds):.1f}), end "
        f"after {last:.1f} s at most, named in "
        f"{sum(one['named'] for one in done)}, hung {sum(one['hung'] for one in done)}, "
        f"weights differ by {max(one['difference'] for one in done):g}"
    )


if __name__ == "__main__":
    main()
