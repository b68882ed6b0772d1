"""Unpacking zip and tar archives behind a guard: nothing leaves the folder, nothing is endless."""

from __future__ import annotations

import bz2
import contextlib
import json
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from kerasd2l.data import files, limits
from kerasd2l.data.archive_guard import MARK, Guard
from kerasd2l.data.downloads import file_digest, lock
from kerasd2l.data.source import DataError

_CHUNK = 1 << 18
_AHEAD = 1 << 15  # bytes that tarfile reads at once; it copies what is left of them at each member
_DAMAGED: tuple[type[Exception], ...]
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
_DAMAGED += (struct.error, NotImplementedError, ValueError)  # what the readers let through
_DAMAGED += (IndexError, KeyError, OverflowError, RecursionError, MemoryError)


@dataclass(frozen=True)
class _Member:
    """A file of the archive: its checked name, declared size, and how to read it."""

    name: PurePosixPath
    size: int
    file: IO[bytes]
    zipped: bool


def unpack(
    archive: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    max_files: int = limits.FILES,
    max_bytes: int = limits.UNPACKED_BYTES,
    max_ratio: float = limits.RATIO,
    only: Collection[str] | None = None,
) -> Path:
    """Unpack a zip or tar (plain, gz, bz2, xz) into a folder of its own, whole or not at all.

    Only plain files and folders come out, all under `folder`, never executable. The folder is
    filled under a temporary name and renamed; when it is already there from the same archive, it
    is used as it is.

    Args:
        archive: path of the archive; the kind is read from its content.
        folder: path of the new folder.
        max_files: int, most members.
        max_bytes: int, most bytes of all files together, declared or real.
        max_ratio: float, most unpacked bytes per packed byte (beyond the first 10 MB).
        only: names of the members to take; others are passed over, whatever they are. None: all.

    Returns:
        `folder`.

    Raises:
        DataError: the archive is damaged, holds something that is refused, or is too large; or
            `folder` exists and is not from `unpack`.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        size, digest = archive.stat().st_size, file_digest(archive)  # a pipe is no file
    except OSError as error:
        raise DataError(f"cannot read {archive}: {error}") from error
    if only is not None:
        digest += f" {', '.join(sorted(only))}"
    with lock(folder):
        if folder.exists():
            if _mark(folder) == digest:
                return folder
            if _mark(folder) is None:
                raise DataError(f"{folder} is in the way of {archive.name}. Move it elsewhere.")
        guard = Guard(archive, max_files, _most(size, max_bytes, max_ratio), only)
        temporary = folder.with_name(f".{folder.name}.unpacking")
        try:
            shutil.rmtree(temporary, ignore_errors=True)  # left behind by a kill -9
            temporary.mkdir()
            _extract(archive, temporary, guard)
            (temporary / MARK).write_text(json.dumps({"archive": digest}) + "\n", "utf8")
            if folder.exists():
                shutil.rmtree(folder)  # our own, from another version of the archive
            os.replace(temporary, folder)
        except _DAMAGED as error:
            raise _damaged(archive, error) from error
        except OSError as error:  # gzip.BadGzipFile is one
            raise DataError(f"cannot unpack {archive} into {folder}: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def read_members(
    archive: str | os.PathLike,
    *,
    max_files: int = limits.FILES,
    max_bytes: int = limits.UNPACKED_BYTES,
    max_ratio: float = limits.RATIO,
    max_member: int = limits.MEMBER_BYTES,
) -> Iterator[tuple[str, bytes]]:
    """Read the files of a zip or tar one after the other, without unpacking it.

    The same guard as that of `unpack`: names, number and sizes are checked before anything is read.

    Args:
        archive: path of the archive.
        max_files: int, most members.
        max_bytes: int, most bytes of all files together, declared or real.
        max_ratio: float, most unpacked bytes per packed byte (beyond the first 10 MB).
        max_member: int, most bytes of one file, which lies in memory.

    Yields:
        (name in the archive, content).

    Raises:
        DataError: the archive is damaged, holds something that is refused, or is too large.
    """
    archive = Path(archive)
    try:
        size = archive.stat().st_size
        guard = Guard(archive, max_files, _most(size, max_bytes, max_ratio))
        for member in _members(archive, guard):
            if member.size > max_member:
                guard.refuse(f"{str(member.name)!r} is larger than {max_member} bytes")
            content = member.file.read(member.size)
            if len(content) != member.size:
                raise EOFError(f"{member.name} is cut off")
            yield str(member.name), content
    except _DAMAGED as error:
        raise _damaged(archive, error) from error
    except OSError as error:  # gzip.BadGzipFile is one
        raise DataError(f"cannot read {archive}: {error}") from error


@contextlib.contextmanager
def opened_member(
    archive: str | os.PathLike,
    wanted: Callable[[str], bool],
    *,
    max_bytes: int = limits.UNPACKED_BYTES,
) -> Iterator[tuple[str, IO[bytes]]]:
    """Open one file of a zip or tar for reading, without unpacking it or having it in memory.

    Args:
        archive: path of the archive.
        wanted: (name in the archive) -> bool; the first such file is opened.
        max_bytes: int, most bytes of all files together, declared or real.

    Yields:
        (name in the archive, the open file).

    Raises:
        DataError: there is no such file; or the archive is damaged, which may show only while the
            file is read, holds something that is refused, or is too large.
    """
    archive = Path(archive)
    try:
        guard = Guard(archive, limits.FILES, _most(archive.stat().st_size, max_bytes, limits.RATIO))
        for member in _members(archive, guard):
            if wanted(str(member.name)):
                yield str(member.name), member.file
                return
    except _DAMAGED as error:
        raise _damaged(archive, error) from error
    except OSError as error:  # gzip.BadGzipFile is one
        raise DataError(f"cannot read {archive}: {error}") from error
    raise DataError(f"{archive} has no file of the kind that is looked for.")


def _most(size: int, max_bytes: int, max_ratio: float) -> int:
    """Return how many bytes may come out of an archive of `size` bytes."""
    return min(max_bytes, max(limits.SMALL_BYTES, int(max_ratio * size)))


def _damaged(archive: Path, error: Exception) -> DataError:
    told = str(error)[:200] or type(error).__name__
    return DataError(f"{archive} is damaged: {told}. Get it anew.")


def _mark(folder: Path) -> str | None:
    """Return the hash of the archive that `folder` was unpacked from; None if it was not."""
    try:
        return files.read_json(folder / MARK)["archive"]
    except (DataError, KeyError, TypeError):
        return None


def _extract(archive: Path, folder: Path, guard: Guard) -> None:
    for member in _members(archive, guard):
        target = folder.joinpath(*member.name.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with open(target, "xb") as out:
            while chunk := member.file.read(_CHUNK):
                size += len(chunk)
                if member.zipped:  # the bytes of a tar are counted below the headers, by _Bounded
                    guard.took(len(chunk))
                out.write(chunk)
        if size != member.size:
            raise EOFError(f"{member.name} has {size} bytes, {member.size} are declared")


def _members(archive: Path, guard: Guard) -> Iterator[_Member]:
    """Yield the files of an archive, of which each is read before the next one is asked for."""
    with files.open_regular(archive) as raw:
        start = raw.read(6)
        raw.seek(0)
        if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            yield from _zip_members(raw, guard)
        else:
            yield from _tar_members(_Bounded(_decompress(raw, start), guard), guard)


def _zip_members(raw: IO[bytes], guard: Guard) -> Iterator[_Member]:
    directory = _Directory(raw, 128 * guard.max_files)
    with zipfile.ZipFile(directory) as file:  # type: ignore[arg-type]
        directory.most = None
        for info in file.infolist():
            if guard.passes_over(info.orig_filename):
                continue
            # zipfile itself cuts a name at a NUL: the name that is checked is that of the file
            if "\0" in info.orig_filename:
                guard.refuse(f"it has the unsafe name {info.orig_filename[:80]!r}")
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                guard.refuse(f"{info.filename!r} is a link or device")
            if info.flag_bits & 1:
                guard.refuse(f"{info.filename!r} is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # zipfile unpacks whatever comes out of a piece of the others at once: gigabytes
                guard.refuse(f"{info.filename!r} is packed by method {info.compress_type}")
            name = guard.check(info.filename, info.file_size, info.is_dir())
            if not info.is_dir():
                with file.open(info) as content:
                    yield _Member(name, info.file_size, content, zipped=True)


class _Directory:
    """A zip whose directory, which zipfile reads at once, is no larger than it may be."""

    def __init__(self, file: IO[bytes], most: int):
        self.file = file
        self.most: int | None = most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if self.most is not None and size > self.most:
            raise zipfile.BadZipFile(f"its directory has {size} bytes")
        return self.file.read(size)


def _tar_members(unpacked: _Bounded, guard: Guard) -> Iterator[_Member]:
    """Read a tar as a stream, so that every decompressed byte, headers included, is counted."""
    # the stub asks for more than "r|" uses, which is read
    with tarfile.open(fileobj=unpacked, mode="r|", bufsize=_AHEAD, tarinfo=_Header) as file:  # type: ignore[call-overload]
        end = 0
        while True:
            unpacked.start_header()
            info = file.next()
            file.members.clear()  # it remembers all of them
            if info is None:
                break
            if guard.passes_over(info.name):
                unpacked.header_left = None
                passed = file.extractfile(info) if info.isreg() else None
                while passed and passed.read(_CHUNK):
                    pass
                end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                continue
            if not (info.isreg() or info.isdir()) or info.issparse():
                guard.refuse(f"{info.name[:200]!r} is a link, device or sparse file")
            name = guard.check(info.name, info.size, info.isdir())
            content = file.extractfile(info) if info.isreg() else None
            blocks = -(-info.size // tarfile.BLOCKSIZE) if content else 0
            end = info.offset_data + blocks * tarfile.BLOCKSIZE
            unpacked.header_left = None
            if content is not None:
                yield _Member(name, info.size, content, zipped=False)
    unpacked.header_left = None
    while unpacked.read(_CHUNK):
        pass  # to the end: a cut compressed stream shows only there
    if unpacked.last > end:
        raise tarfile.ReadError("something follows its end, where a header was overwritten")


class _Header(tarfile.TarInfo):
    """A header of a tar. A damaged one is an error, and not, as for tarfile, the end of the tar."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        if not buf:
            raise tarfile.ReadError("it is cut off between two files: it has no end marker")
        if len(buf) == tarfile.BLOCKSIZE and not buf.strip(b"\0"):
            return super().frombuf(buf, encoding, errors)  # raises: the end marker
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"a damaged header ({error})") from error


