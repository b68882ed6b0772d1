import gzip
import http.server
import threading
import time

import numpy as np
import pytest
from idx_writer import idx_bytes

from kerasd2l.data import idx


class Server(http.server.ThreadingHTTPServer):
    """Files from memory on 127.0.0.1, with faults to order: path -> list of faults, used up."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.requests, self.ranges = {}, {}, [], True
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server, name = self.server, self.path[1:]
        server.requests.append((name, self.headers.get("Range")))
        fault = server.faults[name].pop(0) if server.faults.get(name) else None
        if isinstance(fault, int):
            return self.send_error(fault)
        if isinstance(fault, str) and fault.startswith("to "):
            self.send_response(302)
            self.send_header("Location", fault[3:])
            return self.end_headers()
        if name not in server.files:
            return self.send_error(404)
        content, start = server.files[name], 0
        if server.ranges and self.headers.get("Range"):
            start = int(self.headers["Range"][len("bytes=") : -1])
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if fault != "no length":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.send(content[start:], fault)

    def send(self, content, fault):
        if fault == "dies":
            content = content[: len(content) // 2]
        if fault == "slow":
            time.sleep(1.0)
        try:
            if fault == "trickles":
                for i in range(40):
                    self.wfile.write(content[i * 100 : (i + 1) * 100])
                    time.sleep(0.05)
            else:
                self.wfile.write(content)
        except OSError:
            pass  # the client hung up


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, tmp_path):
    """Keep tests from the user's data and cache; loopback needs no proxy."""
    monkeypatch.delenv("KERASD2L_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def idx_files():
    """The four files of a tiny data set, 30 + 7 examples, as name -> bytes; and its arrays."""
    rng = np.random.default_rng(0)
    files, arrays = {}, {}
    for split, count in (("train", 30), ("test", 7)):
        x = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        y = rng.integers(0, 10, count, dtype=np.uint8)
        files[idx.IMAGES[split]] = gzip.compress(idx_bytes(x), 1)
        files[idx.LABELS[split]] = gzip.compress(idx_bytes(y), 1)
        arrays[split] = (x, y)
    return files, arrays
