"""Downloads that are verified: pooch brings a file and checks its hash, one process at a time.

Ours is around it: mirrors in turn and rounds of retries, limits on size and slowness, a lock for
two processes, and errors that say what to do without a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kerasd2l._lazy import lazy
from kerasd2l.data import files
from kerasd2l.data.source import DataError, Source

if os.name == "posix":
    import fcntl

pooch = lazy("pooch")
requests = lazy("requests")

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
    so nobody ever sees a half or a wrong file. Processes that want the same file wait for the first
    one.

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
        file = files.open_regular(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT)
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
    with files.open_regular(path) as file:
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
    if not path.exists():
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
                return _retrieve(url, path, job)
            except _FinalError as error:
                left.remove(url)
                problems[url] = str(error)
            except _Unreachable as error:
                unreachable += 1
                problems[url] = str(error)
            except (requests.RequestException, TimeoutError) as error:
                problems[url] = str(error) or type(error).__name__
        if not left or (round_ and unreachable == len(left)):
            break  # nobody could be reached twice: there is no network, do not keep people waiting
    told = "; ".join(f"{url}: {problem}" for url, problem in problems.items())
    raise DataError(f"cannot download {path.name} ({told})")


class _Unreachable(Exception):
    """Nobody answers at the address."""


def _retrieve(url: str, path: Path, job: _Job) -> None:
    """Download from one address with pooch, which renames the file when its hash is right."""

    def download(url: str, output_file: str, _: Any) -> None:
        with open(output_file, "wb") as file:
            get = pooch.HTTPDownloader(
                progressbar=sys.stderr.isatty(),
                timeout=(min(job.timeout, CONNECT_TIMEOUT), job.timeout),
                headers={"User-Agent": "kerasd2l"},
                chunk_size=1024,  # a chunk is waited for: a larger one hides a slow server
            )
            try:
                get(url, _Limited(file, job), None)
            except requests.RequestException:
                raise
            except ValueError as error:  # such as a Content-Length that is no number
                raise _FinalError(f"the server's answer is no HTTP: {error}") from error

    known = f"{_hasher(job.digest).name}:{job.digest}"
    try:
        pooch.retrieve(url, known, fname=path.name, path=path.parent, downloader=download)
    except requests.HTTPError as error:
        status = error.response.status_code
        told = f"HTTP {status} {error.response.reason}"
        if 400 <= status < 500 and status not in (408, 429):
            raise _FinalError(told) from error
        raise requests.RequestException(told) from error
    except requests.exceptions.ConnectTimeout as error:
        raise _Unreachable("timed out: no answer") from error
    except requests.exceptions.Timeout as error:
        raise TimeoutError("timed out") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise requests.RequestException(f"the connection broke off: {error}") from error
    except requests.ConnectionError as error:
        if "Read timed out" in str(error):
            raise TimeoutError("timed out") from error
        raise _Unreachable(str(error)) from error
    except ValueError as error:  # pooch: another hash
        if isinstance(error, requests.RequestException):  # a redirect to something else than http
            raise
        raise _FinalError(f"wrong content: hash differs, expected {job.digest}") from error


class _Limited:
    """A file that takes no more than it may, and not too slowly: what pooch writes into."""

    def __init__(self, file: BinaryIO, job: _Job):
        self.file, self.job, self.size = file, job, 0
        self.since, self.lately = time.monotonic(), 0

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.lately += len(chunk)
        if self.size > self.job.max_bytes:
            raise _FinalError(f"too large: more than {self.job.max_bytes} bytes")
        elapsed = time.monotonic() - self.since
        if elapsed > self.job.timeout:
            if self.lately < MIN_BYTES_PER_SECOND * elapsed:
                raise TimeoutError(f"too slow: {self.lately} bytes in {elapsed:.1f} s")
            self.since, self.lately = time.monotonic(), 0
        try:
            self.file.write(chunk)
        except OSError as error:
            raise DataError(f"cannot write {self.file.name}: {error}. Is the disk full?") from error

    def flush(self) -> None:
        self.file.flush()
