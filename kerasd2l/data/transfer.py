"""Downloads that are verified: timeout, retries, mirrors, resume, hash, rename, one at a time."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasd2l.data.source import DataError, Source

if os.name == "posix":
    import fcntl

CONNECT_TIMEOUT = 5.0  # seconds; without a network the answer must come soon
MIN_BYTES_PER_SECOND = 1024  # a server that trickles is a server that hangs
_CHUNK = 1 << 18

_log = logging.getLogger(__name__)


def fetch(
    folder: Path,
    digests: Mapping[str, str],
    mirrors: Sequence[str],
    source: Source,
    *,
    max_bytes: int = 1 << 30,
) -> None:
    """Download several files, each `mirror + name`, verified.

    Args:
        folder: where they go.
        digests: file name -> hex SHA-256, SHA-1 or MD5.
        mirrors: base addresses, ending in "/", tried in order.
        source: Source, for its timeout and retries.
        max_bytes: int, limit of one file.

    Raises:
        DataError: a file could not be had.
    """
    limits: dict[str, Any] = {"timeout": source.timeout, "retries": source.retries}
    for name, digest in digests.items():
        urls = [mirror + name for mirror in mirrors]
        download(urls, folder / name, digest, max_bytes=max_bytes, **limits)


def download(
    urls: str | Sequence[str],
    path: str | os.PathLike,
    digest: str,
    *,
    max_bytes: int = 1 << 30,
    timeout: float = 30.0,
    retries: int = 3,
    backoff: float = 0.5,
) -> Path:
    """Bring a file from the first address that gives the right bytes, unless it is there already.

    The bytes go to a temporary name in the same folder and are renamed only when the hash is right,
    so nobody ever sees a half or a wrong file. A broken transfer is continued where it stopped.
    Processes that want the same file wait for the first one.

    Args:
        urls: http(s) address, or mirrors in the order to try.
        path: final name of the file.
        digest: hex SHA-256, SHA-1 or MD5 of its content; there is no way around it.
        max_bytes: int, larger answers are refused.
        timeout: float, seconds that the server may keep silent.
        retries: int, new attempts; "not found", too large and wrong bytes are final at once.
        backoff: float, seconds before the first new attempt, doubled each time.

    Returns:
        `path`.

    Raises:
        DataError: no address gave the file, or it cannot be written.
        ValueError: not a hash, or not an http(s) address.
    """
    urls = (urls,) if isinstance(urls, str) else tuple(urls)
    for url in urls:
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"`urls` must start with https:// or http://. Received: {url!r}.")
    path, digest = Path(path), digest.lower()
    _hasher(digest)
    if _matches(path, digest):
        return path
    with lock(path):
        if not _matches(path, digest):  # another process may have brought it meanwhile
            _from_mirrors(urls, path, _Job(digest, max_bytes, timeout, retries, backoff))
    return path


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the right to write `path` among all processes and threads of this machine.

    Raises:
        DataError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path.with_name(f".{path.name}.lock"), "ab")
    except OSError as error:
        hint = "Choose another cache with XDG_CACHE_HOME"
        raise DataError(f"cannot write in {path.parent}: {error}. {hint}") from error
    with file:
        if os.name == "posix":  # elsewhere two processes may both download; the rename is safe
            fcntl.flock(file, fcntl.LOCK_EX)  # let go by close, even that of kill -9
        yield


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of a file's content."""
    hasher = _new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def _new(algorithm: str):
    # MD5 and SHA-1 name published bytes here, they guard no secret: allowed under FIPS, too.
    return hashlib.new(algorithm, usedforsecurity=False)


def _hasher(digest: str):
    algorithm = {32: "md5", 40: "sha1", 64: "sha256"}.get(len(digest))
    if algorithm is None or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"`digest` must be a hex SHA-256, SHA-1 or MD5. Received: {digest!r}.")
    return _new(algorithm)


