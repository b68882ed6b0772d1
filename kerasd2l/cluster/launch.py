"""Start the workers of one run on this machine and watch over them: `kerasd2l launch`.

No TensorFlow here. Each worker is a process of its own with TF_CONFIG and a log. When one fails,
the others are ended (they would wait for it for ever), and all start again from the last
checkpoint as long as restarts are left.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import IO, Any, BinaryIO

# Endings worth another try, the same numbers as Kubeflow's TFJob but for 1, which is also what the
# survivors of a lost worker end with. Not 2 (usage) and 3 (non-finite loss): they would come again.
RETRYABLE = frozenset({1, 130, 137, 138, 143})

_PROGRAM = (sys.executable, "-m", "kerasd2l.cli")
_POLL = 0.05  # seconds


def launch(
    command: Sequence[str],
    *,
    workers: int,
    env: Mapping[str, str],
    log_dir: Path | None = None,
    max_restarts: int = 0,
    grace: float = 30.0,
    program: Sequence[str] = _PROGRAM,
    stdout: BinaryIO | None = None,
    stderr: BinaryIO | None = None,
) -> int:
    """Run `command` in several worker processes until all have ended.

    Worker 0, the chief, is also on the console; the others are only in their logs. A `train`
    without `--out` gets one, so that the workers share a folder. Ctrl-C, SIGTERM and a hang-up
    become a SIGTERM for all workers, which save and end; a second one kills them. Where the
    launcher itself is killed, Linux kills the workers too. Call it in the main thread.

    Args:
        command: arguments of the program, such as ["train", "lenet", "--epochs", "5"].
        workers: int, processes; 1 is a plain run without TF_CONFIG.
        env: the environment of the workers, such as `os.environ`.
        log_dir: folder of worker-0.log, ...; default "logs" in the folder of `--out`.
        max_restarts: int, how often all start again, with `--resume` where the run has begun. Only
            after exit codes 1, 130, 137, 138, 143 and after death by a signal, and never in a
            folder that held a run before (give `--resume` to continue one).
        grace: float, seconds between SIGTERM and SIGKILL.
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
    command = with_out(command)
    out = _out(command)
    if log_dir is None:
        log_dir = (out or Path()) / "logs"
    log_dir.mkdir(parents=True, exist_ok=True)
    streams = (stdout or sys.stdout.buffer, stderr or sys.stderr.buffer)
    may_restart = "--resume" in command or not _has_run(out)
    with _Signals() as signals:
        for attempt in range(max_restarts + 1):
            if attempt and command[0] == "train" and _has_run(out) and "--resume" not in command:
                command = [command[0], "--resume", *command[1:]]
            title = f"attempt {attempt + 1} of {max_restarts + 1}"
            group = _Group([*program, *command], workers, env, log_dir, title, streams)
            code = group.run(signals, grace)
            if signals.received:
                done = all(worker.code == 0 for worker in group.workers) and group.workers
                return 0 if done else 128 + signals.received[0]
            if not code or attempt == max_restarts:
                return code
            if not (code in RETRYABLE or group.by_signal):
                group.say(f"not starting again: exit code {code} would come again")
                return code
            if not may_restart:
                group.say(f"not starting again: {out} held a run before. Give --resume for that.")
                return code
            group.say(f"starting all {workers} again ({attempt + 1} of {max_restarts})")
    return code


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


def _out(command: Sequence[str]) -> Path | None:
    """Return the value of `--out`."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == "--out" and following:
            return Path(following)
        if word.startswith("--out="):
            return Path(word.removeprefix("--out="))
    return None


def _has_run(out: Path | None) -> bool:
    return out is not None and (out / "config.json").exists()


class _Worker:
    """One process, its log, and the threads that copy the chief's output."""

    def __init__(self, rank: int, log: Path):
        self.rank, self.log = rank, log
        self.process: subprocess.Popen | None = None
        self.log_start = 0
        self.threads: list[threading.Thread] = []

    def start(self, line: list[str], env: dict[str, str], title: str, echo: bool) -> None:
        """Start the process; `echo` makes pipes of its output for `copy`."""
        with open(self.log, "ab") as log:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            log.write(f"=== worker {self.rank}, {title}, {stamp}: {' '.join(line)}\n".encode())
            log.flush()
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                line,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if echo else log,
                stderr=subprocess.PIPE if echo else log,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C of the terminal comes by us, once
                preexec_fn=_dies_with_parent(),
            )

    def copy(self, stdout: BinaryIO, stderr: BinaryIO) -> None:
        """Copy the output of the process to our streams and to the log, until it ends."""
        if self.process is None or self.process.stdout is None:
            return
        for source, target in ((self.process.stdout, stdout), (self.process.stderr, stderr)):
            thread = threading.Thread(target=_copy, args=(source, target, self.log), daemon=True)
            self.threads.append(thread)
            thread.start()

    @property
    def code(self) -> int | None:
        """The exit code, 128 + n after death by signal n, None while it runs."""
        code = self.process.poll() if self.process else None
        return 128 - code if code is not None and code < 0 else code

    @property
    def by_signal(self) -> bool:
        return self.process is not None and (self.process.poll() or 0) < 0

    def how(self) -> str:
        """Return how it ended, in words."""
        if not self.by_signal or self.code is None:
            return f"ended with exit code {self.code}"
        try:
            return f"was killed by {signal.Signals(self.code - 128).name}"
        except ValueError:
            return f"was killed by signal {self.code - 128}"

    def send(self, number: int) -> None:
        """Send a signal; SIGKILL goes to the children of the worker too."""
        if self.process is None or self.process.poll() is not None:
            return
        try:
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
        except ProcessLookupError:
            return

    def close(self) -> None:
        """Wait for the last output; a grandchild that keeps the pipe open is not waited for."""
        for thread in self.threads:
            thread.join(timeout=2.0)

    def tail(self, lines: int = 10) -> str:
        """Return the last lines of the log of this attempt."""
        with open(self.log, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self.log_start, end - 64 * 1024))
            text = file.read().decode("utf8", errors="replace")
        return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:])


