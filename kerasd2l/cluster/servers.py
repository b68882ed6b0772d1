"""The processes of an asynchronous training: a chief that coordinates, workers, parameter servers.

Workers and parameter servers run TensorFlow's server and nothing else, until the chief has ended:
it listens at its address as long as it lives. The chief gets `ParameterServerStrategy`.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable

import tensorflow as tf

from kerasd2l.cluster.cluster import Cluster, split_address
from kerasd2l.cluster.coordination import START, resolver_of, watching
from kerasd2l.cluster.meeting import meet

_LOOK, _LOOKS = 0.5, 4  # seconds between two looks at the chief; so many in vain: it has ended


def connect(
    cluster: Cluster, *, timeout: float, say: Callable[[str], None] = lambda text: None
) -> tf.distribute.ParameterServerStrategy:
    """Meet all tasks, and make the strategy of the chief.

    Raises:
        ClusterError: a task did not come in time.
    """
    until = time.monotonic() + timeout
    meet(cluster, timeout=timeout, log=say)
    with watching(cluster, max(until - time.monotonic(), START)):
        return tf.distribute.ParameterServerStrategy(resolver_of(cluster))


def serve(cluster: Cluster, *, timeout: float, say: Callable[[str], None]) -> None:
    """Be a worker or a parameter server until the chief has ended. Call it in the main thread.

    SIGTERM and Ctrl-C, which the chief gets too, wait for that: it saves what these processes hold.
    A second one ends this process.

    Raises:
        ClusterError: a task did not come in time.
        SystemExit: after a signal, with 128 and its number.
    """
    meet(cluster, timeout=timeout, log=say)
    server = tf.distribute.Server(
        tf.train.ClusterSpec(cluster.normalised()),
        job_name=cluster.task_type,
        task_index=cluster.task_index,
        protocol="grpc",
    )
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    say(f"{cluster.task} serves at {server.target}")
    chief, in_vain = split_address(cluster.tasks[0].address), 0
    while in_vain < _LOOKS:
        time.sleep(_LOOK)
        try:
            socket.create_connection(chief, 2.0).close()
            in_vain = 0
        except OSError:
            in_vain += 1
    say("the chief has ended")
    if received:
        raise SystemExit(128 + received[0])
