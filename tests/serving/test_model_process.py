"""The model process as the front sees it: standing still, and left alone."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("orjson", reason="needs the extra kerasd2l[serve]")

from kerasd2l.serving.server import supervisor
from kerasd2l.serving.server.supervisor import ModelProcess

OPTIONS = {"versions": 1, "config": None, "together": True, "most": 9, "patience": 60.0}
FRONT = """
import asyncio, json, sys
from kerasd2l.serving.server.supervisor import ModelProcess
async def main():
    models = ModelProcess(json.loads(sys.argv[1]), lambda text: None)
    supervising = asyncio.create_task(models.supervise())
    await models.ready.wait()
    print(models.pid, flush=True)
    await supervising
asyncio.run(main())
"""


def gone(process):
    """Tell whether a process has ended within 10 s; one that nobody waits for may still be told."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            with open(f"/proc/{process}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_a_process_that_stands_still_holds_no_more_than_it_may_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "MOST_BYTES", 4 << 20)
    monkeypatch.setattr(supervisor, "LONGEST_END", 0.5)
    said = []

    async def ask():
        models = ModelProcess({"folder": str(tmp_path), **OPTIONS}, said.append)
        supervising = asyncio.create_task(models.supervise())
        await asyncio.wait_for(models.ready.wait(), 60)
        os.kill(models.pid, signal.SIGSTOP)
        header = {"api": "rest", "method": "GET", "path": "/v1/models"}
        codes = [(await models.ask(header, b"x" * (1 << 20), 0.05)).status for _ in range(9)]
        assert codes[0] == 504 and codes[-1] == 429
        await models.stop()
        await supervising
        return models.pid

    assert gone(asyncio.run(ask()))


def test_it_ends_with_its_front(tmp_path):
    options = json.dumps({"folder": str(tmp_path), **OPTIONS})
    with subprocess.Popen(
        [sys.executable, "-c", FRONT, options], stdout=subprocess.PIPE, text=True
    ) as front:
        process = int(front.stdout.readline())
        front.kill()
    assert gone(process)


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_a_port_that_is_taken_is_told_in_one_line(tmp_path, option):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"--port": "0", "--grpc-port": "0", option: str(port)}
        words = [word for pair in ports.items() for word in pair]
        done = subprocess.run(
            [sys.executable, "-m", "kerasd2l.cli", "serve", str(tmp_path), *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line
