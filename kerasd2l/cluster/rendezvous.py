"""How the workers meet: each calls every other until all have reached all (`cluster.preflight`).

A call is four lines of JSON: hello, reply, acknowledgement, goodbye. The first two say who one is
and whether one is *ready*: has reached all others by own calls. A caller that hears "ready" from a
worker that has heard the caller's own "ready" has agreed with it; the acknowledgement tells the
other so, the goodbye says that it arrived. A worker leaves when it is through with every peer;
then no peer needs its port any more. If a goodbye gets lost, the next call finds the port closed,
which after an agreement can only mean that the peer has left.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import selectors
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kerasd2l.cluster.cluster import Cluster, ClusterError, Task, open_port, split_address

_PROTOCOL = "kerasd2l preflight 1"
_LONGEST_LINE = 64 * 1024
_MOST_TALKS = 1024
_PATIENCE = 10.0  # seconds that a conversation may take
_CONNECT = 5.0  # seconds until a connection must stand
_BIND = 3.0  # seconds for an earlier process on our port to go away
_AGAIN = (0.1, 1.0)  # seconds between calls to a peer: at first, at most


class _Stranger(Exception):
    """Whoever is at the other end does not speak our protocol."""


@dataclass
class _Peer:
    """What we know of another worker."""

    task: Task
    identity: str | None = None  # of the process that answers at its address; None: not reached
    ready: bool = False
    missing: tuple[int, ...] = ()
    agreed: bool = False  # it knows that we are ready, and we know that it is
    through: bool = False  # and it knows of the agreement too
    trouble: str = "not called yet"
    caller: str = ""  # from where it has called us
    next_call: float = 0.0
    pause: float = _AGAIN[0]
    infos: tuple = ()  # of getaddrinfo, those still to be tried

    def forget(self) -> None:
        """It is not there (any more)."""
        self.identity, self.ready, self.agreed = None, False, False


@dataclass
class _Talk:
    """One connection: we called `peer`, or somebody called us (`stage` starts with "hello")."""

    sock: socket.socket
    stage: str
    until: float
    peer: _Peer | None = None
    said_ready: bool = False
    buffer: bytes = b""


class Rendezvous:
    """All sockets and conversations of one preflight; a context manager that leaves none behind."""

    def __init__(
        self, cluster: Cluster, *, timeout: float, fingerprint: str, log: Callable[[str], None]
    ):
        self.cluster, self.timeout, self.fingerprint, self.log = cluster, timeout, fingerprint, log
        self.deadline = time.monotonic() + timeout
        self.peers = {task.rank: _Peer(task) for task in cluster.peers}
        self.identity = uuid.uuid4().hex
        names = "\n".join(map(str, cluster.tasks))
        self.tasks_hash = hashlib.sha256(names.encode("utf8")).hexdigest()[:16]
        self.was_ready = False
        self.strays: set[str] = set()
        self.talks: dict[socket.socket, _Talk] = {}
        self.selector = selectors.DefaultSelector()
        self.next_news = time.monotonic() + 10.0
        try:
            self.listener = open_port(cluster.task, time.monotonic() + min(_BIND, timeout))
        except BaseException:
            self.selector.close()
            raise
        self.selector.register(self.listener, selectors.EVENT_READ)

    def __enter__(self) -> Rendezvous:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for sock in (self.listener, *self.talks):
            sock.close()
        self.selector.close()

    # ---- the loop

    def meet(self) -> None:
        """Call and answer until all peers are through; an error when the time is over."""
        self.log(f"{self.cluster.task} waits for {', '.join(str(t) for t in self.cluster.peers)}")
        while not all(peer.through for peer in self.peers.values()):
            now = time.monotonic()
            if now >= self.deadline:
                if all(peer.through or peer.agreed for peer in self.peers.values()):
                    return
                raise ClusterError(self._who_is_missing())
            if now >= self.next_news:
                self.next_news = now + 10.0
                self.log(f"still waiting for: {'; '.join(self._missing_lines())}")
            self._call_peers(now)
            for key, _ in self.selector.select(min(0.05, self.deadline - now)):
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj in self.talks:
                    self._attend(self.talks[key.fileobj])  # type: ignore[index]
            now = time.monotonic()
            for talk in [talk for talk in self.talks.values() if talk.until < now]:
                self._fail(talk, TimeoutError("no answer: it is silent or a firewall is between"))
        self.log(f"all {self.cluster.size} workers are there")

    def _accept(self) -> None:
        if len(self.talks) >= _MOST_TALKS:  # a flood: let them queue until some have timed out
            return
        try:
            sock, _ = self.listener.accept()
        except OSError:  # gone again
            return
        sock.setblocking(False)
        self.talks[sock] = _Talk(sock, "hello", time.monotonic() + _PATIENCE)
        self.selector.register(sock, selectors.EVENT_READ)

    def _call_peers(self, now: float) -> None:
        """Begin the calls that are due."""
        busy = {id(talk.peer) for talk in self.talks.values() if talk.stage != "ack"}
        for peer in self.peers.values():
            if peer.through or peer.next_call > now or id(peer) in busy:
                continue
            self._call(peer, now)
            if time.monotonic() > now + 0.05:  # looking up a name may take long
                return

    def _call(self, peer: _Peer, now: float) -> None:
        peer.next_call = now + peer.pause
        try:
            if not peer.infos:
                host, port = split_address(peer.task.address)
                peer.infos = tuple(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            (family, kind, protocol, _, address), *rest = peer.infos
            peer.infos = tuple(rest)
            sock = socket.socket(family, kind, protocol)
        except (OSError, UnicodeError) as error:
            peer.trouble = f"cannot be called: {_reason(error)}"
            return
        sock.setblocking(False)
        talk = self.talks[sock] = _Talk(sock, "connect", now + _CONNECT, peer)
        self.selector.register(sock, selectors.EVENT_WRITE)
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            self._fail(talk, OSError(code, os.strerror(code)))

    def _attend(self, talk: _Talk) -> None:
        """Do what the connection is ready for; whatever goes wrong in it ends only this talk."""
        try:
            if talk.stage == "connect":
                self._connected(talk)
                return
            data = talk.sock.recv(_LONGEST_LINE)
            if not data:
                raise ConnectionError("it closed the connection")
            talk.buffer += data
            if talk.buffer[:1] != b"{" or len(talk.buffer) > _LONGEST_LINE:
                raise _Stranger
            while b"\n" in talk.buffer and talk.sock in self.talks:
                line, _, talk.buffer = talk.buffer.partition(b"\n")
                self._hear(talk, _message(line))
        except BlockingIOError:
            return
        except (OSError, _Stranger) as error:
            self._fail(talk, error)

    def _connected(self, talk: _Talk) -> None:
        code = talk.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        if talk.sock.getsockname() == talk.sock.getpeername():  # TCP's simultaneous open
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        self.selector.modify(talk.sock, selectors.EVENT_READ)
        talk.stage, talk.until = "reply", time.monotonic() + _PATIENCE
        talk.said_ready = self._ready()
        self._say(talk)

    def _fail(self, talk: _Talk, error: Exception) -> None:
        """End a talk that went wrong, and draw the conclusion about the peer that we called."""
        peer, called = talk.peer, talk.stage in ("connect", "reply")
        self._end(talk)
        if peer is None or not called or peer.through:
            return
        gone = isinstance(error, (ConnectionRefusedError, _Stranger))
        if peer.agreed:  # then a closed port, or TensorFlow on it, means that it has left
            peer.through = gone
            return
        if gone:
            peer.forget()
        peer.trouble = _reason(error)
        peer.pause = min(2 * peer.pause, _AGAIN[1])

    def _end(self, talk: _Talk) -> None:
        if self.talks.pop(talk.sock, None):
            self.selector.unregister(talk.sock)
            talk.sock.close()

    # ---- the conversation

    def _ready(self) -> bool:
        return all(peer.identity for peer in self.peers.values())

    def _say(self, talk: _Talk, **more: Any) -> None:
        message = {
            "protocol": _PROTOCOL,
            "tasks": self.tasks_hash,
            "size": self.cluster.size,
            "rank": self.cluster.rank,
            "address": self.cluster.address,
            "identity": self.identity,
            "fingerprint": self.fingerprint,
            "ready": self._ready(),
            "missing": [rank for rank, peer in self.peers.items() if not peer.identity][:20],
        }
        data = json.dumps(message | more).encode("ascii") + b"\n"
        if talk.sock.send(data) != len(data):
            raise ConnectionError("it does not read what we send")

    def _hear(self, talk: _Talk, message: dict[str, Any]) -> None:
        if talk.stage == "hello":
            self._hear_hello(talk, message)
        elif talk.stage == "reply" and talk.peer:
            self._hear_reply(talk, talk.peer, message)
        elif talk.stage == "ack" and talk.peer:
            known = message["identity"] == talk.peer.identity
            if known and message.get("agreed") is True:
                talk.peer.through = True
            self._say(talk, through=talk.peer.through and known)
            self._end(talk)
        elif talk.stage == "goodbye" and talk.peer:
            if talk.peer.agreed and message.get("through") is True:
                talk.peer.through = True
            self._end(talk)

    def _hear_hello(self, talk: _Talk, message: dict[str, Any]) -> None:
        """Answer a caller. What it says counts once we know it from an own call to its address."""
        host = talk.sock.getpeername()[0]
        peers = [p for p in self.peers.values() if p.task.address == message["address"]]
        if not peers:  # a stray of another run, or this worker's double: the error is on its side
            self._say(talk, heard=False)
            if len(self.strays) < 10:
                self.strays.add(f"{message['address'][:100]} from {host}")
            self._end(talk)
            return
        peer = peers[0]
        peer.caller = host
        known = peer.identity == message["identity"]
        if known:
            peer.ready, peer.missing = message["ready"], tuple(message["missing"])
        else:
            peer.next_call, peer.pause, peer.through = 0.0, _AGAIN[0], False
        self._say(talk, heard=known and peer.ready)
        self._check(peer.task, message)
        talk.peer, talk.stage = peer, "ack"

    def _hear_reply(self, talk: _Talk, peer: _Peer, message: dict[str, Any]) -> None:
        self._check(peer.task, message)
        if message["identity"] != peer.identity:
            peer.forget()
            peer.identity = message["identity"]
            self.log(f"{peer.task} is there")
        peer.pause, peer.trouble = _AGAIN[1], ""
        peer.ready, peer.missing = message["ready"], tuple(message["missing"])
        peer.infos = ()  # look the name up again: it may move
        peer.next_call = time.monotonic() + peer.pause
        if self._ready() and not self.was_ready:  # news for all
            for other in self.peers.values():
                other.next_call = 0.0
        self.was_ready = self._ready()
        if talk.said_ready and message.get("heard") is True and peer.ready:
            peer.agreed = True
        talk.stage = "goodbye"
        self._say(talk, agreed=peer.agreed)

    def _check(self, task: Task, message: dict[str, Any]) -> None:
        """Raise where the process at the address of `task` does not belong to this run."""
        if message["identity"] == self.identity:
            raise ClusterError(
                f"The address of {task} leads back to this process, {self.cluster.task}: its own "
                "index is wrong, or two addresses mean the same place. Correct its TF_CONFIG."
            )
        if message["tasks"] != self.tasks_hash:
            raise ClusterError(
                f"{task} has another cluster in its TF_CONFIG: it counts {message['size']} tasks, "
                f"this process {self.cluster.size}, or the addresses differ. Give all processes "
                'the same "cluster".'
            )
        if message["rank"] != task.rank:
            ranks = dict(enumerate(self.cluster.tasks))
            raise ClusterError(
                f"At the address of {task} answers a process that takes itself for "
                f'{ranks.get(message["rank"], "nobody")}. Correct the "task" of its TF_CONFIG.'
            )
        if message["fingerprint"] != self.fingerprint:
            ours, theirs = _difference(self.fingerprint, message["fingerprint"])
            raise ClusterError(
                f"{task} does not run the same as {self.cluster.task}: {theirs} there, "
                f"{ours} here. Install the same versions and give the same command everywhere."
            )

    # ---- the complaint

    def _missing_lines(self) -> list[str]:
        """Return one line for each peer that holds us up."""
        lines = []
        for peer in self.peers.values():
            if peer.through or peer.agreed:
                continue
            line = f"{peer.task}: {peer.trouble}"
            if not peer.identity and peer.caller:
                line += f", although it has called from {peer.caller}"
            elif peer.identity and peer.trouble:
                line = f"{peer.task}: was there, but then: {peer.trouble}"
            elif peer.identity:
                reached = [peer.task.rank for peer in self.peers.values() if peer.identity]
                reached.append(self.cluster.rank)
                lacks = [rank for rank in reached if rank in peer.missing]
                names = [str(task) for task in self.cluster.tasks if task.rank in lacks]
                if not names:
                    continue
                line = f"{peer.task}: is there, but cannot reach {', '.join(names)}"
            lines.append(line)
        return lines or ["the last word of a peer"]

    def _who_is_missing(self) -> str:
        silent = [str(peer.task) for peer in self.peers.values() if not peer.identity]
        what = f"{', '.join(silent)} did not answer" if silent else "not all workers reached all"
        lines = "".join(f"\n  {line}" for line in self._missing_lines())
        if self.strays:
            lines += f"\n  others that called: {', '.join(sorted(self.strays))}"
        return (
            f"{what} within {self.timeout:g} s. This is {self.cluster.task}.{lines}\n"
            "Check that each process was started, with the same TF_CONFIG but for its index; "
            "that its log shows no error; that its name resolves and its port is open from this "
            "machine. If a worker was restarted alone, restart all. If machines start slowly, "
            "allow more time."
        )


def _message(line: bytes) -> dict[str, Any]:
    """Read a line of the protocol; anything else comes from a stranger."""
    kinds = {"tasks": str, "size": int, "rank": int, "identity": str, "fingerprint": str}
    kinds |= {"address": str, "ready": bool, "missing": list}
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise _Stranger from None
    if not isinstance(message, dict) or message.get("protocol") != _PROTOCOL:
        raise _Stranger
    if not all(isinstance(message.get(key), kind) for key, kind in kinds.items()):
        raise _Stranger
    return message


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there (connection refused)"
    if isinstance(error, _Stranger):
        return "something else answers there, not a waiting worker of this version"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _difference(ours: str, theirs: str) -> tuple[str, str]:
    """Return the items that only one of two fingerprints has; the whole where that says nothing."""
    items = [[item for item in re.split(r"[;\s]+", text) if item] for text in (ours, theirs)]
    first = " ".join(item for item in items[0] if item not in items[1])
    second = " ".join(item for item in items[1] if item not in items[0])
    if first or second:
        return first or "nothing", second or "nothing"
    return repr(ours), repr(theirs)
