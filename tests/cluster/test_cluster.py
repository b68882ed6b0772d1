import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from kerasd2l.cluster import rendezvous
from kerasd2l.cluster.cluster import Cluster, ClusterError
from kerasd2l.cluster.meeting import preflight

TWO = {"worker": ["host0:2222", "host1:2222"]}


def config(cluster, task={"type": "worker", "index": 0}, **more):  # noqa: B006
    return json.dumps({"cluster": cluster, "task": task, **more})


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
    """A preflight in a thread; `error` and `seconds` afterwards."""

    def __init__(self, addresses, index, timeout=20.0, fingerprint="", spec=None, wait=0.0):
        super().__init__(daemon=True)
        self.cluster = Cluster(spec or {"worker": addresses}, "worker", index)
        self.options = {"timeout": timeout, "fingerprint": fingerprint}
        self.wait, self.error, self.lines, self.seconds = wait, None, [], 0.0
        self.start()

    def run(self):
        time.sleep(self.wait)
        begin = time.monotonic()
        try:
            preflight(self.cluster, log=self.lines.append, **self.options)
        except Exception as error:
            self.error = error
        self.seconds = time.monotonic() - begin

    def done(self):
        self.join(30)
        assert not self.is_alive()
        return self


# ---- TF_CONFIG


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "  ",
        "{}",
        '{"task": {"type": "worker", "index": 0}}',
        config({}),
        config({"chief": ["a:1"]}, {"type": "chief", "index": 0}),
        config({"worker": ["a:1"], "chief": []}, None),
    ],
)
def test_no_cluster_to_wait_for(text):
    assert Cluster.parse(text) is None


def test_worker_zero_is_the_chief():
    cluster = Cluster.parse(config(TWO, job={}, environment="cloud", trial="1"))
    assert (cluster.rank, cluster.size, cluster.is_chief) == (0, 2, True)
    assert cluster.address == "host0:2222"
    assert [task.address for task in cluster.peers] == ["host1:2222"]
    assert not Cluster.parse(config(TWO, {"type": "worker", "index": "1"})).is_chief


@pytest.mark.parametrize("name", ["chief", "master"])
def test_chief_comes_first_and_master_is_its_older_name(name):
    spec = {"worker": ["b:1", "c:1"], name: ["a:1"]}
    cluster = Cluster.parse(config(spec, {"type": name, "index": 0}))
    assert [task.address for task in cluster.tasks] == ["a:1", "b:1", "c:1"]
    assert [task.rank for task in cluster.tasks] == [0, 1, 2]
    assert cluster.is_chief
    assert cluster.normalised() == {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    assert cluster.normalised_task == ("chief", 0)
    worker = Cluster.parse(config(spec, {"type": "worker", "index": 0}))
    assert (worker.rank, worker.is_chief, str(worker.task)) == (1, False, "worker 0 (b:1)")


def test_ipv6_addresses():
    spec = {"worker": ["[::1]:2222", "[fe80::1]:2222"]}
    assert Cluster.parse(config(spec)).address == "[::1]:2222"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'cluster': 1}", r"TF_CONFIG is not valid JSON: .* Received: .* Write it like"),
        ("[1]", r"TF_CONFIG must be a JSON object\. Received: '\[1\]'"),
        ("[" * 100_000, r"TF_CONFIG is not valid JSON: "),
        ('{"cluster":' * 30_000 + "1" + "}" * 30_000, r"TF_CONFIG is not valid JSON: "),
        ('{"cluster": {"worker": [' + "[" * 900 + "]" * 900 + "]}}", r"TF_CONFIG|address"),
        ('{"cluster": {"worker": ' + "9" * 5000 + "}}", r"TF_CONFIG is not valid JSON: "),
        (config(TWO, {"type": "worker", "index": "9" * 5000}), r"must be a whole number"),
        (config(["a:1", "b:1"]), r'"cluster" must map task types .* Received: \[\'a:1\', '),
        (config({"worker": "a:1"}), r'"worker" must be a list .* Received: \'a:1\''),
        (config(TWO, None), r'"cluster" of 2 tasks but no "task".*wait for ever.*Add'),
        (config(TWO, {"type": "worker"}), r'must have a "type" and an "index".*Received'),
        (config(TWO, {"type": "worker", "index": True}), r"must be a whole number.* True"),
        (config(TWO, {"type": "worker", "index": 1.5}), r"must be a whole number.* 1\.5"),
        (config(TWO, {"type": "boss", "index": 0}), r"Unknown task type.*\"chief\".*'boss'"),
        (config(TWO, {"type": ["x"], "index": 0}), r"Unknown task type"),
        (config({"wroker": ["a:1"]}), r"Unknown task type.*Received: 'wroker'"),
        (config(TWO, {"type": "worker", "index": 2}), r"expected 0 to 1.*Received: index=2"),
        (config(TWO, {"type": "worker", "index": -1}), r"out of range.*index=-1"),
        (config(TWO, {"type": "chief", "index": 0}), r'"chief", but the cluster has none'),
        (config(TWO, {"type": "evaluator", "index": 0}), r"the loop evaluates in the workers"),
        (config({"chief": ["a:1"]}, {"type": "evaluator", "index": 0}), r"evaluator"),
        (config({**TWO, "ps": ["p:1"]}), r"Parameter servers .* not supported.* synchronous"),
        (config(TWO, {"type": "ps", "index": 0}), r"Parameter servers"),
        (config({"worker": ["a:1", "a:1"]}), r"own address\. Received twice: a:1"),
        (config({"worker": ["a:1"], "chief": ["a:1"]}), r"Received twice: a:1"),
        (config({"chief": ["a:1"], "master": ["b:1"]}), r"must be one chief.*'a:1', 'b:1'"),
        (config({"worker": ["grpc://a:1", "b:1"]}), r'must be "host:port".*grpc://a:1'),
        (config({"worker": ["a", "b:1"]}), r"must be \"host:port\".*'a'"),
        (config({"worker": ["a:0", "b:1"]}), r"port from 1 to 65535"),
        (config({"worker": ["a:65536", "b:1"]}), r"port from 1 to 65535"),
        (config({"worker": [5, "b:1"]}), r"must be \"host:port\".*Received: 5"),
    ],
)
def test_a_wrong_tf_config_says_what_is_wrong(text, message):
    with pytest.raises(ClusterError, match=message):
        Cluster.parse(text)


