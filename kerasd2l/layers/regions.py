"""Regions of interest: whatever the size of a box, its features come out in one size."""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

from kerasd2l.layers.sizes import per_axis


class _Regions(keras.layers.Layer):
    """What both layers share: boxes as parts of the picture become places on the feature map."""

    def __init__(self, pool_size: int | tuple[int, int] = 7, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # half precision would move the boxes
        self.pool_size = per_axis("pool_size", pool_size, 2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"pool_size": self.pool_size}

    def compute_output_shape(self, inputs_shape, boxes_shape):
        if len(inputs_shape) != 4 or len(boxes_shape) != 3 or boxes_shape[-1] != 4:
            raise ValueError(
                "`inputs` must be (B, H, W, C) and `boxes` (B, R, 4). "
                f"Received: shapes {tuple(inputs_shape)} and {tuple(boxes_shape)}."
            )
        return (*boxes_shape[:2], *self.pool_size, inputs_shape[-1])

    def build(self, inputs_shape, boxes_shape):
        self.compute_output_shape(inputs_shape, boxes_shape)

    def axes(self, inputs: Any, boxes: Any) -> list[tuple[Any, Any, Any, int]]:
        """Return size, start, end (B, R) in pixels of the map, and bins: of rows, of columns."""
        boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
        sizes = ops.shape(inputs)[1:3]
        return [
            (
                sizes[axis],
                boxes[..., 1 - axis] * ops.cast(sizes[axis], "float32"),
                boxes[..., 3 - axis] * ops.cast(sizes[axis], "float32"),
                self.pool_size[axis],
            )
            for axis in (0, 1)
        ]


@keras.saving.register_keras_serializable("kerasd2l")
class RoIPooling(_Regions):
    """Cut the features under a box into h x w bins and take the maximum of each.

    Bins are whole pixels: those from floor(i n / h) to ceil((i + 1) n / h) of the n pixels between
    the rounded ends of the box, both included. Section: "rcnn". As torchvision's `roi_pool`, whose
    boxes are in pixels and times `spatial_scale`. No gradient reaches the boxes.

    Args:
        pool_size: int or (int, int), bins down and across. Default: 7.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, H, W, C) float, feature maps. H and W may be unknown, up to 1023 pixels; that
            takes much more memory than sizes that are known.
        boxes: (B, R, 4) float, corners as parts of the picture; they may reach out of it.

    Returns:
        (B, R, h, w, C), of the layer's compute dtype; 0 in bins that lie outside the map.

    Raises:
        ValueError: `pool_size` below 1, or shapes that are not those above.

    Example:
        >>> x = ops.reshape(ops.arange(16.0), (1, 4, 4, 1))
        >>> ops.squeeze(RoIPooling(2)(x, ops.array([[[0, 0, 0.5, 0.5]]]))).numpy().tolist()
        [[5.0, 6.0], [9.0, 10.0]]

    Reference:
        Girshick, Fast R-CNN, 2015.
    """

    def call(self, inputs, boxes):
        inputs = ops.cast(inputs, self.compute_dtype)
        rows, columns = (_bins(*axis) for axis in self.axes(inputs, boxes))
        (top, bottom, row_level), (left, right, column_level) = rows, columns  # each (B, R, bins)
        batch, height, width = ops.shape(inputs)[:3]
        tables = self._tables(inputs)  # (B, LH, LW, H, W, C)
        flat = ops.reshape(tables, (-1, inputs.shape[-1]))
        table = ops.arange(batch, dtype="int32")[:, None, None, None]
        table = table * ops.shape(tables)[1] + row_level[..., :, None]
        table = table * ops.shape(tables)[2] + column_level[..., None, :]  # (B, R, h, w)
        values = []
        for row in (top, bottom - 2**row_level):  # two spans of 2^level pixels cover a bin
            for column in (left, right - 2**column_level):
                row, column = ops.clip(row, 0, height - 1), ops.clip(column, 0, width - 1)
                place = (table * height + row[..., :, None]) * width + column[..., None, :]
                values.append(ops.take(flat, place, axis=0))
        most = functools.reduce(ops.maximum, values)
        no_rows, no_columns = top >= bottom, left >= right
        empty = no_rows[..., :, None] | no_columns[..., None, :]
        return ops.where(empty[..., None], ops.zeros_like(most), most)

    def _tables(self, inputs):
        """Return the maxima over 2^i x 2^j pixels from each pixel on: (B, LH, LW, H, W, C)."""
        sizes = inputs.shape[1:3]
        maps = inputs[:, None, None]
        for axis in (0, 1):
            levels = [maps]
            for i in range(_levels(sizes[axis]) - 1):
                levels.append(ops.maximum(levels[-1], _shifted(levels[-1], 2**i, 3 + axis)))
            maps = ops.concatenate(levels, axis=1 + axis)
        return maps


def _levels(size: int | None) -> int:
    """Return how many powers of two fit in a map of that size; 10 if it is unknown: 1023 pixels."""
    return 10 if size is None else size.bit_length()


def _shifted(x: Any, pixels: int, axis: int) -> Any:
    """Return x[p + pixels] at p, the last value beyond the border."""
    size = ops.shape(x)[axis]
    place = ops.minimum(ops.arange(size, dtype="int32") + pixels, size - 1)
    return ops.take(x, place, axis=axis)


def _bins(size, start, end, number):
    """Return first pixel, the one behind the last, log2 of their number: each (B, R, number)."""
    # a half goes away from 0, as in C
    start, end = (
        (ops.sign(edge) * ops.floor(ops.abs(edge) + 0.5))[..., None] for edge in (start, end)
    )
    bin_size = ops.maximum(end - start + 1, 1) / number
    i = ops.arange(number, dtype="float32")
    bounds = (ops.floor(i * bin_size), ops.ceil((i + 1) * bin_size))
    first, last = (
        ops.cast(ops.clip(edge + start, 0, ops.cast(size, "float32")), "int32") for edge in bounds
    )
    powers = 2 ** ops.arange(1, 31, dtype="int32")
    level = ops.sum(ops.cast((last - first)[..., None] >= powers, "int32"), axis=-1)
    return first, last, level


@keras.saving.register_keras_serializable("kerasd2l")
class RoIAlign(_Regions):
    """Cut a box into h x w bins and take the mean of interpolated features in each.

    Each bin has s x s samples, spread evenly; a sample is interpolated between the four pixels
    around it, so that nothing is rounded. Both interpolations are matrix products, one along rows
    and one along columns. Section: "rcnn". Values and gradients of torchvision's `roi_align`, whose
    boxes are in pixels and times `spatial_scale`. No gradient reaches the boxes.

    Args:
        pool_size: int or (int, int), bins down and across. Default: 7.
        sampling_ratio: int >= 1, s. Default: 2.
        aligned: bool, whether the middle of a pixel is its place (half a pixel less); without,
            boxes have a side of one pixel at least. Default: True.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, H, W, C) float, feature maps. H and W may be unknown.
        boxes: (B, R, 4) float, corners as parts of the picture; they may reach out of it.

    Returns:
        (B, R, h, w, C), of the layer's compute dtype; samples outside the map count as 0.

    Raises:
        ValueError: `pool_size` or `sampling_ratio` below 1, or shapes that are not those above.

    Example:
        >>> x = ops.reshape(ops.arange(16.0), (1, 4, 4, 1))
        >>> ops.squeeze(RoIAlign(2)(x, ops.array([[[0, 0, 1, 1]]]))).numpy().tolist()
        [[2.5, 4.5], [10.5, 12.5]]

    Reference:
        He et al., Mask R-CNN, 2017.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 7,
        sampling_ratio: int = 2,
        aligned: bool = True,
        **kwargs: Any,
    ):
        super().__init__(pool_size, **kwargs)
        (self.sampling_ratio,) = per_axis("sampling_ratio", sampling_ratio, 1)
        self.aligned = aligned

    def get_config(self) -> dict[str, Any]:
        more = {"sampling_ratio": self.sampling_ratio, "aligned": self.aligned}
        return super().get_config() | more

    def call(self, inputs, boxes):
        inputs = ops.cast(inputs, self.compute_dtype)
        rows, columns = (self._weights(*axis) for axis in self.axes(inputs, boxes))
        rows, columns = ops.cast(rows, inputs.dtype), ops.cast(columns, inputs.dtype)
        x = ops.einsum("brph,bhwc->brpwc", rows, inputs)  # (B, R, h, W, C)
        return ops.einsum("brqw,brpwc->brpqc", columns, x)

    def _weights(self, size, start, end, number):
        """Return how much each pixel counts in each bin, along one axis: (B, R, number, size)."""
        shift = 0.5 if self.aligned else 0.0
        start, end = start - shift, end - shift
        length = end - start if self.aligned else ops.maximum(end - start, 1.0)
        samples = number * self.sampling_ratio
        step = (ops.arange(samples, dtype="float32") + 0.5) / samples
        place = start[..., None] + length[..., None] * step  # (B, R, samples)
        limit = ops.cast(size, "float32")
        inside = ops.cast((place >= -1) & (place <= limit), "float32")
        place = ops.clip(place, 0, limit - 1)
        pixels = ops.arange(size, dtype="float32")
        weights = ops.relu(1 - ops.abs(place[..., None] - pixels)) * inside[..., None]
        shape = (*ops.shape(place)[:2], number, self.sampling_ratio, size)
        return ops.mean(ops.reshape(weights, shape), axis=3)
