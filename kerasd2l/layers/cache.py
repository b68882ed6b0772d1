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
        "keys" and "values" (B, M, N, head_size), and "place" (B,) int32, the steps remembered.
    """
    empty = ops.zeros((batch, max_len, num_heads, head_size), dtype)
    return {"keys": empty, "values": empty, "place": ops.zeros((batch,), "int32")}


def remember(cache: dict, keys: Any, values: Any) -> tuple[dict, Any]:
    """Write T steps behind those remembered.

    Args:
        cache: as `new_cache` gives it.
        keys: (B, T, N, head_size).
        values: the same.

    Returns:
        The new cache, and what each new step may see: (B, T, M) bool, all steps up to itself.
    """
    steps = keys.shape[1] if keys.shape[1] is not None else ops.shape(keys)[1]
    places = ops.arange(ops.shape(cache["keys"])[1], dtype="int32")
    back = places - cache["place"][:, None]  # (B, M), which new step belongs here

    def write(old, new):
        new = ops.cast(new, old.dtype)
        if steps == 1:
            return ops.where((back == 0)[..., None, None], new, old)
        inside = ((back >= 0) & (back < steps))[..., None, None]
        chosen = ops.clip(back, 0, steps - 1)[..., None, None]
        return ops.where(inside, ops.take_along_axis(new, chosen, axis=1), old)

    mask = back[:, None] <= ops.arange(steps, dtype="int32")[:, None]  # (B, T, M)
    written = {"keys": write(cache["keys"], keys), "values": write(cache["values"], values)}
    return {**written, "place": cache["place"] + steps}, mask