def _decompress(raw: BinaryIO, start: bytes) -> IO[bytes]:
    if start.startswith(b"\x1f\x8b"):
        return files.gunzip(raw)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if start.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(raw)
    return raw


class _Bounded:
    """A stream that a decompression bomb cannot make endless, nor a header fill the memory."""

    def __init__(self, file: IO[bytes], guard: Guard):
        self.file, self.guard = file, guard
        self.size = self.last = 0  # bytes so far, and where the last one that is not 0 ends
        self.start_header()  # tarfile reads the first one before it is asked

    def start_header(self) -> None:
        self.header_left: int | None = limits.HEADER_BYTES  # that may be read until the next file

    def read(self, size: int) -> bytes:
        chunk = self.file.read(size)
        # A tar has a header and a rounded-up end for each member, a rounded-up end of its own, and
        # is read ahead of what is known of it.
        beside = tarfile.RECORDSIZE + _AHEAD
        self.guard.took(len(chunk), padding=2048 * (self.guard.count + 16) + beside)
        kept = len(chunk.rstrip(b"\0"))
        if kept:
            self.last = self.size + kept
        self.size += len(chunk)
        if self.header_left is not None:
            self.header_left -= len(chunk)
            if self.header_left < 0:
                self.guard.refuse(f"a header has more than {limits.HEADER_BYTES} bytes")
        return chunk
