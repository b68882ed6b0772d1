"""Batch normalisation with Keras' weights and results, quicker in training on a CPU.

Keras composes it of some twenty operations, each of which walks through the whole map. On a CPU
TensorFlow's fused operation takes their place in training, or, for few channels, sums by matrix
products and the gradient written out. All other cases go Keras' way.
"""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.layers.cpu import on_tensorflow_cpu

FUSED_FROM = 16  # channels; with fewer, oneDNN's operation is the slower one (measured: 6, 32, 64)


@keras.saving.register_keras_serializable("kerasd2l")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, quicker in training on a CPU.

    y = (x - mean) / sqrt(var + epsilon) * gamma + beta, over all axes but the last. Section:
    "batch-norm". Arguments, call arguments, weights and results are those of Keras' layer. On a
    CPU, Keras does not compile a model that holds one with XLA, which is slower (`supports_jit`).

    Example:
        >>> BatchNormalization()(keras.ops.zeros((2, 5, 5, 3)), training=True).shape
        TensorShape([2, 5, 5, 3])

    Reference:
        Ioffe, Szegedy, Batch normalization, 2015.
    """

    def build(self, input_shape):
        super().build(input_shape)
        if on_tensorflow_cpu():
            self.supports_jit = False

    def call(self, inputs, training=None, mask=None):
        if training and mask is None and self._is_plain(inputs):
            return self._quick(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _is_plain(self, inputs: Any) -> bool:
        """Whether this is the case that is quicker: float32, all axes but the last."""
        return (
            on_tensorflow_cpu()
            and self.trainable
            and self.scale
            and self.center
            and not self.synchronized
            and not getattr(self, "renorm", False)
            and self.axis in (-1, len(inputs.shape) - 1)
            and self.compute_dtype == "float32"
            and keras.backend.standardize_dtype(inputs.dtype) == "float32"
        )

    def _quick(self, inputs):
        import tensorflow as tf

        fused = len(inputs.shape) == 4 and inputs.shape[-1] >= FUSED_FROM
        outputs, mean, variance = (_quick_fused if fused else _quick_products)(
            inputs, tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta), self.epsilon
        )
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return outputs


def _quick_fused(x, gamma, beta, epsilon: float):
    """Return the normalised x, the mean, and the biased variance."""
    import tensorflow as tf

    fused = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    n = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
    # The operation returns n / (n - 1) times the variance with which it normalises.
    return (
        fused.y,
        tf.stop_gradient(fused.batch_mean),
        tf.stop_gradient(fused.batch_variance * ((n - 1.0) / n)),
    )


def _quick_products(x, gamma, beta, epsilon: float):
    """Return the normalised x, the mean, and the biased variance; sums are matrix products.

    Computed on whole rows of the map, all columns and channels: the vector of a few channels is
    repeated to a row's length, since TensorFlow spreads a short one slowly.
    """
    import tensorflow as tf

    channels = x.shape[-1]
    columns = x.shape[-2] or 1 if len(x.shape) == 4 else 1
    n = tf.cast(tf.size(x) // channels, x.dtype)

    def rows(a):
        return tf.reshape(a, (-1, columns * channels))

    def wide(vector):
        return tf.tile(vector, [columns])

    def total(a):
        sums = tf.matmul(tf.ones((1, tf.shape(a)[0]), a.dtype), a)
        return tf.reduce_sum(tf.reshape(sums, (columns, channels)), axis=0)

    flat = rows(tf.stop_gradient(x))
    mean = total(flat) / n
    centered = flat - wide(mean)
    variance = total(tf.square(centered)) / n
    inverse = tf.math.rsqrt(variance + epsilon)

    @tf.custom_gradient
    def normalise(x, gamma, beta):
        scale = gamma * inverse

        def gradient(dy):
            dy = rows(dy)
            dbeta, dgamma = total(dy), total(dy * centered) * inverse
            slope, shift = scale * inverse * dgamma / n, scale * dbeta / n
            dx = dy * wide(scale) - centered * wide(slope) - wide(shift)
            return tf.reshape(dx, tf.shape(x)), dgamma, dbeta

        return tf.reshape(centered * wide(scale) + wide(beta), tf.shape(x)), gradient

    return normalise(x, gamma, beta), mean, variance
