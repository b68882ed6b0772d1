"""Blocks of one's own: in order, with control flow, one inside the other, with shared weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# More halvings than a float32 has powers of two: the loop ends, infinite inputs included.
MOST_HALVINGS = 320


@keras.saving.register_keras_serializable(package="kerasd2l")
class MLP(keras.Model):
    """A block of one's own: a hidden layer with ReLU, and an output layer.

    y = max(x W1 + b1, 0) W2 + b2. Section: "model-construction".

    Args:
        hidden_units: int >= 1, width of the hidden layer. Default: 256.
        units: int >= 1, width of the output. Default: 10.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        (B, units) float32.

    Example:
        >>> MLP()(ops.ones((2, 20))).shape
        TensorShape([2, 10])
    """

    def __init__(self, hidden_units: int = 256, units: int = 10, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_units, self.units = hidden_units, units
        self.hidden = keras.layers.Dense(hidden_units, "relu", name="hidden")
        self.out = keras.layers.Dense(units, dtype="float32", name="out")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"hidden_units": self.hidden_units, "units": self.units}

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.out.build(self.hidden.compute_output_shape(input_shape))

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], self.units

    def call(self, inputs, training=False):
        return self.out(self.hidden(inputs))


@keras.saving.register_keras_serializable(package="kerasd2l")
class MySequential(keras.Model):
    """Blocks one after the other: what `keras.Sequential` does, by hand.

    y = f_n(... f_2(f_1(x))). Section: "model-construction".

    A block may stand there twice: it keeps one set of weights, also after saving and loading.

    Args:
        blocks: layers or models, at least one, in the order of their calls.

    Call arguments:
        inputs: what the first block takes.

    Returns:
        What the last block returns.

    Raises:
        ValueError: no blocks. TypeError: a block that is no Keras layer.

    Example:
        >>> MySequential([MLP(), keras.layers.Dense(3)])(ops.ones((2, 20))).shape
        TensorShape([2, 3])
    """

    def __init__(self, blocks: Sequence[keras.layers.Layer], **kwargs: Any):
        super().__init__(**kwargs)
        if not blocks:
            raise ValueError("`blocks` must hold at least one layer. Received: none.")
        for block in blocks:
            if not isinstance(block, keras.layers.Layer):
                raise TypeError(f"`blocks` must be Keras layers. Received: {block!r}.")
        self.blocks = list(blocks)

    def get_config(self) -> dict[str, Any]:
        blocks = [keras.saving.serialize_keras_object(block) for block in self.blocks]
        return super().get_config() | {"blocks": blocks}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        blocks = [
            keras.saving.deserialize_keras_object(block, custom_objects=custom_objects)
            for block in config["blocks"]
        ]
        return cls(**(config | {"blocks": blocks}))

    def build(self, input_shape):
        for block in self.blocks:
            if not block.built:
                block.build(input_shape)
            input_shape = block.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape):
        for block in self.blocks:
            input_shape = block.compute_output_shape(input_shape)
        return input_shape

    def call(self, inputs, training=False):
        for block in self.blocks:
            inputs = block(inputs)
        return inputs


@keras.saving.register_keras_serializable(package="kerasd2l")
class FixedHiddenMLP(keras.Model):
    """A block with a constant that never learns, one layer used twice, and a loop in its graph.

    h = f(max(f(x) R + 1, 0)), y = sum(h / 2^n) with the smallest n for which sum|h / 2^n| <= 1;
    f is one dense layer, R from U(0, 1) is saved with the weights. Section: "model-construction".

    The loop is part of the graph: `model.export` and `tf.function` keep it. The sum runs over the
    whole batch, as in the book, so the answer to a batch is one number in [-1, 1].

    Args:
        units: int >= 1, width of the inputs and of every layer. Default: 20.
        seed: int or None, of R.

    Call arguments:
        inputs: (B, units) float.

    Returns:
        () float32.

    Raises:
        ValueError: inputs of another width.

    Example:
        >>> bool(ops.abs(FixedHiddenMLP()(ops.ones((2, 20)))) <= 1)
        True
    """

    def __init__(self, units: int = 20, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.seed = units, seed
        self.linear = keras.layers.Dense(units, name="linear")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units, "seed": self.seed}

    def build(self, input_shape):
        if input_shape[-1] != self.units:
            raise ValueError(
                f"The inputs must have the width of the layer that is used twice, {self.units}. "
                f"Received: input_shape={tuple(input_shape)}."
            )
        self.linear.build(input_shape)
        self.constant = self.add_weight(
            name="constant",
            shape=(self.units, self.units),
            initializer=keras.initializers.RandomUniform(0.0, 1.0, seed=self.seed),
            trainable=False,
        )

    def compute_output_shape(self, input_shape):
        return ()

    def call(self, inputs, training=False):
        x = self.linear(inputs)
        x = ops.relu(ops.matmul(x, self.constant) + 1)
        x = ops.cast(self.linear(x), "float32")  # the same weights again
        (x,) = ops.while_loop(
            lambda x: ops.sum(ops.abs(x)) > 1,
            lambda x: (x / 2,),
            (x,),
            maximum_iterations=MOST_HALVINGS,
        )
        return ops.sum(x)


@keras.saving.register_keras_serializable(package="kerasd2l")
class NestMLP(keras.Model):
    """A block that holds another block: a small network, and a layer behind it.

    y = net(x) W + b, net: Dense 64, ReLU, Dense 32, ReLU. Section: "model-construction".

    Args:
        hidden_units: tuple of int >= 1, widths of the inner network. Default: (64, 32).
        units: int >= 1, width of the output. Default: 16.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        (B, units) float32.

    Example:
        >>> NestMLP()(ops.ones((2, 20))).shape
        TensorShape([2, 16])
    """

    def __init__(self, hidden_units: Sequence[int] = (64, 32), units: int = 16, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_units, self.units = tuple(hidden_units), units
        self.net = MySequential(
            [keras.layers.Dense(width, "relu") for width in self.hidden_units], name="net"
        )
        self.linear = keras.layers.Dense(units, dtype="float32", name="linear")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"hidden_units": self.hidden_units, "units": self.units}

    def build(self, input_shape):
        self.net.build(input_shape)
        self.linear.build(self.net.compute_output_shape(input_shape))

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], self.units

    def call(self, inputs, training=False):
        return self.linear(self.net(inputs))


def chimera(*, seed: int | None = None, name: str = "chimera") -> keras.Model:
    """Build the book's chimera, blocks of every kind: NestMLP, Dense(20), FixedHiddenMLP.

    Section: "model-construction".

    Args:
        seed: int or None, of the constant in FixedHiddenMLP.
        name: str, name of the model.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        A `MySequential` that maps a batch to one number, () float32, in [-1, 1].

    Example:
        >>> chimera()(ops.ones((2, 20))).shape
        TensorShape([])
    """
    blocks = [NestMLP(), keras.layers.Dense(20), FixedHiddenMLP(seed=seed)]
    return MySequential(blocks, name=name)


def tied_mlp(
    num_features: int = 4,
    *,
    hidden_units: int = 8,
    stddev: float | None = None,
    seed: int | None = None,
    name: str = "tied_mlp",
) -> keras.Model:
    """Build a network that uses one hidden layer twice: one variable, its two gradients add.

    D -> 8 -> shared 8 -> the same shared 8 -> 1, ReLU between them. Section: "parameters".

    Args:
        num_features: int >= 1, D.
        hidden_units: int >= 1, width of the hidden layers.
        stddev: float > 0, weights from N(0, stddev^2); None: Keras' Glorot rule.
        seed: int or None. The layers draw their weights with seed, seed + 1, seed + 2.
        name: str, name of the model.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        A functional `keras.Model` that maps to (B, 1) float32.

    Example:
        >>> len(tied_mlp().trainable_weights)
        6
    """

    def kernel(layer: int) -> keras.initializers.Initializer:
        own_seed = None if seed is None else seed + layer
        if stddev is None:
            return keras.initializers.GlorotUniform(seed=own_seed)
        return keras.initializers.RandomNormal(stddev=stddev, seed=own_seed)

    def dense(layer: int, units: int, **options: Any) -> keras.layers.Dense:
        return keras.layers.Dense(units, kernel_initializer=kernel(layer), **options)

    shared = dense(1, hidden_units, activation="relu", name="shared")
    inputs = keras.Input((num_features,), name="inputs")
    x = dense(0, hidden_units, activation="relu", name="first")(inputs)
    x = shared(shared(x))
    outputs = dense(2, 1, dtype="float32", name="output")(x)
    return keras.Model(inputs, outputs, name=name)
