"""A numbered folder that appears whole or not at all, while a server may be watching.

TF Serving loads the highest number in NAME/ as soon as it is there, and skips other names. So the
work is done under another name, and the folder is renamed when it is complete and on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """Make an empty folder in `parent` that TF Serving ignores; whatever is left of it goes.

    If nothing was published, `parent` and the folder above go too, where this call made them.
    What killed processes of this machine left behind is removed.
    """
    made = [path for path in (parent, parent.parent) if not path.exists()]
    host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())
    for attempt in itertools.count(1):
        folder = parent / f".tmp-{host}-{os.getpid()}-{attempt}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            break
        except FileExistsError:  # another thread; or a file is in the way
            if not parent.is_dir():
                raise
        except FileNotFoundError:  # another process failed and took the empty parent away
            if attempt > 100:
                raise
    try:
        _clean(parent, host)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):  # not empty: it is in use
                path.rmdir()


def publish(folder: Path, finish: Callable[[int], object]) -> Path:
    """Rename `folder` to the next free number beside it.

    The number is one more than the highest, since a server would not pick a lower one.

    Args:
        folder: from `workspace`.
        finish: (number) -> anything; writes what depends on the number. Called again if
            another process takes the number in the meantime.

    Returns:
        The folder under its number.
    """
    number = 0
    while True:
        names = (path.name for path in folder.parent.iterdir())
        taken = [int(name) for name in names if re.fullmatch(r"[0-9]+", name)]
        number = max([number, *taken]) + 1
        finish(number)
        _sync(folder)
        target = folder.parent / str(number)
        try:
            os.rename(folder, target)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                continue
            raise
        _sync_directory(target.parent)
        return target


def _clean(parent: Path, host: str) -> None:
    """Remove what killed processes of this machine left in `parent`."""
    for left in parent.glob(f".tmp-{host}-*-*"):
        process = left.name.split("-")[-2]
        if not process.isdigit() or int(process) == os.getpid():
            continue
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:  # alive, another user's
            continue


def _sync(folder: Path) -> None:
    """Flush every file and folder under `folder` to the disk."""
    for root, _, files in os.walk(folder):
        for file in files:
            with open(os.path.join(root, file), "rb") as stream:
                os.fsync(stream.fileno())
        _sync_directory(Path(root))


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
