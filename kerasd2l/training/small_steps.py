"""Small networks on a CPU: a thread for an operation, and a batch in pieces side by side.

Cutting each small operation over the cores costs more than it brings. Where TensorFlow was given
one thread for an operation (`Recipe.small_steps`), the batch is cut instead, once, and the network
computes the pieces side by side; only for networks that treat every example alone. Measured on two
cores: LeNet 1.4 times, `mnist_resnet` 1.5 times as quick. Layers, weights and numbers stay
(rounding apart), and so does what is saved and exported.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from kerasd2l.recipe import Recipe
from kerasd2l.training.around_keras import replaced

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
def in_pieces(model: keras.Model, batch_size: int) -> Iterator[None]:
    """Let a small model train on pieces of a batch side by side while the context lasts.

    Nothing happens on a GPU, where operations have more than one thread, for small batches, and for
    models that look at a batch as a whole.

    Args:
        model: whose layers are looked at.
        batch_size: int, examples in a batch.
    """
    pieces = min(_cores(), batch_size // _PIECE) if _one_thread_each() else 1
    if pieces < 2 or tf.config.list_logical_devices("GPU") or not _examples_alone(model):
        yield
        return
    with replaced(model, "call", functools.partial(_in_pieces, pieces=pieces)):
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
        and all(
            type(layer) in _ALONE or vars(type(layer)).get("examples_alone") for layer in layers
        )
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
