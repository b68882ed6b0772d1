"""Sockets of the front: HTTP connections with deadlines, gRPC, and an orderly end.

uvicorn waits for ever for a client that says nothing, or half of a request. `Connection` does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import uvicorn
from grpc_health.v1 import health_pb2, health_pb2_grpc
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from kerasd2l.serving.server.front import LARGEST_BODY, Front, Rules
from kerasd2l.serving.server.measures import Measures
from kerasd2l.serving.server.supervisor import Answer, ModelProcess, refusal

HEADER_SECONDS = 10.0  # from a request's first byte, or from connecting, to the end of its headers
BODY_SECONDS = 60.0
LARGEST_HEADER = 64 << 10
KEEP_ALIVE = 75  # seconds between two requests
MOST_CONNECTIONS = 1000


class Connection(HttpToolsProtocol):
    """One HTTP connection; it ends when headers or body take too long, or headers are too large."""

    _timer: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _in_body = False
    _begun: tuple[RequestResponseCycle, ...] = ()  # several, of a client that pipelines

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        for cycle in self._begun:
            if "leave" in cycle.scope["state"]:
                cycle.scope["state"]["leave"]()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._header_bytes += len(data)
            if self._timer is None and self._idle():
                self._wait(HEADER_SECONDS)
        super().data_received(data)
        if not self._in_body and self._header_bytes > LARGEST_HEADER:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._begun = (*(c for c in self._begun if not c.response_complete), self.cycle)
        self._in_body, self._header_bytes = True, 0
        self._wait(BODY_SECONDS)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False
        self._wait(None)

    def _idle(self) -> bool:
        """Tell whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if self._header_bytes or self._in_body:
            self._refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._idle() or not self.cycle.response_started:
            text = b'{"error": "' + status[4:] + b'"}'
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\n"
                b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(text) + text
            )
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _AnyService(grpc.GenericRpcHandler):
    """Passes every gRPC method on as bytes: the stubs are in the model process."""

    def __init__(self, models: ModelProcess, measures: Measures, log: Callable, rules: Rules):
        self._models, self._measures, self._log, self._rules = models, measures, log, rules

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method

        async def answer(request: bytes, context: Any) -> bytes:
            return await self._answer(method, request, context)

        return grpc.unary_unary_rpc_method_handler(answer)

    async def _answer(self, method: str, request: bytes, context: Any) -> bytes:
        begin = time.perf_counter()
        left = context.time_remaining()
        timeout = self._rules.timeout if left is None else max(0.001, min(left, 3600.0))
        header = {"api": "grpc", "method": method, "path": ""}
        try:
            answer = await self._models.ask(header, request, timeout)
        except asyncio.CancelledError:  # the client left, or its deadline came first
            self._note(method, context, refusal("CANCELLED", 499, ""), begin)
            raise
        self._note(method, context, answer, begin)
        if answer.code != "OK":
            await context.abort(grpc.StatusCode[answer.code], answer.message)
        return answer.body

    def _note(self, method: str, context: Any, answer: Answer, begin: float) -> None:
        seconds = time.perf_counter() - begin
        short = method.rpartition("/")[2]
        model = answer.about.get("model", "")
        self._measures.count(model, _known(short), "GRPC", answer.code, seconds)
        self._log(
            {
                "client": context.peer(),
                "method": "gRPC",
                "path": method,
                "status": answer.code,
                "ms": round(1e3 * seconds, 2),
                "bytes": len(answer.body) if answer.code == "OK" else 0,
                **answer.about,
            }
        )


def _known(method: str) -> str:
    """Return a method's name, if it is one: a label of the measures must not grow with requests."""
    known = ("Predict", "GetModelMetadata", "GetModelStatus", "Classify", "Regress", "ModelInfer")
    return method if method in known else "Other"


