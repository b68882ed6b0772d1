"""TF_CONFIG: read as others write it, and clear words for what is wrong in it."""

import json
import subprocess
import sys

import pytest

from kerasd2l.cluster.cluster import Cluster, ClusterError

TWO = {"worker": ["host0:2222", "host1:2222"]}


def config(cluster, task={"type": "worker", "index": 0}, **more):  # noqa: B006
    return json.dumps({"cluster": cluster, "task": task, **more})


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
        ("[" + "0," * 600_000 + "0]", r"TF_CONFIG is too long: expected at most"),
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
        (config(TWO, {"type": "ps", "index": 0}), r'"ps", but the cluster has none'),
        (config({"worker": ["a:1", "a:1"]}), r"own address\. Received twice: a:1"),
        (config({"worker": ["a:1"], "chief": ["a:1"]}), r"Received twice: a:1"),
        (config({"worker": ["localhost:1", "127.0.0.1:1"]}), r"Received twice: 127\.0\.0\.1:1"),
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
        "import sys; import kerasd2l.cluster.resolving, kerasd2l.cluster.launch;"
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
