"""Who may ask, how much, and how slowly: the front without a model process."""

import asyncio
import gzip
import json
import socket
import threading
import time

import pytest

pytest.importorskip("uvicorn", reason="needs the extra kerasd2l[serve]")

import uvicorn

from kerasd2l.serving.server import front as fronts
from kerasd2l.serving.server import listening
from kerasd2l.serving.server.measures import Measures
from kerasd2l.serving.server.supervisor import Answer

REBOUND = "This Host is not served"
FOREIGN = "Pages of other origins may not ask"


class Echo:
    """In place of the model process: says what reached it; `/v1/slow` takes for ever."""

    restarts = 0

    def __init__(self):
        self.ready = asyncio.Event()
        self.ready.set()
        self.asked = []
        self.cancelled = threading.Event()

    async def ask(self, header, body, timeout):
        self.asked.append((header["path"], len(body)))
        if header["path"] == "/v1/slow":
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if header["path"] == "/v1/large":
            return Answer("OK", 200, b"x" * (64 << 20))
        about = {"model": "echo", "version": 1}
        return Answer("OK", 200, b'{"bytes": %d}' % len(body), about=about)


class Running:
    """A front with short deadlines, in a thread."""

    def __init__(self, rules):
        self.log = []
        self._ready = threading.Event()
        self._rules = rules
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self):
        self.models, self._end = Echo(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        app = fronts.Front(self.models, Measures(), self.log.append, self._rules)
        listener = listening._listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            app, http=listening.Connection, ws="none", lifespan="off", log_config=None
        )
        server = listening._Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        self._ready.set()
        await self._end.wait()
        server.should_exit = server.force_exit = True
        await serving

    def close(self):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def send(self, *parts, pause=0.0):
        """Send bytes, read until the connection ends or a whole answer is there."""
        with self.connect() as connection:
            for part in parts:
                try:
                    connection.sendall(part)
                except (BrokenPipeError, ConnectionResetError):
                    break
                time.sleep(pause)
            return read(connection)

    def ask(self, path="/v1/x", body=b"", method=None, **headers):
        method = method or ("POST" if body else "GET")
        lines = [f"{method} {path} HTTP/1.1"]
        headers = {"host": f"localhost:{self.port}", "content_length": len(body)} | headers
        lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
        return self.send("\r\n".join([*lines, "", ""]).encode() + body)


def read(connection):
    """Return the status and the text of an answer; (None, "") if there is none."""
    content = b""
    try:
        while part := connection.recv(1 << 16):
            content += part
            head, _, body = content.partition(b"\r\n\r\n")
            length = [
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            ]
            if length and len(body) >= length[0]:
                break
    except ConnectionResetError:
        pass
    if not content:
        return None, ""
    return int(content.split()[1]), content.decode("latin-1")


@pytest.fixture(scope="module")
def running():
    before = listening.HEADER_SECONDS, listening.BODY_SECONDS
    listening.HEADER_SECONDS = listening.BODY_SECONDS = 0.5
    running = Running(fronts.Rules(("models.example",), ("https://good.example",)))
    yield running
    running.close()
    listening.HEADER_SECONDS, listening.BODY_SECONDS = before


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({}, 200, ""),
        ({"host": "127.0.0.1"}, 200, ""),
        ({"host": "[::1]:8501"}, 200, ""),
        ({"host": "10.1.2.3:8501"}, 200, ""),
        ({"host": "Models.Example:80"}, 200, ""),
        ({"host": "evil.example"}, 403, REBOUND),
        ({"host": "localhost.evil.example"}, 403, REBOUND),
        ({"host": "localhost:80:90"}, 403, REBOUND),
        ({"host": "127.0.0.1.evil.example"}, 403, REBOUND),
        ({"host": ""}, 403, REBOUND),
        ({"origin": "https://good.example"}, 200, "access-control-allow-origin: https://good"),
        ({"origin": "https://evil.example"}, 403, FOREIGN),
        ({"origin": "null"}, 403, FOREIGN),
        ({"origin": "http://localhost:1"}, 403, FOREIGN),
    ],
)
def test_who_may_ask(running, headers, status, text):
    got, answer = running.ask(body=b"{}", **headers)
    assert got == status and text in answer
    assert ("access-control" in answer) == ("good" in headers.get("origin", ""))


def test_the_own_page_may_ask(running):
    origin = f"http://localhost:{running.port}"
    assert running.ask(body=b"{}", origin=origin)[0] == 200


