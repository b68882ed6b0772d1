"""A network of their own for the workers of one machine, where Linux allows it.

TensorFlow's gRPC server listens on all addresses of the machine, whatever TF_CONFIG says, and asks
nobody for a password: who reaches its port runs operations in the process, which read and write
files. In a network namespace with nothing but the loopback, only the workers reach each other.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

_NEWUSER, _NEWNET = 0x10000000, 0x40000000  # of <sched.h>
_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41  # of <linux/sockios.h>, <net/if.h>


class NetworkError(OSError):
    """A network namespace cannot be made here."""


class Network:
    """Where workers start: the machine's network, or one that is nothing but their loopback.

    A small process holds the namespace until `close`, or until the launcher is gone.

    Args:
        isolated: bool, whether to make a network of its own.

    Raises:
        NetworkError: it cannot be made.
    """

    def __init__(self, isolated: bool):
        self.isolated, self.holder = isolated, None
        self.spaces: list[tuple[int, int]] = []  # file descriptor, kind
        if not isolated:
            return
        if not sys.platform.startswith("linux"):
            raise NetworkError("network namespaces are of Linux")
        libc = _libc()
        try:
            self.holder = subprocess.Popen(
                ["cat"],  # lives until its input ends
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                preexec_fn=lambda: _make(libc),
                start_new_session=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise NetworkError("this system lets this user make none") from error
        folder = f"/proc/{self.holder.pid}/ns"
        for kind, name in ((_NEWUSER, "user"), (_NEWNET, "net")):  # the owner of the other first
            if os.readlink(f"{folder}/{name}") != os.readlink(f"/proc/self/ns/{name}"):
                self.spaces.append((os.open(f"{folder}/{name}", os.O_RDONLY), kind))

    def close(self) -> None:
        """Let the namespace go; it lasts until its last process has ended."""
        for space, _ in self.spaces:
            os.close(space)
        self.spaces = []
        if self.holder and self.holder.stdin:
            self.holder.stdin.close()
            self.holder.wait()

    def in_child(self) -> Callable[[], None] | None:
        """Return what a worker does before its program starts, as `preexec_fn` of Popen.

        It enters the namespace, and asks Linux to die with the launcher, however that ends. By
        SIGKILL: a worker that waits in TensorFlow for another is deaf to SIGTERM.
        """
        if not sys.platform.startswith("linux"):
            return None
        libc, parent, spaces = _libc(), os.getpid(), list(self.spaces)

        def enter() -> None:
            for space, kind in spaces:
                if libc.setns(space, kind):
                    raise OSError(ctypes.get_errno(), "setns")
            libc.prctl(*_DIE_WITH_PARENT)  # last: a change of rights would undo it
            if os.getppid() != parent:  # it died before this line
                os._exit(137)

        return enter


_DIE_WITH_PARENT = [ctypes.c_ulong(number) for number in (1, signal.SIGKILL, 0, 0, 0)]


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _make(libc: Any) -> None:
    """Make the namespace, in the process that will hold it.

    Root needs a network only. Others need to be root of a user namespace for it, in which they are
    who they are: the owner of files stays the same.
    """
    import fcntl

    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEWNET):
        if libc.unshare(_NEWUSER | _NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH22x", b"lo", _UP_AND_RUNNING)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, request)
