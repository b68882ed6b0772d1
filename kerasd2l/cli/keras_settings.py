"""What keras.json sets for every program of a user, and what this one needs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

OURS = {
    "backend": "tensorflow",
    "image_data_format": "channels_last",
    "floatx": "float32",
    "epsilon": 1e-7,
}


def path(env: Mapping[str, str]) -> Path:
    """Return the file that Keras reads when it is imported."""
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else "/tmp"  # as Keras does
    return Path(env.get("KERAS_HOME") or Path(base) / ".keras") / "keras.json"


def read(env: Mapping[str, str]) -> dict[str, Any]:
    """Return what keras.json says; nothing, where Keras would read nothing."""
    try:
        content = json.loads(path(env).read_text("utf8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {"no object": content}


def others(env: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that are not those of this program."""
    there = read(env)
    return {key: there[key] for key in OURS if there.get(key, OURS[key]) != OURS[key]}


def reset(say: Callable[[str], None]) -> None:
    """Compute with this program's settings, and say which of the user's are left aside.

    Otherwise `channels_first` would fail in every picture network and `floatx` change the losses.
    """
    import keras

    left = []
    for name in ("image_data_format", "floatx", "epsilon"):
        there = getattr(keras.config, name)()
        if there != OURS[name]:
            getattr(keras.config, f"set_{name}")(OURS[name])
            left.append(f"{name}={there} (here {OURS[name]})")
    if left:
        keras.config.set_dtype_policy(OURS["floatx"])
        say(f"left aside of Keras' settings (keras.json): {', '.join(left)}")
