"""Which cluster this process belongs to, by its environment: TF_CONFIG, Kubernetes, Slurm.

Where TensorFlow has a resolver it is used as far as it goes:

- `TFConfigClusterResolver` reads TF_CONFIG without a look at it; `Cluster.parse` says what is wrong
  in it.
- `SlurmClusterResolver` sorts the hosts by name (n10 before n9: then rank 0 is told that it is
  another machine), asks nvidia-smi, and divides by no GPUs on machines without. Its two functions
  that read Slurm's lists are right, and used here.
- `KubernetesClusterResolver` asks the API server for pods by label (an extra package, rights for
  each pod), knows no index of its own process, and takes pod addresses that change with a restart.
  The index of an indexed Job and the names of a headless service need none of that.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping

from kerasd2l.cluster.cluster import Cluster, ClusterError

PORT = 2222  # of workers on Kubernetes: each has an address of its own
_SLURM_PORTS = 12000  # the first port of jobs on Slurm, whose tasks may share a machine


def find(
    env: Mapping[str, str], *, say: Callable[[str], None] = lambda text: None
) -> Cluster | None:
    """Find the cluster of this process.

    Args:
        env: Mapping, the environment, such as `os.environ`.
        say: function that gets a sentence about what was found.

    Returns:
        The cluster, or None where this process trains alone: also as the only task of a job.

    Raises:
        ClusterError: the environment describes a cluster, but wrongly or half. The message begins
            with the name of what describes it.

    Example:
        >>> job = {"KERASD2L_WORKERS": "2", "KERASD2L_SERVICE": "net", "JOB_COMPLETION_INDEX": "1"}
        >>> find({**job, "HOSTNAME": "lenet-1"}).address
        'lenet-1.net:2222'
    """
    for name, read in (
        ("TF_CONFIG", lambda env: Cluster.parse(env.get("TF_CONFIG"))),
        ("Kubernetes", _kubernetes),
        ("Slurm", _slurm),
    ):
        try:
            cluster = read(env)
        except ClusterError as error:
            if str(error).startswith(name):
                raise
            raise ClusterError(f"{name}: {error}") from error
        if cluster is not None:
            say(f"{name}: this is {cluster.task}, one of {_counted(cluster)}")
            return cluster
    return None


def _counted(cluster: Cluster) -> str:
    """Say how many train, and how many hold the weights."""
    servers = len(cluster.spec.get("ps", ()))
    workers = cluster.size - servers
    if not servers:
        return f"{workers} workers"
    return f"{workers} workers and {servers} parameter server{'s' * (servers > 1)}"


def _kubernetes(env: Mapping[str, str]) -> Cluster | None:
    """Read what the manifest of `kerasd2l launch --engine kubernetes` and an indexed Job set."""
    if "KERASD2L_WORKERS" not in env:
        return None
    size = _number(env, "KERASD2L_WORKERS")
    if size == 1:
        return None
    index = _number(env, "JOB_COMPLETION_INDEX")
    service = env.get("KERASD2L_SERVICE", "").strip()
    if not service:
        raise ClusterError(
            "KERASD2L_SERVICE is not set: expected the name of the headless service of the Job, "
            "under which its pods find each other."
        )
    host = (env.get("HOSTNAME") or socket.gethostname()).partition(".")[0]
    job = host.removesuffix(f"-{index}")
    if job == host:
        raise ClusterError(
            f"the name of this pod must end with its index, as in an indexed Job: -{index}. "
            f"Received: HOSTNAME={host}. Set completionMode: Indexed."
        )
    hosts = [f"{job}-{i}.{service}:{PORT}" for i in range(size)]
    return Cluster({"worker": hosts}, "worker", index)


def _slurm(env: Mapping[str, str]) -> Cluster | None:
    """Read what `srun` sets for a task of a step.

    A batch script and the shell of salloc run outside of such a step, and so alone: they lack
    SLURM_STEP_NUM_TASKS, or have it as 1.
    """
    if "SLURM_PROCID" not in env or "SLURM_STEP_NUM_TASKS" not in env:
        return None
    if _number(env, "SLURM_STEP_NUM_TASKS") == 1:
        return None
    size, rank = _number(env, "SLURM_STEP_NUM_TASKS"), _number(env, "SLURM_PROCID")
    places = _slurm_places(env, size)
    if rank >= size:
        raise ClusterError(f"expected SLURM_PROCID from 0 to {size - 1}. Received: {rank}.")
    nodes = list(dict.fromkeys(host for host, _ in places))
    host, local = places[rank]
    told = (env.get("SLURM_NODEID"), env.get("SLURM_LOCALID"))
    other_order = len(nodes) > 1 and re.match("cyclic|plane|arb", env.get("SLURM_DISTRIBUTION", ""))
    if other_order or (None not in told and told != (str(nodes.index(host)), str(local))):
        raise ClusterError(
            "the tasks must be numbered node by node. Received: task "
            f"{rank} as number {told[1]} of node {told[0]}, SLURM_DISTRIBUTION="
            f"{env.get('SLURM_DISTRIBUTION')}. Start with srun --distribution=block."
        )
    # Each job and step has ports of its own, as nodes may be shared; by rank and not by the number
    # on the node, as several nodes may be one machine.
    step = env.get("SLURM_STEP_ID", "0")
    number = _number(env, "SLURM_JOB_ID") + 31 * (int(step) if step.isdecimal() else 0)
    base = _SLURM_PORTS + 64 * (number % 300)
    addresses = [f"{name}:{base + i}" for i, (name, _) in enumerate(places)]
    # GPUs that Slurm has given out to tasks are the only ones that a task sees; else all of the
    # node's are seen by each.
    given_out = any(
        env.get(name) for name in ("SLURM_GPUS_PER_TASK", "SLURM_NTASKS_PER_GPU", "SLURM_GPU_BIND")
    )
    there = sum(name == host for name, _ in places)
    share = (0, 1) if given_out else (local, there)
    return Cluster({"worker": addresses}, "worker", rank, gpu_share=share)


def _slurm_places(env: Mapping[str, str], size: int) -> list[tuple[str, int]]:
    """Return the host of each task, and its number there."""
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import (
        expand_hostlist,
        expand_tasks_per_node,
    )

    nodes, tasks = env.get("SLURM_STEP_NODELIST", ""), env.get("SLURM_STEP_TASKS_PER_NODE", "")
    try:
        hosts, counts = expand_hostlist(nodes), expand_tasks_per_node(tasks)
    except ValueError as error:
        raise ClusterError(f"cannot read the nodes or tasks of this step: {error}.") from None
    if len(hosts) != len(counts) or sum(counts) != size:
        raise ClusterError(
            f"expected {size} tasks (SLURM_STEP_NUM_TASKS). Received: "
            f"SLURM_STEP_NODELIST={nodes}, SLURM_STEP_TASKS_PER_NODE={tasks}."
        )
    return [(host, i) for host, n in zip(hosts, counts, strict=True) for i in range(n)]


def _number(env: Mapping[str, str], name: str) -> int:
    """Return a whole number of the environment."""
    text = env.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        got = f"Received: {text!r}" if name in env else "It is not set"
        raise ClusterError(f"{name} must be a whole number. {got}. Start it as the others were.")
    return int(text)
