"""What stands between the attentions of a Transformer: residual connections and dense layers.

Section: "transformer".
"""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("kerasd2l")
class AddNorm(keras.layers.Layer):
    """A residual connection followed by layer normalization.

    y = LayerNorm(x + dropout(f)). Section: "transformer".

    Args:
        dropout_rate: float in [0, 1), of f. Default: 0.
        epsilon: float > 0, of the normalization. Default: 1e-5, PyTorch's.
        seed: int or None, of dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (..., D) float, x.
        updates: the same shape, f.
        training: bool.

    Returns:
        The inputs' shape and dtype.

    Example:
        >>> AddNorm()(keras.ops.ones((2, 3, 4)), keras.ops.ones((2, 3, 4))).shape
        TensorShape([2, 3, 4])

    Reference:
        He et al., Deep residual learning, 2016; Ba et al., Layer normalization, 2016.
    """

    def __init__(
        self,
        dropout_rate: float = 0.0,
        epsilon: float = 1e-5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.dropout_rate, self.epsilon, self.seed = dropout_rate, epsilon, seed
        self.dropout = keras.layers.Dropout(
            dropout_rate, seed=seed, dtype=self.dtype_policy, name="dropout"
        )
        self.norm = keras.layers.LayerNormalization(
            epsilon=epsilon, dtype=self.dtype_policy, name="norm"
        )

    def build(self, inputs_shape, updates_shape=None):
        self.norm.build(inputs_shape)

    def call(self, inputs, updates, training=False):
        return self.norm(inputs + self.dropout(updates, training=training))

    def compute_output_shape(self, inputs_shape, updates_shape=None):
        return inputs_shape

    def get_config(self):
        names = ("dropout_rate", "epsilon", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kerasd2l")
class PositionWiseFFN(keras.layers.Layer):
    """Two dense layers, the same for each step.

    y_t = W_2 f(W_1 x_t + b_1) + b_2. Section: "transformer".

    Args:
        ffn_num_hiddens: int >= 1, width between the two.
        num_outputs: int >= 1, width of y.
        activation: f; default "relu".
        dropout_rate: float in [0, 1), of f(...). Default: 0, as in the book.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (..., D) float.
        training: bool.

    Returns:
        (..., num_outputs).

    Raises:
        ValueError: a number below 1.

    Example:
        >>> PositionWiseFFN(4, 8)(keras.ops.ones((2, 3, 4))).shape
        TensorShape([2, 3, 8])
    """

    def __init__(
        self,
        ffn_num_hiddens: int,
        num_outputs: int,
        activation: Any = "relu",
        dropout_rate: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        for name, number in (("ffn_num_hiddens", ffn_num_hiddens), ("num_outputs", num_outputs)):
            if number < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={number}.")
        super().__init__(**kwargs)
        self.ffn_num_hiddens, self.num_outputs = ffn_num_hiddens, num_outputs
        self.dropout_rate, self.seed = dropout_rate, seed
        self.activation = keras.activations.get(activation)
        seeds = (None, None) if seed is None else (seed, seed + 1)
        glorot = [keras.initializers.GlorotUniform(one) for one in seeds]
        options = {"dtype": self.dtype_policy}
        self.dense1 = keras.layers.Dense(
            ffn_num_hiddens, self.activation, kernel_initializer=glorot[0], name="dense1", **options
        )
        self.dropout = keras.layers.Dropout(
            dropout_rate, seed=seed, dtype=self.dtype_policy, name="dropout"
        )
        self.dense2 = keras.layers.Dense(
            num_outputs, kernel_initializer=glorot[1], name="dense2", **options
        )

    def build(self, inputs_shape):
        self.dense1.build(inputs_shape)
        self.dense2.build((*inputs_shape[:-1], self.ffn_num_hiddens))

    def call(self, inputs, training=False):
        return self.dense2(self.dropout(self.dense1(inputs), training=training))

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[:-1], self.num_outputs)

    def get_config(self):
        names = ("ffn_num_hiddens", "num_outputs", "dropout_rate", "seed")
        config = {name: getattr(self, name) for name in names}
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), **config, "activation": activation}
