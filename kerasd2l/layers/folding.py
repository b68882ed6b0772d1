"""Sliding windows cut out (Unfold) and summed back into place (Fold)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.sizes import per_axis, window_sizes


class _Windows(keras.layers.Layer):
    """The arguments that Unfold and Fold share: which windows slide over a picture."""

    axes_of_inputs: int

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation_rate: int | tuple[int, int] = 1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.kernel_size = per_axis("kernel_size", kernel_size, 2)
        self.strides = per_axis("strides", strides, 2)
        self.padding = per_axis("padding", padding, 2, minimum=0)
        self.dilation_rate = per_axis("dilation_rate", dilation_rate, 2)
        self.input_spec = keras.layers.InputSpec(ndim=self.axes_of_inputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
        }

    def _windows(self, sizes):
        return window_sizes(sizes, self.kernel_size, self.strides, self.padding, self.dilation_rate)


@keras.saving.register_keras_serializable("kerasd2l")
class Unfold(_Windows):
    """Cut a picture into its sliding windows and lay each one out as a row.

    Row l holds the window at (l // columns, l % columns), its values ordered (row, column,
    channel), so that `unfold(x) @ reshape(kernel, (-1, F))` is the convolution of x with a Keras
    kernel (kh, kw, C, F). PyTorch orders (C, kh, kw) and puts the windows last. Sections:
    "conv-layers", "conv-variants".

    Args:
        kernel_size: int or (int, int), rows and columns of a window.
        strides: int or (int, int), pixels between two windows, default 1.
        padding: int or (int, int), zeros added on each side, default 0.
        dilation_rate: int or (int, int), pixels between two taps of a window, default 1.

    Call arguments:
        inputs: (B, H, W, C). H and W may be unknown.

    Returns:
        (B, L, kh * kw * C), L the number of windows, same dtype as inputs.

    Raises:
        ValueError: a window larger than the padded picture, or an argument out of range.

    Example:
        >>> Unfold(2)(ops.reshape(ops.arange(9.0), (1, 3, 3, 1))).shape
        TensorShape([1, 4, 4])
    """

    axes_of_inputs = 4

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        rows, columns = self._windows(sizes)
        count = None if rows is None or columns is None else rows * columns
        kh, kw = self.kernel_size
        return batch, count, None if channels is None else kh * kw * channels

    def call(self, inputs):
        windows = self._windows(inputs.shape[1:3])
        pad_h, pad_w = self.padding
        if pad_h or pad_w:
            inputs = ops.pad(inputs, ((0, 0), (pad_h, pad_h), (pad_w, pad_w), (0, 0)))
        shape, (kh, kw) = ops.shape(inputs), self.kernel_size
        rows, columns = (
            (shape[1 + a] - self.dilation_rate[a] * (self.kernel_size[a] - 1) - 1)
            // self.strides[a]
            + 1
            if windows[a] is None
            else windows[a]
            for a in (0, 1)
        )
        taps = []
        for i in range(kh):
            for j in range(kw):
                top, left = i * self.dilation_rate[0], j * self.dilation_rate[1]
                bottom = top + (rows - 1) * self.strides[0] + 1
                right = left + (columns - 1) * self.strides[1] + 1
                taps.append(
                    inputs[:, top : bottom : self.strides[0], left : right : self.strides[1], :]
                )
        stacked = ops.stack(taps, axis=3)  # (B, rows, columns, kh * kw, C)
        return ops.reshape(stacked, (-1, rows * columns, kh * kw * inputs.shape[-1]))


@keras.saving.register_keras_serializable("kerasd2l")
class Fold(_Windows):
    """Add windows back into the picture they were cut from; where they overlap they sum up.

    The transpose of `Unfold`: fold(unfold(x)) is x times the number of windows that cover each
    pixel. Sections: "conv-layers", "conv-variants".

    Args:
        output_size: int or (int, int), rows and columns of the picture, without padding.
        kernel_size: int or (int, int), rows and columns of a window.
        strides: int or (int, int), pixels between two windows, default 1.
        padding: int or (int, int), border on each side that is cut off again, default 0.
        dilation_rate: int or (int, int), pixels between two taps of a window, default 1.

    Call arguments:
        inputs: (B, L, kh * kw * C), windows as `Unfold` lays them out.

    Returns:
        (B, H, W, C), same dtype as inputs.

    Raises:
        ValueError: windows that do not fit `output_size`, rows that `kernel_size` does not divide,
            or an argument out of range.

    Example:
        >>> ops.squeeze(Fold(3, 2)(ops.ones((1, 4, 4)))).numpy().tolist()
        [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """

    axes_of_inputs = 3

    def __init__(
        self,
        output_size: int | tuple[int, int],
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation_rate: int | tuple[int, int] = 1,
        **kwargs: Any,
    ):
        super().__init__(kernel_size, strides, padding, dilation_rate, **kwargs)
        self.output_size = per_axis("output_size", output_size, 2)
        self._counts = self._windows(self.output_size)

    def get_config(self) -> dict[str, Any]:
        return {"output_size": self.output_size} | super().get_config()

    def compute_output_shape(self, input_shape):
        batch, count, width = input_shape
        rows, columns = self._counts
        taps = self.kernel_size[0] * self.kernel_size[1]
        if count is not None and count != rows * columns:
            raise ValueError(
                f"A picture of {self.output_size} has {rows} x {columns} windows of `kernel_size` "
                f"{self.kernel_size} at strides {self.strides}. "
                f"Received: {count} of them, inputs.shape={tuple(input_shape)}."
            )
        if width is None or width % taps:
            raise ValueError(
                f"The last axis must be `kernel_size` ({taps} values) times the channels. "
                f"Received: inputs.shape={tuple(input_shape)}, kernel_size={self.kernel_size}."
            )
        return batch, *self.output_size, width // taps

    def call(self, inputs):
        channels = self.compute_output_shape(inputs.shape)[-1]
        (rows, columns), (kh, kw) = self._counts, self.kernel_size
        (step_h, step_w), (pad_h, pad_w) = self.strides, self.padding
        x = ops.reshape(inputs, (-1, rows, columns, kh * kw, channels))
        # Spread the windows out to their strides: (B, rows * step_h, columns * step_w, taps, C).
        x = ops.reshape(x, (-1, rows, 1, columns, 1, kh * kw, channels))
        x = ops.pad(x, ((0, 0), (0, 0), (0, step_h - 1), (0, 0), (0, step_w - 1), (0, 0), (0, 0)))
        x = ops.reshape(x, (-1, rows * step_h, columns * step_w, kh * kw, channels))
        height = max(
            self.output_size[0] + 2 * pad_h, (kh - 1) * self.dilation_rate[0] + rows * step_h
        )
        width = max(
            self.output_size[1] + 2 * pad_w, (kw - 1) * self.dilation_rate[1] + columns * step_w
        )
        total: Any = 0.0
        for i in range(kh):
            for j in range(kw):
                top, left = i * self.dilation_rate[0], j * self.dilation_rate[1]
                total = total + ops.pad(
                    x[:, :, :, i * kw + j],
                    (
                        (0, 0),
                        (top, height - top - rows * step_h),
                        (left, width - left - columns * step_w),
                        (0, 0),
                    ),
                )
        return total[:, pad_h : pad_h + self.output_size[0], pad_w : pad_w + self.output_size[1]]
