"""A recurrent layer by hand: a loop over time around one step; the twin of `SimpleRNN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops


class RecurrentScratch(keras.layers.Layer):
    """What the hand-made recurrent layers share: weights, state and the loop over time.

    A subclass says which weights and states it has, what one step does, and how Keras keeps the
    same weights. All weights come from N(0, stddev^2), all biases are 0, as in the book.

    Args:
        units: int > 0, size of the hidden state H.
        return_sequences: bool, return H of every step instead of the last one only.
        return_state: bool, return the last state, too.
        go_backwards: bool, read the sequence from its end. Outputs are in the order read.
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None. Weight i draws with seed + i.
        **kwargs: of `keras.layers.Layer`.
    """

    state_names: ClassVar[tuple[str, ...]] = ("H",)
    stateful, states = False, None  # `keras.layers.Bidirectional` asks

    def __init__(
        self,
        units: int,
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stddev: float = 0.01,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be positive. Received: units={units}.")
        if not stddev >= 0:
            raise ValueError(f"`stddev` must not be negative. Received: stddev={stddev}.")
        self.units, self.stddev, self.seed = units, stddev, seed
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards = go_backwards

    def parameters(self) -> tuple[str, ...]:
        """Return the names of the weights in the book's order."""
        raise NotImplementedError

    def step(self, X: Any, state: Sequence[Any]) -> tuple[Any, ...]:
        """Compute the state after one step from X (B, D) and the state before it."""
        raise NotImplementedError

    def keras_weights(self) -> list[np.ndarray]:
        """Return the weights as the Keras layer of the same formula keeps them."""
        raise NotImplementedError

    def begin_state(self, batch_size: Any) -> tuple[Any, ...]:
        """Return the state before the first step: zeros (B, units) for each of `state_names`."""
        shape = (batch_size, self.units)
        return tuple(ops.zeros(shape, dtype=self.compute_dtype) for _ in self.state_names)

    def build(self, inputs_shape, initial_state_shape=None):
        if len(inputs_shape) != 3 or inputs_shape[-1] is None:
            raise ValueError(
                "`inputs` must be (B, T, D) with a known D. "
                f"Received: inputs of shape {tuple(inputs_shape)}."
            )
        fan_in = {"x": inputs_shape[-1], "h": self.units}
        for i, name in enumerate(self.parameters()):
            seed = None if self.seed is None else self.seed + i
            shape: tuple[int, ...] = (self.units,)
            initial: Any = "zeros"
            if name.startswith("W_"):  # W_xh: from x to h
                shape = (fan_in[name[2]], self.units)
                initial = keras.initializers.RandomNormal(stddev=self.stddev, seed=seed)
            setattr(self, name, self.add_weight(shape=shape, initializer=initial, name=name))

    def call(self, inputs, initial_state=None):
        state = self._first_state(inputs, initial_state)
        if self.go_backwards:
            inputs = ops.flip(inputs, axis=1)
        if inputs.shape[1] is None:  # a graph for any length

            def step(state, X):
                state = self.step(X, state)
                return state, state

            state, all_states = ops.scan(step, state, ops.swapaxes(inputs, 0, 1))
            outputs = ops.swapaxes(all_states[0], 0, 1)  # (B, T, units)
        else:
            H = []
            for t in range(inputs.shape[1]):
                state = self.step(inputs[:, t], state)
                H.append(state[0])
            outputs = ops.stack(H, axis=1) if self.return_sequences else H
        result = outputs if self.return_sequences else state[0]
        return (result, *state) if self.return_state else result

    def _first_state(self, inputs, initial_state):
        if inputs.shape[1] == 0:
            raise ValueError(f"`inputs` must have steps. Received: shape {tuple(inputs.shape)}.")
        if initial_state is None:
            return self.begin_state(ops.shape(inputs)[0])
        if not isinstance(initial_state, (list, tuple)):
            initial_state = (initial_state,)
        if len(initial_state) != len(self.state_names):
            names = ", ".join(self.state_names)
            raise ValueError(
                f"`initial_state` must be {len(self.state_names)} tensor(s): {names}. "
                f"Received: {len(initial_state)}."
            )
        return tuple(initial_state)

    def compute_output_shape(self, inputs_shape, initial_state_shape=None):
        state = (inputs_shape[0], self.units)
        output = (*inputs_shape[:2], self.units) if self.return_sequences else state
        return (output, *(state for _ in self.state_names)) if self.return_state else output

    def get_config(self):
        names = ("units", "return_sequences", "return_state", "go_backwards", "stddev", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="kerasd2l")
