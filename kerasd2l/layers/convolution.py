"""Convolutions that Keras lacks: transposed with padding in pixels, grouped without XLA."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.cpu import groups_at_once, on_tensorflow_cpu
from kerasd2l.layers.sizes import per_axis

_QUICK_STRIDES = 8  # of a transposed convolution, from which on it is quicker in another way


@keras.saving.register_keras_serializable("kerasd2l")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, quicker in training on a CPU.

    Y = X * K + b, for every example by itself. Sections: "conv-layer", "channels". Arguments,
    weights and results are those of Keras' layer. Where TensorFlow trains in float32 on a CPU, a
    1 x 1 convolution is a matrix product, whose gradients are quicker than a convolution's, and all
    groups are convolved at once, where Keras compiles them with XLA. Keras does not compile a model
    that holds one with XLA on a CPU, where convolutions are slower with it (`supports_jit`).
    Channels are last unless `data_format` says otherwise, whatever keras.json does.

    Call arguments:
        inputs: (B, H, W, C). H and W may be unknown.
        training: bool, default False.

    Example:
        >>> Conv2D(4, 1)(ops.zeros((2, 5, 5, 3)), training=True).shape
        TensorShape([2, 5, 5, 4])
    """

    examples_alone = True  # the loop may cut a batch in pieces

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        data_format: str = "channels_last",
        *arguments: Any,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, strides, padding, data_format, *arguments, **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        if on_tensorflow_cpu():
            self.supports_jit = False

    def call(self, inputs, training=None):
        if training and self._is_plain(inputs):
            pointwise = self.groups == 1 and {*self.kernel_size} == {1}
            if pointwise or (self.groups > 1 and groups_at_once()):
                return self._finish(self._quick_convolution(inputs, pointwise))
        return super().call(inputs)

    def _is_plain(self, inputs: Any) -> bool:
        return (
            on_tensorflow_cpu()
            and self.data_format == "channels_last"
            and keras.backend.standardize_dtype(inputs.dtype) == "float32"
        )

    def _quick_convolution(self, inputs, pointwise: bool):
        import tensorflow as tf

        kernel = tf.convert_to_tensor(self.kernel)
        if pointwise:
            # With strides, too: TensorFlow 2.21's gradient of such a kernel writes behind its
            # memory for some odd batches (51 or 413 pictures of 8 channels, AVX-512).
            if {*self.strides} != {1}:
                inputs = inputs[:, :: self.strides[0], :: self.strides[1]]
            return tf.tensordot(inputs, kernel[0, 0], axes=1)
        return tf.nn.conv2d(
            inputs, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate
        )

    def _finish(self, y):
        y = y + self.bias if self.use_bias else y
        return y if self.activation is None else self.activation(y)


