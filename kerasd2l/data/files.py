"""Reading the files of strangers: only regular ones, plain or gzipped, and no more than may be."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import json
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from kerasd2l.data import limits
from kerasd2l.data.source import DataError

_CHUNK = 1 << 20


def open_regular(path: str | os.PathLike, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a file, but nothing that only looks like one: a pipe would be waited for, for ever.

    Args:
        path: the file.
        flags: as of `os.open`; with a flag of writing the file can be written, too.

    Raises:
        OSError: it is not there, a folder, a pipe, a device or a socket.
    """
    waiting = getattr(os, "O_NONBLOCK", 0)  # not on Windows, which has no pipes in folders
    number = os.open(path, flags | waiting | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            what = "a folder, a pipe or a device and no file"
            raise OSError(errno.EINVAL, what, os.fspath(path))
        return os.fdopen(number, "rb" if flags == os.O_RDONLY else "r+b")
    except BaseException:
        os.close(number)
        raise


@contextlib.contextmanager
def unpacked(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file for reading, plain or gzipped, which its content tells.

    Raises:
        DataError: it cannot be read, or what is read of it is no whole gzip data.
    """
    try:
        with open_regular(path) as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield io.BufferedReader(gzip.GzipFile(fileobj=raw), _CHUNK) if packed else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is not whole gzip data: truncated or damaged ({error}). Get the file anew."
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error


def content(path: str | os.PathLike, most: int) -> bytes:
    """Read a whole file, plain or gzipped.

    Args:
        path: the file.
        most: int, a longer content is refused.

    Raises:
        DataError: as `unpacked`, or too long.
    """
    found = bytearray()  # grows with what is there
    with unpacked(path) as file:
        while chunk := file.read(min(_CHUNK, most + 1 - len(found))):
            found += chunk
    if len(found) > most:
        raise DataError(f"{path} is longer than {most} bytes.")
    return bytes(found)


def read_json(path: str | os.PathLike, most: int = limits.JSON_BYTES) -> Any:
    """Read a JSON file.

    Raises:
        DataError: it cannot be read, is too long, nested too deeply, or no JSON.
    """
    try:
        return json.loads(content(path, most))
    except RecursionError as error:
        raise DataError(f"{path} is no JSON of ours: it is nested too deeply.") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a name that nobody can guess and rename it: nobody sees half of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as out:
        try:
            out.write(content)
            out.close()
            os.chmod(out.name, 0o644)
            os.replace(out.name, path)
        except BaseException:
            Path(out.name).unlink(missing_ok=True)
            raise
