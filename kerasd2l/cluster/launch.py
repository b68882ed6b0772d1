"""Start the workers of one run on this machine and watch over them: `kerasd2l launch`.

No TensorFlow here. Each worker is a process of its own with TF_CONFIG and a log. When one fails,
the others are ended (they would wait for it for ever), and all start again from the last
checkpoint as long as restarts are left.
"""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from kerasd2l.cluster.namespace import Network, NetworkError
from kerasd2l.cluster.worker import Worker, write

# Endings worth another try, the same numbers as Kubeflow's TFJob but for 1, which is also what the
# survivors of a lost worker end with. Not 2 (usage) and 3 (non-finite loss): they would come again.
RETRYABLE = frozenset({1, 130, 137, 138, 143})

_PROGRAM = (sys.executable, "-m", "kerasd2l.cli")
_POLL = 0.05  # seconds
_GRACE_AFTER_FAILURE = 10.0  # seconds: what may be in the middle of writing a file
NETWORKS = ("isolated", "host")


def launch(
    command: Sequence[str],
    *,
    workers: int,
    env: Mapping[str, str],
    log_dir: Path | None = None,
    max_restarts: int = 0,
    grace: float = 30.0,
    network: str = "isolated",
    servers: int = 0,
    program: Sequence[str] = _PROGRAM,
    stdout: BinaryIO | None = None,
    stderr: BinaryIO | None = None,
) -> int:
    """Run `command` in several worker processes until all have ended.

    Worker 0, the chief, is also on the console; the others are only in their logs. A `train`
    without `--out` gets one, so that the workers share a folder. Ctrl-C, SIGTERM and a hang-up
    become a SIGTERM for all workers, which save and end; a second one kills them. Where the
    launcher itself is killed, Linux kills the workers too. Call it in the main thread.

    Where the command has `--json`, stdout gets one object whatever happens: that of the chief, or
    {"error": in words, "exit_code": int, "worker": rank or null}.

    Args:
        command: arguments of the program, such as ["train", "lenet", "--epochs", "5"].
        workers: int, processes; 1 is a plain run without TF_CONFIG.
        env: the environment of the workers, such as `os.environ`.
        log_dir: folder of worker-0.log, ...; default "logs" in the folder of `--out`.
        max_restarts: int, how often all start again, with `--resume` where the run has begun. Only
            after exit codes 1, 130, 137, 138, 143 and after death by a signal, and never in a
            folder that held a run before (give `--resume` to continue one).
        grace: float, seconds between SIGTERM and SIGKILL. After the failure of a worker at most
            10, since the others cannot go on, and none for a worker that is frozen.
        network: "isolated": several workers get a network of their own where Linux allows it, so
            that nobody else reaches their ports, and they nobody; "host": that of the machine.
        servers: int, parameter servers. With some there is a chief, too, which is process 0; then
            come the workers, then the servers.
        program: the command line in front of `command`.
        stdout: binary stream for the chief's stdout, default ours.
        stderr: binary stream for the chief's stderr and our reports, default ours.

    Returns:
        0; or the exit code of the first worker that failed, 128 + n after signal n; or 130, 143,
        129 after our own SIGINT, SIGTERM, SIGHUP (0 where all workers were done nevertheless).

    Raises:
        ValueError: a number out of range, an empty command.
        OSError: the program cannot be started, the logs cannot be written.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1. Received: workers={workers}.")
    if max_restarts < 0:
        raise ValueError(f"`max_restarts` must not be negative. Received: {max_restarts}.")
    if not grace >= 0:
        raise ValueError(f"`grace` must not be negative (seconds). Received: grace={grace}.")
    if network not in NETWORKS:
        raise ValueError(f"`network` must be isolated or host. Received: network={network!r}.")
    if servers < 0:
        raise ValueError(f"`servers` must not be negative. Received: servers={servers}.")
    command = with_out(command)
    out = _out(command)
    if log_dir is None:
        log_dir = (out or Path()) / "logs"
    log_dir.mkdir(parents=True, exist_ok=True)
    console, err = stdout or sys.stdout.buffer, stderr or sys.stderr.buffer
    out_of_chief = _Held() if "--json" in command else console
    kinds = ["chief"] * bool(servers) + ["worker"] * workers + ["ps"] * servers
    space = _network(network, len(kinds), err)
    try:
        start = _Start(program, kinds, env, log_dir, (out_of_chief, err), space)
        code, group = _attempts(start, command, max_restarts, grace)
    finally:
        space.close()
    if isinstance(out_of_chief, _Held):
        write(console, group.chief_output() if code == 0 else group.failure(code))
    if code and space.isolated and group.speaks_of_downloads():
        group.say(
            "the workers had no network. Let one process fetch the data before "
            "(kerasd2l train ... --dry-run), or give --network host."
        )
    return code


class _Held(io.BytesIO):
    """Stdout of the chief, held back until it is known how all ended."""


@dataclass(frozen=True)
class _Start:
    """What is the same in each attempt."""

    program: Sequence[str]
    kinds: Sequence[str]  # of each process: chief, worker, ps
    env: Mapping[str, str]
    log_dir: Path
    streams: tuple[BinaryIO, BinaryIO]
    network: Network


def _attempts(
    start: _Start, command: list[str], max_restarts: int, grace: float
) -> tuple[int, _Group]:
    """Run the command until it succeeds or no restart is left; return exit code, last group."""
    out = _out(command)
    may_restart = "--resume" in command or not _has_run(out)
    with Signals() as signals:
        for attempt in range(max_restarts + 1):
            if attempt and command[0] == "train" and _has_run(out):
                command = with_resume(command)
            title = f"attempt {attempt + 1} of {max_restarts + 1}"
            group = _Group(start, command, title)
            code = group.run(signals, grace)
            if signals.received:
                done = all(worker.code == 0 for worker in group.workers) and group.workers
                return 0 if done else 128 + signals.received[0], group
            if not code or attempt == max_restarts:
                break
            if not (code in RETRYABLE or group.by_signal):
                group.say(f"not starting again: exit code {code} would come again")
                break
            if not may_restart:
                group.say(f"not starting again: {out} held a run before. Give --resume for that.")
                break
            group.say(f"starting all {len(start.kinds)} again ({attempt + 1} of {max_restarts})")
    return code, group


def _network(wanted: str, workers: int, err: BinaryIO) -> Network:
    """Make the network of the workers; say what it means where others reach it."""
    if workers == 1:  # listens nowhere
        return Network(isolated=False)
    why = "--network host"
    if wanted == "isolated":
        try:
            return Network(isolated=True)
        except NetworkError as error:
            why = f"no network of their own: {error}"
    text = (
        f"launch: warning: the ports of the workers are open to the network ({why}). TensorFlow "
        "asks for no password: who reaches them can read and write your files.\n"
    )
    write(err, text.encode())
    return Network(isolated=False)


def with_out(command: Sequence[str]) -> list[str]:
    """Return the command; a `train` without `--out` gets `--out runs/NAME-TIME`.

    Raises:
        ValueError: the command is empty.
    """
    command = list(command)
    if not command:
        raise ValueError("the command is empty. Give it after --, such as: -- train lenet.")
    if command[0] != "train" or _out(command):
        return command
    name = command[1] if len(command) > 1 and not command[1].startswith("-") else "train"
    name = re.sub(r"[^\w.-]+", "-", name)
    return ["train", "--out", f"runs/{name}-{time.strftime('%Y%m%d-%H%M%S')}", *command[1:]]


def out_of(command: Sequence[str]) -> str | None:
    """Return the value of `--out`, as the command has it."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == "--out" and following:
            return following
        if word.startswith("--out="):
            return word.removeprefix("--out=")
    return None


