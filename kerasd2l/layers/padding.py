"""Padding with a constant or with copies of the border. For zeros there is Keras' ZeroPadding."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers.sizes import per_axis


class _Padding(keras.layers.Layer):
    """The argument that all paddings share: how much to add at which side."""

    rank: int

    def __init__(self, padding: Any = 1, **kwargs: Any):
        super().__init__(**kwargs)
        if isinstance(padding, int):
            padding = (padding,) * self.rank
        elif self.rank == 1 and len(padding) == 2 and all(isinstance(p, int) for p in padding):
            padding = (tuple(padding),)  # (left, right), as in Keras' ZeroPadding1D
        if len(padding) != self.rank:
            raise ValueError(
                "`padding` must be a whole number, or for each axis one number or a pair "
                f"(before, after). Received: padding={padding!r} for {self.rank} axes."
            )
        self.padding = tuple(per_axis("padding", side, 2, minimum=0) for side in padding)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"padding": self.padding}

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        padded = (
            None if n is None else n + before + after
            for n, (before, after) in zip(sizes, self.padding, strict=True)
        )
        return batch, *padded, channels


class _ConstantPadding(_Padding):
    """Surround with a constant."""

    def __init__(self, padding: Any = 1, value: float = 0.0, **kwargs: Any):
        super().__init__(padding, **kwargs)
        self.value = float(value)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"value": self.value}

    def call(self, inputs):
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0)), constant_values=self.value)


class _ReplicationPadding(_Padding):
    """Surround with copies of the outermost values."""

    def call(self, inputs):
        for axis, (before, after) in enumerate(self.padding, start=1):
            n = ops.shape(inputs)[axis]
            nearest = ops.clip(ops.arange(-before, n + after), 0, n - 1)
            inputs = ops.take(inputs, nearest, axis=axis)
        return inputs


@keras.saving.register_keras_serializable("kerasd2l")
class ConstantPadding1D(_ConstantPadding):
    """Surround sequences with a constant. Section: "basic-layers".

    Args:
        padding: int or (int, int), steps added before and after, default 1.
        value: float, the constant, default 0 (then the same as Keras' ZeroPadding1D).

    Call arguments:
        inputs: (B, T, C).

    Returns:
        (B, T + before + after, C), same dtype as inputs.

    Raises:
        ValueError: `padding` is negative or not of that form.

    Example:
        >>> ConstantPadding1D((0, 2), value=7.0)(ops.zeros((1, 1, 1))).numpy().ravel().tolist()
        [0.0, 7.0, 7.0]
    """

    rank = 1


@keras.saving.register_keras_serializable("kerasd2l")
class ConstantPadding2D(_ConstantPadding):
    """Surround pictures with a constant. Section: "basic-layers".

    With `value=float("-inf")` and a "valid" MaxPooling2D behind it this is max pooling with
    symmetric padding, which Keras' "same" is not at stride 2.

    Args:
        padding: int, (rows, columns), or ((top, bottom), (left, right)), default 1.
        value: float, the constant, default 0 (then the same as Keras' ZeroPadding2D).

    Call arguments:
        inputs: (B, H, W, C).

    Returns:
        (B, H + top + bottom, W + left + right, C), same dtype as inputs.

    Raises:
        ValueError: `padding` is negative or not of that form.

    Example:
        >>> ConstantPadding2D((1, 0), value=2.0)(ops.zeros((1, 1, 1, 1))).numpy().ravel().tolist()
        [2.0, 0.0, 2.0]
    """

    rank = 2


@keras.saving.register_keras_serializable("kerasd2l")
class ConstantPadding3D(_ConstantPadding):
    """Surround volumes with a constant. Section: "basic-layers".

    Args:
        padding: int, or for each of the three axes an int or a pair (before, after), default 1.
        value: float, the constant, default 0 (then the same as Keras' ZeroPadding3D).

    Call arguments:
        inputs: (B, D, H, W, C).

    Returns:
        (B, D', H', W', C), each size larger by its padding, same dtype as inputs.

    Raises:
        ValueError: `padding` is negative or not of that form.

    Example:
        >>> ConstantPadding3D(1, value=2.0)(ops.zeros((1, 1, 1, 1, 1))).shape
        TensorShape([1, 3, 3, 3, 1])
    """

    rank = 3


@keras.saving.register_keras_serializable("kerasd2l")
class ReplicationPadding1D(_ReplicationPadding):
    """Surround sequences with copies of their first and last step. Section: "basic-layers".

    Args:
        padding: int or (int, int), steps added before and after, default 1.

    Call arguments:
        inputs: (B, T, C). T may be unknown.

    Returns:
        (B, T + before + after, C), same dtype as inputs.

    Raises:
        ValueError: `padding` is negative or not of that form.

    Example:
        >>> ReplicationPadding1D(2)(ops.reshape(ops.arange(2), (1, 2, 1))).numpy().ravel().tolist()
        [0, 0, 0, 1, 1, 1]
    """

    rank = 1


@keras.saving.register_keras_serializable("kerasd2l")
class ReplicationPadding2D(_ReplicationPadding):
    """Surround pictures with copies of their outermost pixels. Section: "basic-layers".

    Args:
        padding: int, (rows, columns), or ((top, bottom), (left, right)), default 1.

    Call arguments:
        inputs: (B, H, W, C). H and W may be unknown.

    Returns:
        (B, H + top + bottom, W + left + right, C), same dtype as inputs.

    Raises:
        ValueError: `padding` is negative or not of that form.

    Example:
        >>> ReplicationPadding2D(1)(ops.ones((1, 4, 4, 3))).shape
        TensorShape([1, 6, 6, 3])
    """

    rank = 2


@keras.saving.register_keras_serializable("kerasd2l")
class ReplicationPadding3D(_ReplicationPadding):
    """Surround volumes with copies of their outermost values. Section: "basic-layers".

    Args:
        padding: int, or for each of the three axes an int or a pair (before, after), default 1.

    Call arguments:
        inputs: (B, D, H, W, C). Sizes may be unknown.

    Returns:
        (B, D', H', W', C), each size larger by its padding, same dtype as inputs.

    Raises:
        ValueError: `padding` is negative or not of that form.

    Example:
        >>> ReplicationPadding3D(1)(ops.ones((1, 2, 2, 2, 1))).shape
        TensorShape([1, 4, 4, 4, 1])
    """

    rank = 3
