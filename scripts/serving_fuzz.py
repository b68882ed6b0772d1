#!/usr/bin/env python
"""Malformed requests made from a seed, and what a server makes of each.

Kinds: JSON and base64 and pictures in it, TensorFlow Serving's and Open Inference's messages over
gRPC and in binary over HTTP, headers, requests that end early, and requests that never end.
"""

from __future__ import annotations

import base64
import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mutate_served import picture, text
from mutation_tools import mutate

SECONDS = 40.0  # longer than the server's own deadline of 30
LARGEST = 256 << 10  # bytes of most requests
LARGE_EVERY = 500  # one of so many is larger than the server takes
VERBS = ("predict", "classify", "regress")


@dataclass
class Seen:
    """What came of the requests."""

    asked: Counter = field(default_factory=Counter)
    statuses: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        """Count what another sender saw, too."""
        self.asked += other.asked
        self.statuses += other.statuses
        self.faults += other.faults

    @classmethod
    def from_json(cls, text: str) -> Seen:
        """Read what this script prints."""
        content = json.loads(text)
        return cls(Counter(content["asked"]), Counter(content["statuses"]), content["faults"])


def predict_request(model: str, size: int) -> bytes:
    """Write a PredictRequest for two floats that says they are `size`, without the stubs."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2]) + varint(len(content)) + content

    def varint(value: int) -> bytes:
        parts = []
        while value > 127:
            parts.append(value & 127 | 128)
            value >>= 7
        return bytes([*parts, value])

    shape = field(2, b"\x08" + varint(size))
    tensor = b"\x08\x01" + field(2, shape) + field(5, np.array([1, 2], "<f4").tobytes())
    return field(1, field(1, model.encode())) + field(2, field(1, b"x") + field(2, tensor))


class Attacker:
    """One sender of malformed requests.

    Args:
        http: port of HTTP.
        grpc: "HOST:PORT".
        images: model whose default signature takes `image_bytes`; None: there is none.
        seed: of what is sent.
    """

    def __init__(self, http: int, grpc: str, images: str | None, seed: int):
        import grpc as library

        self._port, self._random, self._images = http, random.Random(seed), images
        self._arrays = np.random.default_rng(seed)
        self._library, self._channel = library, library.insecure_channel(grpc)
        self._slow: list[tuple[float, socket.socket]] = []
        self._seen = Seen()
        self._kinds: dict[str, Callable[[], str]] = {
            "json": self._json,
            "base64": self._base64,
            "picture": self._picture,
            "grpc": self._grpc,
            "v2 binary": self._binary,
            "headers": self._headers,
            "truncated": self._truncated,
            "slow": self._slow_one,
        }

    def attack(self, count: int) -> Seen:
        """Send requests, each kind as often; close what is slow when it was refused."""
        for number in range(count):
            kind = list(self._kinds)[number % len(self._kinds)]
            begin = time.monotonic()
            try:
                status = self._kinds[kind]()
            except Exception as error:
                status = f"{type(error).__name__}"
                self._seen.faults.append(f"{kind}: {type(error).__name__}: {error}")
            if time.monotonic() - begin > SECONDS / 2:
                self._seen.faults.append(f"{kind}: took {time.monotonic() - begin:.0f} s")
            self._seen.asked[kind] += 1
            self._seen.statuses[status] += 1
        while self._slow:
            self._end_slow(*self._slow.pop())
        self._channel.close()
        return self._seen

    def _json(self) -> str:
        rng = self._random
        signature = rng.choice(("serving_default", "two_inputs", "vectors", "text", "two_by_three"))
        rows: Any = rng.choice(([1.0, 2.5], [[1.0, 2.0], [3.0, 4.0]], ["a", "\u00e9"], [{"x": 1}]))
        content: dict[str, Any] = {"signature_name": signature}
        content[rng.choice(("instances", "inputs"))] = rows
        return self._post("kinds", rng.choice(VERBS), self._changed(json.dumps(content).encode()))

    def _base64(self) -> str:
        encoded = bytearray(base64.b64encode(self._random.randbytes(90)))
        if self._random.random() < 0.8:
            encoded = bytearray(self._changed(bytes(encoded)))
        row = {"b64": encoded.decode("latin-1")}
        words, _ = text(self._arrays)
        plain = words.decode("utf-8", "replace")
        content = {"signature_name": "text_and_bytes", "instances": [row, plain]}
        return self._post("kinds", "predict", json.dumps(content).encode())

    def _picture(self) -> str:
        content, _ = picture(self._arrays)
        row = {"b64": base64.b64encode(content).decode()}
        body = json.dumps({"instances": [row]}).encode()
        return self._post(self._images or "kinds", "predict", body)

    def _grpc(self) -> str:
        model = self._random.choice(("kinds", "half_plus_two"))
        message = predict_request(model, self._random.choice((2, 2, (1 << 64) - 1, 1 << 40)))
        service, method = self._random.choice(
            (
                ("tensorflow.serving.PredictionService", "Predict"),
                ("tensorflow.serving.PredictionService", "GetModelMetadata"),
                ("tensorflow.serving.PredictionService", "Classify"),
                ("tensorflow.serving.ModelService", "GetModelStatus"),
                ("inference.GRPCInferenceService", "ModelInfer"),
            )
        )
        call = self._channel.unary_unary(f"/{service}/{method}")
        try:
            call(self._changed(message), timeout=SECONDS)
        except self._library.RpcError as error:
            status = error.code().name
            if status in ("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "UNAVAILABLE"):
                self._seen.faults.append(f"grpc {method}: {status}: {error.details()}")
            return f"grpc {status}"
        return "grpc OK"

    def _binary(self) -> str:
        rng = self._random
        raw = np.ones(3, np.float32).tobytes()
        told: dict[str, Any] = {
            "name": "x",
            "shape": [3],
            "datatype": rng.choice(("FP32", "BYTES", "INT8")),
        }
        told["parameters"] = {"binary_data_size": rng.choice((12, 12, 13, -1, 1 << 60))}
        head = json.dumps({"inputs": [told]}).encode()
        body = self._changed(head + raw)
        length = rng.choice((len(head), len(head), len(body) + 1, 0, -1))
        extra = {"Inference-Header-Content-Length": str(length)}
        return self._send("POST /v2/models/kinds/infer HTTP/1.1", body, extra)

    def _headers(self) -> str:
        rng = self._random
        start = rng.choice(
            (
                "POST /v1/models/kinds:predict HTTP/1.1",
                "GET /v1/models/kinds HTTP/1.1",
                "BREW / HTTP/1.1",
                "GET /v1/models/%00%ff/../../etc HTTP/1.1",
                f"GET /{'a' * rng.choice((100, 9000, 70_000))} HTTP/1.1",
            )
        )
        name, value = rng.choice(
            (
                ("Content-Length", rng.choice(("-1", "1e9", "99999999999", "", "0x10"))),
                ("Transfer-Encoding", rng.choice(("chunked", "gzip, chunked", "what"))),
                ("Content-Encoding", rng.choice(("gzip", "br", "gzip, gzip"))),
                ("Expect", rng.choice(("100-continue", "200-ok"))),
                ("Host", rng.choice(("evil.example", "[::1", "a b", "127.0.0.1:99999"))),
                ("Origin", "http://evil.example"),
                ("X" * rng.choice((10, 70_000)), "y"),
                ("X", "y" * rng.choice((10, 70_000))),
                ("X: y\r\nX", "\x00\x01\x7f"),
                ("Upgrade", "websocket"),
            )
        )
        head = f"{start}\r\nHost: 127.0.0.1:{self._port}\r\n{name}: {value}\r\n\r\n".encode()
        if rng.random() < 0.3:
            head = self._changed(head)
        return self._raw(head + rng.choice((b"", b"", b'{"instances": [1.0]}')), whole=False)

    def _truncated(self) -> str:
        request = self._request(
            "POST /v1/models/kinds:predict HTTP/1.1", b'{"instances": [1.0, 2.0]}', {}
        )
        return self._raw(request[: self._random.randrange(len(request))], whole=False)

    def _slow_one(self) -> str:
        """Open a connection and say a little; look after those that were opened long ago."""
        place = socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS)
        words = b"POST /v1/models/kinds:predict HTTP/1.1\r\nHost: x"
        place.sendall(words[: self._random.randrange(len(words))])
        self._slow.append((time.monotonic(), place))
        now = time.monotonic()
        old = [pair for pair in self._slow if now - pair[0] > 15 or len(self._slow) > 100]
        for began, one in old[:5]:
            self._slow.remove((began, one))
            self._end_slow(began, one)
        return "slow"

    def _end_slow(self, began: float, place: socket.socket) -> None:
        """A connection that says nothing more is closed by the server, which may say 408."""
        try:
            place.settimeout(max(0.1, SECONDS - (time.monotonic() - began)))
            answer = place.recv(1 << 16)
            self._seen.statuses["slow: " + (answer[9:12].decode() or "closed")] += 1
        except TimeoutError:
            self._seen.faults.append(f"slow: open after {time.monotonic() - began:.0f} s")
        except OSError:
            self._seen.statuses["slow: closed"] += 1
        finally:
            place.close()

    def _changed(self, content: bytes) -> bytes:
        changed = mutate(self._random, content)
        large = self._random.randrange(LARGE_EVERY) == 0
        return (changed * (1 + (33 << 20) // (len(changed) + 1))) if large else changed[:LARGEST]

    def _post(self, model: str, verb: str, body: bytes) -> str:
        return self._send(f"POST /v1/models/{model}:{verb} HTTP/1.1", body, {})

    def _send(self, start: str, body: bytes, extra: dict[str, str]) -> str:
        return self._raw(self._request(start, body, extra), whole=True)

    def _request(self, start: str, body: bytes, extra: dict[str, str]) -> bytes:
        headers = {"Host": f"127.0.0.1:{self._port}", "Content-Length": str(len(body)), **extra}
        lines = [start, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1") + body

    def _raw(self, request: bytes, *, whole: bool) -> str:
        """Send bytes and return the answer's status; what is not whole may be closed on."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS) as place:
            try:
                place.sendall(request)
                if not whole:
                    place.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before it was all sent: the answer may be there
            try:
                answer = place.recv(1 << 16)
            except ConnectionResetError:
                answer = b""
        status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.") else ""
        if whole and not status and len(request) < 1 << 20:
            self._seen.faults.append(f"no status for {request[:300]!r}: {answer[:100]!r}")
        if status.startswith("5") and status not in ("501",):
            self._seen.faults.append(f"{status} for {request[:400]!r}")
        return status or "closed"


if __name__ == "__main__":
    port, address, model, count, seed = sys.argv[1:]
    sender = Attacker(int(port), address, None if model == "-" else model, int(seed))
    print(json.dumps(vars(sender.attack(int(count)))))