class _Group:
    """The workers of one attempt."""

    def __init__(
        self,
        line: list[str],
        workers: int,
        env: Mapping[str, str],
        log_dir: Path,
        title: str,
        streams: tuple[BinaryIO, BinaryIO],
    ):
        self.line, self.env, self.title, self.streams = line, env, title, streams
        self.workers = [_Worker(rank, log_dir / f"worker-{rank}.log") for rank in range(workers)]
        self.by_signal = False

    def say(self, text: str) -> None:
        """Report to the console."""
        _write(self.streams[1], f"launch: {text}\n".encode())

    def run(self, signals: _Signals, grace: float) -> int:
        """Run all workers to their end; return 0 or the exit code of the first that failed."""
        try:
            if not signals.received:
                self._start()
            failed = self._wait(signals)
            if failed is not None:
                self.say(f"worker {failed.rank} {failed.how()}; ending the others")
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
        self.by_signal = failed.by_signal
        self.say(f"the last lines of {failed.log}:\n{failed.tail()}")
        return failed.code or 0

    def _start(self) -> None:
        tasks = _tf_configs(len(self.workers))
        for worker, task in zip(self.workers, tasks, strict=True):
            env = {key: value for key, value in self.env.items() if key != "TF_CONFIG"}
            worker.start(self.line, env | task, self.title, echo=worker.rank == 0)
        for worker in self.workers:  # threads only after the last fork
            worker.copy(*self.streams)

    def _wait(self, signals: _Signals) -> _Worker | None:
        """Wait until all are done (None), one has failed (which), or a signal has come (None)."""
        while not signals.received:
            codes = {worker.rank: worker.code for worker in self.workers}
            failed = [worker for worker in self.workers if codes[worker.rank]]
            if failed:  # of several at once, the one that says more
                return min(failed, key=lambda worker: codes[worker.rank] in RETRYABLE)
            if all(code == 0 for code in codes.values()):
                return None
            time.sleep(_POLL)
        return None

    def _end(self, signals: _Signals, grace: float) -> None:
        """SIGTERM to those that still run, and SIGKILL after the grace or at a second signal."""
        before, until = len(signals.received), time.monotonic() + grace
        for worker in self.workers:
            worker.send(signal.SIGTERM)
        while any(w.process and w.code is None for w in self.workers):
            if time.monotonic() >= until or len(signals.received) > max(before, 1):
                left = [str(w.rank) for w in self.workers if w.process and w.code is None]
                self.say(f"killing worker {', '.join(left)}, which did not end on SIGTERM")
                return
            time.sleep(_POLL)


class _Signals:
    """Notes SIGINT, SIGTERM and SIGHUP while it is entered (in the main thread only)."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.stack = ExitStack()

    def __enter__(self) -> _Signals:
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


def _tf_configs(workers: int) -> list[dict[str, str]]:
    """Return what each worker's environment gets: TF_CONFIG with free ports; nothing for one."""
    if workers == 1:
        return [{}]
    with ExitStack() as stack:
        addresses = []
        for _ in range(workers):
            sock = stack.enter_context(socket.socket())
            sock.bind(("", 0))  # free on all interfaces, as gRPC will want it
            addresses.append(f"127.0.0.1:{sock.getsockname()[1]}")
    cluster = {"worker": addresses}
    tasks = [{"type": "worker", "index": index} for index in range(workers)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def _dies_with_parent() -> Callable[[], None] | None:
    """Return what makes a child die with the launcher, however that ends; None but on Linux.

    SIGKILL: a worker that waits in TensorFlow for another is deaf to SIGTERM.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        prctl: Any = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    numbers = [ctypes.c_ulong(number) for number in (1, signal.SIGKILL, 0, 0, 0)]
    parent = os.getpid()

    def in_child() -> None:
        prctl(*numbers)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before this line
            os._exit(137)

    return in_child


def _copy(source: IO[bytes], target: BinaryIO, log: Path) -> None:
    """Copy until the end of `source`, even if the console is gone."""
    with source, open(log, "ab", buffering=0) as file:
        while data := source.read(64 * 1024):
            file.write(data)
            _write(target, data)


def _write(target: BinaryIO, data: bytes) -> None:
    try:
        target.write(data)
        target.flush()
    except (OSError, ValueError):  # a closed pipe or file
        return