def with_resume(command: Sequence[str]) -> list[str]:
    """Return the command that goes on from the newest checkpoint, or starts where none is."""
    if "--resume" in command:
        return list(command)
    return [command[0], "--resume", *command[1:]]


def _out(command: Sequence[str]) -> Path | None:
    out = out_of(command)
    return None if out is None else Path(out)


def _has_run(out: Path | None) -> bool:
    return out is not None and (out / "config.json").exists()


class _Group:
    """The workers of one attempt."""

    def __init__(self, start: _Start, command: list[str], title: str):
        self.line, self.title = [*start.program, *command], title
        self.env, self.streams, self.network = start.env, start.streams, start.network
        self.workers = [
            Worker(rank, start.log_dir / f"worker-{rank}.log") for rank in range(len(start.kinds))
        ]
        self.kinds = start.kinds
        self.failed: Worker | None = None
        if isinstance(self.streams[0], _Held):  # what an earlier attempt has said is void
            self.streams[0].seek(0)
            self.streams[0].truncate()

    @property
    def by_signal(self) -> bool:
        return self.failed is not None and self.failed.by_signal

    def chief_output(self) -> bytes:
        """Return what the chief has written to stdout, where that was held back."""
        stream = self.streams[0]
        return stream.getvalue() if isinstance(stream, _Held) else b""

    def failure(self, code: int) -> bytes:
        """Return the JSON object of a run that failed."""
        error = self.failed.error() if self.failed else f"stopped with exit code {code}"
        rank = self.failed.rank if self.failed else None
        return (json.dumps({"error": error, "exit_code": code, "worker": rank}) + "\n").encode()

    def speaks_of_downloads(self) -> bool:
        """Whether the worker that failed did so for want of a network."""
        words = re.compile("download|name resolution|unreachable", re.IGNORECASE)
        return self.failed is not None and bool(words.search(self.failed.tail()))

    def say(self, text: str) -> None:
        """Report to the console."""
        write(self.streams[1], f"launch: {text}\n".encode())

    def run(self, signals: Signals, grace: float) -> int:
        """Run all workers to their end; return 0 or the exit code of the first that failed."""
        try:
            if not signals.received:
                self._start()
            failed = self.failed = self._wait(signals)
            if failed is not None:
                self.say(f"worker {failed.rank} {failed.how()}; ending the others")
                grace = min(grace, _GRACE_AFTER_FAILURE)
            self._end(signals, grace)
        finally:  # also when something above has raised
            for worker in self.workers:
                worker.send(signal.SIGKILL)
            for worker in self.workers:
                if worker.process:
                    worker.process.wait()
                worker.close()
        if failed is None:
            return 0
        self.say(f"the last lines of {failed.log}:\n{failed.tail()}")
        return failed.code or 0

    def _start(self) -> None:
        tasks = _tf_configs(self.kinds)
        for worker, task in zip(self.workers, tasks, strict=True):
            env = {key: value for key, value in self.env.items() if key != "TF_CONFIG"}
            in_child = self.network.in_child()
            worker.start(self.line, env | task, self.title, worker.rank == 0, in_child)
        for worker in self.workers:  # threads only after the last fork
            worker.copy(*self.streams)

    def _wait(self, signals: Signals) -> Worker | None:
        """Wait until all are done (None), one has failed (which), or a signal has come (None)."""
        while not signals.received:
            codes = {worker.rank: worker.code for worker in self.workers}
            failed = [worker for worker in self.workers if codes[worker.rank]]
            if failed:  # of several at once, the one that says more, or was the first
                return min(failed, key=lambda w: (codes[w.rank] in RETRYABLE, not w.by_signal))
            if all(code == 0 for code in codes.values()):
                return None
            time.sleep(_POLL)
        return None

    def _end(self, signals: Signals, grace: float) -> None:
        """SIGTERM to those that still run, and SIGKILL after the grace or at a second signal."""
        before, until = len(signals.received), time.monotonic() + grace
        for worker in self.workers:
            worker.send(signal.SIGKILL if self.failed and worker.frozen else signal.SIGTERM)
        while any(w.process and w.code is None for w in self.workers):
            if time.monotonic() >= until or len(signals.received) > max(before, 1):
                left = [str(w.rank) for w in self.workers if w.process and w.code is None]
                self.say(f"killing worker {', '.join(left)}, which did not end on SIGTERM")
                return
            time.sleep(_POLL)


class Signals:
    """Notes SIGINT, SIGTERM and SIGHUP while it is entered (in the main thread only)."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.stack = ExitStack()

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is None or signal.getsignal(number) == signal.SIG_IGN:  # nohup
                    continue
                self.stack.callback(signal.signal, number, signal.signal(number, self._note))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stack.close()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)


def _tf_configs(kinds: Sequence[str]) -> list[dict[str, str]]:
    """Return what each process' environment gets: TF_CONFIG with free ports; nothing for one."""
    if len(kinds) == 1:
        return [{}]
    cluster: dict[str, list[str]] = {}
    tasks = []
    with ExitStack() as stack:
        for kind in kinds:
            sock = stack.enter_context(socket.socket())
            sock.bind(("", 0))  # free on all interfaces, as gRPC will want it
            addresses = cluster.setdefault(kind, [])
            tasks.append({"type": kind, "index": len(addresses)})
            addresses.append(f"127.0.0.1:{sock.getsockname()[1]}")
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]
