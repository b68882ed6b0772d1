"""Poolings that fix the size of what comes out: adaptive bins, and fractional regions."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kerasd2l.layers.sizes import per_axis


class _AdaptivePooling(keras.layers.Layer):
    """Pool each axis into bins [floor(i n / o), ceil((i + 1) n / o)), one axis after the other."""

    rank: int

    def __init__(self, output_size: Any, **kwargs: Any):
        super().__init__(**kwargs)
        several = isinstance(output_size, (tuple, list))
        sizes = tuple(output_size) if several else (output_size,) * self.rank
        if len(sizes) != self.rank:
            raise ValueError(
                f"`output_size` must be a whole number or {self.rank} of them, one an axis. "
                f"Received: output_size={output_size!r}."
            )
        self.output_size = tuple(
            None if size is None else per_axis("output_size", size, 1)[0] for size in sizes
        )
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output_size": self.output_size}

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        kept = (n if o is None else o for n, o in zip(sizes, self.output_size, strict=True))
        return batch, *kept, channels

    def call(self, inputs):
        # The last axis first: of equal maxima the first in the order of rows is then taken.
        for axis, size in reversed(list(enumerate(self.output_size, start=1))):
            if size is not None:
                inputs = self._pool(inputs, axis, size)
        return inputs

    def _pool(self, inputs, axis, size):
        n = ops.shape(inputs)[axis]  # an int where it is known, else a tensor
        i = ops.arange(size)
        start, end = i * n // size, -(-(i + 1) * n // size)
        widest = (n + size - 1) // size + 1  # no bin is wider; the spare places are masked
        place = start[:, None] + ops.arange(widest)
        # (..., o, widest, ...): places behind the end of a bin repeat its last value.
        bins = ops.take(inputs, ops.minimum(place, end[:, None] - 1), axis=axis)
        behind = (1,) * (len(inputs.shape) - 1 - axis)
        inside = ops.reshape(place < end[:, None], (size, widest, *behind))
        length = ops.reshape(ops.cast(end - start, inputs.dtype), (size, *behind))
        return self._reduce(bins, axis + 1, inside, length)


class _AdaptiveAverage(_AdaptivePooling):
    """The mean of every bin; whole numbers are averaged as floats."""

    def call(self, inputs):
        if not _is_float(inputs):
            inputs = ops.cast(inputs, self.compute_dtype)
        return super().call(inputs)

    def _reduce(self, bins, axis, inside, length):
        return ops.sum(ops.where(inside, bins, ops.zeros((), bins.dtype)), axis=axis) / length


class _AdaptiveMax(_AdaptivePooling):
    """The largest value of every bin."""

    def _reduce(self, bins, axis, inside, length):
        return _first_max(bins, axis)


@keras.saving.register_keras_serializable("kerasd2l")
class AdaptiveAveragePooling1D(_AdaptiveAverage):
    """Average sequences of any length into a fixed number of steps.

    Bin i of o covers [floor(i T / o), ceil((i + 1) T / o)), as in PyTorch. Section: "conv-layers".
    Keras' layer of the same name agrees where it works: in 3.15 on TensorFlow it needs a known
    length, and ends the process where `output_size` is 1.

    Args:
        output_size: int o, or (o,); None keeps the length.

    Call arguments:
        inputs: (B, T, C). T may be unknown.

    Returns:
        (B, o, C), same dtype as inputs.

    Raises:
        ValueError: `output_size` is not a positive whole number.

    Example:
        >>> x = ops.reshape(ops.arange(5.0), (1, 5, 1))
        >>> AdaptiveAveragePooling1D(2)(x).numpy().ravel().tolist()
        [1.0, 3.0]
    """

    rank = 1


@keras.saving.register_keras_serializable("kerasd2l")
class AdaptiveAveragePooling2D(_AdaptiveAverage):
    """Average pictures of any size into a fixed number of rows and columns.

    Bin i of o covers [floor(i n / o), ceil((i + 1) n / o)) along each axis, as in PyTorch. Section:
    "conv-layers". For why not Keras' layer see `AdaptiveAveragePooling1D`.

    Args:
        output_size: int, or (rows, columns); None keeps the size of that axis.

    Call arguments:
        inputs: (B, H, W, C). H and W may be unknown.

    Returns:
        (B, rows, columns, C), same dtype as inputs.

    Raises:
        ValueError: `output_size` is not one or two positive whole numbers.

    Example:
        >>> AdaptiveAveragePooling2D((1, 2))(ops.ones((1, 7, 5, 3))).shape
        TensorShape([1, 1, 2, 3])
    """

    rank = 2


@keras.saving.register_keras_serializable("kerasd2l")
class AdaptiveAveragePooling3D(_AdaptiveAverage):
    """Average volumes of any size into a fixed size; see `AdaptiveAveragePooling2D`.

    Args:
        output_size: int, or (depth, rows, columns); None keeps the size of that axis.

    Call arguments:
        inputs: (B, D, H, W, C). Sizes may be unknown.

    Returns:
        (B, depth, rows, columns, C), same dtype as inputs.

    Raises:
        ValueError: `output_size` is not one or three positive whole numbers.

    Example:
        >>> AdaptiveAveragePooling3D(2)(ops.ones((1, 3, 4, 5, 1))).shape
        TensorShape([1, 2, 2, 2, 1])
    """

    rank = 3


@keras.saving.register_keras_serializable("kerasd2l")
class AdaptiveMaxPooling1D(_AdaptiveMax):
    """Take the largest values of sequences of any length in a fixed number of bins.

    The bins are those of `AdaptiveAveragePooling1D`. Of equal values the first one is taken, and
    has the gradient. Section: "conv-layers".

    Args:
        output_size: int o, or (o,); None keeps the length.

    Call arguments:
        inputs: (B, T, C). T may be unknown.

    Returns:
        (B, o, C), same dtype as inputs.

    Raises:
        ValueError: `output_size` is not a positive whole number.

    Example:
        >>> x = ops.reshape(ops.arange(5.0), (1, 5, 1))
        >>> AdaptiveMaxPooling1D(2)(x).numpy().ravel().tolist()
        [2.0, 4.0]
    """

    rank = 1


@keras.saving.register_keras_serializable("kerasd2l")
class AdaptiveMaxPooling2D(_AdaptiveMax):
    """Take the largest values of pictures of any size in a fixed number of rows and columns.

    The bins are those of `AdaptiveAveragePooling2D`. Section: "conv-layers".

    Args:
        output_size: int, or (rows, columns); None keeps the size of that axis.

    Call arguments:
        inputs: (B, H, W, C). H and W may be unknown.

    Returns:
        (B, rows, columns, C), same dtype as inputs.

    Raises:
        ValueError: `output_size` is not one or two positive whole numbers.

    Example:
        >>> AdaptiveMaxPooling2D((1, 2))(ops.ones((1, 7, 5, 3))).shape
        TensorShape([1, 1, 2, 3])
    """

    rank = 2


@keras.saving.register_keras_serializable("kerasd2l")
class AdaptiveMaxPooling3D(_AdaptiveMax):
    """Take the largest values of volumes of any size; see `AdaptiveMaxPooling2D`.

    Args:
        output_size: int, or (depth, rows, columns); None keeps the size of that axis.

    Call arguments:
        inputs: (B, D, H, W, C). Sizes may be unknown.

    Returns:
        (B, depth, rows, columns, C), same dtype as inputs.

    Raises:
        ValueError: `output_size` is not one or three positive whole numbers.

    Example:
        >>> AdaptiveMaxPooling3D(2)(ops.ones((1, 3, 4, 5, 1))).shape
        TensorShape([1, 2, 2, 2, 1])
    """

    rank = 3


@keras.saving.register_keras_serializable("kerasd2l")
class FractionalMaxPooling2D(keras.layers.Layer):
    """Max pooling by a factor that need not be whole, over regions drawn at random.

    Region i of o starts at floor(a (i + u)) - floor(a u) with a = (n - k) / (o - 1) and u drawn
    from [0, 1), once a call and axis; the last one ends at the border. The randomness regularises.
    Section: "conv-layers".

    PyTorch draws in inference too and for every example and channel. Here inference has u = 1/2, so
    that a served model answers the same twice.

    Args:
        pool_size: int or (int, int), rows and columns of a region.
        output_size: int or (int, int), rows and columns that come out.
        output_ratio: float or (float, float) in (0, 1), output size over input size, rounded down.
            Give this or `output_size`.
        seed: int or None, of the regions.

    Call arguments:
        inputs: (B, H, W, C). H and W must be known.
        training: bool, draw regions; default False.

    Returns:
        (B, rows, columns, C), same dtype as inputs.

    Raises:
        ValueError: both or neither of `output_size` and `output_ratio`, a ratio out of range, or
            regions that do not fit the picture.

    Example:
        >>> FractionalMaxPooling2D(2, output_ratio=0.7)(ops.ones((1, 10, 10, 3))).shape
        TensorShape([1, 7, 7, 3])

    Reference:
        Graham, Fractional max-pooling, 2014.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int],
        output_size: int | tuple[int, int] | None = None,
        output_ratio: float | tuple[float, float] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.pool_size = per_axis("pool_size", pool_size, 2)
        if (output_size is None) == (output_ratio is None):
            raise ValueError(
                "Give one of `output_size` and `output_ratio`. "
                f"Received: output_size={output_size}, output_ratio={output_ratio}."
            )
        self.output_size = None if output_size is None else per_axis("output_size", output_size, 2)
        ratio = (output_ratio,) * 2 if isinstance(output_ratio, (int, float)) else output_ratio
        if ratio is not None and (len(ratio) != 2 or not all(0 < r < 1 for r in ratio)):
            raise ValueError(
                "`output_ratio` must be one or two numbers between 0 and 1. "
                f"Received: output_ratio={output_ratio}."
            )
        self.output_ratio = None if ratio is None else tuple(map(float, ratio))
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "pool_size": self.pool_size,
            "output_size": self.output_size,
            "output_ratio": self.output_ratio,
            "seed": self.seed,
        }

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        if None in sizes:
            raise ValueError(
                "Fractional pooling needs pictures of a known size. "
                f"Received: inputs.shape={tuple(input_shape)}."
            )
        out = self.output_size or tuple(
            math.floor(n * ratio) for n, ratio in zip(sizes, self.output_ratio or (), strict=True)
        )
        for n, o, k in zip(sizes, out, self.pool_size, strict=True):
            if o < 1 or o + k - 1 > n:
                raise ValueError(
                    f"{o} regions of {k} pixels do not fit {n} pixels: at least one region, and "
                    f"at most {n} - {k} + 1. Received: inputs.shape={tuple(input_shape)}, "
                    f"pool_size={self.pool_size}, output size {out}."
                )
        return batch, *out, channels

    def call(self, inputs, training=False):
        rows, columns = self.compute_output_shape(inputs.shape)[1:3]
        if training:
            u = keras.random.uniform((2,), dtype="float32", seed=self.seed_generator)
        else:
            u = ops.full((2,), 0.5, dtype="float32")
        x = _pool_regions(inputs, 2, columns, self.pool_size[1], u[1])
        return _pool_regions(x, 1, rows, self.pool_size[0], u[0])