@keras.saving.register_keras_serializable("kerasd2l")
class TransposedConv2D(keras.layers.Conv2DTranspose):
    """Enlarge pictures: the transpose of a convolution with the same kernel, strides and padding.

    Each input pixel adds its value times the kernel to the output; n' = s (n - 1) + k - 2p + q.
    Sections: "transposed-conv", "conv-variants". Keras' Conv2DTranspose knows only "valid" (p = 0)
    and "same"; here the padding is a number of pixels, as in PyTorch.

    Args:
        filters: int, channels that come out.
        kernel_size: int or (int, int), k.
        strides: int or (int, int), s, default 1.
        padding: int or (int, int), p, pixels cut off on each side, default 0.
        output_padding: int or (int, int), q < strides, rows and columns added at the bottom and
            the right, default 0.
        **kwargs: further arguments of keras.layers.Conv2DTranspose, but for `dilation_rate`.

    Call arguments:
        inputs: (B, H, W, C). H and W may be unknown.

    Returns:
        (B, H', W', filters). The kernel is (kh, kw, filters, C).

    Raises:
        ValueError: padding that leaves nothing, output padding not below the strides, or a
            dilation.

    Example:
        >>> TransposedConv2D(10, 5, strides=3, padding=2)(ops.ones((1, 6, 6, 20))).shape
        TensorShape([1, 16, 16, 10])

    Reference:
        Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        **kwargs: Any,
    ):
        if tuple(per_axis("dilation_rate", kwargs.pop("dilation_rate", 1), 2)) != (1, 1):
            raise ValueError("TransposedConv2D has no dilation. Take keras.layers.Conv2DTranspose.")
        steps = per_axis("strides", strides, 2)
        extra = per_axis("output_padding", output_padding, 2, minimum=0)
        if any(q >= s for q, s in zip(extra, steps, strict=True)):
            raise ValueError(
                "`output_padding` must be smaller than `strides`. "
                f"Received: output_padding={output_padding}, strides={steps}."
            )
        super().__init__(
            filters,
            per_axis("kernel_size", kernel_size, 2),
            strides=steps,
            padding="valid",
            data_format="channels_last",
            **{k: v for k, v in kwargs.items() if k != "data_format"},
        )
        self.cropping = per_axis("padding", padding, 2, minimum=0)
        self.extension = extra

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"], config["dilation_rate"]
        return config | {"padding": self.cropping, "output_padding": self.extension}

    def compute_output_shape(self, input_shape):
        batch, *sizes, _ = input_shape
        out = tuple(None if n is None else self._size(n, axis) for axis, n in enumerate(sizes))
        if any(n is not None and n < 1 for n in out):
            raise ValueError(
                "`padding` cuts off everything. Received: "
                f"inputs.shape={tuple(input_shape)}, kernel_size={self.kernel_size}, "
                f"strides={self.strides}, padding={self.cropping}."
            )
        return batch, *out, self.filters

    def call(self, inputs):
        self.compute_output_shape(inputs.shape)
        if on_tensorflow_cpu() and min(self.strides) >= _QUICK_STRIDES:
            y = self._quick_call(inputs)
            return y if self.activation is None else self.activation(y)
        y = ops.conv_transpose(
            inputs, self.kernel, self.strides, "valid", data_format="channels_last"
        )
        shape, ends, missing = ops.shape(inputs), [], []
        for axis in (0, 1):
            p, k, s = self.cropping[axis], self.kernel_size[axis], self.strides[axis]
            ends.append(p + self._size(shape[1 + axis], axis))
            # Keras returns s (n - 1) + max(k, s) places; what lies behind holds nothing.
            missing.append(max(0, k - p + self.extension[axis] - max(k, s)))
        if any(missing):
            y = ops.pad(y, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
        y = y[:, self.cropping[0] : ends[0], self.cropping[1] : ends[1], :]
        if self.use_bias:
            y = y + self.bias
        return y if self.activation is None else self.activation(y)

    def _quick_call(self, inputs):
        """Compute all the s x s places of an input pixel at once: a small convolution.

        Place s i + r is the sum over a of x[i - a] K[s a + r]. Measured: of FCN's 64 x 64 kernel
        with strides 32 several times as quick as TensorFlow's transposed convolution.
        """
        (sh, sw), filters, channels = self.strides, self.filters, inputs.shape[-1]
        taps = [-(-k // s) for k, s in zip(self.kernel_size, self.strides, strict=True)]
        ends = [a * s - k for a, s, k in zip(taps, self.strides, self.kernel_size, strict=True)]
        kernel = ops.pad(self.kernel, ((0, ends[0]), (0, ends[1]), (0, 0), (0, 0)))
        kernel = ops.reshape(kernel, (taps[0], sh, taps[1], sw, filters, channels))
        kernel = ops.flip(ops.transpose(kernel, (0, 2, 5, 1, 3, 4)), (0, 1))
        kernel = ops.reshape(kernel, (*taps, channels, sh * sw * filters))
        x = ops.pad(inputs, ((0, 0), *((a - 1, a - 1) for a in taps), (0, 0)))
        y = ops.conv(x, kernel, 1, "valid", data_format="channels_last")  # (B, h, w, sh sw F)
        batch, h, w = ops.shape(y)[:3]
        y = ops.transpose(ops.reshape(y, (batch, h, w, sh, sw, filters)), (0, 1, 3, 2, 4, 5))
        y = ops.reshape(y, (batch, h * sh, w * sw, filters))
        top, left = self.cropping
        height, width = (self._size(ops.shape(inputs)[1 + axis], axis) for axis in (0, 1))
        # what is added at the bottom and the right may lie behind the last place
        more = [max(0, q - p) for p, q in zip(self.cropping, self.extension, strict=True)]
        y = ops.pad(y, ((0, 0), (0, more[0]), (0, more[1]), (0, 0))) if any(more) else y
        y = y[:, top : top + height, left : left + width, :]
        return y + self.bias if self.use_bias else y

    def _size(self, n, axis):
        s, k = self.strides[axis], self.kernel_size[axis]
        return s * (n - 1) + k - 2 * self.cropping[axis] + self.extension[axis]


@keras.saving.register_keras_serializable("kerasd2l")
class GroupedConv2D(Conv2D):
    """Convolve groups of channels side by side: 1 / groups of the weights and of the work.

    Output channels i F / g to (i + 1) F / g see input channels i C / g to (i + 1) C / g. Section:
    "conv-variants". Weights, arguments and results are those of keras.layers.Conv2D(groups=g),
    which on TensorFlow compiles every grouped convolution with XLA: a SavedModel made of it needs a
    server with XLA, and on a CPU its gradients are slow (Keras 3.15, 2 cores: 13 s for a batch of
    32 maps of 24 x 24 x 128 in 16 groups; this one 0.04 s). This one is g ordinary convolutions; in
    training on a CPU, one of TensorFlow's.

    Args:
        filters: int, channels that come out, a multiple of `groups`.
        kernel_size: int or (int, int).
        groups: int >= 1, a divisor of the channels that come in.
        **kwargs: further arguments of keras.layers.Conv2D.

    Call arguments:
        inputs: (B, H, W, C). H and W may be unknown.

    Returns:
        (B, H', W', filters). The kernel is (kh, kw, C / groups, filters).

    Raises:
        ValueError: `groups` divides not both the channels that come in and `filters`.

    Example:
        >>> GroupedConv2D(32, 3, groups=8)(ops.ones((1, 8, 8, 64))).shape
        TensorShape([1, 6, 6, 32])

    Reference:
        Krizhevsky et al., ImageNet classification with deep convolutional neural networks, 2012.
    """

    examples_alone = True

    def __init__(
        self, filters: int, kernel_size: int | tuple[int, int], groups: int = 1, **kwargs: Any
    ):
        (groups,) = per_axis("groups", groups, 1)
        _divides(groups, "filters", filters)
        super().__init__(filters, kernel_size, groups=groups, **kwargs)

    def build(self, input_shape):
        _divides(self.groups, "input channels", input_shape[-1])
        super().build(input_shape)

    def convolution_op(self, inputs, kernel):
        parts = [
            keras.layers.Conv2D.convolution_op(self, x, k)
            for x, k in zip(
                ops.split(inputs, self.groups, axis=-1),
                ops.split(kernel, self.groups, axis=-1),
                strict=True,
            )
        ]
        return ops.concatenate(parts, axis=-1)


def _divides(groups: int, name: str, channels: int) -> None:
    """Raise a ValueError unless `groups` divides `channels`."""
    if channels % groups:
        near = sorted(
            (g for g in range(1, channels + 1) if channels % g == 0), key=lambda g: abs(g - groups)
        )
        raise ValueError(
            f"`groups` must divide the {name}. Received: groups={groups}, {name}={channels}. "
            f"Try groups={' or '.join(map(str, sorted(near[:2])))}."
        )
