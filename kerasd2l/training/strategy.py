"""Which devices share the global batch: one, all GPUs of a machine, or several machines."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from kerasd2l.cluster.cluster import Cluster

STRATEGIES = ("auto", "one", "mirrored", "multi_worker", "parameter_server")


class StrategyError(ValueError):
    """Devices that are not there, or a strategy that cannot use them."""


def make_strategy(
    name: str = "auto",
    *,
    replicas: int | None = None,
    cluster: Cluster | None = None,
    rendezvous_timeout: float = 120.0,
    fingerprint: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> tf.distribute.Strategy:
    """Make the `tf.distribute` strategy that the loop trains under.

    Call it before TensorFlow touches a device. The peers of a cluster are looked for *before* the
    strategy is created, which would otherwise wait for a missing one for ever.

    Args:
        name: "one" (one device), "mirrored" (all GPUs of this machine; without GPUs, `replicas`
            logical CPU devices), "multi_worker" (the machines of `cluster`), "parameter_server"
            (the chief of a `cluster` that has such servers), or "auto": the first of the last two,
            mirrored and one that has something to share.
        replicas: int or None, how many replicas "mirrored" uses. None: all GPUs.
        cluster: from `cluster.find`, or None.
        rendezvous_timeout: float, seconds to wait for the peers.
        fingerprint: str, what must be the same on all workers: versions and configuration.
        say: (text) -> None, told who is still missing.

    A worker or parameter server of "parameter_server" does not come back: it serves the chief until
    that has ended, and ends with SystemExit(0).

    Returns:
        A `tf.distribute.Strategy`; its `num_replicas_in_sync` replicas share each global batch.

    Raises:
        StrategyError: an unknown name, too many replicas, or a cluster that is missing.
        ClusterError: a peer that does not answer in time, or is of another configuration.
    """
    if name not in STRATEGIES:
        raise StrategyError(
            f"`strategy` must be one of {', '.join(STRATEGIES)}. Received: strategy={name!r}."
        )
    if replicas is not None and replicas < 1:
        raise StrategyError(f"`replicas` must be at least 1. Received: replicas={replicas}.")
    gpus = tf.config.list_physical_devices("GPU")
    if name == "auto":
        if cluster is not None:
            name = "parameter_server" if cluster.has_servers else "multi_worker"
        else:
            name = "mirrored" if (replicas or len(gpus)) > 1 else "one"
    if name == "parameter_server":
        return _parameter_server(cluster, replicas, rendezvous_timeout, say)
    if name == "multi_worker":
        return _multi_worker(cluster, replicas, rendezvous_timeout, fingerprint, say)
    if cluster is not None:
        raise StrategyError(
            f'strategy="{name}" would train the same model {cluster.size} times: the environment '
            f"names {cluster.size} workers. Say multi_worker or auto, or start one process."
        )
    if name == "one":
        if replicas not in (None, 1):
            raise StrategyError(
                f'strategy="one" has one replica. Received: replicas={replicas}. Say "mirrored".'
            )
        return tf.distribute.get_strategy()  # the default strategy: no distribution at all
    return _Mirrored(_mirrored_devices(gpus, replicas))


class _Mirrored(tf.distribute.MirroredStrategy):
    """MirroredStrategy of which a process may make several, as a notebook does.

    TensorFlow remembers groups of devices and the shapes that they add by numbers which begin anew
    in every strategy, and would stop the second one: "joining a group with size 4, but that group
    has size 2".
    """

    _numbers = itertools.count(1000, 1000)

    def __init__(self, devices: list[str]):
        self._collective_key_base = next(self._numbers)
        super().__init__(devices)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run folder: every process but the non-chief workers."""
    resolver = strategy.cluster_resolver
    if resolver is None or not getattr(resolver, "task_type", None):
        return True
    spec = resolver.cluster_spec().as_dict()
    return resolver.task_type == "chief" or ("chief" not in spec and resolver.task_id == 0)


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether several processes train together."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_parameter_server(strategy: tf.distribute.Strategy) -> bool:
    """Whether workers train without waiting for each other, on variables of parameter servers."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def describe(strategy: tf.distribute.Strategy) -> str:
    """Return the name of a strategy as `make_strategy` takes it."""
    if is_multi_worker(strategy):
        return "multi_worker"
    if is_parameter_server(strategy):
        return "parameter_server"
    return "mirrored" if isinstance(strategy, tf.distribute.MirroredStrategy) else "one"


def _multi_worker(
    cluster, replicas, rendezvous_timeout, fingerprint, say
) -> tf.distribute.Strategy:
    from kerasd2l.cluster.coordination import connect

    if cluster is None:
        raise StrategyError(
            'strategy="multi_worker" needs TF_CONFIG with more than one worker, a task of srun or '
            "of a Kubernetes Job. `kerasd2l launch --workers 2 -- train ...` starts local ones."
        )
    if cluster.has_servers:
        raise StrategyError(
            'strategy="multi_worker" has no parameter servers: every worker keeps all variables. '
            "Say parameter_server, or start these machines as workers."
        )
    if replicas is not None:
        raise StrategyError(
            "`replicas` is for one machine: with multi_worker every worker uses all of its GPUs, "
            f"or one CPU device. Received: replicas={replicas}."
        )
    which, of = cluster.gpu_share
    gpus = tf.config.list_physical_devices("GPU")
    if of > 1 and gpus:
        if len(gpus) < of:
            raise StrategyError(
                f"{of} workers on this machine need {of} GPUs at least, it has {len(gpus)}. "
                "Start fewer tasks on each machine."
            )
        tf.config.set_visible_devices(gpus[which::of], "GPU")
    return connect(cluster, timeout=rendezvous_timeout, fingerprint=fingerprint, say=say)


def _parameter_server(cluster, replicas, rendezvous_timeout, say) -> tf.distribute.Strategy:
    from kerasd2l.cluster.servers import connect, serve

    kinds = set(cluster.spec) if cluster is not None else set()
    if kinds != {"chief", "worker", "ps"}:
        raise StrategyError(
            'strategy="parameter_server" needs TF_CONFIG with a chief, workers and ps. Received: '
            f"{', '.join(sorted(kinds)) or 'no cluster'}. `kerasd2l launch --workers 2 --ps 1 -- "
            "train ...` starts local ones."
        )
    if replicas is not None:
        raise StrategyError(f"`replicas` is for one machine. Received: replicas={replicas}.")
    if not cluster.is_chief:
        serve(cluster, timeout=rendezvous_timeout, say=say)
        raise SystemExit(0)
    return connect(cluster, timeout=rendezvous_timeout, say=say)


def _mirrored_devices(gpus: list, replicas: int | None) -> list[str]:
    """Return the device names: GPUs, or logical CPU devices on a machine without GPUs."""
    if gpus:
        wanted = replicas or len(gpus)
        if wanted > len(gpus):
            raise StrategyError(
                f"{wanted} replicas need {wanted} GPUs, this machine has {len(gpus)}."
            )
        return [f"GPU:{i}" for i in range(wanted)]
    wanted = replicas or 1
    (cpu,) = tf.config.list_physical_devices("CPU")
    there = tf.config.get_logical_device_configuration(cpu)
    if there is None or len(there) < wanted:
        device = tf.config.LogicalDeviceConfiguration
        try:
            tf.config.set_logical_device_configuration(cpu, [device() for _ in range(wanted)])
        except RuntimeError:
            raise StrategyError(
                f"cannot make {wanted} logical CPU devices: TensorFlow already runs with "
                f"{len(there or [0])}. Make the strategy before the first tensor."
            ) from None
    return [f"CPU:{i}" for i in range(wanted)]