@pytest.mark.parametrize(("origin", "status"), [("https://good.example", 200), (None, 400)])
def test_a_browser_asks_first(running, origin, status):
    headers = {"origin": origin} if origin else {}
    got, answer = running.ask(method="OPTIONS", **headers)
    assert got == status
    assert ("access-control-allow-methods" in answer) == (status == 200)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (gzip.compress(b"a" * 5000, mtime=0), {"content_encoding": "gzip"}, 200),
        (gzip.compress(b"a" * (40 << 20), mtime=0), {"content_encoding": "gzip"}, 413),
        (gzip.compress(b"a" * 5000, mtime=0)[:-9], {"content_encoding": "gzip"}, 400),
        (b"no gzip", {"content_encoding": "gzip"}, 400),
        (b"{}", {"content_encoding": "br"}, 415),
        (b"{}", {"content_length": 40 << 20}, 413),
        (b"{}", {"content_length": "9" * 30}, 400),
        (b"{}", {"content_length": "-1"}, 400),
        (b"{}", {"content_length": "2, 3"}, 400),
    ],
)
def test_bodies_that_are_packed_or_too_large(running, body, headers, status):
    got, answer = running.ask(body=body, **headers)
    assert got == status
    if status == 200:
        assert '{"bytes": 5000}' in answer


def test_a_body_in_pieces_is_counted(running):
    start = b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    piece = b"100000\r\n" + b"a" * (1 << 20) + b"\r\n"
    assert running.send(start, piece * 2, b"0\r\n\r\n")[1].endswith('{"bytes": 2097152}')
    assert running.send(start, *[piece] * 40)[0] == 413


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),  # connected, and silent
        (b"GET /v1/x HT", 408),
        (b"GET /v1/x HTTP/1.1\r\nhost: localhost\r\n", 408),
        (b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf", 408),
        (b"GET /v1/x HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * (70 << 10), 431),
        (b"\x16\x03\x01\x02\x00 no HTTP", 400),
    ],
)
def test_half_requests_end(running, sent, status):
    begin = time.monotonic()
    assert running.send(sent)[0] == status
    assert time.monotonic() - begin < 3


def test_a_request_that_drips_ends(running):
    drops = [bytes([letter]) for letter in b"GET /v1/x HTTP/1.1\r\nhost: localhost\r\n\r\n"]
    begin = time.monotonic()
    assert running.send(*drops, pause=0.1)[0] in (408, None)
    assert time.monotonic() - begin < 5


def test_several_requests_of_one_connection(running):
    request = b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"
    with running.connect() as connection:
        for _ in range(3):
            connection.sendall(request)
            assert read(connection)[0] == 200
            time.sleep(0.3)  # longer together than a request may take


@pytest.mark.parametrize("requests", [1, 3], ids=["one", "pipelined"])
def test_who_leaves_is_no_longer_waited_for(running, requests):
    running.models.cancelled.clear()
    with running.connect() as connection:
        connection.sendall(b"GET /v1/slow HTTP/1.1\r\nhost: localhost\r\n\r\n" * requests)
        time.sleep(0.2)
    assert running.models.cancelled.wait(5)


def test_who_does_not_read_the_answer_does_not_stop_others(running, monkeypatch):
    monkeypatch.setattr(fronts, "SLOWEST_READER", 0.5)
    with running.connect() as connection:
        connection.sendall(b"GET /v1/large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        time.sleep(1)
        assert running.ask()[0] == 200
    assert any(entry.get("sent") is False for entry in running.log)


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/static/index.html"])
def test_the_page_and_what_it_may_load(running, path):
    status, answer = running.ask(path)
    assert status == 200
    assert "default-src 'none'" in answer and "nosniff" in answer
    assert running.ask(path, body=b"x")[0] == 405


@pytest.mark.parametrize(
    "path", ["/static/../front.py", "/static/%2e%2e/front.py", "/etc/passwd", "/v3", "/static/"]
)
def test_no_other_file_is_given(running, path):
    assert running.ask(path)[0] == 404


def test_metrics_and_log(running):
    running.ask("/v1/models/echo:predict", body=b"{}")
    _, answer = running.ask("/monitoring/prometheus/metrics")
    assert ':tensorflow:serving:request_count{model_name="echo",status="OK"}' in answer
    assert (
        'request_latency_bucket{model_name="echo",API="Predict",entrypoint="REST",le="+Inf"}'
        in (answer)
    )
    entry = next(entry for entry in reversed(running.log) if "echo:" in entry["path"])
    line = listening.line(entry, as_json=False)
    assert "POST /v1/models/echo:predict 200" in line
    assert json.loads(listening.line(entry, as_json=True))["status"] == 200
    odd = listening.line({**entry, "path": "/v1/\n2026 forged"}, as_json=False)
    assert "\n" not in odd
