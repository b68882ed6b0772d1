"""Waiting for all workers before TensorFlow would wait for them, deaf to SIGTERM and Ctrl-C.

Nothing is said and no protocol spoken: each process listens on its own port and looks whether the
ports of the others answer. Who has seen all goes on to TensorFlow, whose gRPC server takes the port
over; who comes later finds that one. What only TensorFlow's own service can tell (a peer that
freezes or dies later, another version) is told there: `coordination`, and `watch` until it runs.
There is no authentication, as there is none in TensorFlow's gRPC: use a private network.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from kerasd2l.cluster.cluster import Cluster, ClusterError, PortError, Task, split_address

_BIND = 3.0  # seconds for an earlier process on our port to go away
_CONNECT = 2.0  # seconds until a connection must stand
_AGAIN = 0.2  # seconds between two rounds
_NEWS = 10.0  # seconds between two reports of who is missing


def meet(
    cluster: Cluster, *, timeout: float = 120.0, log: Callable[[str], None] = lambda line: None
) -> None:
    """Return when the ports of all other workers answer.

    Args:
        cluster: Cluster, whose workers must come.
        timeout: float, seconds until the missing workers are named in an error.
        log: function that gets a line of news now and then.

    Raises:
        ValueError: `timeout` is not positive.
        PortError: the own port is taken.
        ClusterError: a worker did not come in time.
    """
    if not timeout > 0:
        raise ValueError(f"`timeout` must be more than 0 seconds. Received: timeout={timeout}.")
    begin = time.monotonic()
    until, news = begin + timeout, begin + _NEWS
    with open_port(cluster.task, until=min(until, begin + _BIND)):
        missing = dict.fromkeys(cluster.peers, "not called yet")
        while True:
            for task in list(missing):
                trouble = _call(task, until)
                if trouble:
                    missing[task] = trouble
                else:
                    del missing[task]
            now = time.monotonic()
            if not missing:
                log(f"all {cluster.size} workers are there")
                return
            if now >= until:
                raise ClusterError(_absent(missing, timeout))
            if now >= news:
                news = now + _NEWS
                log(f"waiting for {', '.join(map(str, missing))}")
            time.sleep(min(_AGAIN, until - now))


def open_port(task: Task, until: float) -> socket.socket:
    """Open the port of `task`: on the loopback where its address is there, else everywhere.

    The system answers for it: nobody needs to accept. Tries until the time `until` of
    `time.monotonic`: an earlier process may be about to go away.

    Raises:
        PortError: the port is taken, or may not be opened.
    """
    host, port = split_address(task.address)
    places: list[tuple[str, socket.AddressFamily, bool]] = []
    if host in ("localhost", "::1") or host.startswith("127."):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        places.append(("127.0.0.1" if host == "localhost" else host, family, False))
    else:  # as gRPC does: the name may be one that only others can resolve
        if socket.has_dualstack_ipv6():
            places.append(("", socket.AF_INET6, True))
        places.append(("", socket.AF_INET, False))
    while True:
        for name, family, dual in places:
            try:
                return socket.create_server(
                    (name, port), family=family, dualstack_ipv6=dual, backlog=1024
                )
            except OSError as error:
                problem = error
                if error.errno == errno.EADDRINUSE:
                    break
        if problem.errno != errno.EADDRINUSE:
            raise PortError(
                f"This process, {task}, cannot listen on port {port}: {problem.strerror}. "
                "Give it another port in the cluster of all processes."
            ) from problem
        if time.monotonic() >= until:
            raise PortError(
                f"This process, {task}, cannot listen on port {port}: the port is taken. End the "
                "process that has it (an earlier run, or another one with the same task index?), "
                "or give another port in the cluster of all processes."
            ) from problem
        time.sleep(0.1)


def _call(task: Task, until: float) -> str:
    """Return why the port of a worker does not answer; "" if it does."""
    try:
        patience = max(0.1, min(_CONNECT, until - time.monotonic()))
        socket.create_connection(split_address(task.address), patience).close()
    except ConnectionRefusedError:
        return "nobody listens there (connection refused)"
    except TimeoutError:
        return "no answer: the machine is off, or a firewall is between"
    except (OSError, UnicodeError) as error:
        return f"cannot be called: {getattr(error, 'strerror', None) or error}"
    return ""


def _absent(missing: dict[Task, str], timeout: float) -> str:
    """Say who did not come."""
    lines = [f"{task} did not answer within {timeout:g} s: {why}" for task, why in missing.items()]
    more = f", and {len(lines) - 5} more" if len(lines) > 5 else ""
    return (
        f"{'; '.join(lines[:5])}{more}. Check that each process was started, with its own task "
        "index and this address, and that the network lets them through."
    )
