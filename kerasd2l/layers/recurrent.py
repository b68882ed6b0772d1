"""Recurrent layers with Keras' own weights, arguments and results, quicker to train on a CPU.

Sections: "rnn-concise", "gru", "lstm".

Each class is Keras' own: same constructor, weights, masks, states, and cuDNN on a GPU. One case
differs: training with TensorFlow in float32, with the default activations, without dropout, over at
most `LONGEST_UNROLLED` steps whose number is known. Then the steps are written out one after the
other and the gradient is written by hand, for these reasons:

- Products with the inputs are taken once, over all steps: they do not wait for a state.
- Products for the gradients of the weights are taken once, over all steps: one large product costs
  a third of many small ones, and no running sum of the size of the weights is kept.
- Every gate has a product of its own: gates are neither cut out of nor put together into one
  array, and TensorFlow computes them side by side on the cores.
- No loop in the graph: its bookkeeping costs as much as the arithmetic of a small step.

With `jit_compile=True` a model that holds one of these layers warns and goes without XLA, which
compiles the written-out steps slowly and makes them slower: for LSTM with 256 units, 35 steps and
batches of 32, on one core, 115 ms an update against 19 (TF 2.21).

Everything else, and the backends JAX and PyTorch, goes Keras' way. The written-out graph has no
second derivative; asking for one is an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
from keras import ops
from keras.activations import sigmoid, tanh

LONGEST_UNROLLED = 64  # steps; tracing takes some 40 ms a step


class _Step(NamedTuple):
    """The arithmetic of one step and its derivative, gates apart.

    Attributes:
        gates: number of gates, in the order of the weights' columns.
        forward: (x, r, states) -> (states, saved). `x` and `r` list the products of the gates with
            the inputs and with the former output, biases added; states[0] is the output.
        backward: (saved, gradients of the states) -> (gradients of x, gradients of r, gradients of
            the former states but for the way through r; None is zero).
    """

    gates: int
    forward: Callable
    backward: Callable


def _rnn_forward(x, r, states):
    h = ops.tanh(x[0] + r[0])
    return [h], h


def _rnn_backward(h, gradients):
    dx = [gradients[0] * (1 - h * h)]
    return dx, dx, [None]


def _gru_forward(x, r, states):
    update, reset = ops.sigmoid(x[0] + r[0]), ops.sigmoid(x[1] + r[1])
    candidate = ops.tanh(x[2] + reset * r[2])
    change = states[0] - candidate
    return [candidate + update * change], (update, reset, candidate, change, r[2])


def _gru_backward(saved, gradients):
    (update, reset, candidate, change, r2), (dh,) = saved, gradients
    kept = dh * update
    dx2 = (dh - kept) * (1 - candidate * candidate)
    dr2 = dx2 * reset
    first = [kept * change * (1 - update), dr2 * r2 * (1 - reset)]
    return [*first, dx2], [*first, dr2], [kept]


def _lstm_forward(x, r, states):
    z = [a + b for a, b in zip(x, r, strict=True)]
    i, f, g, o = ops.sigmoid(z[0]), ops.sigmoid(z[1]), ops.tanh(z[2]), ops.sigmoid(z[3])
    added, kept = i * g, f * states[1]
    c = kept + added
    squashed = ops.tanh(c)
    h = o * squashed
    return [h, c], (i, f, g, o, added, kept, squashed, h)


def _lstm_backward(saved, gradients):
    (i, f, g, o, added, kept, squashed, h), (dh, dc) = saved, gradients
    dc = dc + dh * (o - h * squashed)
    slopes = (added - added * i, kept - kept * f, i - added * g)
    dx = [*(dc * slope for slope in slopes), dh * (h - h * o)]
    return dx, dx, [None, dc * f]


_RNN = _Step(1, _rnn_forward, _rnn_backward)
_GRU = _Step(3, _gru_forward, _gru_backward)
_LSTM = _Step(4, _lstm_forward, _lstm_backward)


def _unroll(step: _Step, sequences, states: Sequence, weights: Sequence, mask=None):
    """Run the steps one after the other, with a gradient written by hand.

    Args:
        step: what one step computes.
        sequences: (T, B, D).
        states: arrays (B, H), the output first.
        weights: kernel (D, G H), recurrent kernel (H, G H), bias (G H,), and where there is one the
            bias (H,) of the last gate's product with the former output.
        mask: (T, B, H) bool, False where the states stay as they are; None: nowhere.

    Returns:
        T outputs (B, H), and the last states.
    """
    (steps, _, features), units, carried = sequences.shape, states[0].shape[-1], len(states)
    counts = [None] * steps if mask is None else ops.unstack(mask, steps)

    def gates(weight):
        return [weight[..., k * units : (k + 1) * units] for k in range(step.gates)]

    @ops.custom_gradient
    def run(sequences, *rest):
        states, (kernel, recurrent, bias, *inner_bias) = list(rest[:carried]), rest[carried:]
        flat = ops.reshape(sequences, (-1, features))  # (T * B, D)
        x = [flat @ w + b for w, b in zip(gates(kernel), gates(bias), strict=True)]
        x = [ops.unstack(ops.reshape(gate, (steps, -1, units)), steps) for gate in x]
        recurrent = gates(recurrent)
        outputs, saved = [states[0]], []
        for t in range(steps):
            r = [states[0] @ u for u in recurrent]
            r[-1] = _sum(r[-1], *inner_bias)
            new, kept = step.forward([gate[t] for gate in x], r, states)
            states = _where(counts[t], new, states)
            outputs.append(states[0])
            saved.append(kept)

        def gradient(*upstream):
            return back(*upstream, sequences, *rest)

        @ops.custom_gradient
        def back(*upstream):
            # Turned here, at once: a transposition of one kernel would be put into every product.
            turned = ops.reshape(rest[carried + 1], (units, step.gates, units))
            turned = ops.unstack(ops.transpose(turned, (1, 2, 0)), step.gates)
            d_states = [None, *upstream[steps : steps + carried - 1]]
            dx, dr = [], []
            for t in reversed(range(steps)):
                d_states[0] = _sum(upstream[t], d_states[0])
                d_new, d_old = _where_gradients(counts[t], d_states)
                dx_t, dr_t, d_states = step.backward(saved[t], d_new)
                products = [d @ u for d, u in zip(dr_t, turned, strict=True)]
                d_states[0] = _sum(*products, d_states[0])
                d_states = [_sum(*pair) for pair in zip(d_states, d_old, strict=True)]
                dx.append(dx_t)
                dr.append(dr_t)
            dx, dr = (_by_gate(lists[::-1]) for lists in (dx, dr))
            d_flat = _sum(*(d @ ops.transpose(w) for d, w in zip(dx, gates(kernel), strict=True)))
            before = ops.transpose(ops.concatenate(outputs[:-1]))  # (H, T * B)
            gradients = (
                ops.reshape(d_flat, ops.shape(sequences)),
                *d_states,
                ops.concatenate([ops.transpose(flat) @ d for d in dx], axis=1),
                ops.concatenate([before @ d for d in dr], axis=1),
                ops.concatenate([ops.sum(d, axis=0) for d in dx]),
                *(ops.sum(dr[-1], axis=0) for _ in inner_bias),
            )
            return gradients, _no_second_derivative

        return (*outputs[1:], *states[1:]), gradient

    results = run(sequences, *states, *weights)
    return results[:steps], [results[steps - 1], *results[steps:]]


def _where(counts, new: list, old: Sequence) -> list:
    """Return the new states (B, H) where the step counts, the old ones elsewhere."""
    if counts is None:
        return new
    return [ops.where(counts, a, b) for a, b in zip(new, old, strict=True)]


def _where_gradients(counts, d_states: list) -> tuple[list, list]:
    """Return the gradients of the new states and of the old ones."""
    if counts is None:
        return d_states, [None] * len(d_states)
    d_new = [d * ops.cast(counts, d.dtype) for d in d_states]
    return d_new, [d - of_new for d, of_new in zip(d_states, d_new, strict=True)]


def _by_gate(steps):
    """Turn T lists of G arrays (B, H) into G arrays (T * B, H)."""
    return [ops.concatenate(gate) for gate in zip(*steps, strict=True)]


def _sum(*terms):
    """Add what is not None, neighbours first: the terms can be computed side by side."""
    present = [term for term in terms if term is not None]
    while len(present) > 1:
        present = [sum(present[k + 1 : k + 2], present[k]) for k in range(0, len(present), 2)]
    return present[0]


def _no_second_derivative(*_):
    raise NotImplementedError(
        "the recurrent layers of kerasd2l have no second derivative in training. "
        "Take it with training=False, or use the layer of the same name in keras.layers."
    )


def _value(variable):
    """Return a tensor of its own: a custom gradient is given by arguments, and a variable is none.

    Nor is the state of a stateful layer, which is assigned before the gradient is asked for.
    """
    return ops.copy(variable)


class _Unrolled(keras.layers.RNN):
    """Training with the steps written out; stands between a layer of Keras and Keras' loop.

    Keras' classes try cuDNN first and call this `inner_loop` for the rest.
    """

    _step: _Step

    def build(self, sequences_shape, initial_state_shape=None):
        super().build(sequences_shape, initial_state_shape)
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False  # XLA compiles the written-out steps slowly, to slow code

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if not (training and self._unrolls(sequences)):
            return super().inner_loop(sequences, initial_state, mask=mask, training=training)
        states = [_value(state) for state in keras.tree.flatten(initial_state)]
        sequences = ops.transpose(sequences, (1, 0, 2))
        if mask is not None:
            mask = ops.transpose(ops.cast(mask, "bool"))[:, :, None]  # (T, B, 1)
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=0)
            mask = None if mask is None else ops.flip(mask, axis=0)
        wide = None if mask is None else ops.tile(mask, (1, 1, self.cell.units))
        outputs, states = _unroll(self._step, sequences, states, self._weights_by_use(), wide)
        shown = ops.stack(outputs) if self.return_sequences else outputs[-1][None]
        if mask is not None:
            shown = shown * ops.cast(self._shows(mask), shown.dtype)[-shown.shape[0] :]
        return shown[-1], ops.transpose(shown, (1, 0, 2)), states

    def _shows(self, mask):
        """Return where (T, B, 1) an output is the state; elsewhere it is zero, as Keras has it.

        Before the first step that counts, and with `zero_output_for_mask` at each that does not.
        """
        if self.zero_output_for_mask:
            return mask
        return ops.cumsum(ops.cast(mask, "int32"), axis=0) > 0

    def _unrolls(self, sequences) -> bool:
        """Whether this layer and these inputs are the case that is quicker written out."""
        cell, steps = self.cell, sequences.shape[1]
        return (
            keras.backend.backend() == "tensorflow"
            and steps is not None
            and 0 < steps <= LONGEST_UNROLLED
            and self.compute_dtype == "float32"
            and not (cell.dropout or cell.recurrent_dropout)
            and cell.activation is tanh
            and getattr(cell, "recurrent_activation", sigmoid) is sigmoid
            and getattr(cell, "reset_after", True)
        )

    def _weights_by_use(self):
        """Return kernel, recurrent kernel and bias, and for GRU the inner bias of the candidate."""
        cell = self.cell
        kernel, recurrent = _value(cell.kernel), _value(cell.recurrent_kernel)
        if cell.bias is None:
            return kernel, recurrent, ops.zeros((kernel.shape[-1],))
        bias = _value(cell.bias)
        if len(bias.shape) == 1:
            return kernel, recurrent, bias
        # GRU's second row of biases: those of z and r only add to the first row.
        added = ops.pad(bias[1, : -cell.units], (0, cell.units))
        return kernel, recurrent, bias[0] + added, bias[1, -cell.units :]


@keras.saving.register_keras_serializable("kerasd2l")
class SimpleRNN(keras.layers.SimpleRNN, _Unrolled):
    """`keras.layers.SimpleRNN`, quicker in training: the state is the last output.

    h_t = tanh(x_t W + h_(t-1) U + b). Section: "rnn-concise".

    PyTorch's RNN has two biases, whose sum is this one. Arguments, call arguments and weights are
    those of `keras.layers.SimpleRNN`.

    Example:
        >>> SimpleRNN(4, return_sequences=True)(keras.ops.zeros((2, 35, 28)), training=True).shape
        TensorShape([2, 35, 4])

    Reference: Elman, Finding structure in time, 1990.
    """

    _step = _RNN

    def get_config(self):
        return {**super().get_config(), "seed": self.cell.seed}  # Keras forgets it


@keras.saving.register_keras_serializable("kerasd2l")
class GRU(keras.layers.GRU, _Unrolled):
    """`keras.layers.GRU`, quicker in training: gates say what of the state is kept.

    z = s(x W_z + h U_z + b_z), r = s(x W_r + h U_r + b_r),
    n = tanh(x W_n + b_n + r * (h U_n + c_n)), h' = z * h + (1 - z) * n, where s is the sigmoid; the
    columns of the weights hold the gates in the order z, r, n. Section: "gru".

    As in cuDNN and PyTorch the reset gate acts after the product; the book's, before it, is
    `reset_after=False`, which takes Keras' loop. PyTorch has the order r, z, n and the same two
    rows of biases. Arguments, call arguments and weights are those of `keras.layers.GRU`.

    Example:
        >>> GRU(4, return_sequences=True)(keras.ops.zeros((2, 35, 28)), training=True).shape
        TensorShape([2, 35, 4])

    Reference: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.
    """

    _step = _GRU

    def get_config(self):
        return {**super().get_config(), "use_cudnn": self.use_cudnn}  # Keras forgets it


@keras.saving.register_keras_serializable("kerasd2l")
class LSTM(keras.layers.LSTM, _Unrolled):
    """`keras.layers.LSTM`, quicker in training: a memory cell c beside the output h.

    i, f, o = s(x W + h U + b), each with its own weights, and g = tanh of its own,
    c' = f * c + i * g, h' = o * tanh(c'), where s is the sigmoid; the columns of the weights hold
    the gates in the order i, f, g, o, as PyTorch's rows do. Section: "lstm".

    One bias where PyTorch has two; that of f starts at 1 (`unit_forget_bias`). Arguments, call
    arguments and weights are those of `keras.layers.LSTM`.

    Example:
        >>> LSTM(4, return_sequences=True)(keras.ops.zeros((2, 35, 28)), training=True).shape
        TensorShape([2, 35, 4])

    Reference: Hochreiter and Schmidhuber, Long short-term memory, 1997.
    """

    _step = _LSTM

    def get_config(self):
        return {**super().get_config(), "use_cudnn": self.use_cudnn}  # Keras forgets it