def _pool_regions(inputs, axis, count, width, u):
    """Take the maximum of `count` regions of `width` places along `axis`."""
    last = inputs.shape[axis] - width
    starts = ops.full((1,), last, dtype="int32")
    if count > 1:
        step = last / (count - 1)
        i = ops.arange(count - 1, dtype="float32")
        first = ops.cast(ops.floor((i + u) * step) - ops.floor(u * step), "int32")
        starts = ops.concatenate([first, starts])
    regions = ops.take(inputs, starts[:, None] + ops.arange(width, dtype="int32"), axis=axis)
    return _first_max(regions, axis + 1)


def _first_max(x, axis):
    """Take the maximum along an axis; the whole gradient goes to the first place that has it.

    So do PyTorch and Keras' poolings; `ops.max` shares it among equals. NaN is the largest.
    """
    shown = ops.where(ops.isnan(x), ops.cast(math.inf, x.dtype), x) if _is_float(x) else x
    best = ops.max(shown, axis=axis, keepdims=True)
    count = ops.shape(x)[axis]
    place = ops.reshape(ops.arange(count), (-1, *(1,) * (len(x.shape) - 1 - axis)))
    first = ops.min(ops.where(shown == best, place, count), axis=axis, keepdims=True)
    return ops.cast(ops.sum(ops.where(place == first, x, 0), axis=axis), x.dtype)


def _is_float(x):
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))
