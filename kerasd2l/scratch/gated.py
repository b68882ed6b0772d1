"""Gated recurrent layers by hand: the twins of Keras' GRU and LSTM."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasd2l.scratch.recurrent import RecurrentScratch


@keras.saving.register_keras_serializable(package="kerasd2l")
class GRUScratch(RecurrentScratch):
    """A gated recurrent unit with matrices of its own for each gate: the twin of Keras' GRU.

    Z = sigmoid(X W_xz + H W_hz + b_z), R likewise; H' = tanh(X W_xh + (R * H) W_hh + b_h);
    H = Z * H + (1 - Z) * H'. Section: "gru".

    Sources differ in two points. *Where R acts*: the book resets the state before the product, (R *
    H) W_hh (`keras.layers.GRU(reset_after=False)`); Keras' default, cuDNN and PyTorch reset after
    it, R * (H W_hh + b_hh), with one bias more: `reset_after=True`. *What Z weighs*: here, as in
    the book, Keras and PyTorch, the old state; other texts give it the new one, which is the same
    layer with the signs of W_xz, W_hz and b_z turned.

    Args:
        units: int > 0, size of the hidden state H.
        reset_after: bool, False: the book's formula; True: Keras' default. Default: False.
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
        >>> GRUScratch(32, return_sequences=True)(keras.ops.ones((8, 200, 64))).shape
        TensorShape([8, 200, 32])

    Reference:
        Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.
    """

    def __init__(self, units: int, *, reset_after: bool = False, **kwargs: Any):
        super().__init__(units, **kwargs)
        self.reset_after = reset_after

    def parameters(self):
        names = ("W_xz", "W_hz", "b_z", "W_xr", "W_hr", "b_r", "W_xh", "W_hh", "b_h")
        return (*names, "b_hh") if self.reset_after else names

    def step(self, X, state):
        (H,) = state
        Z = ops.sigmoid(ops.matmul(X, self.W_xz) + ops.matmul(H, self.W_hz) + self.b_z)
        R = ops.sigmoid(ops.matmul(X, self.W_xr) + ops.matmul(H, self.W_hr) + self.b_r)
        if self.reset_after:
            past = R * (ops.matmul(H, self.W_hh) + self.b_hh)
        else:
            past = ops.matmul(R * H, self.W_hh)
        H_tilde = ops.tanh(ops.matmul(X, self.W_xh) + past + self.b_h)
        return (Z * H + (1 - Z) * H_tilde,)

    def keras_weights(self):
        weights = _side_by_side(self, "zrh")
        if self.reset_after:
            past = np.zeros_like(weights[2])
            past[2 * self.units :] = ops.convert_to_numpy(self.b_hh)
            weights[2] = np.stack([weights[2], past])  # (2, 3 * units)
        return weights

    def get_config(self):
        return {**super().get_config(), "reset_after": self.reset_after}


@keras.saving.register_keras_serializable(package="kerasd2l")
class LSTMScratch(RecurrentScratch):
    """A long short-term memory with matrices of its own for each gate: the twin of Keras' LSTM.

    I = sigmoid(X W_xi + H W_hi + b_i), F and O likewise; C' = tanh(X W_xc + H W_hc + b_c);
    C = F * C + I * C'; H = O * tanh(C). Section: "lstm".

    Biases start at 0, as in the book; Keras starts that of the forget gate at 1 unless
    `unit_forget_bias=False`. Only H is given to the next layer.

    Args:
        units: int > 0, size of the hidden state H and of the memory C.
        return_sequences: bool, return H of every step instead of the last one only.
        return_state: bool, return the last state, too.
        go_backwards: bool, read the sequence from its end. Outputs are in the order read.
        stddev: float >= 0, standard deviation of the initial weights. Default: 0.01.
        seed: int or None. Weight i draws with seed + i.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float, one-hot tokens in the book.
        initial_state: [H, C], each (B, units). Default: zeros.

    Returns:
        (B, units), or (B, T, units) with `return_sequences`; with `return_state` a tuple of that,
        the last H and the last C, each (B, units).

    Raises:
        ValueError: an argument out of range, inputs that are not (B, T, D), or a state with
            another number of tensors.

    Example:
        >>> outputs, H, C = LSTMScratch(32, return_state=True)(keras.ops.ones((8, 200, 64)))
        >>> outputs.shape, C.shape
        (TensorShape([8, 32]), TensorShape([8, 32]))

    Reference:
        Hochreiter, Schmidhuber, Long short-term memory, 1997.
    """

    state_names = ("H", "C")

    def parameters(self):
        return tuple(name for gate in "ifoc" for name in (f"W_x{gate}", f"W_h{gate}", f"b_{gate}"))

    def step(self, X, state):
        H, C = state
        I = ops.sigmoid(ops.matmul(X, self.W_xi) + ops.matmul(H, self.W_hi) + self.b_i)  # noqa: E741
        F = ops.sigmoid(ops.matmul(X, self.W_xf) + ops.matmul(H, self.W_hf) + self.b_f)
        O = ops.sigmoid(ops.matmul(X, self.W_xo) + ops.matmul(H, self.W_ho) + self.b_o)  # noqa: E741
        C_tilde = ops.tanh(ops.matmul(X, self.W_xc) + ops.matmul(H, self.W_hc) + self.b_c)
        C = F * C + I * C_tilde
        return O * ops.tanh(C), C

    def keras_weights(self):
        return _side_by_side(self, "ifco")


def _side_by_side(layer: RecurrentScratch, gates: str) -> list[np.ndarray]:
    """Return kernel, recurrent kernel and bias with the gates in the given order."""
    weights = {weight.name: ops.convert_to_numpy(weight) for weight in layer.weights}
    return [
        np.concatenate([weights[part + gate] for gate in gates], axis=-1)
        for part in ("W_x", "W_h", "b_")
    ]
