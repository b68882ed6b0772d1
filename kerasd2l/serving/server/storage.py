"""What lies in a folder of models, and whether a version is complete."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kerasd2l.export import manifest as manifests
from kerasd2l.export.manifest import SavedModelError

LARGEST_VERSION = 2**63 - 1
# what a name in a URL of TensorFlow Serving cannot hold; the last are bytes that are not UTF-8
ODD = re.compile(r"[/:\x00-\x1f\x7f\ud800-\udfff]")


class Incomplete(Exception):
    """A version that is being written, or that must not be loaded."""


@dataclass(frozen=True)
class Found:
    """A version on the disk: its folder, and a fingerprint that changes when a file does."""

    path: Path
    fingerprint: object


@dataclass(frozen=True)
class ModelConfig:
    """Which versions of a model are wanted.

    Args:
        name: str, the name under which it is served.
        path: the folder with the versions.
        versions: "all", the numbers, or how many of the newest. Default: 1 of the newest.
        labels: label -> version.
    """

    name: str
    path: Path
    versions: str | tuple[int, ...] | int = 1
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def most(self) -> int | None:
        """How many versions are served at most; None: as many as are wanted."""
        return self.versions if isinstance(self.versions, int) else None

    def wanted(self, there: Mapping[int, Found]) -> list[int]:
        """Return the versions that may serve, the newest first."""
        numbers = sorted(there, reverse=True)
        if isinstance(self.versions, tuple):
            return [number for number in numbers if number in self.versions]
        return numbers


class Storage:
    """A folder of models, or the models of a `models.config`.

    Args:
        folder: NAME/VERSION/saved_model.pb lie in it; or VERSION/... (one model).
        versions: the policy of models that `configs` does not name.
        configs: the models of a `models.config`; then no others are served.
    """

    def __init__(
        self,
        folder: Path,
        versions: str | tuple[int, ...] | int = 1,
        configs: Mapping[str, ModelConfig] | None = None,
    ):
        self._folder = folder
        self._versions = versions
        self._configs = configs
        self._sizes: dict[Path, object] = {}

    def models(self) -> Mapping[str, ModelConfig] | None:
        """Return the models by name; None if the folder cannot be read."""
        if self._configs is not None:
            return self._configs
        try:
            children = sorted(self._folder.iterdir())
            if any(_is_version(child) and not _has_versions(child) for child in children):
                name = self._folder.resolve().name
                return {name: ModelConfig(name, self._folder, self._versions)}
            return {
                child.name: ModelConfig(child.name, child, self._versions)
                for child in children
                if _is_name(child.name) and _has_versions(child)
            }
        except OSError:
            return None

    def versions(self, config: ModelConfig) -> tuple[dict[int, Found], str | None]:
        """Return the versions of a model, and what is odd about its folder in words."""
        there: dict[int, Found] = {}
        problem = None
        try:
            children = sorted(config.path.iterdir())
        except OSError:
            return {}, f"{config.name}: its folder cannot be read"
        for child in children:
            number = _number(child.name)
            if number is None or not child.is_dir():
                continue
            if number in there:
                problem = (
                    f"{config.name}: {there[number].path.name} and {child.name} are one number"
                )
                continue
            try:
                there[number] = Found(child, _fingerprint(child))
            except OSError:
                problem = f"{config.name}/{child.name} cannot be read"
        return there, problem

    def complete(self, found: Found) -> None:
        """Check that a version is whole.

        With a manifest, every file must have its hash when it is loaded. Without one, the files
        must have been the same at the look before, and the parts of the variables all there.

        Raises:
            Incomplete: it is not, or a link leads out of the folder.
        """
        _no_links_out(found.path)
        names = {name for name, *_ in found.fingerprint}  # type: ignore[attr-defined]
        if not names & {"saved_model.pb", "saved_model.pbtxt"}:
            raise Incomplete("it has no saved_model.pb")
        if manifests.MANIFEST in names:
            try:
                listed = manifests.read(found.path)["files"]
            except SavedModelError:
                raise Incomplete("its manifest cannot be read") from None
            missing = sorted(set(listed) - names)
            if missing:
                raise Incomplete(f"missing: {', '.join(missing[:3])}")
            return
        before, self._sizes[found.path] = self._sizes.get(found.path), found.fingerprint
        if before != found.fingerprint:
            raise Incomplete("it has no manifest: waiting until its files stay as they are")
        for name in names:
            part = re.fullmatch(r"variables/variables\.data-\d{5}-of-(\d{5})", name)
            parts = [n for n in names if n.startswith("variables/variables.data-")]
            if part and len(parts) < int(part[1]):
                raise Incomplete(f"{len(parts)} of {int(part[1])} parts of the variables are there")


def _is_name(name: str) -> bool:
    return not name.startswith(".") and not ODD.search(name)


def _has_versions(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(map(_is_version, folder.iterdir()))
    except OSError:  # lost+found, which only root may read, keeps no other folder from being served
        return False


def _is_version(folder: Path) -> bool:
    return _number(folder.name) is not None and folder.is_dir()


def _number(name: str) -> int | None:
    """Return the number of a version's folder; None if it is none that fits 64 bits."""
    if not re.fullmatch(r"[0-9]{1,30}", name):
        return None
    number = int(name)
    return number if number <= LARGEST_VERSION else None


def _fingerprint(folder: Path) -> object:
    """Return name, size and time of every file below, without following links to folders."""
    files = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            about = os.stat(path)
            files.append(
                (os.path.relpath(path, folder), about.st_size, about.st_mtime_ns, about.st_ino)
            )
    return tuple(sorted(files))


def _no_links_out(folder: Path) -> None:
    """Refuse links that lead out of the model's folder, and what is no file or folder."""
    home = folder.parent.resolve()
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            if not path.resolve().is_relative_to(home):
                raise Incomplete(f"{name} is a link that leads out of the folder")
            mode = path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise Incomplete(f"{name} is neither a file nor a folder")
    if not folder.resolve().is_relative_to(home):
        raise Incomplete("it is a link that leads out of the folder")
