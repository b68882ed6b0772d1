"""A second process that watches while TensorFlow starts: it can end what TensorFlow holds.

`MultiWorkerMirroredStrategy()` holds Python's lock until all workers are connected. A peer that
died or froze after its port had answered (`meeting`) would block it for ever, deaf to all but
SIGKILL, and no thread of its own could run. So a small process looks on from outside. A TensorFlow
server speaks first: it sends a SETTINGS frame of HTTP/2 to whoever connects. Measured with TF 2.21:
a server does so at once, a frozen process or another program does not.

This file is run by its path, without this package: `Watch` starts it for as long as it is entered.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

_ROUND = 1.0  # seconds between two looks
_ANSWER = 3.0  # seconds that a server may take for its first bytes
_GONE = 20.0  # seconds after which a peer that had answered and now refuses is taken for dead
_HEED = 2.0  # seconds that our parent may take to end on a signal by itself
_THERE = "is there"


class Watch:
    """Kills this process, naming who is missing, unless it is left within `seconds`.

    Args:
        peers: name for a message -> (host, port) of each other worker.
        seconds: float, how long TensorFlow may take.
    """

    def __init__(self, peers: Mapping[str, tuple[str, int]], seconds: float):
        self.task = json.dumps({"peers": peers, "seconds": seconds, "parent": os.getpid()})

    def __enter__(self) -> Watch:
        line = [sys.executable, "-S", "-E", __file__, self.task]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout:
            self.process.stdout.readline()  # now it watches
            self.process.stdout.close()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.stdin:
            self.process.stdin.close()  # its end is what the other process waits for
        self.process.wait()


def look(host: str, port: int) -> str:
    """Return what answers at an address: `_THERE` for a TensorFlow server, else what is wrong."""
    try:
        with socket.create_connection((host, port), _ANSWER) as sock:
            start = b""
            while len(start) < 4 and (piece := sock.recv(16)):
                start += piece
    except TimeoutError:
        return "does not answer: it is frozen, or has not yet started TensorFlow"
    except OSError as error:
        return f"is gone ({error.strerror or error})"
    frame_is_settings = start[3:4] == b"\x04"
    return _THERE if frame_is_settings else "is not a TensorFlow worker: something else answers"


def watch(peers: Mapping[str, tuple[str, int]], seconds: float) -> str:
    """Return who is missing after `seconds`; "" as soon as our standard input ends."""
    begin = time.monotonic()
    seen: dict[str, float] = {}
    found = dict.fromkeys(peers, "was not looked at")
    while True:
        for name, address in peers.items():
            if select.select([sys.stdin], [], [], 0)[0]:
                return ""
            found[name] = look(*address)
            now = time.monotonic()
            if found[name] == _THERE:
                seen[name] = now
            elif name in seen and "gone" in found[name] and now - seen[name] > _GONE:
                return f"{name} went away while TensorFlow started"
        if time.monotonic() - begin >= seconds:
            missing = [f"{name} {how}" for name, how in found.items() if how != _THERE]
            who = "; ".join(missing[:5]) or "all workers answer, but one of them waits for ever"
            return f"TensorFlow did not find all workers within {seconds:.0f} s: {who}"
        if select.select([sys.stdin], [], [], _ROUND)[0]:
            return ""


class _Stop(Exception):
    """SIGTERM or Ctrl-C has come: to our group, so that our parent has it too, and is deaf."""


def _stop(number: int, frame: object) -> None:
    raise _Stop


def main() -> None:
    """Watch as the argument says, and kill the parent if somebody is missing."""
    task = json.loads(sys.argv[1])
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        os.write(1, b"watching\n")
        trouble = watch(task["peers"], task["seconds"])
    except _Stop:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        ended = select.select([sys.stdin], [], [], _HEED)[0]
        trouble = "" if ended else "stopped while TensorFlow waited for the other workers"
    if trouble and os.getppid() == task["parent"]:
        os.write(2, f"Error: {trouble}. Start all workers again.\n".encode(errors="replace"))
        os.kill(task["parent"], signal.SIGKILL)


if __name__ == "__main__":
    main()