def _matches(path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    try:
        return file_digest(path, _hasher(digest).name) == digest
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error


@dataclass(frozen=True)
class _Job:
    digest: str
    max_bytes: int
    timeout: float
    retries: int
    backoff: float


class _FinalError(Exception):
    """An answer that asking the same server again will not change."""


def _from_mirrors(urls: Sequence[str], path: Path, job: _Job) -> None:
    """Try the mirrors in turn, in rounds, until one gives the file."""
    left, problems = list(urls), {}
    for round_ in range(job.retries + 1):
        if round_:
            time.sleep(job.backoff * 2 ** (round_ - 1))
        unreachable = 0
        for url in tuple(left):
            try:
                _log.info("downloading %s", url)
                return _transfer(url, path, job)
            except _FinalError as error:
                left.remove(url)
                problems[url] = str(error)
            except (OSError, http.client.HTTPException) as error:
                answered = isinstance(error, urllib.error.HTTPError)
                unreachable += isinstance(error, urllib.error.URLError) and not answered
                reason = getattr(error, "reason", None) if not answered else None
                problems[url] = str(reason or error) or type(error).__name__
        if not left or (round_ and unreachable == len(left)):
            break  # nobody could be reached twice: there is no network, do not keep people waiting
    told = "; ".join(f"{url}: {problem}" for url, problem in problems.items())
    raise DataError(f"cannot download {path.name} ({told})")


def _transfer(url: str, path: Path, job: _Job) -> None:
    """Download from one address, continuing a partial file, and rename when the hash is right."""
    part = path.with_name(f".{path.name}.part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "kerasd2l"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = _opener().open(request, timeout=job.timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.unlink(missing_ok=True)
        elif 400 <= error.code < 500 and error.code not in (408, 429):
            raise _FinalError(f"HTTP {error.code} {error.reason}") from error
        raise
    with response:
        if have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
            if response.status == 206:
                part.unlink(missing_ok=True)
                raise ConnectionError("the server answered with another part than asked for")
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        if total is not None and total > job.max_bytes:
            raise _FinalError(f"too large: {total} bytes, at most {job.max_bytes} are allowed")
        received, size = _receive(response, part, have, job)
    if total is not None and size < total:
        raise ConnectionError(f"the connection broke off after {size} of {total} bytes")
    if received != job.digest:
        part.unlink(missing_ok=True)
        message = f"wrong content: hash {received}, expected {job.digest}"
        raise ConnectionError(message) if have else _FinalError(message)
    os.replace(part, path)


def _receive(response, part: Path, have: int, job: _Job) -> tuple[str, int]:
    """Stream the answer behind the `have` bytes of the partial file; return its hash and size."""
    hasher, size = _hasher(job.digest), have
    since, lately = time.monotonic(), 0
    with _open_part(part, have, hasher) as file:
        while chunk := response.read1(_CHUNK):
            size += len(chunk)
            lately += len(chunk)
            if size > job.max_bytes:
                part.unlink(missing_ok=True)
                raise _FinalError(f"too large: more than {job.max_bytes} bytes")
            hasher.update(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise DataError(f"cannot write {part}: {error}. Is the disk full?") from error
            elapsed = time.monotonic() - since
            if elapsed > job.timeout:
                if lately < MIN_BYTES_PER_SECOND * elapsed:
                    raise TimeoutError(f"too slow: {lately} bytes in {elapsed:.1f} s")
                since, lately = time.monotonic(), 0
        file.flush()
        os.fsync(file.fileno())
    return hasher.hexdigest(), size


def _open_part(part: Path, have: int, hasher):
    try:
        file = open(part, "r+b" if have else "wb")
        while have and (chunk := file.read(_CHUNK)):
            hasher.update(chunk)
        return file  # positioned behind what is there
    except OSError as error:
        raise DataError(f"cannot write {part}: {error}") from error


class _QuickConnect(http.client.HTTPConnection):
    """Connect within CONNECT_TIMEOUT; the longer timeout is for the answer."""

    def connect(self):
        patience: Any = self.timeout
        self.timeout = min(patience, CONNECT_TIMEOUT)
        super().connect()
        self.timeout = patience
        self.sock.settimeout(patience)


class _HTTPConnection(_QuickConnect, http.client.HTTPConnection):
    pass


class _HTTPSConnection(_QuickConnect, http.client.HTTPSConnection):
    pass


class _HTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(_HTTPConnection, request)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, request):
        return self.do_open(_HTTPSConnection, request)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https only: a redirect to file: or ftp: leads nowhere."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        _HTTPHandler,
        _HTTPSHandler,
    ):
        opener.add_handler(handler())
    return opener
