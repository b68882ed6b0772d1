"""What a Ray worker does: run `kerasd2l train` in a process of its own, and tell how it goes.

Ray Train runs its function in a thread, where no signal arrives, and keeps the process for other
work; TensorFlow wants a process for itself. The process dies with the worker.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ray
from ray.train.backend import Backend, BackendConfig

from kerasd2l.cluster.jobs import Job
from kerasd2l.cluster.launch import RETRYABLE

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
        self.codes: dict[int, int] = {}
        self.failures: list[tuple[int, int]] = []

    async def begin(self) -> None:
        """Count a start of all workers."""
        self.attempt += 1
        self.codes, self.failures = {}, []

    async def write(self, stream: str, data: bytes) -> None:
        """Take output: stream is "stdout" or "stderr"."""
        self.lines.append((stream, data))
        self.news.set()

    async def read(self, seconds: float) -> list[tuple[str, bytes]]:
        """Return the output since the last time; wait for some."""
        try:
            await asyncio.wait_for(self.news.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        self.news.clear()
        lines, self.lines = self.lines, []
        return lines

    async def stop(self) -> None:
        """Tell all workers to save and end."""
        self.stopped = True

    async def is_stopped(self) -> bool:
        return self.stopped

    async def ended(self, rank: int, code: int) -> None:
        """Note the exit code of a worker; the first failure is the one that counts."""
        self.codes[rank] = code
        if code:
            self.failures.append((rank, code))

    async def endings(self) -> tuple[dict[int, int], list[tuple[int, int]], int]:
        """Return exit codes by rank, failures in their order, and the number of starts."""
        return self.codes, self.failures, self.attempt


@dataclass
class Workers(BackendConfig):
    """Gives every worker its TF_CONFIG, as Ray's TensorFlow backend does, but without Keras 2."""

    board: Any = None

    @property
    def backend_cls(self) -> type[Backend]:
        return _Workers


class _Workers(Backend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        ray.get(backend_config.board.begin.remote())
        addresses: list[str] = []
        while len(set(addresses)) < len(worker_group):  # two on one machine may get the same port
            addresses = worker_group.execute(_free_address)
        for rank in range(len(worker_group)):
            task = {"type": "worker", "index": rank}
            config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            alone = len(worker_group) == 1
            worker_group.execute_single(
                rank, _set_environment, {"TF_CONFIG": "" if alone else config}
            )


def train(config: Mapping[str, Any]) -> None:
    """Run the training of one worker to its end; Ray Train calls it in every worker.

    Args:
        config: "job", "board", "folder" (where the launcher was started), "logs", "token" (a folder
            there, which all must see), "env".

    Raises:
        WorkerFailed: Ray starts all workers again.
    """
    context = ray.train.get_context()
    rank, board, job = context.get_world_rank(), config["board"], config["job"]
    logs = Path(config["logs"])
    if not (logs / config["token"]).exists():
        node = ray.util.get_node_ip_address()
        said = (
            f"launch: worker {rank} on {node} does not see {logs}: --out must be on a disk that "
            "all nodes share.\n"
        )
        ray.get(board.write.remote("stderr", said.encode()))
        _end(board, rank, 1)
        ray.get(board.stop.remote())
        return
    os.environ.update(config["env"])
    code = _Child(rank, board, job, logs, config["folder"]).run()
    _end(board, rank, code)
    if not code or ray.get(board.is_stopped.remote()):
        return
    if code not in RETRYABLE and code < 128:
        text = f"launch: worker {rank}: exit code {code} would come again; ending the others\n"
        ray.get(board.write.remote("stderr", text.encode()))
        ray.get(board.stop.remote())
        return
    raise WorkerFailed(f"worker {rank} ended with exit code {code}")


def _end(board: Any, rank: int, code: int) -> None:
    ray.get(board.ended.remote(rank, code))


class _Child:
    """The process of the training, its log, and for worker 0 the way to the console."""

    def __init__(self, rank: int, board: Any, job: Job, logs: Path, folder: str):
        self.rank, self.board = rank, board
        self.log = logs / f"worker-{rank}.log"
        self.folder = folder if Path(folder).is_dir() else None
        attempt = ray.get(board.endings.remote())[2]
        words = job.with_resume() if attempt > 1 else job.command
        self.line = [sys.executable, "-m", "kerasd2l.cli", *words]
        self.title = f"attempt {attempt} of {job.max_restarts + 1}"

    def run(self) -> int:
        """Return the exit code, 128 + n after death by signal n."""
        with open(self.log, "ab", buffering=0) as log:
            place = f"worker {self.rank} on {ray.util.get_node_ip_address()}"
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            header = f"=== {place}, {self.title}, {stamp}: {' '.join(self.line)}\n"
            log.write(header.encode())
            target = subprocess.PIPE if self.rank == 0 else log
            process = subprocess.Popen(
                self.line,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=target,
                bufsize=0,
                preexec_fn=_dies_with_parent(),
            )
            streams = (("stdout", process.stdout), ("stderr", process.stderr))
            threads = [
                threading.Thread(target=self._copy, args=(name, source, log), daemon=True)
                for name, source in streams
                if source
            ]
            for thread in threads:
                thread.start()
            self._wait(process)
            for thread in threads:
                thread.join(timeout=5.0)
        code = process.returncode
        return 128 - code if code < 0 else code

    def _wait(self, process: subprocess.Popen) -> None:
        told = False
        while process.poll() is None:
            time.sleep(_POLL)
            if not told and ray.get(self.board.is_stopped.remote()):
                process.send_signal(signal.SIGTERM)
                told = True

    def _copy(self, name: str, source: IO[bytes], log: IO[bytes]) -> None:
        while data := source.read(64 * 1024):
            log.write(data)
            ray.get(self.board.write.remote(name, data))


def _free_address() -> str:
    """Return this machine's address and a port that is free on it."""
    with socket.socket() as sock:
        sock.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{sock.getsockname()[1]}"


def _set_environment(env: Mapping[str, str]) -> None:
    os.environ.update(env)


def _dies_with_parent() -> Callable[[], None] | None:
    """Return what makes a child die with the worker, however that ends; None but on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    prctl: Any = ctypes.CDLL(None).prctl
    numbers: Sequence[Any] = [ctypes.c_ulong(number) for number in (1, signal.SIGKILL, 0, 0, 0)]
    return lambda: prctl(*numbers)  # PR_SET_PDEATHSIG
