"""The memory of a Transformer that writes: keys and values of the steps so far.

Every buffer has a fixed length and its row as its first axis, so that a loop in a graph can carry
it and a beam search can reorder it. Section: "transformer".
"""

from __future__ import annotations

from typing import Any

from keras import ops


def new_cache(batch: Any, max_len: Any, num_heads: int, head_size: int, dtype: str) -> dict:
    """Return an empty memory for `max_len` steps.

    Args:
        batch: int or tensor, rows B.
        max_len: int or tensor, M, the most steps.
        num_heads: int, N.
        head_size: int, width of a head.
        dtype: str, of keys and values.

    Returns:
        "keys" and "values" (B, N, M, head_size), and "place" (B,) int32, the steps remembered.
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
        The new cache, and what each new step may see: (B, T, M) bool, all steps up to itself.
    """
    steps = keys.shape[2] if keys.shape[2] is not None else ops.shape(keys)[2]
    place = cache["place"][:, None, None] + ops.arange(steps, dtype="int32")  # (B, 1, T)
    row = ops.arange(ops.shape(keys)[0], dtype="int32")[:, None, None]
    head = ops.arange(keys.shape[1], dtype="int32")[:, None]
    # scattered: a loop in a graph writes into the memory and does not copy it
    where = ops.stack([part + 0 * (row + head + place) for part in (row, head, place)], axis=-1)

    def write(old, new):
        return ops.scatter_update(old, where, ops.cast(new, old.dtype))

    seen = ops.arange(ops.shape(cache["keys"])[2], dtype="int32") <= place[:, 0, :, None]
    written = {"keys": write(cache["keys"], keys), "values": write(cache["values"], values)}
    return {**written, "place": cache["place"] + steps}, seen
