"""Load the `model.keras` of a run, with clear words for what can be wrong with it."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasd2l._lazy import lazy
from kerasd2l.run import RunError

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

# where registered classes live
ROOMS = ("layers", "losses", "metrics", "models", "optimizers", "scratch")


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
    _check_classes(path, config)
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


def _check_classes(path: Path, config: Any) -> None:
    """Import what registers classes of ours, and require those of the file.

    Classes are found by the name under which they are registered, so that they may move from file
    to file in the library: "kerasd2l>OneHot".

    Raises:
        RunError: the file holds one that this version does not have.
    """
    for room in ROOMS:
        package = importlib.import_module(f"kerasd2l.{room}")
        for info in pkgutil.walk_packages(getattr(package, "__path__", ()), f"kerasd2l.{room}."):
            importlib.import_module(info.name)
    for module, name in sorted(_classes(config)):
        ours = [module.startswith(f"kerasd2l.{room}.") for room in ROOMS]
        if any(ours) and not keras.saving.get_registered_object(name):
            raise RunError(
                f"{path} needs {name.rpartition('>')[2]} of {module}, which this version of "
                "kerasd2l does not have. Use the version that trained it; config.json names it."
            )


def _modules(config: Any) -> set[str]:
    """Return the modules of all classes in a serialised Keras model."""
    return {module for module, _ in _classes(config)}


def _classes(config: Any) -> set[tuple[str, str]]:
    """Return module and registered name of all classes in a serialised Keras model."""
    classes: set[tuple[str, str]] = set()
    if isinstance(config, dict):
        if isinstance(config.get("module"), str) and "class_name" in config:
            classes.add((config["module"], str(config.get("registered_name"))))
        config = list(config.values())
    if isinstance(config, list):
        classes = classes.union(*map(_classes, config))
    return classes