def test_no_tensorflow_is_imported():
    code = (
        "import sys; import kerasd2l.cluster.rendezvous, kerasd2l.cluster.launch;"
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- preflight


@pytest.mark.parametrize("size", [2, 3, 8])
def test_all_meet_and_the_ports_are_free_again(size):
    addresses = free_addresses(size)
    workers = [Worker(addresses, i, fingerprint="a=1", wait=0.05 * i) for i in range(size)]
    for worker in workers:
        assert worker.done().error is None
        assert worker.lines[-1] == f"all {size} workers are there"
    assert max(worker.seconds for worker in workers) < 10
    for address in addresses:
        with socket.create_server(("127.0.0.1", port_of(address))):  # sets SO_REUSEADDR
            pass


def test_chief_and_workers_by_the_wildcard_address():
    first, second = free_addresses(2, host=socket.gethostname())
    try:
        socket.getaddrinfo(socket.gethostname(), 80)
    except OSError:
        pytest.skip("this machine does not know its own name")
    spec = {"worker": [second], "chief": [first]}
    worker = Worker(None, 0, spec=spec)
    preflight(Cluster(spec, "chief", 0), timeout=20.0)
    assert worker.done().error is None


def test_a_late_worker_is_waited_for_and_nobody_leaves_before():
    addresses = free_addresses(3)
    early = [Worker(addresses, i) for i in range(2)]
    late = Worker(addresses, 2, wait=1.5)
    assert [w.done().error for w in (*early, late)] == [None] * 3
    assert min(w.seconds for w in early) >= 1.4


def test_a_missing_worker_is_named_in_time():
    addresses = free_addresses(3)
    workers = [Worker(addresses, i, timeout=1.5) for i in (0, 2)]
    for worker in workers:
        message = str(worker.done().error)
        assert isinstance(worker.error, ClusterError)
        assert message.startswith(f"worker 1 ({addresses[1]}) did not answer within 1.5 s.")
        assert "nobody listens there (connection refused)" in message
        assert "Check that each process was started" in message
        assert 1.4 < worker.seconds < 4
    assert "worker 2" not in str(workers[0].error)


def test_a_name_that_does_not_resolve_is_named():
    (own,) = free_addresses(1)
    cluster = Cluster({"worker": [own, "no-such-host.invalid:2222"]}, "worker", 0)
    with pytest.raises(ClusterError, match=r"no-such-host\.invalid:2222\): cannot be called: "):
        preflight(cluster, timeout=0.5)


def test_another_fingerprint_is_an_error_on_both_sides():
    addresses = free_addresses(2)
    prints = ["tensorflow=2.21.0 config=aa", "tensorflow=2.20.0 config=aa"]
    workers = [Worker(addresses, i, fingerprint=prints[i]) for i in range(2)]
    message = str(workers[0].done().error)
    assert "worker 1 " in message
    assert "tensorflow=2.20.0 there, tensorflow=2.21.0 here" in message
    assert "config" not in message
    assert "worker 0 " in str(workers[1].done().error)
    assert max(worker.seconds for worker in workers) < 5


def test_another_list_of_workers_is_an_error():
    addresses = free_addresses(3)
    wrong = Worker(addresses[:2], 1)
    with pytest.raises(ClusterError, match=r"worker 1 .* another cluster .* counts 2 .* 3"):
        preflight(Cluster({"worker": addresses}, "worker", 0), timeout=10.0)
    assert "worker 0 " in str(wrong.done().error)
    assert "another cluster" in str(wrong.error)


def test_an_address_that_leads_back_is_an_error():
    (own,) = free_addresses(1)
    alias = own.replace("127.0.0.1", "localhost")
    with pytest.raises(ClusterError, match=r"worker 1 .* leads back to this process, worker 0"):
        preflight(Cluster({"worker": [own, alias]}, "worker", 0), timeout=10.0)


def test_a_process_with_the_wrong_index_is_an_error():
    """worker 1's machine was given index 0: its process listens on the same port number."""
    first, second = free_addresses(2)
    other = f"127.0.0.2:{port_of(first)}"
    del second
    spec = {"worker": [first, other]}
    with socket.create_server(("127.0.0.2", port_of(first))) as server:
        server.settimeout(10)

        def answer():
            sock, _ = server.accept()
            line = sock.makefile().readline()
            message = json.loads(line) | {"identity": "x", "rank": 0, "heard": False}
            sock.sendall(json.dumps(message).encode() + b"\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(ClusterError, match=r"takes itself for worker 0"):
            preflight(Cluster(spec, "worker", 0), timeout=10.0)
        thread.join(5)


def test_a_taken_port_is_named(monkeypatch):
    monkeypatch.setattr(rendezvous, "_BIND", 0.2)
    addresses = free_addresses(2)
    with (
        socket.create_server(("127.0.0.1", port_of(addresses[0]))),
        pytest.raises(ClusterError, match=rf"worker 0 \({addresses[0]}\).*the port is taken"),
    ):
        preflight(Cluster({"worker": addresses}, "worker", 0), timeout=5.0)


def test_an_earlier_process_on_the_port_may_take_a_moment_to_end():
    addresses = free_addresses(2)
    server = socket.create_server(("127.0.0.1", port_of(addresses[0])))
    threading.Timer(0.5, server.close).start()
    workers = [Worker(addresses, i) for i in range(2)]
    assert [worker.done().error for worker in workers] == [None, None]


def test_garbage_and_half_open_connections_do_no_harm():
    addresses = free_addresses(2)
    first = Worker(addresses, 0)
    time.sleep(0.3)
    place = ("127.0.0.1", port_of(addresses[0]))
    deep = b'{"a":' * 5000 + b"\n"
    hello = {"protocol": "kerasd2l preflight 1", "tasks": "x", "rank": 1}
    pieces = [b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff\n", b"{}\n", b"{" * 200_000, deep, b""]
    pieces += [b"{bad json\n", b'{"protocol": 1}\n[1]\n', json.dumps(hello).encode() + b"\n"]
    half_open = [socket.create_connection(place) for _ in range(3)]
    half_open[1].sendall(b'{"protocol"')
    for piece in pieces:
        with socket.create_connection(place) as sock:
            try:
                sock.sendall(piece)
            except OSError:
                continue  # it has hung up on the long ones
    assert first.is_alive()
    second = Worker(addresses, 1)
    assert [worker.done().error for worker in (first, second)] == [None, None]
    for sock in half_open:
        sock.close()


def test_something_else_at_the_peers_address_is_said():
    addresses = free_addresses(2)
    with socket.create_server(("127.0.0.1", port_of(addresses[1]))) as server:

        def answer():
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                sock.recv(1000)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ClusterError, match=r"worker 1 .*something else answers there"):
            preflight(Cluster({"worker": addresses}, "worker", 0), timeout=1.0)
        server.shutdown(socket.SHUT_RDWR)


def test_a_silent_peer_is_said(monkeypatch):
    monkeypatch.setattr(rendezvous, "_PATIENCE", 0.3)
    addresses = free_addresses(2)
    with (
        socket.create_server(("127.0.0.1", port_of(addresses[1]))),
        pytest.raises(ClusterError, match=r"worker 1 .*no answer: it is silent"),
    ):
        preflight(Cluster({"worker": addresses}, "worker", 0), timeout=1.0)


def test_lost_lines_strand_nobody(monkeypatch):
    """Every seventh line, by chance, gets lost; still every worker meets the others."""
    monkeypatch.setattr(rendezvous, "_PATIENCE", 0.1)
    monkeypatch.setattr(rendezvous, "_AGAIN", (0.05, 0.05))
    say, chance = rendezvous.Rendezvous._say, random.Random(1)

    def unreliable(self, talk, **more):
        if chance.random() > 1 / 7:  # else the other side waits until its patience is over
            say(self, talk, **more)

    monkeypatch.setattr(rendezvous.Rendezvous, "_say", unreliable)
    for _ in range(5):
        addresses = free_addresses(3)
        workers = [Worker(addresses, i, timeout=20.0) for i in range(3)]
        assert [worker.done().error for worker in workers] == [None] * 3
        assert max(worker.seconds for worker in workers) < 15  # not by the end of the time


SCRIPT = """
import sys
from kerasd2l.cluster import Cluster, preflight
addresses, index, timeout = sys.argv[1].split(","), int(sys.argv[2]), float(sys.argv[3])
print("up", flush=True)
preflight(Cluster({"worker": addresses}, "worker", index), timeout=timeout, log=print)
"""


def start(addresses, index, timeout=20.0, script=SCRIPT):
    line = [sys.executable, "-c", script, ",".join(addresses), str(index), str(timeout)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_worker_that_restarts_is_met_again():
    addresses = free_addresses(3)
    first, second = (start(addresses, i) for i in range(2))
    assert second.stdout.readline() == "up\n"
    for line in first.stdout:  # until it has been met once
        if line.startswith("worker 1 ") and "is there" in line:
            break
    second.send_signal(signal.SIGKILL)
    second.communicate()
    time.sleep(0.3)
    others = [start(addresses, i) for i in (1, 2)]
    for process in (first, *others):
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_wait_at_once(number):
    process = start(free_addresses(2), 0, timeout=60.0)
    assert process.stdout.readline() == "up\n"
    time.sleep(0.3)
    begin = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == -number or number == signal.SIGINT
    assert time.monotonic() - begin < 3


def test_no_socket_or_thread_is_left():
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("counts files in /proc")
    addresses = free_addresses(2)
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    with pytest.raises(ClusterError):
        preflight(Cluster({"worker": addresses}, "worker", 0), timeout=0.3)
    worker = Worker(addresses, 1)
    preflight(Cluster({"worker": addresses}, "worker", 0), timeout=10.0)
    assert worker.done().error is None
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_timeout_must_be_positive():
    with pytest.raises(ValueError, match=r"`timeout` must be more than 0 .*timeout=0"):
        preflight(Cluster(TWO, "worker", 0), timeout=0)


TENSORFLOW = """
import sys
from kerasd2l.cluster import Cluster, preflight
addresses, index = sys.argv[1].split(","), int(sys.argv[2])
cluster = Cluster({"worker": addresses}, "worker", index)
import os
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import tensorflow as tf
preflight(cluster, timeout=float(sys.argv[3]), fingerprint=tf.__version__)
resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
    tf.train.ClusterSpec(cluster.normalised()),
    task_type=cluster.normalised_task[0],
    task_id=cluster.normalised_task[1],
    rpc_layer="grpc",
)
strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)

@tf.function
def total():
    mine = strategy.run(lambda: tf.constant(10.0 ** index))
    return strategy.reduce("SUM", mine, axis=None)

print("total", float(total()), flush=True)
"""


@pytest.mark.slow  # in small what the trainings of test_multiworker.py do
@pytest.mark.multiworker
def test_tensorflow_takes_over_the_ports():
    addresses = free_addresses(2)
    processes = [start(addresses, i, timeout=90.0, script=TENSORFLOW) for i in range(2)]
    try:
        for process in processes:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output[-3000:]
            assert "total 11.0" in output
    finally:
        for process in processes:
            process.kill()
