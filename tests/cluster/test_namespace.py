"""Local workers have a network of their own: nobody else reaches them."""

import io
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from kerasd2l.cluster import launch as launching
from kerasd2l.cluster.namespace import Network, NetworkError

# Worker 1 listens on all addresses, as TensorFlow does, and worker 0 visits it there.
PROGRAM = """
import json, os, pathlib, socket, sys, time
rank = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
out, port = pathlib.Path(sys.argv[-2]), int(sys.argv[-1])
(out / f"space-{rank}").write_text(os.readlink("/proc/self/ns/net"))
if rank == 1:
    with socket.create_server(("", port)) as server:
        (out / "listens").touch()
        server.accept()
        while not (out / "end").exists():
            time.sleep(0.02)
else:
    while not (out / "listens").exists():
        time.sleep(0.02)
    socket.create_connection(("127.0.0.1", port), 5).close()
    (out / "visited").touch()
"""


def can_isolate():
    try:
        Network(isolated=True).close()
    except NetworkError as error:
        return str(error)
    return ""


needs_namespaces = pytest.mark.skipif(bool(can_isolate()), reason=f"no namespace: {can_isolate()}")


def own_addresses():
    """Return addresses of this machine, as a stranger on the network would use them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing: it chooses the address to send from
        except OSError:
            return ["127.0.0.1"]
        return ["127.0.0.1", sock.getsockname()[0]]


def reached(address, port):
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True


def two_workers(tmp_path, network):
    """Launch PROGRAM; return what a stranger reached while it ran, the spaces, exit code, talk."""
    with socket.socket() as sock:
        sock.bind(("", 0))
        port = sock.getsockname()[1]
    seen = {}

    def stranger():
        until = time.monotonic() + 20
        while not (tmp_path / "visited").exists() and time.monotonic() < until:
            time.sleep(0.02)
        seen.update({address: reached(address, port) for address in own_addresses()})
        (tmp_path / "end").touch()

    thread = threading.Thread(target=stranger)
    thread.start()
    err = io.BytesIO()
    code = launching.launch(
        ["run", str(tmp_path), str(port)],
        workers=2,
        program=(sys.executable, "-c", PROGRAM),
        env=os.environ,
        network=network,
        log_dir=tmp_path / "logs",
        stdout=io.BytesIO(),
        stderr=err,
    )
    thread.join()
    spaces = {(tmp_path / f"space-{rank}").read_text() for rank in range(2)}
    return seen, spaces, code, err.getvalue().decode()


@needs_namespaces
def test_nobody_else_reaches_the_workers_of_a_launch(tmp_path):
    seen, spaces, code, talk = two_workers(tmp_path, "isolated")
    assert code == 0, talk
    assert len(spaces) == 1
    assert os.readlink("/proc/self/ns/net") not in spaces
    assert seen
    assert not any(seen.values()), seen
    assert "warning" not in talk
    assert (tmp_path / "space-0").stat().st_uid == os.getuid()


def test_with_the_network_of_the_machine_they_are_reached_and_that_is_said(tmp_path):
    seen, _, code, talk = two_workers(tmp_path, "host")
    assert code == 0, talk
    assert all(seen.values()), seen
    assert "the ports of the workers are open to the network (--network host)" in talk


def test_where_no_namespace_can_be_made_the_workers_start_nevertheless(tmp_path, monkeypatch):
    def refuse(isolated):
        if isolated:
            raise NetworkError("not here")
        return Network(isolated=False)

    monkeypatch.setattr(launching, "Network", refuse)
    seen, _, code, talk = two_workers(tmp_path, "isolated")
    assert code == 0, talk
    assert all(seen.values()), seen
    assert "open to the network (no network of their own: not here)" in talk


@needs_namespaces
@pytest.mark.skipif(os.getuid() != 0, reason="changes the user")
def test_a_user_without_rights_stays_who_it_is_and_dies_with_the_launcher(tmp_path):
    tmp_path.chmod(0o777)
    for folder in list(tmp_path.parents)[:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    code = f"""
import ctypes, fcntl, os, subprocess, time
from kerasd2l.cluster.namespace import Network
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # may look into its own /proc, as after a login
network = Network(isolated=True)
worker = subprocess.Popen(["sh", "-c", "touch file; echo $$; exec sleep 60"], cwd={str(tmp_path)!r},
                          preexec_fn=network.in_child())
print(len(network.spaces), flush=True)
time.sleep(60)
"""
    line = [sys.executable, "-c", code]
    launcher = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = sorted((launcher.stdout.readline() for _ in range(2)), key=len)
    if not lines[1]:
        pytest.skip(f"no user namespace for users: {launcher.communicate()[1][-200:]}")
    assert lines[0] == "2\n"  # a user's and a network's
    assert (tmp_path / "file").stat().st_uid == 65534
    launcher.kill()
    launcher.communicate(timeout=10)
    for _ in range(200):
        try:
            os.kill(int(lines[1]), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("the worker has outlived its launcher")


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match=r"`network` must be isolated or host\. Received: .*mine"):
        launching.launch(["run"], workers=2, env={}, network="mine")


@needs_namespaces
def test_a_download_that_fails_for_want_of_a_network_is_explained(tmp_path):
    program = "import sys; sys.exit('Error: cannot download a.gz: Failed to resolve github.com')"
    err = io.BytesIO()
    code = launching.launch(
        ["run"],
        workers=2,
        program=(sys.executable, "-c", program),
        env=os.environ,
        log_dir=tmp_path,
        stdout=io.BytesIO(),
        stderr=err,
    )
    assert code == 1
    assert "the workers had no network" in err.getvalue().decode()
    assert "or give --network host" in err.getvalue().decode()
