"""What may come out of an archive of a stranger."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from kerasd2l.data import limits
from kerasd2l.data.source import DataError

MARK = ".kerasd2l-unpacked"  # the file that tells from which archive a folder was unpacked


class Guard:
    """What may come out of an archive: counts members and bytes, checks names."""

    def __init__(
        self,
        archive: Path,
        max_files: int,
        max_bytes: int,
        only: Collection[str] | None = None,
    ):
        self.archive, self.max_files, self.max_bytes = archive, max_files, max_bytes
        self.only = only
        self.names: set[str] = set()
        self.count = self.declared = self.written = 0

    def passes_over(self, name: str) -> bool:
        """Whether a member is not wanted; it counts, but is neither checked nor read."""
        if self.only is None or name in self.only:
            return False
        self.count += 1
        if self.count > self.max_files:
            self.refuse(f"it has more than {self.max_files} members")
        return True

    def refuse(self, what: str) -> None:
        raise DataError(f"{self.archive} is refused: {what}. Nothing was unpacked.")

    def check(self, name: str, size: int, is_folder: bool) -> PurePosixPath:
        """Check a member before anything of it is written."""
        parts = name.rstrip("/").split("/")
        if len(name) > limits.NAME_LENGTH or len(parts) > limits.NAME_PARTS:
            self.refuse(f"it has the name {name[:40]!r}..., which is too long or too deep")
        path = PurePosixPath(name)
        if name.startswith("/") or name[1:2] == ":":
            self.refuse(f"it has the absolute path {name!r}")
        if ".." in parts:
            self.refuse(f"it leaves the folder with {name!r}")
        if "\\" in name or not name.isprintable() or (not path.parts and not is_folder):
            self.refuse(f"it has the unsafe name {name!r}")
        self.count += 1
        if self.count > self.max_files:
            self.refuse(f"it has more than {self.max_files} members")
        key = str(path).casefold()  # two names that are one on some file systems
        if not is_folder:
            if key in self.names or key == MARK:
                self.refuse(f"it has {name!r} twice")
            self.names.add(key)
        self.declared += size
        if size < 0 or self.declared > self.max_bytes:
            self.refuse(f"its files are declared larger than {self.max_bytes} bytes together")
        return path

    def took(self, size: int, padding: int = 0) -> None:
        """Count bytes that really came out; `padding` of them may be beside the files."""
        self.written += size
        if self.written > self.max_bytes + padding:
            self.refuse(f"it unpacks to more than {self.max_bytes} bytes")