class RNNScratch(RecurrentScratch):
    """A recurrent layer with its own W_xh, W_hh, b_h: the twin of `keras.layers.SimpleRNN`.

    H_t = tanh(X_t W_xh + H_{t-1} W_hh + b_h), H_0 = 0. Section: "rnn-scratch".

    Args:
        units: int > 0, size of the hidden state H.
        return_sequences: bool, return H of every step instead of the last one only.
        return_state: bool, return the last state, too.
        go_backwards: bool, read the sequence from its end. Outputs are in the order read.
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None. Weight i draws with seed + i.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float, one-hot tokens in the book.
        initial_state: H (B, units), alone or in a list. Default: zeros.

    Returns:
        (B, units), or (B, T, units) with `return_sequences`; with `return_state` a tuple of that
        and the last H (B, units).

    Raises:
        ValueError: an argument out of range, inputs that are not (B, T, D), or a state with
            another number of tensors.

    Example:
        >>> layer = RNNScratch(512, return_sequences=True, return_state=True)
        >>> Y, H = layer(keras.ops.ones((2, 5, 28)))
        >>> Y.shape, H.shape
        (TensorShape([2, 5, 512]), TensorShape([2, 512]))
    """

    def parameters(self):
        return ("W_xh", "W_hh", "b_h")

    def step(self, X, state):
        (H,) = state
        return (ops.tanh(ops.matmul(X, self.W_xh) + ops.matmul(H, self.W_hh) + self.b_h),)

    def keras_weights(self):
        return self.get_weights()


def copy_to_keras(layer: Any, twin: keras.layers.Layer) -> None:
    """Give a Keras layer the weights of the hand-made one of the same formula.

    Keras keeps the gates of a layer side by side in one kernel (D, gates x units), one
    recurrent_kernel (units, gates x units) and one bias: SimpleRNN has h; GRU z, r, h; LSTM i, f,
    c, o (the book's order is i, f, o, c). `GRU(reset_after=True)` has two rows of biases, (2, 3 x
    units): the first is added to the inputs' part (b_z, b_r, b_h), the second to the state's part
    (0, 0, b_hh). Sections: "rnn-concise", "gru", "lstm".

    Args:
        layer: a built RNNScratch, GRUScratch, LSTMScratch, StackedRNNScratch or BiRNNScratch.
        twin: the built Keras layer, Bidirectional, or model of such layers to fill.

    Raises:
        ValueError: one of them is not built, or their weights do not fit: other sizes, another
            kind of layer, or another `reset_after`.

    Example:
        >>> layer, twin = RNNScratch(8), keras.layers.SimpleRNN(8)
        >>> for one in (layer, twin):
        ...     one.build((None, None, 3))
        >>> copy_to_keras(layer, twin)
    """
    if not (layer.built and twin.built):
        raise ValueError("both layers must be built: call them, or `build((None, None, D))`.")
    weights = layer.keras_weights()
    shapes = [tuple(weight.shape) for weight in weights]
    wanted = [tuple(weight.shape) for weight in twin.weights]
    if shapes != wanted:
        raise ValueError(
            f"the weights of {layer.name!r} do not fit {twin.name!r}. Expected shapes: {wanted}. "
            f"Received: {shapes}. Is it the same kind of layer, with the same units and "
            "`reset_after`?"
        )
    twin.set_weights(weights)
