"""What the loop replaces in Keras while it runs, and brings back afterwards: name, reason, test.

- `compute_loss` of the model: the gradient of a piece's loss counts n_i / n, not 1 / R.
  (test_keras_goes_through_compute_loss)
- `scale_loss_for_distribution` and `unscale_loss_for_distribution` of `keras.src.losses.loss`,
  private names: Keras' losses are the piece's own, whoever looks at them.
  (test_keras_scales_losses_by_these_names)
- `apply` of the model's optimizers: gradients are added before they are clipped.
  (test_keras_adds_gradients_before_it_clips)
- `_all_reduce_sum_gradients` of them, a private name: Keras would add them again.
  (test_keras_adds_gradients_once)
- `keras.src.backend.nn._compute_moments_sync`, a private name: E[x^2] - E[x]^2 loses digits.
  (test_keras_takes_our_moments)
- `assign_add` of Keras' variables: it reads, adds and writes, and of two workers that do so at the
  same time one would be lost. (test_additions_of_workers_are_not_lost)
- `call` of a small model, in `small_steps.py`: pieces of a batch are computed side by side.
  (test_a_batch_in_pieces_has_the_same_outputs_and_gradients)

`assign_add` only with parameter servers; the others but the last only where a batch is computed in
pieces: by several replicas, or one after the other (`accumulate`). Losses are weighted before the
gradient, not gradients after it: synchronized BatchNormalization sends gradients from replica to
replica.
A private name that is gone is an error that says so; tests/training/test_around_keras.py fails when
Keras no longer uses one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasd2l.training.errors import LoopError


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
    """While installed, a Keras model trained on pieces of a batch computes what one device would.

    A piece is what one replica computes at once. Its loss is the mean over its n_i examples, for
    all to see; what `compute_loss` returns is the loss times P n_i / n, for P pieces of n examples,
    so that a plain mean over the pieces is the mean over the examples. The gradient of the same is
    multiplied by n_i / n (the gradients of an own `train_step` that does without `compute_loss` are
    multiplied instead, which is the same as long as no layer is synchronized), and gradients are
    added over all pieces before the optimizer sees them.

    Args:
        model: a compiled model.
        gradients: `AddedGradients`, where those of pieces that follow each other are added up;
            None: there is one piece on each replica.
    """

    def __init__(self, model: keras.Model, gradients: Any = None):
        self._model, self._gradients = model, gradients
        self._here = threading.local()  # each replica is traced in a thread of its own

    @contextlib.contextmanager
    def piece(self, size: tf.Tensor, total: tf.Tensor, pieces: tf.Tensor | int) -> Iterator[None]:
        """Compute, in a replica's step, a piece: `size` of the batch's `total` examples.

        Args:
            size: examples of this piece.
            total: examples of the batch.
            pieces: how many there are, on all replicas together.
        """
        here = self._here
        here.weight = tf.cast(size, tf.float32) / tf.cast(total, tf.float32)
        here.pieces = tf.cast(pieces, tf.float32)
        here.weighted = here.computing = here.applied = False
        try:
            yield
        finally:
            here.weight = None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Replace what must be replaced, and bring it back afterwards.

        Raises:
            RuntimeError: this version of Keras works in another way.
        """
        losses = keras.src.losses.loss
        with contextlib.ExitStack() as stack:
            for optimizer in optimizers_of(self._model):
                inner = getattr(optimizer, "inner_optimizer", optimizer)
                stack.enter_context(replaced(optimizer, "apply", self._apply_sum))
                stack.enter_context(replaced(inner, "_all_reduce_sum_gradients", _as_they_are))
            stack.enter_context(replaced(self._model, "compute_loss", self._weigh))
            stack.enter_context(replaced(losses, "scale_loss_for_distribution", self._unscaled))
            stack.enter_context(replaced(losses, "unscale_loss_for_distribution", self._shown))
            stack.enter_context(
                replaced(keras.src.backend.nn, "_compute_moments_sync", _two_pass_moments)
            )
            stack.enter_context(synchronized_batch_norm(self._model))
            yield

    def _weigh(self, compute_loss):
        def weigh(*arguments, **named):
            here = self._here
            if not self._in_step():
                return compute_loss(*arguments, **named)
            check_no_mask(named.get("y_pred", arguments[2:3]))
            here.computing = True
            try:
                loss = compute_loss(*arguments, **named)
            finally:
                here.computing = False
            here.weighted = True
            value = tf.stop_gradient(loss)
            weight, pieces = (tf.cast(x, loss.dtype) for x in (here.weight, here.pieces))
            return weight * (pieces * value + loss - value)

        return weigh

    def _unscaled(self, scale):
        return lambda loss: loss if self._in_step() else scale(loss)

    def _shown(self, unscale):
        """Return what a metric is told of a loss: the mean over the examples of this piece.

        Within `compute_loss` Keras tells the metrics of single outputs without a number of
        examples: they take a plain mean over the pieces.
        """

        def shown(loss):
            here = self._here
            if not self._in_step():
                return unscale(loss)
            weight = tf.cast(here.weight * here.pieces, loss.dtype)
            if here.computing:
                return loss * weight
            return loss / weight if here.weighted else loss

        return shown

    def _apply_sum(self, apply):
        def apply_sum(grads, trainable_variables=None):
            if self._in_step() and not self._here.weighted:
                grads = [None if g is None else self._weighted(g) for g in grads]
            if self._in_step() and self._gradients is not None:
                if self._here.applied:
                    raise LoopError(
                        "gradients cannot be accumulated: the model's train_step goes several "
                        "steps in one. Train without --accumulate, with a smaller batch."
                    )
                self._here.applied = True
                self._gradients.add(apply, grads, trainable_variables)
            else:
                apply(sum_over_replicas(grads), trainable_variables)

        return apply_sum

    def _weighted(self, gradient):
        return tf.math.scalar_mul(tf.cast(self._here.weight, gradient.dtype), gradient)

    def _in_step(self) -> bool:
        there = getattr(self._here, "weight", None) is not None
        return there and tf.distribute.in_cross_replica_context() is False


