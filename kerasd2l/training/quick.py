"""What Keras computes slowly on a CPU, quick while the loop trains.

Batch normalisation: Keras composes it of some twenty operations, each of which walks through the
whole map. TensorFlow's fused operation takes their place, or, for few channels, sums by matrix
products and the gradient written out. Grouped convolutions: Keras compiles them with XLA,
`layers.GroupedConv2D` makes one convolution for each group; oneDNN does all groups at once. Layers,
weights and numbers stay (rounding apart), and so does what is saved and exported.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

_FUSED_FROM = 16  # channels; with fewer, oneDNN's operation is the slower one (measured: 6, 32, 64)


@contextlib.contextmanager
def quick_layers(model: keras.Model, enabled: bool = True) -> Iterator[None]:
    """Let batch normalisations and grouped convolutions train quickly while the context lasts.

    Args:
        model: whose layers are looked at.
        enabled: bool; False changes nothing: for several replicas, whose statistics are summed in
            between, and for XLA, which fuses by itself.
    """
    with contextlib.ExitStack() as stack:
        if enabled and not tf.config.list_logical_devices("GPU"):
            norm = keras.layers.BatchNormalization
            stack.enter_context(_replaced(norm, "call", _quick_norm(norm.call)))
            for kind in {type(layer) for layer in model._flatten_layers() if _grouped(layer)}:
                quick = _quick_conv(kind.convolution_op)
                stack.enter_context(_replaced(kind, "convolution_op", quick))
        yield


@contextlib.contextmanager
def _replaced(owner: type, name: str, value: Callable) -> Iterator[None]:
    own = vars(owner).get(name)  # None: inherited
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _grouped(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Conv2D) and layer.groups > 1


def _quick_conv(before: Callable) -> Callable:
    def convolution_op(self, inputs, kernel):
        plain = self.data_format == "channels_last" and inputs.dtype == tf.float32
        if self.groups == 1 or not plain or not _groups_at_once():
            return before(self, inputs, kernel)
        return tf.nn.conv2d(
            inputs,
            tf.convert_to_tensor(kernel),
            self.strides,
            self.padding.upper(),
            dilations=self.dilation_rate,
        )

    return convolution_op


@functools.lru_cache
def _groups_at_once() -> bool:
    """Whether this TensorFlow has the gradients of grouped convolutions on a CPU: oneDNN has."""
    with tf.init_scope(), tf.GradientTape() as tape:
        x, kernel = tf.ones((1, 3, 3, 4)), tf.ones((3, 3, 2, 4))
        tape.watch((x, kernel))
        try:
            tape.gradient(tf.nn.conv2d(x, kernel, 1, "SAME"), (x, kernel))
        except (tf.errors.OpError, ValueError):
            return False
    return True


def _quick_norm(keras_call: Callable) -> Callable:
    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable and mask is None and _plain(self, inputs)):
            return keras_call(self, inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        fused = len(inputs.shape) == 4 and channels >= _FUSED_FROM
        normalise = _fused if fused else _by_products
        outputs, mean, variance = normalise(
            inputs, tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta), self.epsilon
        )
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return outputs

    return call


def _plain(layer, inputs) -> bool:
    """Whether the layer computes in float32 over all axes but the last, with gamma and beta."""
    return (
        layer.compute_dtype == "float32"
        and inputs.dtype == tf.float32
        and layer.axis in (-1, len(inputs.shape) - 1)
        and layer.scale
        and layer.center
        and not layer.synchronized
        and not getattr(layer, "renorm", False)
    )


def _fused(x, gamma, beta, epsilon: float):
    """Return the normalised x, the mean, and the biased variance."""
    found = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    n = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
    # The operation returns n / (n - 1) times the variance with which it normalises.
    return (
        found.y,
        tf.stop_gradient(found.batch_mean),
        tf.stop_gradient(found.batch_variance * ((n - 1.0) / n)),
    )


def _by_products(x, gamma, beta, epsilon: float):
    """Return the normalised x, the mean, and the biased variance; sums are matrix products."""

    def total(a):
        rows = tf.reshape(a, (-1, a.shape[-1]))
        return tf.matmul(tf.ones((1, tf.shape(rows)[0]), a.dtype), rows)[0]

    n = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
    mean = total(tf.stop_gradient(x)) / n
    centered = tf.stop_gradient(x) - mean
    variance = total(tf.square(centered)) / n
    inverse = tf.math.rsqrt(variance + epsilon)

    @tf.custom_gradient
    def normalise(x, gamma, beta):
        def gradient(dy):
            dbeta, dgamma = total(dy), total(dy * centered) * inverse
            dx = (dy - dbeta / n - centered * (inverse * dgamma / n)) * (gamma * inverse)
            return dx, dgamma, dbeta

        return centered * (gamma * inverse) + beta, gradient

    return normalise(x, gamma, beta), mean, variance
