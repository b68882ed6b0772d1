"""Where tensors live and what computes: the first GPU that is there, else the CPU."""

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