@contextlib.contextmanager
def atomic_additions() -> Iterator[None]:
    """Let `assign_add` of Keras' variables, such as the optimizer's `iterations`, be one operation.

    Raises:
        RuntimeError: this version of Keras works in another way.
    """

    def at_once(original: Callable) -> Callable:
        def assign_add(self, value):
            if not isinstance(self._value, tf.Variable):  # not made yet
                return original(self, value)
            self._value.assign_add(tf.cast(tf.convert_to_tensor(value), self._value.dtype))
            return self

        return assign_add

    with replaced(keras.src.backend.Variable, "assign_add", at_once):
        yield


def check_no_mask(answers: Any) -> None:
    """Refuse answers with a Keras mask: Keras divides the loss by what this piece has unmasked.

    Raises:
        LoopError: they have one.
    """
    for answer in keras.tree.flatten(answers):
        if getattr(answer, "_keras_mask", None) is not None:
            raise LoopError(
                "the model's answers carry a Keras mask, by which Keras divides the loss of each "
                "piece of a batch: pieces would not agree with the whole. Give the labels sample "
                "weights instead, or train with --strategy one and without --accumulate."
            )


def _as_they_are(original: Callable) -> Callable:
    return lambda gradients: gradients


def sum_over_replicas(gradients: Sequence) -> list:
    """Add each gradient over all replicas; TensorFlow adds only those of one dtype in one call."""
    summed = list(gradients)
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return summed
    for dtype in dict.fromkeys(gradient.dtype for gradient in gradients if gradient is not None):
        places = [i for i, g in enumerate(gradients) if g is not None and g.dtype == dtype]
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
