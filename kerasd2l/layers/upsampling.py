"""Bilinear upsampling with the corners kept. For nearest neighbours there is UpSampling2D."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.sizes import per_axis


@keras.saving.register_keras_serializable("kerasd2l")
class BilinearUpSampling2D(keras.layers.Layer):
    """Enlarge pictures by a whole factor, with values interpolated along rows and columns.

    Output i of m = s n takes input place i (n - 1) / (m - 1) where corners are aligned, so that the
    first and last pixels keep their values, else (i + 1/2) / s - 1/2 as Keras' UpSampling2D does.
    Section: "upsample".

    Args:
        size: int or (int, int), factor of rows and columns, default 2.
        align_corners: bool, default True.

    Call arguments:
        inputs: (B, H, W, C) float. H and W may be unknown.

    Returns:
        (B, H * size[0], W * size[1], C), same dtype as inputs.

    Raises:
        ValueError: `size` is not one or two positive whole numbers.

    Example:
        >>> x = ops.reshape(ops.arange(1.0, 3.0), (1, 1, 2, 1))
        >>> [round(float(v), 4) for v in ops.ravel(BilinearUpSampling2D((1, 2))(x))]
        [1.0, 1.3333, 1.6667, 2.0]
    """

    def __init__(self, size: int | tuple[int, int] = 2, align_corners: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = per_axis("size", size, 2)
        self.align_corners = align_corners
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "align_corners": self.align_corners}

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        large = (None if n is None else n * s for n, s in zip(sizes, self.size, strict=True))
        return batch, *large, channels

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        for axis, factor in enumerate(self.size, start=1):
            x = self._stretch(x, axis, factor)
        return ops.cast(x, inputs.dtype)

    def _stretch(self, x, axis, factor):
        n = ops.shape(x)[axis]
        i = ops.cast(ops.arange(n * factor), "float32")
        last = ops.cast(n - 1, "float32")
        if self.align_corners:
            place = i * last / ops.maximum(ops.cast(n * factor - 1, "float32"), 1.0)
        else:
            place = ops.clip((i + 0.5) / factor - 0.5, 0.0, last)
        low = ops.floor(place)
        share = ops.reshape(place - low, (-1, *(1,) * (len(x.shape) - 1 - axis)))
        low = ops.cast(low, "int32")
        high = ops.minimum(low + 1, n - 1)
        below = ops.take(x, low, axis=axis)
        return below + share * (ops.take(x, high, axis=axis) - below)
