"""The workers of one training run as TF_CONFIG describes them. No TensorFlow here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:/\[\]@]+):(\d{1,5})")
_KINDS = ("chief", "worker", "ps")
_MOST_CHARACTERS = 1 << 20  # no system passes on a longer variable


class ClusterError(ValueError):
    """A cluster that is described wrongly, or whose workers do not find each other."""


class PortError(ClusterError):
    """The own port cannot be opened: the cluster names one that this process cannot have."""


@dataclass(frozen=True)
class Task:
    """One process of the cluster: its place in the order of all, its type, index and address."""

    rank: int
    type: str
    index: int
    address: str

    def __str__(self) -> str:
        return f"{self.type} {self.index} ({self.address})"


@dataclass(frozen=True)
class Cluster:
    """The processes that train together, and which of them this one is.

    Args:
        spec: task type -> addresses "host:port". Types: "worker", and one "chief" (or "master",
            its older name, which becomes "chief"); "ps", parameter servers.
        task_type: str, the type of this process.
        task_index: int, its index among those of its type.
        gpu_share: (which, of how many), the part of the GPUs that this process sees which it may
            use: others on this machine see the same ones. Default: all.

    Raises:
        ClusterError: an unknown type, an address that is none or stands there twice, an index
            out of range; an evaluator, which is not needed.

    Example:
        >>> cluster = Cluster({"worker": ["host0:2222", "host1:2222"]}, "worker", 1)
        >>> cluster.rank, cluster.size, cluster.is_chief
        (1, 2, False)
    """

    spec: Mapping[str, list[str]]
    task_type: str
    task_index: int
    gpu_share: tuple[int, int] = (0, 1)

    def __post_init__(self):
        object.__setattr__(self, "spec", _checked_spec(self.spec))
        task_type = _checked_type(self.task_type)
        object.__setattr__(self, "task_type", task_type)
        count = len(self.spec.get(task_type, ()))
        if not count:
            raise ClusterError(
                f'This process is said to be a "{task_type}", but the cluster has none. Received: '
                f"cluster {dict(self.spec)}. Add its address to the cluster, or correct the type."
            )
        if not 0 <= self.task_index < count:
            raise ClusterError(
                f"The index of the task is out of range: expected 0 to {count - 1} for "
                f'"{task_type}". Received: index={self.task_index}. '
                "Give each process its own index."
            )

    @classmethod
    def parse(cls, text: str | None) -> Cluster | None:
        """Read the text of the environment variable TF_CONFIG.

        Keys that others put there (Vertex: job, environment, trial) are ignored.

        Returns:
            The cluster, or None where there is none to wait for: an empty variable, no "cluster",
            or a cluster of one task.

        Raises:
            ClusterError: with what is wrong in it.
        """
        if not (text or "").strip():
            return None
        if len(text or "") > _MOST_CHARACTERS:
            raise ClusterError(
                f"TF_CONFIG is too long: expected at most {_MOST_CHARACTERS} characters. "
                f"Received: {len(text or '')}. Write it like {_EXAMPLE}."
            )
        try:
            config = json.loads(text or "")
            repr(config)  # which the messages say
        except (ValueError, RecursionError) as error:
            raise ClusterError(
                f"TF_CONFIG is not valid JSON: {error}. Received: {_short(text)}. "
                f"Write it like {_EXAMPLE}."
            ) from None
        if not isinstance(config, dict):
            raise ClusterError(
                f"TF_CONFIG must be a JSON object. Received: {_short(text)}. "
                f"Write it like {_EXAMPLE}."
            )
        if config.get("cluster") in (None, {}):
            return None
        spec = _checked_spec(config["cluster"])
        size = sum(map(len, spec.values()))
        task = config.get("task")
        if task is None and size > 1:
            raise ClusterError(
                f'TF_CONFIG has a "cluster" of {size} tasks but no "task": this process does not '
                "know which of them it is, and all would wait for ever. Add for example "
                '"task": {"type": "worker", "index": 0}, another index in each process.'
            )
        if task is None:
            return None
        cluster = cls(spec, *_checked_task(task))
        return cluster if size > 1 else None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks in the order of their ranks: the chief, then the workers."""
        pairs = [(k, i, a) for k in _KINDS for i, a in enumerate(self.spec.get(k, ()))]
        return tuple(Task(rank, *pair) for rank, pair in enumerate(pairs))

    @property
    def has_servers(self) -> bool:
        """Whether there are parameter servers: the chief hands out steps, the others serve."""
        return "ps" in self.spec

    @property
    def task(self) -> Task:
        """The task of this process."""
        return next(t for t in self.tasks if (t.type, t.index) == (self.task_type, self.task_index))

    @property
    def rank(self) -> int:
        return self.task.rank

    @property
    def size(self) -> int:
        return len(self.tasks)

    @property
    def is_chief(self) -> bool:
        """True for the chief, and for worker 0 where no chief is given: who writes files."""
        return self.rank == 0

    @property
    def address(self) -> str:
        return self.task.address

    @property
    def peers(self) -> tuple[Task, ...]:
        """The other tasks."""
        return tuple(task for task in self.tasks if task.rank != self.rank)

    @property
    def normalised_task(self) -> tuple[str, int]:
        """Type ("chief" or "worker") and index of this process, for SimpleClusterResolver."""
        return self.task_type, self.task_index

    def normalised(self) -> dict[str, list[str]]:
        """Return the cluster for `tf.train.ClusterSpec`; "master" has become "chief"."""
        return {kind: list(addresses) for kind, addresses in self.spec.items()}


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port" or "[ipv6]:port" into host and port.

    Raises:
        ClusterError: it is neither.
    """
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if not match or not 0 < int(match[2]) < 65536:
        raise ClusterError(
            'An address of the cluster must be "host:port" with a port from 1 to 65535, without '
            f"http:// or grpc://. Received: {_short(address)}."
        )
    return match[1].strip("[]"), int(match[2])


def _checked_type(kind: Any) -> str:
    """Return "chief" or "worker"; refuse what a synchronous strategy has no place for."""
    if kind == "evaluator":
        raise ClusterError(
            'An "evaluator" task is not needed: the loop evaluates in the workers. Received: task '
            'type "evaluator". Start only the chief and the workers.'
        )
    if kind == "master":
        return "chief"
    if kind not in _KINDS:
        raise ClusterError(
            'Unknown task type: expected "chief", "master", "worker" or "ps". '
            f"Received: {_short(kind)}."
        )
    return kind


def _checked_spec(spec: Any) -> dict[str, list[str]]:
    """Return the cluster with "master" renamed, chief first, every address looked at."""
    if not isinstance(spec, Mapping):
        raise ClusterError(
            f'"cluster" must map task types to lists of addresses. Received: {_short(spec)}. '
            f"Write TF_CONFIG like {_EXAMPLE}."
        )
    found: dict[str, list[str]] = {}
    for kind, addresses in spec.items():
        if not isinstance(addresses, (list, tuple)):
            raise ClusterError(
                f'The addresses of "{kind}" must be a list such as ["host0:2222"]. '
                f"Received: {_short(addresses)}."
            )
        if addresses:
            found.setdefault(_checked_type(kind), []).extend(addresses)
    if len(found.get("chief", ())) > 1:
        raise ClusterError(
            f'There must be one chief ("master" is its older name). Received: {found["chief"]}. '
            "Make the others workers."
        )
    known: set[str] = set()
    for address in (address for addresses in found.values() for address in addresses):
        host, port = split_address(address)
        place = f"{'127.0.0.1' if host == 'localhost' else host}:{port}"
        if place in known:
            raise ClusterError(
                f"Each task needs its own address. Received twice: {address}. "
                "Processes on one machine need different ports."
            )
        known.add(place)
    return {kind: found[kind] for kind in _KINDS if kind in found}


def _checked_task(task: Any) -> tuple[str, int]:
    """Return type and index of the "task" of a TF_CONFIG."""
    if not isinstance(task, dict) or not {"type", "index"} <= set(task):
        raise ClusterError(
            '"task" must have a "type" and an "index", such as {"type": "worker", "index": 0}. '
            f"Received: {_short(task)}."
        )
    index = task["index"]
    if isinstance(index, str) and index.isdecimal() and len(index) < 10:
        index = int(index)
    if isinstance(index, bool) or not isinstance(index, int):
        raise ClusterError(
            f'The "index" of the task must be a whole number. Received: {_short(task["index"])}.'
        )
    return task["type"], index


def _short(value: Any) -> str:
    """Return the value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
