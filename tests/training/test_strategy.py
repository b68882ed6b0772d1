"""Strategies: the right one for each name, and clear words for devices that are not there."""

import dataclasses
import socket
import time

import pytest
import tensorflow as tf

from kerasd2l.cluster import cluster as clusters
from kerasd2l.cluster import coordination
from kerasd2l.training.strategy import (
    StrategyError,
    describe,
    is_chief,
    is_multi_worker,
    make_strategy,
)

TWO = clusters.Cluster({"worker": ["127.0.0.1:7001", "127.0.0.1:7002"]}, "worker", 1)


def test_one_device_is_no_distribution_at_all():
    for strategy in (make_strategy("one"), make_strategy("auto"), make_strategy("one", replicas=1)):
        assert strategy is tf.distribute.get_strategy()
        assert (describe(strategy), is_chief(strategy)) == ("one", True)
        assert not is_multi_worker(strategy)


@pytest.mark.parametrize(
    ("name", "replicas", "count"),
    [("mirrored", 1, 1), ("mirrored", None, 1), ("mirrored", 3, 3), ("auto", 4, 4)],
)
def test_mirrored_uses_logical_devices_without_gpus(name, replicas, count):
    strategy = make_strategy(name, replicas=replicas)
    assert strategy.num_replicas_in_sync == count
    assert (describe(strategy), is_chief(strategy)) == ("mirrored", True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "two"}, "multi_worker, parameter_server. Received: strategy='two'"),
        ({"name": "mirrored", "replicas": 0}, "at least 1. Received: replicas=0"),
        ({"name": "one", "replicas": 2}, 'has one replica. Received: replicas=2. Say "mirrored"'),
        (
            {"name": "mirrored", "replicas": 9},
            "9 logical CPU devices: TensorFlow already runs with",
        ),
        ({"name": "multi_worker"}, "needs TF_CONFIG with more than one worker, a task of srun"),
        (
            {"name": "one", "cluster": TWO},
            "train the same model 2 times: the environment names 2 workers",
        ),
        ({"name": "mirrored", "cluster": TWO}, "Say multi_worker or auto, or start one process"),
        ({"name": "multi_worker", "cluster": TWO, "replicas": 2}, "`replicas` is for one machine"),
    ],
)
def test_what_cannot_be_is_told(options, text):
    tf.constant(0) + 1  # TensorFlow runs
    with pytest.raises(StrategyError) as info:
        make_strategy(**options)
    assert text in str(info.value)


def test_more_replicas_than_gpus(monkeypatch):
    """Two GPUs as TensorFlow would list them: the error comes before any is touched."""
    devices = {"GPU": ["GPU:0", "GPU:1"], "CPU": ["CPU:0"]}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices[kind])
    with pytest.raises(StrategyError, match="3 replicas need 3 GPUs, this machine has 2"):
        make_strategy("mirrored", replicas=3)


def test_workers_that_see_the_same_gpus_share_them(monkeypatch):
    """Two tasks of Slurm on a machine with three GPUs, as TensorFlow would list them."""
    devices, visible = {"GPU": ["GPU:0", "GPU:1", "GPU:2"], "CPU": ["CPU:0"]}, []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices[kind])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda own, kind: visible.append(own))
    monkeypatch.setattr(coordination, "connect", lambda cluster, **options: cluster)
    for which in range(2):
        cluster = dataclasses.replace(TWO, task_index=which, gpu_share=(which, 2))
        assert make_strategy("auto", cluster=cluster) is cluster
    assert visible == [["GPU:0", "GPU:2"], ["GPU:1"]]
    make_strategy("auto", cluster=TWO)
    assert len(visible) == 2
    devices["GPU"] = ["GPU:0"]
    with pytest.raises(StrategyError, match="2 workers on this machine need 2 GPUs at least"):
        make_strategy("auto", cluster=cluster)


def free_ports(count):
    socks = [socket.socket() for _ in range(count)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def test_a_peer_that_does_not_answer_is_named_in_time():
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    cluster = clusters.Cluster({"worker": addresses}, "worker", 0)
    began = time.monotonic()
    with pytest.raises(clusters.ClusterError) as info:
        make_strategy("auto", cluster=cluster, rendezvous_timeout=1.0)
    assert time.monotonic() - began < 8
    assert f"worker 1 ({addresses[1]})" in str(info.value)
