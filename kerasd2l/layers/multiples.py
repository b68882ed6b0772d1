"""A check of the size of pictures, for networks that halve it several times and come back."""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.layers.sizes import per_axis


@keras.saving.register_keras_serializable(package="kerasd2l")
class SidesMultipleOf(keras.layers.Layer):
    """Pass pictures on whose height and width are multiples of a number; refuse others.

    y = x. Sections: "fcn". A network that shrinks and enlarges again gives pictures of another size
    back where a side cannot be halved often enough. A side that is only known at run time is not
    checked.

    Args:
        divisor: int >= 1.

    Call arguments:
        inputs: (B, H, W, C). H and W may be unknown.

    Returns:
        inputs.

    Raises:
        ValueError: a side that is no multiple of the divisor.

    Example:
        >>> SidesMultipleOf(32)(keras.ops.ones((1, 64, 96, 3))).shape
        TensorShape([1, 64, 96, 3])
    """

    def __init__(self, divisor: int, **kwargs: Any):
        super().__init__(**kwargs)
        (self.divisor,) = per_axis("divisor", divisor, 1)

    def build(self, input_shape):
        pass  # no weights

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"divisor": self.divisor}

    def compute_output_shape(self, input_shape):
        height, width = input_shape[1:3]
        if any(side is not None and side % self.divisor for side in (height, width)):
            near = [None if n is None else _nearest(n, self.divisor) for n in (height, width)]
            raise ValueError(
                f"Height and width must be multiples of {self.divisor}. "
                f"Received: {height} x {width} pixels. Resize or crop to {near[0]} x {near[1]}."
            )
        return input_shape

    def call(self, inputs):
        self.compute_output_shape(inputs.shape)
        return inputs


def _nearest(side: int, divisor: int) -> int:
    return max(divisor, round(side / divisor) * divisor)
