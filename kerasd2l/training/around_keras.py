"""What the loop replaces in Keras while it runs, and brings back afterwards: name, reason, test.

- `compute_loss` of the model: the gradient of a replica's loss counts n_i / n, not 1 / R.
  (test_keras_goes_through_compute_loss)
- `apply` of the model's optimizers: gradients are added before they are clipped.
  (test_keras_adds_gradients_before_it_clips)
- `_all_reduce_sum_gradients` of them, a private name: Keras would add them again.
  (test_keras_adds_gradients_once)
- `keras.src.backend.nn._compute_moments_sync`, a private name: E[x^2] - E[x]^2 loses digits.
  (test_keras_takes_our_moments)
- `call` of a small model, in `small_steps.py`: pieces of a batch are computed side by side.
  (test_a_batch_in_pieces_has_the_same_outputs_and_gradients)

The first four only where there is more than one replica. Losses are weighted before the gradient,
not gradients after it: synchronized BatchNormalization sends gradients from replica to replica.
A private name that is gone is an error that says so; tests/training/test_around_keras.py fails when
Keras no longer uses one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerasd2l.training.replicas import batch_size


@contextlib.contextmanager
def replaced(owner: Any, name: str, wrap: Callable) -> Iterator[None]:
    """Replace the attribute `name` of a module or an object by `wrap(original)` for a while.

    Raises:
        RuntimeError: this version of Keras has no such attribute.
    """
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


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return the optimizers that are attributes of a model; a GAN has two."""
    return [v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)]


class FairShare:
    """While installed, a Keras model trained on R replicas computes what one replica would.

    Keras gives each replica's mean loss the weight 1 / R, and adds the replicas' gradients after it
    has clipped them. Here the gradient of what `compute_loss` returns is multiplied by R n_i / n
    (its value stays; the gradients of an own `train_step` that does without `compute_loss` are
    multiplied instead, which is the same as long as no layer is synchronized), and gradients are
    added first.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._replica = threading.local()  # each replica is traced in a thread of its own

    def enter(self, batch: Any, total: tf.Tensor) -> None:
        """Say, in a replica's step, how many of the `total` examples this replica has."""
        mine = tf.cast(batch_size(batch), tf.float32)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self._replica.weight = replicas * mine / tf.cast(total, tf.float32)
        self._replica.weighted = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Replace what must be replaced, and bring it back afterwards.

        Raises:
            RuntimeError: this version of Keras works in another way.
        """
        with contextlib.ExitStack() as stack:
            for optimizer in optimizers_of(self._model):
                inner = getattr(optimizer, "inner_optimizer", optimizer)
                stack.enter_context(replaced(optimizer, "apply", self._apply_sum))
                stack.enter_context(replaced(inner, "_all_reduce_sum_gradients", _as_they_are))
            stack.enter_context(replaced(self._model, "compute_loss", self._weigh))
            stack.enter_context(
                replaced(keras.src.backend.nn, "_compute_moments_sync", _two_pass_moments)
            )
            stack.enter_context(synchronized_batch_norm(self._model))
            yield

    def _weigh(self, compute_loss):
        def weigh(*arguments, **named):
            loss = compute_loss(*arguments, **named)
            if not self._in_step():
                return loss
            self._replica.weighted = True
            value = tf.stop_gradient(loss)
            return value + tf.cast(self._replica.weight, loss.dtype) * (loss - value)

        return weigh

    def _apply_sum(self, apply):
        def apply_sum(grads, trainable_variables=None):
            mine = [grad for grad in grads if grad is not None]
            if self._in_step() and not self._replica.weighted:
                weight = self._replica.weight
                mine = [tf.math.scalar_mul(tf.cast(weight, g.dtype), g) for g in mine]
            summed = iter(_sum_over_replicas(mine))
            whole = [None if grad is None else next(summed) for grad in grads]
            return apply(whole, trainable_variables)

        return apply_sum

    def _in_step(self) -> bool:
        # The tensors of `enter` belong to the graph of one step, not to others traced later.
        there = getattr(self._replica, "weight", None) is not None
        return there and not tf.distribute.in_cross_replica_context()


def _as_they_are(original: Callable) -> Callable:
    return lambda gradients: gradients


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


@contextlib.contextmanager
def synchronized_batch_norm(model: keras.Model) -> Iterator[None]:
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
        layer.synchronized = True
    try:
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
