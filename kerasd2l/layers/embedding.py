"""An embedding as PyTorch has it, for models that are trained on several replicas."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasd2l")
class Embedding(keras.layers.Embedding):
    """`keras.layers.Embedding`, drawn from N(0, 1), whose gradient is one array.

    Row i is what token i becomes. TensorFlow's gradient of a lookup is a list of rows with repeats:
    replicas with different numbers of them cannot add theirs, and clipping by the norm measures
    them wrongly. Section: "seq2seq".

    Args:
        input_dim: int, V.
        output_dim: int, E.
        embeddings_initializer: default: N(0, 1), PyTorch's; Keras' is uniform in +-0.05.
        **kwargs: of `keras.layers.Embedding`.

    Call arguments:
        inputs: (...) int.

    Returns:
        (..., E) float.

    Example:
        >>> tuple(Embedding(10, 4)(keras.ops.zeros((2, 3), "int32")).shape)
        (2, 3, 4)
    """

    def __init__(self, input_dim, output_dim, embeddings_initializer=None, **kwargs):
        if embeddings_initializer is None:
            embeddings_initializer = keras.initializers.RandomNormal(0.0, 1.0)
        super().__init__(input_dim, output_dim, embeddings_initializer, **kwargs)

    def call(self, inputs):
        table = ops.cast(ops.convert_to_tensor(self.embeddings), self.compute_dtype)
        one = ops.ones((), self.compute_dtype)
        return ops.take(table * one, inputs, axis=0)  # the product's gradient is not sparse
