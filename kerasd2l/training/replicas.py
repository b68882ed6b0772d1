"""Sharing a global batch between replicas so that N replicas compute what one would.

Piece i of n examples is [i * n // R, (i + 1) * n // R): sizes differ by one at most. What follows
from that for losses, gradients and BatchNormalization is in `around_keras.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def share(
    strategy: tf.distribute.Strategy,
    dataset: tf.data.Dataset,
    *,
    training: bool,
    load: Callable | None = None,
) -> tf.distribute.DistributedDataset:
    """Distribute a dataset of global batches: every replica gets its piece of each batch.

    All workers go through the same global batches, and each keeps its own pieces, so the batches
    are the same examples in the same order however many workers there are. With `load` a worker
    reads its own examples only.

    Args:
        strategy: with more than one replica.
        dataset: batches whose first axis is the global batch.
        training: True leaves out a batch with fewer examples than replicas (a replica without
            examples has no gradient); False gives some replicas an empty piece.
        load: None, or `Rows.load` for a dataset of `Rows.batches`.

    Returns:
        A distributed dataset of (n, piece of a batch of n examples), without end: the caller
        counts the steps.
    """

    def pieces(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local

        def mine(*batch):
            """Return the size of a batch, where this worker's part begins, and that part."""
            batch = batch[0] if len(batch) == 1 else batch
            n = batch_size(batch)
            start, end = first * n // replicas, (first + local) * n // replicas
            return n, start, (load or _cut)(batch, start, end)

        def split(n, start, part):
            def piece(i):
                i = tf.cast(i, tf.int32)
                return n, _cut(part, i * n // replicas - start, (i + 1) * n // replicas - start)

            return tf.data.Dataset.range(first, first + local).map(piece)

        shared = dataset
        if training:
            shared = shared.filter(lambda *batch: batch_size(batch) >= replicas)
        # Without end: else the iterator asks all workers at every step whether data is left.
        if load is None:
            return shared.repeat().map(mine).flat_map(split).prefetch(2 * local)
        parts = shared.map(mine, num_parallel_calls=tf.data.AUTOTUNE)
        parts = parts.concatenate(_nothing(parts.element_spec))  # none is read for nobody
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return parts.flat_map(split).apply(endless).prefetch(tf.data.AUTOTUNE)

    return strategy.distribute_datasets_from_function(pieces)


def _nothing(spec) -> tf.data.Dataset:
    """Return empty elements without end."""

    def empty(one):
        return tf.zeros([size or 0 for size in one.shape], one.dtype)

    return tf.data.Dataset.from_tensors(tf.nest.map_structure(empty, spec)).repeat()


def _cut(batch, first, end):
    return tf.nest.map_structure(lambda t: t[first:end], batch)


def batch_size(batch) -> tf.Tensor:
    """Return the number of examples of a batch: the first axis of its first tensor."""
    return tf.shape(tf.nest.flatten(batch)[0])[0]
