"""Archives on the book's own server: fetched once, verified, unpacked into the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kerasd2l.data import archive, downloads, source
from kerasd2l.data.source import Source

MIRRORS = ("http://d2l-data.s3-accelerate.amazonaws.com/",)


def unpacked(
    where: Source,
    dataset: str,
    files: Sequence[str],
    packed: str,
    digest: str,
    *,
    max_bytes: int = 1 << 30,
) -> Path | None:
    """Return the folder in which the files of an archive lie, or None for the built-in stand-in.

    Args:
        where: Source.
        dataset: str, name of the folder, see `source.resolve`.
        files: relative names that must all be there.
        packed: name of the archive on the server.
        digest: its hex SHA-1.
        max_bytes: int, a larger archive is refused.

    Raises:
        DataError: the files are not to be had this way, or not right.
    """

    def fetch(folder: Path) -> None:
        beside = folder.with_name("downloads")
        beside.mkdir(parents=True, exist_ok=True)
        downloads.fetch(beside, {packed: digest}, MIRRORS, where, max_bytes=max_bytes)
        archive.unpack(beside / packed, folder)

    return source.resolve(where, dataset, files, fetch)


def unpacked_here(
    where: Source, dataset: str, packed: str, digest: str, *, max_bytes: int = 1 << 29
) -> Path | None:
    """Unpack an archive that may lie in the folder of the data set as it was downloaded.

    Args and Raises: see `unpacked`; the archive is the one file that must be there.
    """

    def fetch(folder: Path) -> None:
        downloads.fetch(folder, {packed: digest}, MIRRORS, where, max_bytes=max_bytes)

    folder = source.resolve(where, dataset, (packed,), fetch)
    if folder is None:
        return None
    target = Path(str(where.cache_dir)) / dataset / "unpacked"
    target.parent.mkdir(parents=True, exist_ok=True)
    return archive.unpack(folder / packed, target)
