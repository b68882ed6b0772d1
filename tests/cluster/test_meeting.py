"""All workers are waited for, and who does not come is named."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from kerasd2l.cluster import meeting
from kerasd2l.cluster.cluster import Cluster, ClusterError, PortError
from kerasd2l.cluster.meeting import meet


def free_addresses(count, host="127.0.0.1"):
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.bind(("", 0))
    addresses = [f"{host}:{sock.getsockname()[1]}" for sock in sockets]
    for sock in sockets:
        sock.close()
    return addresses


def port_of(address):
    return int(address.rpartition(":")[2])


class Worker(threading.Thread):
    """Meets in a thread, then keeps its port open as TensorFlow would, until `end`."""

    def __init__(self, spec, index, timeout=20.0, wait=0.0, end=None):
        super().__init__(daemon=True)
        spec = spec if isinstance(spec, dict) else {"worker": spec}
        self.cluster, self.timeout, self.wait = Cluster(spec, "worker", index), timeout, wait
        self.end, self.error, self.lines, self.seconds = end, None, [], 0.0
        self.start()

    def run(self):
        time.sleep(self.wait)
        begin = time.monotonic()
        try:
            meet(self.cluster, timeout=self.timeout, log=self.lines.append)
            self.seconds = time.monotonic() - begin
            with meeting.open_port(self.cluster.task, time.monotonic() + 5):
                if self.end:
                    self.end.wait(20)
        except Exception as error:
            self.error = error
            self.seconds = time.monotonic() - begin

    def done(self):
        self.join(30)
        assert not self.is_alive()
        return self


@pytest.mark.parametrize("size", [2, 3, 8])
def test_all_meet_and_the_ports_are_free_again(size):
    addresses, end = free_addresses(size), threading.Event()
    workers = [Worker(addresses, i, wait=0.05 * i, end=end) for i in range(size)]
    while not all(worker.seconds for worker in workers):
        time.sleep(0.02)
    end.set()
    for worker in workers:
        assert worker.done().error is None
        assert worker.lines[-1] == f"all {size} workers are there"
    assert max(worker.seconds for worker in workers) < 10
    for address in addresses:
        with socket.create_server(("127.0.0.1", port_of(address))):  # sets SO_REUSEADDR
            pass


def test_chief_and_workers_by_the_wildcard_address():
    try:
        socket.getaddrinfo(socket.gethostname(), 80)
    except OSError:
        pytest.skip("this machine does not know its own name")
    first, second = free_addresses(2, host=socket.gethostname())
    spec, end = {"worker": [second], "chief": [first]}, threading.Event()
    worker = Worker(spec, 0, end=end)
    meet(Cluster(spec, "chief", 0), timeout=20.0)
    with meeting.open_port(Cluster(spec, "chief", 0).task, time.monotonic() + 5):
        end.set()
        assert worker.done().error is None


def test_a_late_worker_is_waited_for():
    addresses, end = free_addresses(3), threading.Event()
    early = [Worker(addresses, i, end=end) for i in range(2)]
    late = Worker(addresses, 2, wait=1.5, end=end)
    while not all(worker.seconds for worker in (*early, late)):
        time.sleep(0.02)
    end.set()
    assert [w.done().error for w in (*early, late)] == [None] * 3
    assert min(w.seconds for w in early) >= 1.4


def test_missing_workers_are_named_in_time():
    addresses = free_addresses(4)
    workers = [Worker(addresses, i, timeout=1.5, end=threading.Event()) for i in (0, 2)]
    for worker in workers:
        message = str(worker.done().error)
        assert isinstance(worker.error, ClusterError)
        for index in (1, 3):
            assert f"worker {index} ({addresses[index]}) did not answer within 1.5 s" in message
        assert "nobody listens there (connection refused)" in message
        assert "Check that each process was started" in message
        assert 1.4 < worker.seconds < 4
    assert "worker 2" not in str(workers[0].error)


def test_a_name_that_does_not_resolve_is_named():
    (own,) = free_addresses(1)
    cluster = Cluster({"worker": [own, "no-such-host.invalid:2222"]}, "worker", 0)
    with pytest.raises(ClusterError, match=r"no-such-host\.invalid:2222\) .*: cannot be called: "):
        meet(cluster, timeout=0.5)


def test_a_taken_port_is_named(monkeypatch):
    monkeypatch.setattr(meeting, "_BIND", 0.2)
    addresses = free_addresses(2)
    with (
        socket.create_server(("127.0.0.1", port_of(addresses[0]))),
        pytest.raises(PortError, match=rf"worker 0 \({addresses[0]}\).*the port is taken"),
    ):
        meet(Cluster({"worker": addresses}, "worker", 0), timeout=5.0)


def test_an_earlier_process_on_the_port_may_take_a_moment_to_end():
    addresses = free_addresses(2)
    own, other = (socket.create_server(("127.0.0.1", port_of(address))) for address in addresses)
    threading.Timer(0.5, own.close).start()
    meet(Cluster({"worker": addresses}, "worker", 0), timeout=10.0)
    other.close()


SCRIPT = """
import sys
from kerasd2l.cluster import Cluster, meet
print("up", flush=True)
meet(Cluster({"worker": sys.argv[1].split(",")}, "worker", 0), timeout=60.0)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_wait_at_once(number):
    line = [sys.executable, "-c", SCRIPT, ",".join(free_addresses(2))]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout.readline() == "up\n"
    time.sleep(0.3)
    begin = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == -number or number == signal.SIGINT
    assert time.monotonic() - begin < 3


def test_no_socket_is_left():
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("counts files in /proc")
    addresses = free_addresses(2)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ClusterError):
        meet(Cluster({"worker": addresses}, "worker", 0), timeout=0.3)
    assert len(os.listdir("/proc/self/fd")) == before


def test_timeout_must_be_positive():
    with pytest.raises(ValueError, match=r"`timeout` must be more than 0 .*timeout=0"):
        meet(Cluster({"worker": ["a:1", "b:1"]}, "worker", 0), timeout=0)
