"""Load the `model.keras` of a run, with clear words for what can be wrong with it."""

from __future__ import annotations

import importlib
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasd2l._lazy import lazy
from kerasd2l.run import RunError

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

ROOMS = ("layers", "losses", "metrics", "models", "scratch")  # where registered classes live


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load the `model.keras` of a run, with this library's layers and models known to Keras.

    Raises:
        RunError: it is missing, damaged, or made of a class that nobody imported.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError(
            f"{path} does not exist: the training has not finished. "
            "Continue it with `kerasd2l train ... --resume`, then export."
        )
    damaged = f"{path} is damaged: the training did not finish writing it, or the file was changed"
    again = "Continue the run with `kerasd2l train ... --resume`, then export."
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, OSError, KeyError, ValueError, EOFError) as error:
        raise RunError(f"{damaged} ({error}). {again}") from error
    if broken:
        raise RunError(f"{damaged} ({broken} has a wrong checksum). {again}")
    for module in sorted(_modules(config)):
        package, _, rest = module.partition(".")
        if package == "kerasd2l" and rest.partition(".")[0] in ROOMS:
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                raise RunError(
                    f"{path} needs {module}, which this version of kerasd2l does not have "
                    f"({error}). Use the version that trained it; config.json names it."
                ) from error
    try:
        return keras.saving.load_model(path, compile=False)
    except (TypeError, ValueError, KeyError, OSError) as error:
        text = str(error)
        if "Could not locate" in text:
            own = sorted(m for m in _modules(config) if m.partition(".")[0] != "keras")
            raise RunError(
                f"{path} holds a class that Keras does not know: {text.partition('. ')[0]}. "
                f"Import the module that defines it first: {', '.join(own) or 'not recorded'}."
            ) from error
        raise RunError(f"cannot load {path}: {text[:500]}") from error


def _modules(config: Any) -> set[str]:
    """Return the modules of all classes in a serialised Keras model."""
    found: set[str] = set()
    if isinstance(config, dict):
        if isinstance(config.get("module"), str) and "class_name" in config:
            found.add(config["module"])
        config = list(config.values())
    if isinstance(config, list):
        found = found.union(*map(_modules, config))
    return found
