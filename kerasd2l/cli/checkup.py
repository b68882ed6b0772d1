"""What this machine offers: versions, devices, libraries that failed to load, data folders."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Mapping
from typing import Any

from kerasd2l.cli import console, keras_settings
from kerasd2l.run import versions

# What TensorFlow loads at run time for a GPU; its own message does not say which one is missing.
_GPU_LIBRARIES = (
    "libcuda.so.1",
    "libcudart.so.12",
    "libcublas.so.12",
    "libcudnn.so.9",
    "libcufft.so.11",
    "libcusolver.so.11",
    "libcusparse.so.12",
    "libnccl.so.2",
)


def examine(env: Mapping[str, str]) -> dict[str, Any]:
    """Examine the machine and the environment.

    Args:
        env: the environment variables.

    Returns:
        dict of versions, devices, gpu_libraries (name -> "found" or why not), environment,
        keras_json (Keras' settings), data_dir, cache_dir, and problems: what will go wrong, in
        words.
    """
    console.import_tensorflow()
    import tensorflow as tf

    from kerasd2l.data import Source

    source = Source()
    gpus = tf.config.list_physical_devices("GPU")
    report: dict[str, Any] = {
        "versions": {"python": platform.python_version(), **versions()},
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "gpu_libraries": {name: _load(name) for name in _GPU_LIBRARIES},
        "environment": {
            name: env[name]
            for name in (
                "KERAS_BACKEND",
                "KERAS_HOME",
                "TF_USE_LEGACY_KERAS",
                "TF_CONFIG",
                "CUDA_VISIBLE_DEVICES",
            )
            if name in env
        },
        "keras_json": {"path": str(keras_settings.path(env)), **keras_settings.read(env)},
        "data_dir": _folder(source.data_dir),
        "cache_dir": str(source.cache_dir),
    }
    problems = []
    found = [name for name, state in report["gpu_libraries"].items() if state == "found"]
    missing = [name for name in _GPU_LIBRARIES if name not in found]
    if "libcuda.so.1" in found and not gpus:
        problems.append(
            "a GPU driver is there but TensorFlow sees no GPU; not loadable: "
            f"{', '.join(missing)}. "
            'pip install "tensorflow[and-cuda]" brings them.'
        )
    if env.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        problems.append("KERAS_BACKEND is not tensorflow: train and export will refuse to start.")
    if env.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true"):
        problems.append("TF_USE_LEGACY_KERAS is set: kerasd2l needs Keras 3.")
    for name, value in keras_settings.others(env).items():
        problems.append(
            f"keras.json says {name}={value}: the command line takes {keras_settings.OURS[name]}, "
            "but models that you build in Python get yours."
        )
    if source.data_dir is None:
        problems.append("no data folder: --data files needs --data-dir or KERASD2L_DATA.")
    elif not source.data_dir.is_dir():
        problems.append(f"KERASD2L_DATA={source.data_dir} does not exist.")
    return report | {"problems": problems}


def _load(name: str) -> str:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error).removeprefix(f"{name}: ")
    return "found"


def _folder(path: Any) -> str | None:
    if path is None:
        return None
    there = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
    return f"{path} ({', '.join(there) or 'empty or missing'})"