async def serve(
    options: Mapping[str, Any],
    *,
    host: str,
    port: int,
    grpc_port: int | None,
    rules: Rules,
    say: Callable[[str], object],
    log: Callable[[dict[str, Any]], object],
    started: Callable[[str, str | None, int], object],
) -> str | None:
    """Serve until SIGTERM or Ctrl-C, then finish what has begun; a second one does not wait.

    Args:
        options: what the model process is told.
        host: address to listen on.
        port: of HTTP; 0 takes a free one.
        grpc_port: of gRPC; 0 takes a free one, None does without.
        rules: who may ask.
        say: (text) -> anything, for the log.
        log: (what: dict) -> anything, for the log of requests.
        started: (HTTP address, gRPC address or None, process id) -> anything, when all is ready.

    Returns:
        Why it could not be started, or None.
    """
    try:
        listener = _listen(host, port)
    except OSError as error:
        return f"cannot listen on {host}:{port}: {error.strerror or error}"
    models, measures = ModelProcess(options, say), Measures()
    front = Front(models, measures, log, rules)
    config = uvicorn.Config(
        front,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the log has the address that asked, not one that a header claims
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=int(rules.timeout) + 1,
    )
    server = _Server(config)
    remote, grpc_address = _grpc(models, measures, log, rules), None
    if grpc_port is not None:
        grpc_address = _bind(remote, host, grpc_port)
        if grpc_address is None:
            return f"cannot listen on {host}:{grpc_port} for gRPC: the port is taken"
    loop = asyncio.get_running_loop()
    end, at_once = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (at_once if end.is_set() else end).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    supervising = asyncio.create_task(models.supervise())
    web = asyncio.create_task(server.serve([listener]))
    await remote.start()
    ready = asyncio.create_task(models.ready.wait())
    ending = asyncio.create_task(end.wait())
    await asyncio.wait({ready, ending, supervising}, return_when=asyncio.FIRST_COMPLETED)
    if models.failed is None and not end.is_set():
        address = f"http://{_bracketed(host)}:{listener.getsockname()[1]}"
        started(address, grpc_address, models.pid or 0)
        await asyncio.wait({ending, supervising, web}, return_when=asyncio.FIRST_COMPLETED)
        say("stopping: finishing what has begun")
    server.should_exit = True
    grace = rules.timeout if models.failed is None else 0.0
    draining: asyncio.Future[Any] = asyncio.gather(remote.stop(grace), web)
    hurrying: asyncio.Future[Any] = asyncio.create_task(at_once.wait())
    await asyncio.wait((draining, hurrying), return_when=asyncio.FIRST_COMPLETED)
    if not draining.done():
        say("stopping at once: what has begun is answered with 503")
    await models.stop()
    await draining
    for task in (ready, ending, supervising, hurrying):
        task.cancel()
    return models.failed


def _grpc(models: ModelProcess, measures: Measures, log: Callable, rules: Rules) -> Any:
    """Make the gRPC server: every service by its bytes, health by itself."""
    most = [
        ("grpc.max_receive_message_length", LARGEST_BODY),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    remote = grpc.aio.server(options=most, maximum_concurrent_rpcs=MOST_CONNECTIONS)
    servicer = _Health(models)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, remote)
    remote.add_generic_rpc_handlers((_AnyService(models, measures, log, rules),))
    return remote


def _bind(remote: Any, host: str, port: int) -> str | None:
    """Take a port for the gRPC server; return its address, or None if it is taken."""
    try:
        _listen(host, port).close()  # gRPC would print lines of its own about a port that is taken
        bound = remote.add_insecure_port(f"{_bracketed(host)}:{port}")
    except (OSError, RuntimeError):
        return None
    return f"{_bracketed(host)}:{bound}" if bound else None


class _Health(health_pb2_grpc.HealthServicer):
    """grpc.health.v1: serving, when the models are loaded."""

    def __init__(self, models: ModelProcess):
        self._models = models

    def _now(self) -> Any:
        kinds = health_pb2.HealthCheckResponse
        state = kinds.SERVING if self._models.ready.is_set() else kinds.NOT_SERVING
        return kinds(status=state)

    async def Check(self, request: Any, context: Any) -> Any:
        if request.service not in SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no such service: {request.service}")
        return self._now()

    async def Watch(self, request: Any, context: Any) -> Any:
        last = None
        while True:
            if (now := self._now()) != last:
                last = now
                yield now
            await asyncio.sleep(0.5)


SERVICES = (
    "",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "inference.GRPCInferenceService",
)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol by its number asyncio sets TCP_NODELAY; without, an answer takes 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def line(what: Mapping[str, Any], *, as_json: bool) -> str:
    """Write one request for the log; nothing in it can break the line."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + "Z"
    if as_json:
        return json.dumps({"time": now, **what})
    named = {
        "model": f"{what['model']}/{what['version']}" if "model" in what else None,
        "batch": what.get("batch"),
        "queue": f"{what['queued_ms']}ms" if "queued_ms" in what else None,
        "run": f"{what['run_ms']}ms" if "run_ms" in what else None,
    }
    rest = " ".join(f"{key}={value}" for key, value in named.items() if value is not None)
    path = what["path"].encode("unicode_escape").decode()
    start = f"{now} {what['client']} {what['method']} {path} {what['status']} {what['ms']}ms"
    return f"{start} {what['bytes']}B {rest}".rstrip()
