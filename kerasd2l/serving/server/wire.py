"""Frames between the front and the model process, over a pair of sockets that only they hold.

A frame is two lengths, a header of JSON, and a body of bytes. From the front: `{"id", "api",
"method", "path", "headers"}` with the request's body, `{"cancel": id}`. From the model
process: `{"id", "code", "message", "headers", ...}` with the answer's body, `{"event": ...}`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

LENGTHS = struct.Struct("!II")
SMALL = 1 << 16  # bytes of a body that are cheaper to copy than to send by themselves


def frame(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return the bytes of a frame, without those of the body, which need no copy."""
    head = json.dumps(header).encode()
    return LENGTHS.pack(len(head), len(body)) + head


class Frames(asyncio.Protocol):
    """The front's end: calls `hear` for every frame, and `ended` when the other process is gone."""

    def __init__(self, hear: Callable[[dict[str, Any], bytes], object]):
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.WriteTransport | None = None
        self._hear = hear
        self._content = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._content += data
        start = 0
        while len(self._content) - start >= LENGTHS.size:
            head, body = LENGTHS.unpack_from(self._content, start)
            middle = start + LENGTHS.size + head
            if len(self._content) < middle + body:
                break
            header = json.loads(self._content[start + LENGTHS.size : middle])
            self._hear(header, bytes(self._content[middle : middle + body]))
            start = middle + body
        del self._content[:start]


class Pipe:
    """The model process' end: any thread may send."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._file = connection.makefile("rb", buffering=1 << 16)
        self._writing = threading.Lock()

    def read(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the next frame; None when the front is gone. One thread may read at a time."""
        lengths = self._file.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            return None
        head, body = LENGTHS.unpack(lengths)
        content = self._file.read(head + body)
        if len(content) < head + body:
            return None
        return json.loads(content[:head]), content[head:]

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Write a frame; where nobody reads any more, do nothing."""
        with self._writing:
            try:
                if len(body) < SMALL:
                    self._connection.sendall(frame(header, body) + body)
                else:
                    self._connection.sendall(frame(header, body))
                    self._connection.sendall(body)
            except OSError:
                return  # the front is gone, and so will this process be at its next read
