"""One worker process of the local launcher: its log, its signals, its ending in words."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO


class Worker:
    """One process, its log, and the threads that copy the chief's output."""

    def __init__(self, rank: int, log: Path):
        self.rank, self.log = rank, log
        self.process: subprocess.Popen | None = None
        self.log_start = 0
        self.threads: list[threading.Thread] = []

    def start(
        self,
        line: list[str],
        env: dict[str, str],
        title: str,
        echo: bool,
        in_child: Callable[[], None] | None = None,
    ) -> None:
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
                preexec_fn=in_child,
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

    @property
    def frozen(self) -> bool:
        """Whether it is stopped, as by SIGSTOP (on Linux): it hears nothing but SIGKILL."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text() if self.process else ""
        except OSError:
            return False
        return ") T " in stat

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

    def lines(self) -> list[str]:
        """Return the last part of the log of this attempt, by lines."""
        with open(self.log, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self.log_start, end - 64 * 1024))
            text = file.read().decode("utf8", errors="replace")
        return text.splitlines()

    def tail(self, count: int = 10) -> str:
        """Return the last lines of the log of this attempt, for a person."""
        return "\n".join(f"  | {line}" for line in self.lines()[-count:])

    def error(self) -> str:
        """Return how it ended, and the error that it said itself."""
        said = [line for line in self.lines() if line.startswith("Error: ")]
        return f"worker {self.rank} {self.how()}" + (f". {said[-1]}" if said else "")


def _copy(source: IO[bytes], target: BinaryIO, log: Path) -> None:
    """Copy until the end of `source`, even if the console is gone."""
    with source, open(log, "ab", buffering=0) as file:
        while data := source.read(64 * 1024):
            file.write(data)
            write(target, data)


def write(target: BinaryIO, data: bytes) -> None:
    """Write to a stream that may be gone."""
    try:
        target.write(data)
        target.flush()
    except (OSError, ValueError):  # a closed pipe or file
        return
