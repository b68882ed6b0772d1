"""Which folder a name means: a SavedModel itself, or the newest of its numbered versions."""

from __future__ import annotations

import re
from pathlib import Path

from kerasd2l.export.manifest import SavedModelError


def find(path: Path) -> Path:
    """Return the folder with `saved_model.pb`: `path` itself or its highest number.

    Raises:
        SavedModelError: there is none; the message says what is there.
    """
    if (path / "saved_model.pb").is_file():
        return path
    if not path.exists():
        near = _listed(path.parent) if path.parent.is_dir() else "nothing: it does not exist"
        raise SavedModelError(f"{path} does not exist. {path.parent} holds: {near}.")
    if not path.is_dir():
        raise SavedModelError(f"{path} is a file. A SavedModel is a folder with saved_model.pb.")
    numbers = [child for child in path.iterdir() if re.fullmatch("[0-9]+", child.name)]
    complete = [child for child in numbers if (child / "saved_model.pb").is_file()]
    if complete:
        return max(complete, key=lambda child: int(child.name))
    names = [f"{child}" for child in sorted(path.iterdir()) if _versions(child)]
    if names:
        raise SavedModelError(f"{path} holds several models. Give one: {', '.join(names)}.")
    raise SavedModelError(
        f"{path} is no SavedModel: it has neither saved_model.pb nor a numbered version with one. "
        f"It holds: {_listed(path)}."
    )


def _versions(path: Path) -> bool:
    return path.is_dir() and any(path.glob("[0-9]*/saved_model.pb"))


def _listed(path: Path, most: int = 10) -> str:
    names = sorted(child.name for child in path.iterdir() if not child.name.startswith("."))
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return ", ".join(names[:most] + more) or "nothing"
