"""Recurrent layers on top of each other, in both directions, and with an output: by hand."""

from __future__ import annotations

from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from kerasd2l.scratch.gated import GRUScratch, LSTMScratch
from kerasd2l.scratch.recurrent import RecurrentScratch, RNNScratch

Kind = Literal["rnn", "gru", "lstm"]
_KINDS: dict[str, type[RecurrentScratch]] = {
    "rnn": RNNScratch,
    "gru": GRUScratch,
    "lstm": LSTMScratch,
}


def _make(kind: str, number: int, units: int, seed: int | None, **arguments: Any):
    """Make the `number`-th layer of a kind; its seed follows those of the layers before."""
    if kind not in _KINDS:
        choice = ", ".join(get_args(Kind))
        raise ValueError(f"`kind` must be one of {choice}. Received: kind={kind!r}.")
    layer = _KINDS[kind]
    first = None if seed is None else seed + number * 12  # no kind has more than 12 weights
    return layer(units, seed=first, **arguments)


@keras.saving.register_keras_serializable(package="kerasd2l")
class StackedRNNScratch(keras.layers.Layer):
    """Recurrent layers on top of each other: each reads the hidden states of the one below.

    H_t^(l) = f(H_t^(l-1), H_{t-1}^(l)), H_t^(0) = X_t. Section: "deep-rnn". The twin of as many
    Keras layers in a row. The GRU is the book's (reset before the product).

    Args:
        units: int > 0, size of the hidden state of each layer.
        num_layers: int > 0. Default: 2.
        kind: "rnn", "gru" or "lstm".
        return_sequences: bool, return H of every step of the top layer, not only the last one.
        return_state: bool, return the last state of each layer, too.
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None. Layer l (0-based) draws its i-th weight with seed + 12 l + i.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float.
        initial_state: list of the states of all layers from the bottom, H or H, C for each, (B,
            units). Default: zeros.

    Returns:
        (B, units), or (B, T, units) with `return_sequences`; with `return_state` a tuple of that
        and the last states as in `initial_state`.

    Raises:
        ValueError: an argument out of range, or a state with another number of tensors.

    Example:
        >>> layer = StackedRNNScratch(32, 2, return_sequences=True, return_state=True)
        >>> [tuple(part.shape) for part in layer(keras.ops.ones((4, 7, 28)))]
        [(4, 7, 32), (4, 32), (4, 32)]
    """

    def __init__(
        self,
        units: int,
        num_layers: int = 2,
        kind: Kind = "rnn",
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        stddev: float = 0.01,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if num_layers < 1:
            raise ValueError(f"`num_layers` must be positive. Received: num_layers={num_layers}.")
        self.units, self.num_layers, self.kind = units, num_layers, kind
        self.return_sequences, self.return_state = return_sequences, return_state
        self.stddev, self.seed = stddev, seed
        self.rnns = [
            _make(
                kind,
                i,
                units,
                seed,
                name=f"{kind}_{i + 1}",
                stddev=stddev,
                return_sequences=return_sequences or i + 1 < num_layers,
                return_state=True,
                dtype=self.dtype_policy,
            )
            for i in range(num_layers)
        ]
        self.state_names = tuple(
            f"{name}_{i + 1}" for i, rnn in enumerate(self.rnns) for name in rnn.state_names
        )

    def keras_weights(self) -> list[np.ndarray]:
        """Return the weights as Keras layers in a row keep them."""
        return [weight for rnn in self.rnns for weight in rnn.keras_weights()]

    def build(self, inputs_shape, initial_state_shape=None):
        for rnn in self.rnns:
            rnn.build(inputs_shape)
            inputs_shape = (*inputs_shape[:2], self.units)

    def call(self, inputs, initial_state=None):
        size = len(self.rnns[0].state_names)
        if initial_state is not None:
            initial_state = keras.tree.flatten(initial_state)
            if len(initial_state) != size * self.num_layers:
                raise ValueError(
                    f"`initial_state` must be {size} tensor(s) for each of {self.num_layers} "
                    f"layers. Received: {len(initial_state)}."
                )
        H, states = inputs, []
        for i, rnn in enumerate(self.rnns):
            first = None if initial_state is None else initial_state[i * size : (i + 1) * size]
            H, *state = rnn(H, initial_state=first)
            states += state
        return (H, *states) if self.return_state else H

    def compute_output_shape(self, inputs_shape, initial_state_shape=None):
        state = (inputs_shape[0], self.units)
        output = (*inputs_shape[:2], self.units) if self.return_sequences else state
        count = self.num_layers * len(self.rnns[0].state_names)
        return (output, *[state] * count) if self.return_state else output

    def get_config(self):
        names = ["units", "num_layers", "kind", "return_sequences", "return_state"]
        names += ["stddev", "seed"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="kerasd2l")
class BiRNNScratch(keras.layers.Layer):
    """Two recurrent layers, one reading forwards and one backwards: Keras' Bidirectional by hand.

    H_t = (forward H_t, backward H_t), side by side. Section: "bi-rnn". The directions share no
    weights. The GRU is the book's (reset before the product).

    Args:
        units: int > 0, size of the hidden state of each direction.
        kind: "rnn", "gru" or "lstm".
        return_sequences: bool, return every step. Otherwise what each direction has at its end:
            the backward one at the first step.
        return_state: bool, return the last state of each direction, too.
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None. The forward layer draws its i-th weight with seed + i, the backward one
            with seed + 12 + i.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float.

    Returns:
        (B, 2 units), or (B, T, 2 units) with `return_sequences`; with `return_state` a tuple of
        that, the forward state and the backward state: H or H, C for each, (B, units).

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> BiRNNScratch(32, return_sequences=True)(keras.ops.ones((4, 7, 28))).shape
        TensorShape([4, 7, 64])

    Reference:
        Schuster, Paliwal, Bidirectional recurrent neural networks, 1997.
    """

    def __init__(
        self,
        units: int,
        kind: Kind = "rnn",
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        stddev: float = 0.01,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units, self.kind, self.stddev, self.seed = units, kind, stddev, seed
        self.return_sequences, self.return_state = return_sequences, return_state
        both = {"stddev": stddev, "return_sequences": return_sequences, "return_state": True}
        both["dtype"] = self.dtype_policy
        self.f_rnn = _make(kind, 0, units, seed, name="forward", **both)
        self.b_rnn = _make(kind, 1, units, seed, name="backward", go_backwards=True, **both)

    def keras_weights(self) -> list[np.ndarray]:
        """Return the weights as `keras.layers.Bidirectional` keeps them: forward, backward."""
        return [*self.f_rnn.keras_weights(), *self.b_rnn.keras_weights()]

    def build(self, inputs_shape):
        self.f_rnn.build(inputs_shape)
        self.b_rnn.build(inputs_shape)

    def call(self, inputs):
        f_H, *f_state = self.f_rnn(inputs)
        b_H, *b_state = self.b_rnn(inputs)
        if self.return_sequences:
            b_H = ops.flip(b_H, axis=1)  # step t beside step t
        H = ops.concatenate([f_H, b_H], axis=-1)
        return (H, *f_state, *b_state) if self.return_state else H

    def compute_output_shape(self, inputs_shape):
        state = (inputs_shape[0], self.units)
        output = (*inputs_shape[:2], 2 * self.units)
        if not self.return_sequences:
            output = (inputs_shape[0], 2 * self.units)
        count = 2 * len(self.f_rnn.state_names)
        return (output, *[state] * count) if self.return_state else output

    def get_config(self):
        names = ("units", "kind", "return_sequences", "return_state", "stddev", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="kerasd2l")
class RNNModelScratch(keras.Model):
    """A language model by hand: one-hot tokens, a recurrent layer, and H W_hq + b_q.

    Sections: "rnn-scratch", "gru", "lstm".

    Args:
        vocab_size: int > 0, tokens V.
        units: int > 0, size of the hidden state. The book: 512 for the RNN, 256 for the others.
        kind: "rnn", "gru" or "lstm".
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None. The recurrent layer draws its i-th weight with seed + i, W_hq with
            seed + 12.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, T) int, numbers of tokens.
        training: bool, without effect.

    Returns:
        (B, T, V) logits of the next token, float32.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> model = RNNModelScratch(28, 512)
        >>> model.build((None, None))
        >>> model.count_params()
        291356
    """

    def __init__(
        self,
        vocab_size: int,
        units: int = 256,
        kind: Kind = "rnn",
        *,
        stddev: float = 0.01,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if vocab_size < 1:
            raise ValueError(f"`vocab_size` must be positive. Received: vocab_size={vocab_size}.")
        self.vocab_size, self.units, self.kind = vocab_size, units, kind
        self.stddev, self.seed = stddev, seed
        both = {"return_sequences": True, "return_state": True}
        self.rnn = _make(kind, 0, units, seed, name=kind, stddev=stddev, **both)

    def build(self, input_shape):
        self.rnn.build((*input_shape, self.vocab_size))
        seed = None if self.seed is None else self.seed + 12
        normal = keras.initializers.RandomNormal(stddev=self.stddev, seed=seed)
        shape = (self.units, self.vocab_size)
        self.W_hq = self.add_weight(shape=shape, initializer=normal, name="W_hq")
        self.b_q = self.add_weight(shape=(self.vocab_size,), initializer="zeros", name="b_q")
        super().build(input_shape)

    def get_params(self) -> list[Any]:
        """Return the weights in the book's order: W_xh, W_hh, b_h for the RNN, then W_hq, b_q."""
        return [*self.rnn.weights, self.W_hq, self.b_q]

    def begin_state(self, batch_size: Any) -> tuple[Any, ...]:
        """Return the state before the first token: zeros."""
        return self.rnn.begin_state(batch_size)

    def forward(self, inputs: Any, state: Any = None) -> tuple[Any, tuple[Any, ...]]:
        """Return the logits (B, T, V) of tokens (B, T) that follow a state, and the state then."""
        if not self.built:
            self.build((None, None))
        X = ops.one_hot(inputs, self.vocab_size, dtype=self.compute_dtype)  # (B, T, V)
        H, *state = self.rnn(X, initial_state=state)
        logits = ops.matmul(H, ops.cast(self.W_hq, self.compute_dtype))
        return ops.cast(logits, "float32") + ops.cast(self.b_q, "float32"), tuple(state)

    def call(self, inputs, training=False):
        return self.forward(inputs)[0]

    def get_config(self):
        names = ("vocab_size", "units", "kind", "stddev", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
