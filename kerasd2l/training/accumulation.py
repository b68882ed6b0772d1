"""Gradients of a batch that is computed piece by piece, one after the other: `--accumulate N`.

The weights become those of the whole batch at once, for a batch that fits in no memory. Keras' own
`gradient_accumulation_steps` is not used: it gives a short last batch the weight of a long one,
takes what is left of an epoch into the next, and averages weights (`use_ema`) at every piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasd2l.training.around_keras import optimizers_of, sum_over_replicas
from kerasd2l.training.errors import LoopError


class AddedGradients:
    """The sum of the gradients of pieces, on each replica its own, until the optimizer takes it.

    Args:
        model: a built, compiled model with one optimizer, made in the strategy's scope.
    """

    def __init__(self, model: keras.Model):
        self._variables = list(model.trainable_variables)
        self._places = {id(variable): i for i, variable in enumerate(self._variables)}
        self._sums = [_local(variable.shape, variable.dtype) for variable in self._variables]
        rows = [(None, *variable.shape[1:]) for variable in self._variables]
        self._rows = [
            (_local(shape, variable.dtype), _local((None,), "int64"))
            for shape, variable in zip(rows, self._variables, strict=True)
        ]
        self._take: tuple[Callable, list[str], Sequence] | None = None

    def add(self, apply: Callable, gradients: Sequence, variables: Sequence | None) -> None:
        """Add the gradients of a piece, in the step of a replica.

        Of an embedding they are rows, which are kept one by one: Keras' optimizers square and clip
        them so, and leave alone the rows that are not there.
        """
        variables = self._variables if variables is None else list(variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            place = self._places[id(variable)]
            if isinstance(gradient, tf.IndexedSlices):
                values, indices = self._rows[place]
                values.assign(tf.concat([values, gradient.values], 0))
                indices.assign(tf.concat([indices, tf.cast(gradient.indices, tf.int64)], 0))
            elif gradient is not None:
                self._sums[place].assign_add(gradient)
        self._take = apply, [_kind(gradient) for gradient in gradients], variables

    def apply(self) -> None:
        """Let the optimizer take the sum over all pieces of all replicas; begin anew."""
        if self._take is None:
            raise LoopError("the model's train_step gives its optimizer no gradients.")
        apply, kinds, variables = self._take
        pairs = zip(kinds, variables, strict=True)
        apply(sum_over_replicas([self._sum(kind, variable) for kind, variable in pairs]), variables)
        for one in (*self._sums, *(part for pair in self._rows for part in pair)):
            one.assign(tf.zeros([size or 0 for size in one.shape], one.dtype))

    def _sum(self, kind: str, variable: keras.Variable) -> Any:
        place = self._places[id(variable)]
        if kind == "none":
            return None
        # tf.identity: what is added over workers must be on the replica's device
        if kind == "whole":
            return tf.identity(self._sums[place])
        values, indices = (tf.identity(part) for part in self._rows[place])
        return tf.IndexedSlices(values, indices, tf.constant(list(variable.shape), tf.int64))


def _kind(gradient: Any) -> str:
    if gradient is None:
        return "none"
    return "rows" if isinstance(gradient, tf.IndexedSlices) else "whole"


def _local(shape: Sequence[int | None], dtype: str) -> tf.Variable:
    """Return a variable that each replica has for itself; an axis of None begins empty."""
    return tf.Variable(
        tf.zeros([size or 0 for size in shape], dtype),
        shape=tf.TensorShape(shape),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


def check_accumulation(model: keras.Model, pieces: int) -> None:
    """Refuse a model whose batches cannot be computed piece by piece.

    Raises:
        LoopError: several optimizers, XLA, or a state for each row of a batch.
    """
    if pieces < 1:
        raise LoopError(f"`accumulate` must be at least 1. Received: accumulate={pieces}.")
    if pieces == 1:
        return
    why = None
    if len(optimizers_of(model)) != 1:
        why = f"the model has {len(optimizers_of(model))} optimizers, which take turns"
    elif model.jit_compile is True:
        why = "jit_compile=True compiles a step for pieces of one size"
    elif any(getattr(v, "aggregation", None) == "sum" for v in model.non_trainable_variables):
        why = "the model keeps a state for each row of a batch"
    if why:
        raise LoopError(
            f"gradients cannot be accumulated: {why}. Received: accumulate={pieces}. "
            "Train without --accumulate, with a smaller batch."
        )


def check_losses(model: keras.Model, spec: Any) -> None:
    """Refuse losses that divide by a sum over the batch: pieces would not agree with the whole.

    Raises:
        LoopError: there is one.
    """
    for loss in keras.tree.flatten(model.loss):
        by_weights = getattr(loss, "reduction", None) == "mean_with_sample_weight"
        if by_weights and isinstance(spec, tuple) and len(spec) > 2:
            what = 'reduction="mean_with_sample_weight"'
        elif getattr(loss, "divides_by_tokens", False):
            what = 'divide_by="tokens"'
        else:
            continue
        raise LoopError(
            f"{type(loss).__name__} with {what} divides by what its piece of a batch has: replicas "
            "and pieces would not agree with one device. Give the labels sample weights made from "
            "the whole batch and a loss that divides by the number of examples, or train with "
            "--strategy one and without --accumulate."
        )
