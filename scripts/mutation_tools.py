"""Mutating the bytes of files from a seed, and watching what a reader makes of them."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MOST_SECONDS = 5.0
MOST_BYTES = 1 << 30

_NUMBERS = (b"0", b"-1", b"1e300", b"1e400", b"9" * 5000, b"nan", b"inf", b"4294967296", b"0x10")
_WORDS = (b"\xff", b"\x7f", b"\0", b"\x80")
_NESTS = ((b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"))


def _flip(rng: random.Random, content: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _cut(rng: random.Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def _leave_out(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content))
    del content[start : start + rng.choice((1, 2, 4, 16, 512, 4096))]


def _insert(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content) + 1)
    content[start:start] = rng.randbytes(rng.choice((1, 1, 2, 4, 16, 512)))


def _repeat(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content))
    part = content[start : start + rng.choice((1, 4, 32, 512, 4096))]
    content[start:start] = part * rng.choice((1, 2, 16, 500))


def _number(rng: random.Random, content: bytearray) -> None:
    """Put another number in the place of one that is written out."""
    places = list(re.finditer(rb"\d+(\.\d+)?", content))
    if places:
        place = rng.choice(places)
        content[place.start() : place.end()] = rng.choice(_NUMBERS)


def _word(rng: random.Random, content: bytearray) -> None:
    """Put a huge, or no, binary number of 1 to 8 bytes somewhere, mostly into a header."""
    start = rng.randrange(min(len(content), rng.choice((64, 512, len(content)))))
    size = rng.choice((1, 2, 4, 8))
    content[start : start + size] = rng.choice(_WORDS) * size


def _nest(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content) + 1)
    opening, closing = rng.choice(_NESTS)
    depth = rng.choice((3, 100, 990, 100_000))
    content[start:start] = opening * depth + b"1" + closing * rng.choice((0, depth))


def _nul(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content) + 1)
    content[start:start] = bytes(rng.choice((1, 3, 512, 100_000)))


def _shuffle(rng: random.Random, content: bytearray) -> None:
    pieces = [content[i : i + 512] for i in range(0, len(content), 512)]
    rng.shuffle(pieces)
    content[:] = b"".join(pieces)


def _lines(rng: random.Random, content: bytearray) -> None:
    """Make it a file of very many short lines, or of a very long one."""
    line = rng.choice((b"\n", b"a\n", b",\n", b"a,b\n", b"a\tb\n", b"\xf0\x9f\x98\x80", b"a", b","))
    content += line * (rng.choice((3, 15, 30, 60)) * 1_000_000 // len(line))


_COMMON = (_flip, _cut, _leave_out, _insert, _repeat, _number, _word, _nest, _nul, _shuffle)


def mutate(rng: random.Random, content: bytes) -> bytes:
    """Return the content with one to three changes; one in fifty becomes very long."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        (rng.choice(_COMMON) if rng.random() < 0.98 else _lines)(rng, changed)
        if not changed:
            break
    return bytes(changed)


@dataclass
class Tally:
    """What came of the mutations of one reader, and an example of each fault."""

    tried: int = 0
    read: int = 0
    refused: int = 0
    raw: int = 0
    hangs: int = 0
    large: int = 0
    outside: int = 0
    code: int = 0
    died: int = 0
    seconds: float = 0.0
    mib: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            mine = getattr(self, name)
            setattr(self, name, max(mine, value) if name in ("seconds", "mib") else mine + value)

    @property
    def bad(self) -> int:
        return self.raw + self.hangs + self.large + self.outside + self.code + self.died


class Hang(BaseException):
    """Raised inside a reader that takes too long; no reader catches it."""


class Watch:
    """Looks on while readers work in this process: what is written where, and what is started.

    Args:
        root: the folder under which files may be written.
        seconds: float, what takes longer is a hang.
    """

    def __init__(self, root: Path, seconds: float = MOST_SECONDS):
        self.root, self.seconds = str(root) + os.sep, seconds
        self.active = False
        self.outside: list[str] = []
        self.code: list[str] = []
        sys.addaudithook(self._hear)
        signal.signal(signal.SIGALRM, self._ring)

    def try_one(self, read: Callable[[], object], known: tuple[type[Exception], ...]) -> Tally:
        """Run a reader once and say what it did."""
        tally = Tally(tried=1)
        self.active = False  # where an alarm came late
        self.outside, self.code = [], []
        _forget_peak()
        started = time.monotonic()
        try:
            self.active = True
            signal.setitimer(signal.ITIMER_REAL, self.seconds, 1.0)
            try:
                read()
                tally.read = 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                self.active = False
        except known:
            tally.refused = 1
        except Hang:
            tally.faults.append(f"hangs for {self.seconds} s")
        except BaseException:
            tally.raw = 1
            tally.faults.append(traceback.format_exc(limit=-3))
        tally.seconds = time.monotonic() - started
        tally.hangs = int(tally.seconds > self.seconds)
        tally.mib = _peak() >> 20
        tally.large = int(tally.mib << 20 > MOST_BYTES)
        if tally.large:
            tally.faults.append(f"takes {tally.mib} MiB")
        tally.outside, tally.code = int(bool(self.outside)), int(bool(self.code))
        tally.faults += [f"writes {path}" for path in self.outside]
        tally.faults += [f"starts {what}" for what in self.code]
        return tally

    def _ring(self, *_: object) -> None:
        if self.active:
            raise Hang

    def _hear(self, event: str, arguments: tuple) -> None:
        if not self.active:
            return
        if event in _STARTS:
            self.code.append(f"{event} {arguments!r:.200}")
        elif event in _WRITES or (event == "open" and _writes(arguments[2])):
            for path in arguments[:2]:
                if isinstance(path, (str, bytes)) and not self._inside(path):
                    self.outside.append(f"{event} {os.fsdecode(path)}")

    def _inside(self, path: str | bytes) -> bool:
        where = os.path.abspath(os.fsdecode(path)) + os.sep
        return where.startswith((self.root, "/dev/null/"))


_STARTS = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"}
_STARTS |= {"os.fork", "os.forkpty", "os.startfile", "socket.connect", "os.kill"}
_WRITES = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate"}
_WRITES |= {"os.chmod", "os.chown", "shutil.rmtree", "shutil.move", "shutil.copyfile"}


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak of the memory begins anew


def _peak() -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def limit_process(bytes_more: int = 4 << 30) -> None:
    """Keep a reader that goes astray from taking the whole machine along."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + bytes_more, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 30, resource.RLIM_INFINITY))
