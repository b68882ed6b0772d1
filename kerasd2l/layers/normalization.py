"""Normalisations beyond Keras' own: per picture and channel, and a learned mixture."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasd2l")
class InstanceNorm(keras.layers.Layer):
    """Normalise every channel of every example on its own, in training and in inference.

    y = (x - mean) / sqrt(var + epsilon) * gamma + beta, over all positions of one channel of one
    example, with the biased variance. Section: "norm-layers". The same as Keras'
    GroupNormalization(groups=-1) but for the defaults, which are PyTorch's: no gamma, no beta,
    epsilon 1e-5.

    Args:
        epsilon: float > 0, added to the variance.
        center: bool, learn beta (C,).
        scale: bool, learn gamma (C,).

    Call arguments:
        inputs: (B, ..., C) with at least one axis of positions; they may be unknown.

    Returns:
        The shape and dtype of inputs.

    Raises:
        ValueError: no axis of positions, only one position (it would be normalised to zero), or
            `epsilon` not positive.

    Example:
        >>> InstanceNorm()(ops.reshape(ops.arange(4.0), (1, 2, 2, 1))).shape
        TensorShape([1, 2, 2, 1])

    Reference:
        Ulyanov et al., Instance normalization, 2016.
    """

    def __init__(
        self, epsilon: float = 1e-5, center: bool = False, scale: bool = False, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.epsilon = _positive("epsilon", epsilon)
        self.center = center
        self.scale = scale
        self.gamma = self.beta = None

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }

    def build(self, input_shape):
        if len(input_shape) < 3 or all(n == 1 for n in input_shape[1:-1]):
            raise ValueError(
                "InstanceNorm needs inputs (B, ..., C) with more than one position in each channel "
                f"to take statistics over. Received: inputs.shape={tuple(input_shape)}."
            )
        channels = (input_shape[-1],)
        if self.scale:
            self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones")
        if self.center:
            self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros")

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs):
        x = ops.cast(inputs, "float32")  # half precision cannot hold sums over a picture
        mean, variance = ops.moments(x, axes=list(range(1, len(x.shape) - 1)), keepdims=True)
        y = ops.cast((x - mean) * ops.rsqrt(variance + self.epsilon), inputs.dtype)
        if self.gamma is not None:
            y = y * self.gamma
        return y if self.beta is None else y + self.beta


@keras.saving.register_keras_serializable("kerasd2l")
class SwitchableNorm(keras.layers.BatchNormalization):
    """Mix the statistics of instance, layer and batch normalisation by learned weights.

    y = (x - sum_k w_k mean_k) / sqrt(sum_k v_k var_k + epsilon) * gamma + beta, k over (instance,
    layer, batch), w and v each a softmax of three learned numbers that begin at 1. Section:
    "norm-layers". In inference the batch statistics are moving averages. Being a
    BatchNormalization, it shares the whole batch's statistics where training has several replicas.

    Args:
        momentum: float in [0, 1), share of the old moving averages at each step.
        epsilon: float > 0, added to the mixed variance.
        center: bool, learn beta (C,).
        scale: bool, learn gamma (C,).
        **kwargs: further arguments of keras.layers.BatchNormalization, but for `axis` and `renorm`.

    Call arguments:
        inputs: (B, ..., C) with at least one axis of positions; they may be unknown.
        training: bool, use and update batch statistics; default False.

    Returns:
        The shape and dtype of inputs.

    Raises:
        ValueError: no axis of positions, an `axis` that is not the last, or `renorm`.

    Example:
        >>> SwitchableNorm()(ops.ones((2, 4, 4, 3))).shape
        TensorShape([2, 4, 4, 3])

    Reference:
        Luo et al., Differentiable learning-to-normalize via switchable normalization, 2018.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        **kwargs: Any,
    ):
        if kwargs.get("renorm") or kwargs.get("axis", -1) != -1:
            raise ValueError(
                "SwitchableNorm has channels last and no renormalisation. Received: "
                f"axis={kwargs.get('axis', -1)}, renorm={kwargs.get('renorm', False)}."
            )
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1). Received: momentum={momentum}.")
        super().__init__(
            momentum=momentum,
            epsilon=_positive("epsilon", epsilon),
            center=center,
            scale=scale,
            **kwargs,
        )

    def build(self, input_shape):
        if len(input_shape) < 3:
            raise ValueError(
                "SwitchableNorm needs inputs (B, ..., C) with at least one axis of positions. "
                f"Received: inputs.shape={tuple(input_shape)}."
            )
        super().build(input_shape)
        self.mean_mixture = self.add_weight(
            name="mean_mixture", shape=(3,), initializer="ones", autocast=False
        )
        self.variance_mixture = self.add_weight(
            name="variance_mixture", shape=(3,), initializer="ones", autocast=False
        )

    def call(self, inputs, training=False, mask=None):
        x = ops.cast(inputs, "float32")
        axes = list(range(1, len(x.shape) - 1))
        means, variances = self._statistics(x, axes, training and self.trainable)
        w, v = ops.softmax(self.mean_mixture), ops.softmax(self.variance_mixture)
        mean = w[0] * means[0] + w[1] * means[1] + w[2] * means[2]
        variance = v[0] * variances[0] + v[1] * variances[1] + v[2] * variances[2]
        y = (x - mean) * ops.rsqrt(variance + self.epsilon)
        if self.scale:
            y = y * self.gamma
        if self.center:
            y = y + self.beta
        return ops.cast(y, self.compute_dtype)

    def _statistics(self, x, axes, training):
        """Return the means and variances of instance, layer and batch, each broadcastable to x."""
        mean, variance = ops.moments(x, axes=axes, keepdims=True)  # (B, 1, ..., C)
        # A layer's variance is the mean variance of its channels plus the variance of their means.
        layer_mean, between = ops.moments(mean, axes=[-1], keepdims=True)  # (B, 1, ..., 1)
        layer_variance = ops.mean(variance, axis=-1, keepdims=True) + between
        if training:
            batch_mean, batch_variance = ops.moments(
                x, axes=[0, *axes], synchronized=self.synchronized
            )  # (C,)
            for average, new in (
                (self.moving_mean, batch_mean),
                (self.moving_variance, batch_variance),
            ):
                average.assign(average * self.momentum + new * (1.0 - self.momentum))
        else:
            batch_mean = ops.convert_to_tensor(self.moving_mean)
            batch_variance = ops.convert_to_tensor(self.moving_variance)
        return (mean, layer_mean, batch_mean), (variance, layer_variance, batch_variance)


def _positive(name: str, value: float) -> float:
    """Return `value` if it is positive."""
    if not value > 0:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")
    return float(value)
