"""The memory of a Transformer that writes: keys and values of the steps so far.

Every buffer has a fixed length and its row as its first axis, so that a loop in a graph can carry
it and a beam search can reorder it. Section: "transformer".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.cpu import traced_for_xla


def new_cache(batch: Any, max_len: Any, num_heads: int, head_size: int, dtype: str) -> dict:
    """Return an empty memory for `max_len` steps.

    Args:
        batch: int or tensor, rows B.
        max_len: int or tensor, M, the most steps.
        num_heads: int, N.
        head_size: int, width of a head.
        dtype: str, of keys and values.

    Returns:
        "keys" and "values" (B, N, M, head_size), and "place" (B,) int32, the steps remembered,
        as many in every row.
    """
    empty = ops.zeros((batch, num_heads, max_len, head_size), dtype)
    return {"keys": empty, "values": empty, "place": ops.zeros((batch,), "int32")}


def remember(cache: dict, keys: Any, values: Any) -> tuple[dict, Any]:
    """Write T steps behind those remembered.

    Args:
        cache: as `new_cache` gives it.
        keys: (B, N, T, head_size).
        values: the same.

    Returns:
        The new cache, and what each new step may see: (T, M) bool, all steps up to itself.
    """
    steps = keys.shape[2] if keys.shape[2] is not None else ops.shape(keys)[2]
    start = ops.max(cache["place"], initial=0)  # all rows have as many; there may be no row
    places = start + ops.arange(steps, dtype="int32")
    seen = ops.arange(ops.shape(cache["keys"])[2], dtype="int32") <= places[:, None]
    written = {
        name: _write(cache[name], new, start) for name, new in (("keys", keys), ("values", values))
    }
    return {**written, "place": cache["place"] + steps}, seen


def _write(old: Any, new: Any, start: Any) -> Any:
    """Put steps (B, N, T, head_size) into a buffer, from `start` on."""
    new = ops.cast(new, old.dtype)
    if keras.backend.backend() == "tensorflow" and not traced_for_xla():
        return _quick_write(old, new, start)
    return ops.slice_update(old, (0, 0, start, 0), new)


def _quick_write(old, new, start):
    """Write into the buffer where nobody else holds it, as in a loop in a graph; else copy it.

    XLA knows the operation only for a `start` that it is told beforehand.
    """
    import tensorflow as tf

    return tf.raw_ops.TensorStridedSliceUpdate(
        input=old,
        begin=tf.stack([0, 0, start, 0]),
        end=tf.stack([0, 0, start + tf.shape(new)[2], 0]),
        strides=[1, 1, 1, 1],
        value=new,
        begin_mask=0b1011,  # of the other axes all
        end_mask=0b1011,
    )
