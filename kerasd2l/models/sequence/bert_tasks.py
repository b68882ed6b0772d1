"""The two tasks that BERT is pre-trained with: masked words, and whether sentences follow.

Section: "bert".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn


@keras.saving.register_keras_serializable("kerasd2l")
class MaskLM(keras.layers.Layer):
    """Which word stood at a masked position? Logits over the vocabulary.

    o = W_2 LayerNorm(f(W_1 x_p + b_1)) + b_2 for each position p. Section: "bert".

    Args:
        vocab_size: int V >= 1.
        num_hiddens: int >= 1, width in between.
        activation: f. Default: "relu", as in the book.
        tied: bool, W_2 is the table of an embedding, given to each call. Default: False, as in the
            book; BERT itself ties them.
        epsilon: float > 0, of the norm. Default: 1e-5; BERT's own is 1e-12.
        seed: int or None, of weights.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float, an encoder's outputs.
        pred_positions: (B, P) int in [0, T).
        table: (V, num_hiddens) float, the embedding's, if tied.

    Returns:
        (B, P, V) float32 logits.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> MaskLM(100, 16)(ops.ones((2, 8, 24)), ops.array([[1, 5, 2], [6, 1, 5]])).shape
        TensorShape([2, 3, 100])
    """

    def __init__(
        self,
        vocab_size: int,
        num_hiddens: int,
        activation: str = "relu",
        tied: bool = False,
        epsilon: float = 1e-5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_sizes(vocab_size=vocab_size, num_hiddens=num_hiddens)
        super().__init__(**kwargs)
        self.vocab_size, self.num_hiddens = vocab_size, num_hiddens
        self.activation, self.tied = activation, tied
        self.epsilon, self.seed = epsilon, seed
        policy = self.dtype_policy
        glorot = keras.initializers.GlorotUniform
        self.dense = keras.layers.Dense(
            num_hiddens,
            activation,
            kernel_initializer=glorot(drawn(seed, 1)),
            dtype=policy,
            name="dense",
        )
        self.norm = keras.layers.LayerNormalization(epsilon=epsilon, dtype=policy, name="norm")
        self.output_dense = None
        if not tied:
            self.output_dense = keras.layers.Dense(
                vocab_size,
                kernel_initializer=glorot(drawn(seed, 2)),
                dtype=policy,
                name="output",
            )

    def build(self, inputs_shape, pred_positions_shape=None, table_shape=None):
        inner = (*inputs_shape[:-1], self.num_hiddens)
        self.dense.build(inputs_shape)
        self.norm.build(inner)
        if self.output_dense is None:
            self.bias = self.add_weight(name="bias", shape=(self.vocab_size,), initializer="zeros")
        else:
            self.output_dense.build(inner)

    def call(self, inputs, pred_positions, table=None):
        batch, steps = ops.shape(inputs)[:2]
        places = ops.cast(pred_positions, "int32") + ops.arange(batch)[:, None] * steps
        x = ops.take(ops.reshape(inputs, (-1, inputs.shape[-1])), places, axis=0)  # (B, P, D)
        x = self.norm(self.dense(x))
        if self.output_dense is not None:
            return ops.cast(self.output_dense(x), "float32")
        logits = ops.matmul(x, ops.transpose(ops.cast(table, x.dtype))) + self.bias
        return ops.cast(logits, "float32")

    def compute_output_spec(self, inputs, pred_positions, table=None):
        return keras.KerasTensor((*pred_positions.shape, self.vocab_size), "float32")

    def get_config(self):
        names = ("vocab_size", "num_hiddens", "activation", "tied", "epsilon", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kerasd2l")
class NextSentencePrediction(keras.layers.Layer):
    """Does the second sentence follow the first? Two logits: no, yes.

    o = W x + b, x made of the vector of `<cls>`. Section: "bert".

    Args:
        seed: int or None, of weights.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        (B, 2) float32 logits.

    Example:
        >>> NextSentencePrediction()(ops.ones((2, 16))).shape
        TensorShape([2, 2])
    """

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.dense = keras.layers.Dense(
            2,
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            dtype="float32",
            name="dense",
        )

    def build(self, inputs_shape):
        self.dense.build(inputs_shape)

    def call(self, inputs):
        return self.dense(inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs.shape[0], 2), "float32")

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
