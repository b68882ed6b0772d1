"""Sharing a global batch between replicas so that N replicas compute what one would.

Left alone, Keras gives every replica's mean loss the weight 1 / R, which is wrong for a batch that
does not divide evenly, clips each replica's gradient before they are added, and normalises each
replica's share by its own statistics. Here:

- piece i of n examples is [i * n // R, (i + 1) * n // R): sizes differ by one at most;
- a replica's loss counts with the weight n_i / n of its examples;
- gradients are added *before* the optimizer sees them, so clipping, loss scaling and accumulation
  work on the gradient of the whole batch;
- BatchNormalization is synchronised.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import keras
import tensorflow as tf


def share(
    strategy: tf.distribute.Strategy, dataset: tf.data.Dataset, *, training: bool
) -> tf.distribute.DistributedDataset:
    """Distribute a dataset of global batches: every replica gets its piece of each batch.

    Every worker reads all global batches and keeps its own pieces, so the batches are the same
    examples in the same order however many workers there are.

    Args:
        strategy: with more than one replica.
        dataset: batches whose first axis is the global batch.
        training: True leaves out a batch with fewer examples than replicas (a replica without
            examples has no gradient); False gives some replicas an empty piece.

    Returns:
        A distributed dataset of (n, piece of a batch of n examples), without end: the caller
        counts the steps.
    """

    def pieces(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local

        def split(*batch):
            batch = batch[0] if len(batch) == 1 else batch
            n = tf.shape(tf.nest.flatten(batch)[0])[0]

            def piece(i):
                i = tf.cast(i, tf.int32)
                start, end = i * n // replicas, (i + 1) * n // replicas
                return n, tf.nest.map_structure(lambda t: t[start:end], batch)

            return tf.data.Dataset.range(first, first + local).map(piece)

        shared = dataset
        if training:
            shared = shared.filter(lambda *batch: batch_size(batch) >= replicas)
        # Without end: else the iterator asks all workers at every step whether data is left.
        return shared.repeat().flat_map(split).prefetch(2 * local)

    return strategy.distribute_datasets_from_function(pieces)


def batch_size(batch) -> tf.Tensor:
    """Return the number of examples of a batch: the first axis of its first tensor."""
    return tf.shape(tf.nest.flatten(batch)[0])[0]


@contextlib.contextmanager
def synchronized_batch_norm(model: keras.Model, replicas: int) -> Iterator[None]:
    """Let every BatchNormalization see the statistics of the whole batch while training.

    The layers' own setting comes back afterwards: a saved model says nothing of replicas.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    before = [layer.synchronized for layer in layers]
    for layer in layers:
        layer.synchronized = replicas > 1
    try:
        with replaced(keras.src.backend.nn, "_compute_moments_sync", _two_pass_moments):
            yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer.synchronized = value


def _two_pass_moments(keras_moments):
    """Mean and variance over all replicas, the variance from the deviations.

    Keras takes E[x^2] - E[x]^2, whose rounding error one device does not have.
    """

    def moments(x, axes, keepdims):
        context = tf.distribute.get_replica_context()
        if context is None:
            return keras_moments(x, axes, keepdims)
        add = tf.distribute.ReduceOp.SUM
        count = tf.cast(tf.reduce_prod(tf.gather(tf.shape(x), axes)), x.dtype)
        total = tf.reduce_sum(x, axis=axes, keepdims=True)
        total, count = context.all_reduce(add, [total, count])
        mean = total / count
        # As tf.nn.moments: the deviations sum to zero, so their gradient by the mean is noise.
        deviations = x - tf.stop_gradient(mean)
        squares = tf.reduce_sum(tf.square(deviations), axis=axes, keepdims=True)
        variance = context.all_reduce(add, squares) / count
        if keepdims:
            return mean, variance
        return tf.squeeze(mean, axes), tf.squeeze(variance, axes)

    return moments


class FairShare:
    """While installed, a Keras model trained on R replicas computes what one replica would.

    Two things of Keras are replaced for that time. A loss counts with the weight n_i / n of the
    replica's examples instead of 1 / R: `scale_loss_for_distribution`, which all Keras losses,
    `compute_loss` and regularisers go through. And the replicas' gradients are added before the
    optimizer's own work instead of after clipping: `_all_reduce_sum_gradients`.
    """

    def __init__(self, model: keras.Model):
        self._replica = threading.local()  # each replica is traced in a thread of its own
        self._optimizers = [
            value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)
        ]

    def enter(self, batch, total: tf.Tensor) -> None:
        """Say, in a replica's step, how many of the `total` examples this replica has."""
        self._replica.mine = tf.cast(batch_size(batch), tf.float32)
        self._replica.total = tf.cast(total, tf.float32)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Replace what must be replaced, and bring it back afterwards.

        Raises:
            RuntimeError: this version of Keras works in another way.
        """
        losses = keras.src.losses.loss
        with contextlib.ExitStack() as stack:
            for owner, name, wrap in [
                (losses, "scale_loss_for_distribution", self._scale),
                (losses, "unscale_loss_for_distribution", self._unscale),
                *[(optimizer, "apply", self._apply_after_sum) for optimizer in self._optimizers],
                *[
                    (getattr(optimizer, "inner_optimizer", optimizer), name, _identity)
                    for optimizer in self._optimizers
                    for name in ["_all_reduce_sum_gradients"]
                ],
            ]:
                stack.enter_context(replaced(owner, name, wrap))
            yield

    def _scale(self, keras_scale):
        def scale(value):
            if not self._in_step():
                return keras_scale(value)
            return value * tf.cast(self._replica.mine / self._replica.total, value.dtype)

        return scale

    def _unscale(self, keras_unscale):
        def unscale(value):
            if not self._in_step():
                return keras_unscale(value)
            back = tf.math.divide_no_nan(self._replica.total, self._replica.mine)
            return value * tf.cast(back, value.dtype)

        return unscale

    def _in_step(self) -> bool:
        # The tensors of `enter` belong to the graph of one step, not to others traced later.
        total = getattr(self._replica, "total", None)
        return total is not None and not tf.distribute.in_cross_replica_context()

    def _apply_after_sum(self, apply):
        def apply_sum(grads, trainable_variables=None):
            there = [grad is not None for grad in grads]
            mine = [grad for grad in grads if grad is not None]
            summed = iter(_sum_over_replicas(mine))
            return apply([next(summed) if t else None for t in there], trainable_variables)

        return apply_sum


def _sum_over_replicas(gradients: list) -> list:
    """Add each gradient over all replicas; TensorFlow adds only those of one dtype in one call."""
    context = tf.distribute.get_replica_context()
    summed: list = [None] * len(gradients)
    for dtype in dict.fromkeys(gradient.dtype for gradient in gradients):
        places = [i for i, gradient in enumerate(gradients) if gradient.dtype == dtype]
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [gradients[i] for i in places])
        for i, value in zip(places, sums, strict=True):
            summed[i] = value
    return summed


def _identity(original):
    return lambda value: value


@contextlib.contextmanager
def replaced(owner, name: str, wrap) -> Iterator[None]:
    """Replace the attribute `name` of a module or an object by `wrap(original)` for a while."""
    original = getattr(owner, name, None)
    if original is None:
        raise RuntimeError(
            f"Keras {keras.__version__} has no {name}: replicas would not agree with one device. "
            "Train with --strategy one, or with a version named in setup.cfg."
        )
    shadowed = name in vars(owner)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        if shadowed:
            setattr(owner, name, original)
        else:
            delattr(owner, name)
