"""The front's side of the model process: start it, ask it, start another when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasd2l.serving.server import wire

MOST_BYTES = 256 << 20  # of bodies that are being answered at one time
LONGEST_PAUSE = 30.0  # seconds between two starts of a process that dies at once
LONGEST_END = 5.0  # seconds for a process to end when nobody listens to it


@dataclass(frozen=True)
class Answer:
    """What the model process, or the front in its place, says to a request.

    Args:
        code: str, a key of `calls.CODES`.
        status: int, of HTTP.
        body: bytes.
        message: str, the error's text for gRPC.
        headers: further headers of HTTP.
        about: `model`, `version`, `batch`, `queued_ms`, `run_ms`, as far as they are known.
    """

    code: str
    status: int
    body: bytes = b""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


def refusal(code: str, status: int, message: str) -> Answer:
    """Return an error that the front tells by itself."""
    return Answer(code, status, json.dumps({"error": message}, indent=4).encode(), message)


class ModelProcess:
    """A model process, and after its death the next one.

    Args:
        options: what the worker is told: `folder`, `versions`, `config`, `together`, `most`.
        say: (text) -> anything, for the log.
    """

    def __init__(self, options: Mapping[str, Any], say: Callable[[str], object]):
        self.ready = asyncio.Event()
        self.failed: str | None = None
        self.restarts = -1
        self.pid: int | None = None
        self._options = options
        self._say = say
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._bytes = 0
        self._next = 0
        self._writer: asyncio.WriteTransport | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def supervise(self) -> None:
        """Keep a process running until `stop`."""
        pause = 0.0
        while not self._stopping and self.failed is None:
            begin = time.monotonic()
            try:
                await self._one_life()
            except OSError as error:  # the system has no process for us just now
                self._say(f"the model process cannot be started: {error.strerror or error}")
            if self._stopping or self.failed is not None:
                return
            pause = 0.0 if time.monotonic() - begin > 60 else min(LONGEST_PAUSE, 2 * pause + 0.1)
            self._say(f"the model process is gone; starting another in {pause:.1f} s")
            await asyncio.sleep(pause)

    async def ask(self, header: Mapping[str, Any], body: bytes, timeout: float) -> Answer:
        """Send a request and wait for its answer.

        If the caller is cancelled, the request leaves the queue.

        Args:
            header: `api`, `method`, `path`, `headers`.
            body: bytes.
            timeout: seconds.
        """
        if not self.ready.is_set() or self._writer is None:
            return refusal("UNAVAILABLE", 503, "The models are being loaded. Try again later.")
        # what a model process that stands still has not read is here, too, after its time is up
        held = max(self._bytes, self._writer.get_write_buffer_size())
        if held + len(body) > MOST_BYTES:
            return refusal("RESOURCE_EXHAUSTED", 429, "Too many large requests. Try again later.")
        self._next += 1
        number = self._next
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting[number] = future
        self._bytes += len(body)
        timer = loop.call_later(timeout, self._too_late, number)
        try:
            # the clock is the machine's: a process that has stood still knows what is too late
            deadline = time.monotonic() + timeout
            self._writer.write(wire.frame({"id": number, "deadline": deadline, **header}, body))
            if body:
                self._writer.write(body)
            return await future
        except asyncio.CancelledError:
            self._cancel(number)
            raise
        finally:
            timer.cancel()
            self._bytes -= len(body)
            self._waiting.pop(number, None)

    async def stop(self) -> None:
        """End the process; what it has begun is lost."""
        self._stopping = True
        if self._writer is not None:
            self._writer.abort()  # without waiting until a process that stands still has read
        if self._process is not None:
            await _ended(self._process)

    def _cancel(self, number: int) -> None:
        if self._writer is not None:
            self._writer.write(wire.frame({"cancel": number}))

    def _too_late(self, number: int) -> None:
        future = self._waiting.pop(number, None)
        if future is not None and not future.done():
            self._cancel(number)
            future.set_result(refusal("DEADLINE_EXCEEDED", 504, "Timed out."))

    async def _one_life(self) -> None:
        """Start a process, read what it says, and clear up after it."""
        ours, theirs = socket.socketpair()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kerasd2l.serving.server.worker",
            str(theirs.fileno()),
            json.dumps(dict(self._options)),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        theirs.close()
        self.pid, self._process = process.pid, process
        self.restarts += 1
        loop = asyncio.get_running_loop()
        _, frames = await loop.create_connection(lambda: wire.Frames(self._hear), sock=ours)
        self._writer = frames.transport
        try:
            await frames.ended
        finally:
            self.ready.clear()
            self._writer = None
            for future in self._waiting.values():
                if not future.done():
                    future.set_result(
                        refusal("UNAVAILABLE", 503, "The model process ended. Try again later.")
                    )
            self._waiting.clear()
            await _ended(process)
            if not self._stopping and self.failed is None:
                self._say(f"the model process {process.pid} ended with code {process.returncode}")

    def _hear(self, header: Mapping[str, Any], body: bytes) -> None:
        event = header.get("event")
        if event == "ready":
            self.ready.set()
        elif event == "failed":
            self.failed = header["text"]
        elif event == "log":
            self._say(header["text"])
        else:
            future = self._waiting.pop(header["id"], None)
            if future is not None and not future.done():
                about = {
                    key: header[key]
                    for key in ("model", "version", "batch", "queued_ms", "run_ms")
                    if key in header
                }
                future.set_result(
                    Answer(
                        header["code"],
                        header["status"],
                        body,
                        header["message"],
                        header["headers"],
                        about,
                    )
                )


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait until a process has ended; make it, if it does not."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(process.wait(), LONGEST_END)
    if process.returncode is None:
        process.kill()
        await process.wait()
