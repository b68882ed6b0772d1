"""The process that watches while TensorFlow starts."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from kerasd2l.cluster import watch

SETTINGS = b"\x00\x00\x18\x04\x00\x00\x00\x00\x00"  # of HTTP/2, as TensorFlow 2.21 begins
HELD = """
import ctypes, json, signal, sys
from kerasd2l.cluster.watch import Watch
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: None)
with Watch(json.loads(sys.argv[1]), float(sys.argv[2])):
    print("held", flush=True)
    while True:
        ctypes.PyDLL(None).sleep(60)  # with Python's lock, as TensorFlow does it
"""


@pytest.fixture
def server():
    """Start servers that say something to each caller; returns their addresses."""
    opened = []

    def start(says):
        listener = socket.create_server(("127.0.0.1", 0))
        opened.append(listener)

        def serve():
            calls = []
            while True:
                try:
                    calls.append(listener.accept()[0])
                    calls[-1].sendall(says)
                except OSError:
                    return

        if says is not None:
            threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()

    yield start
    for listener in opened:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_what_answers_is_told_apart(server, monkeypatch):
    monkeypatch.setattr(watch, "_ANSWER", 0.3)
    assert watch.look(*server(SETTINGS)) == "is there"
    assert "something else answers" in watch.look(*server(b"HTTP/1.1 400 Bad Request\r\n"))
    assert "does not answer: it is frozen" in watch.look(*server(None))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert "is gone (Connection refused)" in watch.look(*sock.getsockname())


def test_a_process_that_is_held_is_killed_with_the_name_of_the_missing(server):
    peers = {"worker 1 (a:1)": server(SETTINGS), "worker 2 (b:1)": server(b"HTTP/1.1 400\r\n")}
    line = [sys.executable, "-c", HELD, watch.json.dumps(peers), "2"]
    begin = time.monotonic()
    process = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode == -9
    assert time.monotonic() - begin < 10
    assert process.stderr == (
        "Error: TensorFlow did not find all workers within 2 s: worker 2 (b:1) is not a TensorFlow "
        "worker: something else answers. Start all workers again.\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_group_ends_a_process_that_is_deaf(server, number):
    """As Ctrl-C on a terminal and scancel send it."""
    line = [sys.executable, "-c", HELD, watch.json.dumps({"worker 1": server(SETTINGS)}), "60"]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "held\n"
    begin = time.monotonic()
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == -9
    assert "stopped while TensorFlow waited for the other workers" in err


def test_a_peer_that_goes_away_is_told_before_the_time_is_over(server, monkeypatch):
    monkeypatch.setattr(watch, "_GONE", 0.3)
    monkeypatch.setattr(watch, "_ROUND", 0.1)
    answers = iter(["is there", "is there"])
    monkeypatch.setattr(watch, "look", lambda host, port: next(answers, "is gone (refused)"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(watch.sys, "stdin", ours)  # nothing comes
        told = watch.watch({"worker 1 (a:1)": ("a", 1)}, 30.0)
    assert told == "worker 1 (a:1) went away while TensorFlow started"


def test_it_ends_with_what_it_watches(server):
    with watch.Watch({"worker 1": server(SETTINGS)}, 60.0) as watching:
        assert watching.process.poll() is None
    assert watching.process.returncode == 0
