"""`kerasd2l serve` as a process: started, asked for its memory, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECONDS_TO_START = 120.0
SECONDS_TO_STOP = 40.0


@dataclass
class Server:
    """A server that is ready.

    Args:
        process: the front process.
        http: "http://127.0.0.1:PORT".
        grpc: "127.0.0.1:PORT".
        log: the lines that it wrote to stderr so far.
    """

    process: subprocess.Popen
    http: str
    grpc: str
    log: list[str] = field(default_factory=list, repr=False)

    @property
    def port(self) -> int:
        """The port of HTTP."""
        return int(self.http.rpartition(":")[2])

    def model_process(self) -> int | None:
        """Return the process id of the process with the models, or None while there is none.

        It is the one child of the front that is no helper of Python's (a resource tracker).
        """
        children = [pid for pid in _children(self.process.pid) if not _is_tracker(pid)]
        return max(children, key=resident, default=None)

    def memory(self) -> dict[str, float]:
        """Return megabytes that are resident: of the front, and of the process with the models."""
        worker = self.model_process()
        return {
            "front": resident(self.process.pid),
            "models": resident(worker) if worker else 0.0,
        }

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each of the two processes has taken so far."""
        worker = self.model_process()
        pids = {"front": self.process.pid, "models": worker}
        return {name: _cpu_seconds(pid) if pid else 0.0 for name, pid in pids.items()}


@contextlib.contextmanager
def serving(folder: Path, *options: str, threads: int | None = None) -> Iterator[Server]:
    """Start `kerasd2l serve FOLDER` on free ports; stop it with SIGTERM.

    Args:
        folder: of the models.
        options: of the command, such as "--batching", "off".
        threads: int, of TensorFlow. Default: its own choice.

    Raises:
        RuntimeError: it does not start, or does not stop with exit code 0; with what it logged.
    """
    words = [sys.executable, "-m", "kerasd2l.cli", "serve", str(folder)]
    words += ["--port", "0", "--grpc-port", "0", "--json", *options]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if threads:
        environment |= {"TF_NUM_INTRAOP_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    log: list[str] = []
    reader = threading.Thread(target=_keep, args=(process, log), daemon=True)
    reader.start()
    watch = threading.Timer(SECONDS_TO_START, process.kill)
    watch.start()
    try:
        line = process.stdout.readline() if process.stdout else ""
        watch.cancel()
        if not line:
            process.wait()
            reader.join()
            raise RuntimeError(f"{' '.join(words)} did not start:\n" + "".join(log[-30:]))
        told = json.loads(line)
        yield Server(process, told["http"], told["grpc"], log)
    finally:
        watch.cancel()
        running = process.poll() is None
        code = _stop(process)
    if not running or code != 0:
        state = "stopped" if running else "ended by itself"
        raise RuntimeError(f"the server {state} with exit code {code}:\n" + "".join(log[-30:]))


def resident(pid: int) -> float:
    """Return the megabytes of a process that are in memory; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _stop(process: subprocess.Popen) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        for pid in [*_children(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return process.wait()


def _keep(process: subprocess.Popen, log: list[str]) -> None:
    """Read what the server logs, or it would wait for a reader; the last 2,000 lines are kept."""
    for line in process.stderr or ():
        log.append(line)
        del log[:-2000]


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _is_tracker(pid: int) -> bool:
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
