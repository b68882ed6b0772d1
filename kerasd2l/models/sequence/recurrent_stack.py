"""Recurrent layers on top of each other: what encoder and decoder are made of."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers import GRU, LSTM

CELLS = {"gru": GRU, "lstm": LSTM}


@keras.saving.register_keras_serializable("kerasd2l")
class RecurrentStack(keras.layers.Layer):
    """Recurrent layers on top of each other with dropout between them, as PyTorch's GRU and LSTM.

    Sections: "deep-rnn", "seq2seq". Weights are Xavier-uniform, as the book draws them; biases
    begin at zero (LSTM: forget gate 1) and there is one set of them (GRU: two), as in Keras.

    Args:
        num_hiddens: int >= 1, H, units of every layer.
        num_layers: int >= 1. Default: 1.
        dropout_rate: float in [0, 1), of the values that go from layer to layer. Default: 0.
        cell: "gru" or "lstm". Default: "gru".
        seed: int or None; each layer draws with numbers of its own made from it.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float.
        states: for each layer a list of its states (B, H), one (GRU) or two (LSTM); None: zeros.
        valid_lens: (B,) int; steps from there on change no state. None: all steps count.
        training: bool.

    Returns:
        ((B, T, H) outputs of the last layer, which mean nothing after `valid_lens`, and the states
        after the last step).

    Raises:
        ValueError: a size below 1, a rate outside [0, 1), another cell.

    Example:
        >>> outputs, states = RecurrentStack(16, 2)(keras.ops.zeros((4, 7, 8)))
        >>> tuple(outputs.shape), len(states), tuple(states[0][0].shape)
        ((4, 7, 16), 2, (4, 16))
    """

    def __init__(
        self,
        num_hiddens: int,
        num_layers: int = 1,
        *,
        dropout_rate: float = 0.0,
        cell: str = "gru",
        seed: int | None = None,
        **kwargs,
    ):
        check_sizes(num_hiddens=num_hiddens, num_layers=num_layers)
        if not 0 <= dropout_rate < 1:
            raise ValueError(
                f"`dropout_rate` must be in [0, 1). Received: dropout_rate={dropout_rate}."
            )
        if cell not in CELLS:
            raise ValueError(f"`cell` must be gru or lstm. Received: cell={cell!r}.")
        super().__init__(**kwargs)
        self.num_hiddens, self.num_layers = num_hiddens, num_layers
        self.dropout_rate, self.cell, self.seed = dropout_rate, cell, seed
        self.layers = [
            CELLS[cell](
                num_hiddens,
                return_sequences=True,
                return_state=True,
                kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, 3 * i)),
                recurrent_initializer=keras.initializers.GlorotUniform(drawn(seed, 3 * i + 1)),
                dtype=self.dtype_policy,
                name=f"{cell}_{i}",
            )
            for i in range(num_layers)
        ]
        self.dropouts = [
            keras.layers.Dropout(
                dropout_rate,
                seed=drawn(seed, 3 * i + 2),
                dtype=self.dtype_policy,
                name=f"dropout_{i}",
            )
            for i in range(num_layers - 1)
        ]

    def build(self, input_shape):
        for i, layer in enumerate(self.layers):
            layer.build((*input_shape[:-1], self.num_hiddens if i else input_shape[-1]))
        self.built = True

    def call(self, inputs, states=None, valid_lens=None, training=False):
        one_step = inputs.shape[1] == 1 and states is not None and valid_lens is None
        lengths = None if valid_lens is None else ops.cast(valid_lens, "int32")
        mask = None
        if lengths is not None and self.cell == "lstm":
            steps = ops.arange(ops.shape(inputs)[1], dtype="int32")
            mask = steps[None, :] < lengths[:, None]  # (B, T)
        x, after = inputs, []
        for i, layer in enumerate(self.layers):
            if i:
                x = self.dropouts[i - 1](x, training=training)
            if one_step:  # of a search: no loop over one step
                x, new = layer.cell(ops.squeeze(x, 1), list(states[i]), training=training)
                x = ops.expand_dims(x, 1)
            else:
                before = None if states is None else list(states[i])
                x, *new = layer(x, initial_state=before, mask=mask, training=training)
                if lengths is not None and self.cell == "gru":
                    new = [_at(x, lengths, before)]  # quicker than a mask: the output is the state
            after.append(list(new))
        return x, after

    def get_config(self):
        names = ("num_hiddens", "num_layers", "dropout_rate", "cell", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _at(outputs, lengths, before):
    """Return the outputs (B, H) of the last of so many steps, or what was before the first."""
    places = ops.clip(lengths - 1, 0, ops.shape(outputs)[1] - 1)[:, None, None]
    found = ops.squeeze(ops.take_along_axis(outputs, places, axis=1), 1)
    start = ops.zeros_like(found) if before is None else ops.cast(before[0], found.dtype)
    return ops.where(lengths[:, None] > 0, found, start)


def drawn(seed: int | None, place: int) -> int | None:
    """Return a seed of its own for the place in the network."""
    return None if seed is None else seed + place


def check_sizes(**sizes: int) -> None:
    """Refuse sizes below 1, by the name of the argument."""
    for argument, value in sizes.items():
        if value < 1:
            raise ValueError(f"`{argument}` must be at least 1. Received: {argument}={value}.")


def taken_over(states: Any, stack: RecurrentStack) -> list[list[Any]]:
    """Return an encoder's states as those with which the layers of a decoder begin.

    Raises:
        ValueError: the encoder has another number of layers.
    """
    if len(states) != stack.num_layers:
        raise ValueError(
            "encoder and decoder must have the same number of layers. "
            f"Received: {len(states)} and {stack.num_layers}."
        )
    return [list(state) for state in states]
