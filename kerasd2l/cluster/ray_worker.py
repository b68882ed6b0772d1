"""What a Ray worker does: run `kerasd2l train` in a process of its own, and tell how it goes.

Ray Train runs its function in a thread, where no signal arrives, and keeps the process for other
work; TensorFlow wants a process for itself. The process dies with the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import ray
from ray.train import get_context
from ray.train.backend import Backend, BackendConfig

from kerasd2l.cluster.launch import RETRYABLE
from kerasd2l.cluster.namespace import Network
from kerasd2l.cluster.worker import Worker

_POLL = 0.5  # seconds


class WorkerFailed(RuntimeError):
    """The training of a worker ended with a code that another try may mend."""


class Board:
    """The actor beside the launcher: what workers say, what they are told, how they ended.

    Its methods run one after the other, on one event loop.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes]] = []
        self.news = asyncio.Event()
        self.stopped = False
        self.attempt = 0
        self.addresses: list[str] = []
        self.codes: dict[int, int] = {}
        self.failures: list[tuple[int, int, str]] = []

    async def begin(self, addresses: list[str]) -> None:
        """Note a start of all workers, and the address of each."""
        self.attempt += 1
        self.addresses, self.codes, self.failures = addresses, {}, []
        await self.write("begin", b"")

    async def begun(self) -> tuple[int, list[str]]:
        """Return which start this is, from 1, and the addresses by rank."""
        return self.attempt, self.addresses

    async def write(self, stream: str, data: bytes) -> None:
        """Take output: stream is "stdout" or "stderr"; "begin" where all start."""
        self.lines.append((stream, data))
        self.news.set()

    async def read(self, seconds: float) -> list[tuple[str, bytes]]:
        """Return the output since the last time; wait for some."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.news.wait(), seconds)
        self.news.clear()
        lines, self.lines = self.lines, []
        return lines

    async def stop(self) -> None:
        """Tell all workers to save and end."""
        self.stopped = True

    async def is_stopped(self) -> bool:
        return self.stopped

    async def ended(self, rank: int, code: int, said: str) -> None:
        """Note the exit code of a worker, and how it ended in words; the first failure counts."""
        self.codes[rank] = code
        if code:
            self.failures.append((rank, code, said))

    async def endings(self) -> tuple[dict[int, int], list[tuple[int, int, str]]]:
        """Return exit codes by rank, and the failures in their order."""
        return self.codes, self.failures


@dataclass
class Workers(BackendConfig):
    """Finds an address for every worker, as Ray's TensorFlow backend does."""

    board: Any = None

    @property
    def backend_cls(self) -> type[Backend]:
        return _Workers


class _Workers(Backend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        addresses: list[str] = []
        while len(set(addresses)) < len(worker_group):  # two on one machine may get the same port
            addresses = worker_group.execute(_free_address)
        ray.get(backend_config.board.begin.remote(addresses))


def train(config: Mapping[str, Any]) -> None:
    """Run the training of one worker to its end; Ray Train calls it in every worker.

    Args:
        config: "job", "board", "folder" (where the launcher was started), "logs", "token" (a folder
            there, which all must see), "env".

    Raises:
        WorkerFailed: Ray starts all workers again.
    """
    rank = get_context().get_world_rank()
    board, job, logs = config["board"], config["job"], Path(config["logs"])
    if not (logs / config["token"]).exists():
        text = (
            f"worker {rank} on {ray.util.get_node_ip_address()} does not see {logs}: --out must "
            "be on a disk that all nodes share"
        )
        _end_all(board, rank, 1, text)
        return
    if Path(config["folder"]).is_dir():  # for other paths in the command
        os.chdir(config["folder"])
    attempt, addresses = ray.get(board.begun.remote())
    task = {"type": "worker", "index": rank}
    tf_config = {"cluster": {"worker": addresses}, "task": task} if job.workers > 1 else {}
    worker = Worker(rank, logs / f"worker-{rank}.log")
    worker.start(
        [
            sys.executable,
            "-m",
            "kerasd2l.cli",
            *(job.with_resume() if attempt > 1 else job.command),
        ],
        {**os.environ, **config["env"], "TF_CONFIG": json.dumps(tf_config)},
        f"attempt {attempt} of {job.max_restarts + 1}, on {ray.util.get_node_ip_address()}",
        echo=rank == 0,
        in_child=Network(isolated=False).in_child(),
    )
    worker.copy(*(cast(BinaryIO, _Stream(board, name)) for name in ("stdout", "stderr")))
    code = _wait(worker, board)
    if not code or ray.get(board.is_stopped.remote()):
        ray.get(board.ended.remote(rank, code, worker.error()))
    elif code in RETRYABLE or worker.by_signal:
        ray.get(board.ended.remote(rank, code, worker.error()))
        raise WorkerFailed(worker.error())
    else:
        _end_all(board, rank, code, worker.error())


def _wait(worker: Worker, board: Any) -> int:
    """Wait for the end of the process, which is told to save when all are; return its code."""
    told = False
    while worker.code is None:
        time.sleep(_POLL)
        if not told and ray.get(board.is_stopped.remote()):
            worker.send(signal.SIGTERM)
            told = True
    worker.close()
    return worker.code


def _end_all(board: Any, rank: int, code: int, said: str) -> None:
    """End the other workers too, and do not try again."""
    text = f"launch: {said}; ending the others, since it would come again\n"
    ray.get(board.write.remote("stderr", text.encode()))
    ray.get(board.ended.remote(rank, code, said))
    ray.get(board.stop.remote())


class _Stream(io.RawIOBase):
    """A stream whose other end is the console of the launcher."""

    def __init__(self, board: Any, name: str):
        self.board, self.name_there = board, name

    def write(self, data: Any) -> int:
        ray.get(self.board.write.remote(self.name_there, bytes(data)))
        return len(data)


def _free_address() -> str:
    """Return this machine's address and a port that is free on it."""
    with socket.socket() as sock:
        sock.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{sock.getsockname()[1]}"
