#!/usr/bin/env python
"""Requests over HTTP connections that are kept: one after the other, or over many at once."""

from __future__ import annotations

import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CONNECTIONS = 16


class Connection:
    """One HTTP connection that is kept, with as little Python around it as can be."""

    def __init__(self, port: int, path: str, body: bytes):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request = head.encode() + body

    def ask(self) -> bytes:
        """Send the request and return the body of the answer."""
        self.socket.sendall(self.request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, content = received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not answered: {head!r} {content[:200]!r}")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        while length and len(content) < int(length[1]):
            content += self._more()
        return content

    def _more(self) -> bytes:
        part = self.socket.recv(1 << 20)
        if not part:
            raise SystemExit("the connection was closed")
        return part


def throughput(port: int, path: str, body: bytes, seconds: float) -> tuple[float, float]:
    """Return requests per second over 16 connections, and their 99th percentile in ms."""
    if not shutil.which("wrk"):
        return _own_throughput(port, path, body, seconds)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(
            f'wrk.method = "POST"\nlocal file = io.open("{folder}/body", "rb")\n'
            'wrk.body = file:read("*a")\nwrk.headers["Content-Type"] = "application/json"\n'
        )
        words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency"]
        words += ["-s", str(script), f"http://127.0.0.1:{port}{path}"]
        told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"not all were answered:\n{told}")
    rate = re.search(r"Requests/sec: +([\d.]+)", told)
    late = re.search(r"99% +([\d.]+)(us|ms|s)", told)
    if not rate or not late:
        raise SystemExit(f"wrk says something else than usual:\n{told}")
    return float(rate[1]), float(late[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[late[2]]


def _own_throughput(port: int, path: str, body: bytes, seconds: float) -> tuple[float, float]:
    words = [sys.executable, __file__, str(port), path, str(seconds)]
    told = subprocess.run(words, input=body, check=True, capture_output=True).stdout
    rate, late = told.split()
    return float(rate), float(late)


def load(port: int, path: str, seconds: float, body: bytes) -> tuple[float, float]:
    """Ask over 16 connections, each with a thread, until the time is up."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    def ask() -> None:
        connection = Connection(port, path, body)
        while (start := time.perf_counter()) < end:
            connection.ask()
            times.append(1000 * (time.perf_counter() - start))

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) / seconds, statistics.quantiles(times, n=100)[98]


if __name__ == "__main__":
    print(*load(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.stdin.buffer.read()))
