"""TensorFlow's coordination service: all workers connect to it, agree, and learn who was lost.

The service runs in the first task (chief, or worker 0). Each worker sends heartbeats, with C++
threads of its own: a worker that is busy in Python is not lost. Measured with TF 2.21 on two cores,
three workers, a collective in each step, heartbeat timeout 10 s:

- kill -9 of the chief or of a worker: UnavailableError on every survivor after 0.1 to 0.2 s if it
  is just being read from; else as if it were frozen, since gRPC waits for it to come back;
- SIGSTOP of a worker: UnavailableError after 8.7 to 10.3 s, which names the task;
- SIGSTOP of the chief: DeadlineExceededError of "Heartbeat" after 10.8 s; `get_task_states` must
  not be asked then: it waits for ever;
- nothing aborts the process, and it ends by itself afterwards;
- a worker missing at the start: the others get DeadlineExceededError in time, but the chief waits
  for ever with Python's lock held, whatever `cluster_register_timeout_in_ms` says. So the workers
  meet before (`meeting`), and a process watches until the strategy stands (`watch`).

`MultiWorkerMirroredStrategy` starts the service by itself, and keeps the settings of this module.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import tensorflow as tf

# The only way to set the service's times, and to its store of keys and values; nothing of it is
# in the public API. tests/cluster/test_multiworker.py fails where it has gone.
from tensorflow.python.eager import context

from kerasd2l.cluster.cluster import Cluster, ClusterError, Task, split_address
from kerasd2l.cluster.meeting import meet
from kerasd2l.cluster.watch import Watch

_HEARTBEAT = 15_000  # milliseconds; measured: a frozen peer is an error after 0.9 to 1.5 of it
START = 30.0  # seconds that TensorFlow gets at least, when the workers have met late
_KEY = "kerasd2l/worker/"
_TASK = re.compile(r"/job:(\w+)(?:/replica:0)?/task:(\d+)")


def connect(
    cluster: Cluster,
    *,
    timeout: float,
    fingerprint: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Meet all workers, connect TensorFlow to them, and compare what must be the same.

    Args:
        cluster: Cluster, of at least two tasks.
        timeout: float, seconds to wait for the others.
        fingerprint: str, what must be the same everywhere: items such as "tensorflow=2.21.0
            config=4f2a", separated by blanks.
        say: function that gets a line of news now and then.

    Returns:
        The strategy of all workers.

    Raises:
        ClusterError: a worker did not come in time, has another fingerprint or another idea of the
            cluster. Where TensorFlow holds the process, `Watch` says so and kills it.
    """
    until = time.monotonic() + timeout
    meet(cluster, timeout=timeout, log=say)
    left = max(until - time.monotonic(), START)
    _configure(cluster, left)
    try:
        with watching(cluster, left):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver_of(cluster))
            _compare(cluster, fingerprint, left)
    except tf.errors.OpError as error:
        who = ", ".join(map(str, lost_tasks(error, cluster))) or "another worker"
        raise ClusterError(
            f"TensorFlow cannot connect the workers: {who} does not answer "
            f"({_first_line(error)}). Start all workers again."
        ) from error
    return strategy


def resolver_of(cluster: Cluster) -> tf.distribute.cluster_resolver.ClusterResolver:
    """Return a cluster as TensorFlow's strategies take it."""
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster.normalised()),
        task_type=cluster.task_type,
        task_id=cluster.task_index,
        rpc_layer="grpc",
    )


def watching(cluster: Cluster, seconds: float) -> Watch:
    """Watch the others while TensorFlow starts, which may take `seconds`."""
    peers = {str(task): split_address(task.address) for task in cluster.peers}
    return Watch(peers, seconds)


def lost_tasks(error: Exception, cluster: Cluster) -> list[Task]:
    """Return the workers whose loss an error of TensorFlow tells; empty if it does not say."""
    text = str(error)
    _, unhealthy, rest = text.partition("stopped sending heartbeats):")
    names = _TASK.findall(rest.partition("The tasks")[0]) if unhealthy else []
    if not names and "remote target" in text:
        # "remote target A ... {A says: remote target B ...}": the innermost is the one that died.
        names = _TASK.findall(text)[-1:]
    if not names and "CoordinationService/Heartbeat" in text:
        return [cluster.tasks[0]]  # where the service runs
    known = {(task.type, str(task.index)): task for task in cluster.tasks}
    return [known[name] for name in dict.fromkeys(names) if name in known]


def cluster_of(strategy: tf.distribute.Strategy) -> Cluster:
    """Return the cluster that a strategy of several workers connects."""
    # ParameterServerStrategy has it under this name only; the public one is None.
    resolver = strategy.cluster_resolver or strategy._cluster_resolver
    return Cluster(resolver.cluster_spec().as_dict(), resolver.task_type, resolver.task_id)


def _configure(cluster: Cluster, timeout: float) -> None:
    first = cluster.tasks[0]
    jobs = [
        context.coordination_config_pb2.CoordinatedJob(name=kind, num_tasks=len(addresses))
        for kind, addresses in cluster.spec.items()
    ]
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{first.type}/replica:0/task:{first.index}",
        cluster_register_timeout_in_ms=int(timeout * 1000),
        heartbeat_timeout_in_ms=_HEARTBEAT,
        coordinated_jobs=jobs,
    )


def _compare(cluster: Cluster, fingerprint: str, timeout: float) -> None:
    """Tell the others what we are, by the service's store, and look at what they tell."""
    store, milliseconds = context.context(), int(timeout * 1000)
    own = {"cluster": cluster.normalised(), "fingerprint": fingerprint}
    store.set_config_key_value(f"{_KEY}{cluster.rank}", json.dumps(own))
    differing = []
    for task in cluster.peers:
        try:
            theirs = store.get_config_key_value(f"{_KEY}{task.rank}", milliseconds)
        except tf.errors.DeadlineExceededError:
            raise ClusterError(
                f"{task} has not said within {timeout:.0f} s what it runs: it is gone or frozen, "
                "or its kerasd2l is an older one. Start all workers again."
            ) from None
        how = _difference(own, json.loads(theirs))
        if how:
            differing.append(f"{task} {how}")
    if differing:
        raise ClusterError(
            f"{'; '.join(differing[:5])}. All workers need the same packages, command and cluster."
        )


def _difference(own: dict, theirs: dict) -> str:
    """Say how another worker differs from this one; "" if it does not."""
    if own["cluster"] != theirs["cluster"]:
        return f"was given another cluster: {theirs['cluster']} there, {own['cluster']} here"
    here, there = (
        dict(item.partition("=")[::2] for item in one["fingerprint"].split())
        for one in (own, theirs)
    )
    parts = [
        f"{key}={there.get(key)} there, {key}={here.get(key)} here"
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
    ]
    return f"is of another kind: {'; '.join(parts)}" if parts else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
