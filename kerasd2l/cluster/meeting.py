"""Looking for all workers before TensorFlow would wait for them for ever."""

from __future__ import annotations

from collections.abc import Callable

from kerasd2l.cluster.cluster import Cluster
from kerasd2l.cluster.rendezvous import Rendezvous


def preflight(
    cluster: Cluster,
    *,
    timeout: float = 120.0,
    fingerprint: str = "",
    log: Callable[[str], None] = lambda line: None,
) -> None:
    """Meet all other workers before TensorFlow does; return when everybody has reached everybody.

    Listens on the worker's own port, which is free again afterwards for gRPC. Call it before signal
    handlers that only note a SIGTERM are installed: then SIGTERM and Ctrl-C end it at once.

    Args:
        cluster: Cluster, from `Cluster.parse`.
        timeout: float, seconds until the missing workers are named in an error.
        fingerprint: str, what must be the same everywhere: items such as "tensorflow=2.21.0
            config=4f2a", separated by blanks or semicolons.
        log: function that gets a line of news now and then.

    Raises:
        ClusterError: the own port is taken, a worker did not come in time, has another fingerprint
            or another idea of the cluster.
    """
    if not timeout > 0:
        raise ValueError(f"`timeout` must be more than 0 seconds. Received: timeout={timeout}.")
    with Rendezvous(cluster, timeout=timeout, fingerprint=fingerprint, log=log) as meeting:
        meeting.meet()
