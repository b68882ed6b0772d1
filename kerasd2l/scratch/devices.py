"""Where tensors live and what computes: GPUs that are there, else the CPU, once or often."""

from __future__ import annotations

import tensorflow as tf


def num_gpus() -> int:
    """Return how many GPUs TensorFlow can use. Section: "use-gpu"."""
    return len(tf.config.list_physical_devices("GPU"))


def try_gpu(i: int = 0) -> str:
    """Return the name of the i-th GPU, or of the CPU where there are not that many.

    The name is for `with tf.device(try_gpu()):` or `keras.device`; the book's function returns
    such a context. Section: "use-gpu".

    Args:
        i: int >= 0, which GPU.

    Returns:
        "GPU:i" or "CPU:0".

    Raises:
        ValueError: a negative number.

    Example:
        >>> try_gpu(1000)
        'CPU:0'
    """
    if i < 0:
        raise ValueError(f"`i` must be 0 or more. Received: i={i}.")
    return f"GPU:{i}" if i < num_gpus() else "CPU:0"


def try_all_gpus() -> list[str]:
    """Return the names of all GPUs, or of the CPU where there is none; never an empty list.

    Section: "use-gpu".

    Example:
        >>> len(try_all_gpus()) >= 1
        True
    """
    return [f"GPU:{i}" for i in range(num_gpus())] or ["CPU:0"]


def logical_devices(n: int) -> list[str]:
    """Return the names of n devices: GPUs where there are enough, else the CPU counted n times.

    Logical CPU devices share cores and memory: what is computed is the same as on n machines, how
    long it takes is not. Call it before the first tensor. Section: "multiple-gpus".

    Args:
        n: int >= 1, how many.

    Returns:
        ["GPU:0", ...] or ["CPU:0", ...].

    Raises:
        ValueError: less than one, or TensorFlow already runs with fewer.

    Example:
        >>> len(logical_devices(1))
        1
    """
    if n < 1:
        raise ValueError(f"`n` must be at least 1. Received: n={n}.")
    if num_gpus() >= n:
        return [f"GPU:{i}" for i in range(n)]
    (cpu,) = tf.config.list_physical_devices("CPU")
    there = tf.config.get_logical_device_configuration(cpu) or []
    if len(there) < n:
        device = tf.config.LogicalDeviceConfiguration
        try:
            tf.config.set_logical_device_configuration(cpu, [device() for _ in range(n)])
        except RuntimeError:
            raise ValueError(
                f"cannot make {n} logical devices: TensorFlow already runs with "
                f"{max(len(there), 1)}. Ask for them before the first tensor."
            ) from None
    return [f"CPU:{i}" for i in range(n)]
