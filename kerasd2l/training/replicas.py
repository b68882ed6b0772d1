"""Sharing a global batch between replicas so that N replicas compute what one would.

Piece i of n examples is [i * n // R, (i + 1) * n // R): sizes differ by one at most. What follows
from that for losses, gradients and BatchNormalization is in `around_keras.py`.
"""

from __future__ import annotations

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
