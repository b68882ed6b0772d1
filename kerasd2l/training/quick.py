"""What Keras computes slowly on a CPU, quick while the loop trains.

Batch normalisation: Keras composes it of some twenty operations, each of which walks through the
whole map. TensorFlow's fused operation takes their place, or, for few channels, sums by matrix
products and the gradient written out. Grouped convolutions: Keras compiles them with XLA,
`layers.GroupedConv2D` makes one convolution for each group; oneDNN does all groups at once.
Convolutions 1 x 1 are matrix products, whose gradients are quicker than a convolution's (ResNeXt
gains a tenth).

Small networks: cutting each of their operations over the cores costs more than it brings. Where
TensorFlow was given one thread for an operation (`Recipe.small_steps`), the batch is cut
instead, once, and the network computes the pieces side by side; only for networks that treat every
example alone. Measured on two cores: LeNet 1.4 times, `mnist_resnet` 1.5 times as quick.

Layers, weights and numbers stay (rounding apart), and so does what is saved and exported.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from kerasd2l.recipe import Recipe
from kerasd2l.training.replicas import replaced

_FUSED_FROM = 16  # channels; with fewer, oneDNN's operation is the slower one (measured: 6, 32, 64)
_PIECE = 16  # examples a piece has at least: each operation has some 20 us of its own

# Layers that compute each example by itself; with others a batch is not the sum of its pieces.
_ALONE = frozenset(
    {
        getattr(keras.layers, name)
        for name in """
            InputLayer Conv1D Conv2D DepthwiseConv2D SeparableConv2D Dense Dropout Rescaling
            Activation ReLU Flatten Reshape ZeroPadding2D Add Multiply Concatenate
            MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D
        """.split()
    }
)


def give_threads(recipe: Recipe) -> None:
    """Give each operation of a recipe with small steps one CPU thread, if it is not too late.

    TensorFlow takes the number when it starts. $TF_NUM_INTRAOP_THREADS, or who has set a number
    before, has the last word.
    """
    wished = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    threads = int(wished) if wished.isdecimal() else int(recipe.small_steps)
    if threads and not tf.config.threading.get_intra_op_parallelism_threads():
        with contextlib.suppress(RuntimeError):  # its threads are there
            tf.config.threading.set_intra_op_parallelism_threads(threads)


@contextlib.contextmanager
def quick_layers(model: keras.Model, batch_size: int = 0) -> Iterator[None]:
    """Let a model train quickly on a CPU while the context lasts; it does nothing on a GPU.

    Not for several replicas, whose statistics are summed in between, and not for XLA, which fuses
    by itself.

    Args:
        model: whose layers are looked at.
        batch_size: int, examples in a batch; 0: batches are not cut into pieces.
    """
    with contextlib.ExitStack() as stack:
        if not tf.config.list_logical_devices("GPU"):
            stack.enter_context(replaced(keras.layers.BatchNormalization, "call", _quick_norm))
            for kind in {type(layer) for layer in model._flatten_layers() if _slow_conv(layer)}:
                stack.enter_context(replaced(kind, "convolution_op", _quick_conv))
            pieces = min(_cores(), batch_size // _PIECE) if _one_thread_each() else 1
            if pieces > 1 and _examples_alone(model):
                in_pieces = functools.partial(_in_pieces, pieces=pieces)
                stack.enter_context(replaced(model, "call", in_pieces))
        yield


def _one_thread_each() -> bool:
    """Whether TensorFlow was told to give one thread to an operation."""
    return tf.config.threading.get_intra_op_parallelism_threads() == 1


def _cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _examples_alone(model: keras.Model) -> bool:
    """Whether the model computes each example by itself."""
    layers = list(model._flatten_layers(include_self=False))
    return (
        type(model) in (keras.Sequential, keras.src.models.functional.Functional)
        and all(type(layer) in _ALONE for layer in layers)
        and not any(getattr(layer, "activity_regularizer", None) for layer in layers)
    )


def _in_pieces(before: Callable, pieces: int) -> Callable:
    def call(inputs, training=None, mask=None):
        arrays = [x for x in keras.tree.flatten(inputs) if len(x.shape)]
        size = tf.shape(arrays[0])[0]
        most = (size + pieces - 1) // pieces

        def piece(number):
            # A piece of nothing is an error for a convolution: where a short batch has no rows left
            # for a piece, the piece is the last row once more, which is cut off at the end.
            first = tf.minimum(number * most, size - 1)
            rows = keras.tree.map_structure(
                lambda x: x[first : first + most] if len(x.shape) else x, inputs
            )
            return before(rows, training, mask)

        def join(*parts):
            return tf.concat(parts, axis=0)[:size]

        return keras.tree.map_structure(join, *(piece(number) for number in range(pieces)))

    return call


def _slow_conv(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Conv2D) and (layer.groups > 1 or _pointwise(layer))


def _pointwise(layer: keras.layers.Conv2D) -> bool:
    return layer.groups == 1 and {*layer.kernel_size, *layer.strides} == {1}


def _quick_conv(before: Callable) -> Callable:
    def convolution_op(self, inputs, kernel):
        plain = self.data_format == "channels_last" and inputs.dtype == tf.float32
        if plain and _pointwise(self):
            return tf.tensordot(inputs, tf.convert_to_tensor(kernel)[0, 0], axes=1)
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
    """Return the normalised x, the mean, and the biased variance; sums are matrix products.

    Computed on whole rows of the map, all columns and channels: the vector of a few channels is
    repeated to a row's length, since TensorFlow spreads a short one slowly.
    """
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
