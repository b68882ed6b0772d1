"""The HTTP side of the front: an ASGI application without a framework.

It decides who may ask, limits what comes in, passes requests of models on to the model process, and
serves the page. TensorFlow is in the other process.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasd2l.serving.server.measures import Measures
from kerasd2l.serving.server.supervisor import Answer, ModelProcess, refusal

LARGEST_BODY = 32 << 20  # bytes, also after gunzip
SLOWEST_READER = 60.0  # seconds to take an answer
PAGE = Path(__file__).parent.parent / "page"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
PASSED_ON = ("inference-header-content-length", "content-type")
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Rules:
    """Who may ask, and for how long.

    Args:
        hosts: names that a Host header may have, besides addresses and localhost.
        origins: foreign Origins whose pages may ask, such as "https://example.org"; "*": all.
        timeout: seconds for one request.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    timeout: float = 30.0


class Front:
    """The application; `listening` gives it a socket.

    Args:
        models: the model process.
        measures: where requests are counted.
        log: (what: dict) -> anything, called once for every request.
        rules: who may ask.
    """

    def __init__(
        self,
        models: ModelProcess,
        measures: Measures,
        log: Callable[[dict[str, Any]], object],
        rules: Rules,
    ):
        self._models = models
        self._measures = measures
        self._log = log
        self._rules = rules
        self._files = {f"/static/{p.name}": p for p in PAGE.glob("*") if p.suffix in KINDS}
        self._files["/"] = PAGE / "index.html"

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks."""
        if scope["type"] != "http":
            return
        begin = time.perf_counter()
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        path = scope["raw_path"].decode("latin-1")
        answer = await self._answer(scope["method"], path, headers, receive, scope["state"])
        if answer is None:  # the client is gone
            answer, sent = refusal("CANCELLED", 499, "The client left."), False
        else:
            sent = await _send(answer, self._cors(headers), scope["method"], send)
        seconds = time.perf_counter() - begin
        api = _api(path)
        if api:
            model = answer.about.get("model", "")
            self._measures.count(model, api, "REST", answer.code, seconds)
        self._log(
            {
                "client": scope["client"][0] if scope["client"] else "-",
                "method": scope["method"],
                "path": path,
                "status": answer.status,
                "ms": round(1e3 * seconds, 2),
                "bytes": len(answer.body),
                **answer.about,
                **({} if sent else {"sent": False}),
            }
        )

    async def _answer(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        receive: Receive,
        state: dict[str, Any],
    ) -> Answer | None:
        problem = self._forbidden(headers)
        if problem:
            return refusal("PERMISSION_DENIED", 403, problem)
        if method == "OPTIONS":
            return self._preflight(headers)
        if path in self._files:
            return self._file(method, path)
        if path == "/monitoring/prometheus/metrics" and method == "GET":
            text = self._measures.text(max(0, self._models.restarts))
            kind = "text/plain; version=0.0.4; charset=utf-8"
            return Answer("OK", 200, text.encode(), headers={"content-type": kind})
        lower = path.lower()
        if lower.startswith("/v1/"):
            api = "rest"
        elif lower == "/v2" or lower.startswith("/v2/"):
            api = "v2"
            if lower == "/v2/health/live":
                return Answer("OK", 200, b'{"live": true}')
            if lower == "/v2/health/ready" and not self._models.ready.is_set():
                return refusal("UNAVAILABLE", 503, "the models are being loaded")
        elif path == "/page/models":
            api = "page"
        else:
            page = b"<!doctype html><title>404</title><h1>Not Found</h1>\n"
            return Answer("NOT_FOUND", 404, page, headers={"content-type": KINDS[".html"]})
        body = await _body(headers, receive)
        if not isinstance(body, bytes):
            return body
        passed = {key: headers[key] for key in PASSED_ON if key in headers}
        header = {"api": api, "method": method, "path": path, "headers": passed}
        return await self._ask(header, body, state)

    async def _ask(
        self, header: Mapping[str, Any], body: bytes, state: dict[str, Any]
    ) -> Answer | None:
        """Ask the model process; if the client leaves meanwhile, the request leaves the queue."""
        asking = asyncio.current_task()
        left = False

        def leave() -> None:
            nonlocal left
            left = True
            asking.cancel()  # type: ignore[union-attr]

        state["leave"] = leave  # `listening.Connection` calls it
        try:
            return await self._models.ask(header, body, self._rules.timeout)
        except asyncio.CancelledError:
            if not left:
                raise
            return None
        finally:
            del state["leave"]

    def _forbidden(self, headers: Mapping[str, str]) -> str | None:
        """Say why a request is refused: it came from a page of somebody else's.

        A page can make a browser ask this server: under another name for its address (so the Host
        must be known), or with a form or a script (so an Origin must be our own).
        """
        host = headers.get("host", "localhost")
        if not self._known(host):
            return "This Host is not served. Name it with --allow-host."
        origin = headers.get("origin")
        if origin is None or {"*", origin} & set(self._rules.origins):
            return None
        if origin.partition("://")[2] != host:
            return "Pages of other origins may not ask. Name this one with --cors."
        return None

    def _known(self, host: str) -> bool:
        match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?", host)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        if name in ("localhost", *self._rules.hosts):
            return True
        try:
            ipaddress.ip_address(name)  # an address cannot be somebody else's name
        except ValueError:
            return False
        return True

    def _cors(self, headers: Mapping[str, str]) -> dict[str, str]:
        origin = headers.get("origin")
        if origin and {"*", origin} & set(self._rules.origins):
            return {"access-control-allow-origin": origin, "vary": "Origin"}
        return {}

    def _preflight(self, headers: Mapping[str, str]) -> Answer:
        if not self._cors(headers):
            return refusal("INVALID_ARGUMENT", 400, "OPTIONS needs an Origin that --cors allows.")
        allowed = {
            "access-control-allow-methods": "GET, POST, OPTIONS",
            "access-control-allow-headers": "*",
            "access-control-max-age": "600",
        }
        return Answer("OK", 200, headers=allowed)

    def _file(self, method: str, path: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return refusal("INVALID_ARGUMENT", 405, f"{method} is not for {path}")
        file = self._files[path]
        try:
            content = file.read_bytes()
        except OSError:
            return refusal("NOT_FOUND", 404, "the page is not installed")
        kind = {"content-type": KINDS[file.suffix], "cache-control": "no-cache"}
        return Answer("OK", 200, content, headers=kind | {"content-security-policy": POLICY})


def _api(path: str) -> str:
    """Return TensorFlow Serving's name for what a path asks; empty for what it does not count."""
    lower = path.lower()
    for verb in ("predict", "classify", "regress"):
        if lower.endswith(f":{verb}"):
            return verb.capitalize()
    if lower.endswith("/infer"):
        return "Infer"
    if lower.startswith("/v1/models"):
        return "GetModelMetadata" if lower.endswith("/metadata") else "GetModelStatus"
    return ""


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes | Answer | None:
    """Read the body, unpacked; or return why not; None if the client left."""
    too_large = refusal("INVALID_ARGUMENT", 413, f"A body has at most {LARGEST_BODY >> 20} MB.")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length[:20]) > LARGEST_BODY:
        return too_large
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            return too_large
        parts.append(part)
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    coding = headers.get("content-encoding", "identity").lower()
    if coding == "identity":
        return body
    if coding != "gzip":
        return refusal("INVALID_ARGUMENT", 415, "The content encoding must be gzip or none.")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        body = unpacker.decompress(body, LARGEST_BODY + 1)
    except zlib.error:
        return refusal("INVALID_ARGUMENT", 400, "Failed to decompress the gzipped body.")
    if len(body) > LARGEST_BODY:
        return too_large
    if not unpacker.eof:
        return refusal("INVALID_ARGUMENT", 400, "Failed to decompress the gzipped body.")
    return body


async def _send(answer: Answer, cors: Mapping[str, str], method: str, send: Send) -> bool:
    """Write an answer; False if the client does not take it."""
    headers = {
        "content-type": "application/json",
        "content-length": str(len(answer.body)),
        **SAFE,
        **answer.headers,
        **cors,
    }
    start = {"type": "http.response.start", "status": answer.status, "headers": _raw(headers)}
    body = {"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body}
    await send(start)
    if len(answer.body) < 1 << 16:  # the transport takes it at once
        await send(body)
        return True
    try:
        await asyncio.wait_for(send(body), SLOWEST_READER)
    except asyncio.TimeoutError:
        return False
    return True


def _raw(headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    return [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]
