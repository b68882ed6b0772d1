"""The arithmetic of sliding windows: output sizes, receptive fields, and their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def conv_output_size(
    input_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation_rate: int | Sequence[int] = 1,
) -> int | tuple[int, ...]:
    """Compute the size of a convolution's or pooling's output.

    o = floor((i + 2p - k') / s) + 1 with k' = d (k - 1) + 1. Section: "conv-output-size".
    Some books count the padding of both sides together: their p is twice this one.

    Args:
        input_size: int or ints, i, in pixels. Ints give an int, tuples a tuple.
        kernel_size: int or ints, k.
        strides: int or ints, s.
        padding: int or ints, p, pixels added on *each* side.
        dilation_rate: int or ints, d, distance between two taps of the kernel.

    Returns:
        The output size: an int, or a tuple if any argument has more than one axis.

    Raises:
        ValueError: the kernel is larger than the padded input, or a value is out of range.

    Example:
        >>> conv_output_size(5, 2), conv_output_size(5, 2, strides=2)
        (4, 2)
        >>> conv_output_size((8, 8), (3, 5), strides=(3, 4), padding=(0, 1))
        (2, 2)
    """
    given = (input_size, kernel_size, strides, padding, dilation_rate)
    rank = max((len(v) for v in given if not isinstance(v, int)), default=0)
    sizes = window_sizes(
        per_axis("input_size", input_size, rank or 1),
        per_axis("kernel_size", kernel_size, rank or 1),
        per_axis("strides", strides, rank or 1),
        per_axis("padding", padding, rank or 1, minimum=0),
        per_axis("dilation_rate", dilation_rate, rank or 1),
    )
    return sizes if rank else sizes[0]  # type: ignore[return-value]


def receptive_field(
    kernel_sizes: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    dilation_rates: int | Sequence[int] = 1,
) -> int:
    """Compute how many input pixels, along one axis, one output pixel of a stack of layers sees.

    r = 1 + sum over layers of d (k - 1) times the strides of all layers below.
    Section: "conv-layer".

    Args:
        kernel_sizes: ints, the kernel of each layer, the one nearest to the input first.
        strides: int for all layers, or one of each.
        dilation_rates: int for all layers, or one of each.

    Example:
        >>> receptive_field([2, 2])
        3
    """
    layers = len(kernel_sizes)
    field, step = 1, 1
    for k, s, d in zip(
        per_axis("kernel_sizes", kernel_sizes, layers),
        per_axis("strides", strides, layers),
        per_axis("dilation_rates", dilation_rates, layers),
        strict=True,
    ):
        field += d * (k - 1) * step
        step *= s
    return field


def per_axis(name: str, value: Any, rank: int, *, minimum: int = 1) -> tuple[int, ...]:
    """Return `value`, an int for all axes or one int an axis, as a tuple of `rank` ints.

    Raises:
        ValueError: too few or too many values, or one that is not an int >= `minimum`.
    """
    items = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= minimum for n in items)
    if len(items) != rank or not whole:
        many = f" or {rank} of them, one an axis" if rank > 1 else ""
        raise ValueError(
            f"`{name}` must be a whole number of at least {minimum}{many}. "
            f"Received: {name}={value!r}."
        )
    return items


def window_sizes(
    sizes: Sequence[int | None],
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    dilation_rate: Sequence[int],
) -> tuple[int | None, ...]:
    """Count the windows along each axis; a size that is not known (None) gives None.

    Raises:
        ValueError: the kernel is larger than the padded input.
    """
    counts: list[int | None] = []
    for n, k, s, p, d in zip(sizes, kernel_size, strides, padding, dilation_rate, strict=True):
        reach = d * (k - 1) + 1
        if n is not None and n + 2 * p < reach:
            raise ValueError(
                "The kernel is larger than the padded input. Received: "
                f"input size {tuple(sizes)}, kernel_size={tuple(kernel_size)}, "
                f"padding={tuple(padding)}, dilation_rate={tuple(dilation_rate)}. Along the axis "
                f"of {n} pixels the kernel spans {reach}: pad by {-(-(reach - n) // 2)} or more, "
                "or take a smaller kernel."
            )
        counts.append(None if n is None else (n + 2 * p - reach) // s + 1)
    return tuple(counts)
