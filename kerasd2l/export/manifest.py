"""The manifest of a SavedModel: where it is from, what it takes and gives, a hash of every file.

It lies in `VERSION/assets.extra/manifest.json`; TensorFlow and TF Serving leave that folder alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kerasd2l.run import versions, write_json

FORMAT = 1
MANIFEST = "assets.extra/manifest.json"
LARGEST_ASSET = 64 * 1024  # bytes of JSON; a longer one (a vocabulary) is in the graph anyway


class SavedModelError(Exception):
    """A SavedModel that is missing, damaged, or not what its manifest says."""


def write(
    path: str | os.PathLike,
    *,
    name: str,
    version: int,
    recipe: str,
    arguments: Mapping[str, Any],
    signatures: Mapping[str, Any],
    assets: Mapping[str, Any],
    metrics: Mapping[str, Any],
    examples: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the manifest of the SavedModel in `path`, over the files that lie there now.

    Args:
        path: the folder with `saved_model.pb`.
        name: str, name under which the model is served.
        version: int, the number that the folder has or will have.
        recipe: str, full name of the recipe.
        arguments: the resolved arguments of the recipe.
        signatures: name -> {"inputs": {name: {"dtype", "shape"}}, "outputs": the same}.
        assets: plain data that served the export; what is larger than 64 KiB is only named.
        metrics: name -> measured value.
        examples: signature -> rows that it can be asked with, as `examples.rows` makes them.

    Returns:
        The manifest.
    """
    path = Path(path)
    sizes = {key: len(json.dumps(value).encode("utf8")) for key, value in assets.items()}
    content = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "recipe": recipe,
        "arguments": dict(arguments),
        "versions": versions(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "signatures": signatures,
        "assets": {key: value for key, value in assets.items() if sizes[key] <= LARGEST_ASSET},
        "assets_left_out": [key for key in assets if sizes[key] > LARGEST_ASSET],
        "metrics": dict(metrics),
        "examples": dict(examples or {}),
        "files": {name: _fingerprint(path / name) for name in _files(path)},
    }
    (path / MANIFEST).parent.mkdir(exist_ok=True)
    write_json(path / MANIFEST, content)
    return content


def read(path: str | os.PathLike) -> dict[str, Any]:
    """Read the manifest of the SavedModel in `path`.

    Raises:
        SavedModelError: there is none, it cannot be read, or it has another format.
    """
    file = Path(path) / MANIFEST
    try:
        content = json.loads(file.read_text("utf8"))
    except FileNotFoundError:
        raise SavedModelError(f"{path} has no {MANIFEST}: kerasd2l did not export it.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SavedModelError(f"cannot read {file}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("files"), dict):
        raise SavedModelError(f"{file} is damaged: it has no list of files.")
    if content.get("format") != FORMAT:
        raise SavedModelError(
            f"{file} has format {content.get('format')!r}, this library reads format {FORMAT}. "
            "Use the version of kerasd2l that wrote it, or export the run again."
        )
    return content


def differences(path: str | os.PathLike) -> dict[str, list[str]]:
    """Compare the files in `path` with its manifest.

    Returns:
        {"changed": [...], "missing": [...], "extra": [...]}, names relative to `path`.

    Raises:
        SavedModelError: the manifest is missing or damaged.
    """
    path = Path(path)
    listed = read(path)["files"]
    there = set(_files(path))
    changed = [
        name for name in sorted(there & set(listed)) if _fingerprint(path / name) != listed[name]
    ]
    return {
        "changed": changed,
        "missing": sorted(set(listed) - there),
        "extra": sorted(there - set(listed)),
    }


def verify_files(path: str | os.PathLike) -> None:
    """Check that `path` holds exactly the files of its manifest, byte for byte.

    Raises:
        SavedModelError: names every changed, missing and extra file.
    """
    complain(path, differences(path))


def complain(path: str | os.PathLike, found: Mapping[str, list[str]]) -> None:
    """Raise SavedModelError for what `differences` found, if it found anything."""
    parts = [f"{kind}: {', '.join(names)}" for kind, names in found.items() if names]
    if parts:
        raise SavedModelError(
            f"{path} is not what its manifest says ({'; '.join(parts)}). "
            "Export the run again, or copy the folder anew."
        )


def _files(path: Path) -> list[str]:
    """Return the names of all files under `path` but the manifest, with `/` between the parts."""
    names = (file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())
    return sorted(name for name in names if name != MANIFEST)


def _fingerprint(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return {"sha256": digest.hexdigest(), "size": file.stat().st_size}
