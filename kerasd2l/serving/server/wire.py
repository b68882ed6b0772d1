"""Frames between the front and the model process, over a pair of sockets that only they hold.

A frame is two lengths, a header of JSON, and a body of bytes. From the front: `{"id", "api",
"method", "path", "headers"}` with the request's body, `{"cancel": id}`, `{"stop": true}`. From the
model process: `{"id", "code", "message", "headers", ...}` with the answer's body, `{"event": ...}`.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from asyncio import StreamReader
from collections.abc import Iterator, Mapping
from typing import Any

LENGTHS = struct.Struct("!II")
SMALL = 1 << 16  # bytes of a body that are cheaper to copy than to send by themselves


def frame(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return the bytes of a frame, without those of the body, which need no copy."""
    head = json.dumps(header).encode()
    return LENGTHS.pack(len(head), len(body)) + head


async def read(stream: StreamReader) -> tuple[dict[str, Any], bytes]:
    """Read a frame.

    Raises:
        asyncio.IncompleteReadError: the other process is gone.
    """
    head, body = LENGTHS.unpack(await stream.readexactly(LENGTHS.size))
    header = json.loads(await stream.readexactly(head))
    return header, await stream.readexactly(body) if body else b""


class Pipe:
    """The model process' end: frames read by one thread, written by any."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._file = connection.makefile("rb", buffering=1 << 16)
        self._writing = threading.Lock()

    def frames(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield frames until the front is gone."""
        while len(lengths := self._file.read(LENGTHS.size)) == LENGTHS.size:
            head, body = LENGTHS.unpack(lengths)
            content = self._file.read(head + body)
            if len(content) < head + body:
                return
            yield json.loads(content[:head]), content[head:]

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
