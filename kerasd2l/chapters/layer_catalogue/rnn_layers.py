"""S.7 Recurrent layers."""

from __future__ import annotations

from typing import Any

from kerasd2l import layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent_layers(
    *, batch_size: int = 8, num_steps: int = 200, num_features: int = 64, units: int = 32
) -> Demo:
    """Compare RNN, GRU and LSTM: shapes, weights, and a cell stepped by hand with its layer.

    Section: "rnn-layers". A layer is a cell in a loop over time: `SimpleRNNCell`, `GRUCell` and
    `LSTMCell` take one step (B, D) and a state, and return the output and the next state. PyTorch
    keeps two biases for each gate, Keras one (its GRU two): the same functions, other counts.
    Expected: (8, 200, 64) becomes (8, 200, 32) with a state (8, 32) (PyTorch: (1, 8, 32)); a GRU
    has 9,408 parameters, an LSTM 12,544 in PyTorch and 12,416 in Keras, an RNN 3,136 and 3,104: in
    PyTorch, the GRU has 3/4 of the LSTM's. Cells and layers do not differ.
    Command: kerasd2l run recurrent_layers
    """
    sizes = {
        "batch_size": batch_size,
        "num_steps": num_steps,
        "num_features": num_features,
        "units": units,
    }
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    return Demo("rnn-layers", lambda: _compare(batch_size, num_steps, num_features, units))


def _compare(batch_size: int, num_steps: int, num_features: int, units: int) -> DemoResult:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch_size, num_steps, num_features)).astype("float32")
    kinds = {"RNN": layers.SimpleRNN, "GRU": layers.GRU, "LSTM": layers.LSTM}
    values: dict[str, Any] = {"inputs": list(x.shape)}
    in_torch = {}
    for name, kind in kinds.items():
        layer = kind(units, return_sequences=True, return_state=True)
        outputs, *states = layer(x)
        gates = _GATES[name]
        in_torch[name] = gates * (num_features * units + units * units + 2 * units)
        values[name] = {
            "outputs": list(outputs.shape),
            "states": [list(state.shape) for state in states],
            "weights": {
                weight.path.rpartition("/")[2]: list(weight.shape) for weight in layer.weights
            },
            "parameters in Keras": layer.count_params(),
            "parameters in PyTorch": in_torch[name],
            "largest difference from its cell, stepped by hand": _stepped(
                layer, x, outputs, states
            ),
        }
    values["GRU / LSTM in PyTorch"] = in_torch["GRU"] / in_torch["LSTM"]
    values |= _deeper(x, units)
    return DemoResult(values)


def _stepped(layer, x, outputs, states) -> float:
    """Step a cell with the layer's weights through time; return the largest difference."""
    cell = layer.cell.__class__.from_config(layer.cell.get_config())
    cell.build((None, x.shape[-1]))
    cell.set_weights(layer.get_weights())
    state = [keras.ops.zeros_like(one) for one in states]
    largest = 0.0
    for t in range(x.shape[1]):
        output, state = cell(x[:, t], state)
        largest = max(largest, float(np.abs(np.asarray(output) - outputs[:, t]).max()))
    for one, other in zip(state, states, strict=True):
        largest = max(largest, float(np.abs(np.asarray(one) - np.asarray(other)).max()))
    return largest


def _deeper(x, units: int) -> dict[str, Any]:
    """Return the shapes of two bidirectional GRUs on top of each other."""
    y, states = x, []
    for _ in range(2):
        gru = layers.GRU(units, return_sequences=True, return_state=True)
        y, *ends = keras.layers.Bidirectional(gru)(y)
        states += ends
    return {
        "two bidirectional GRUs": {
            "outputs": list(y.shape),
            "states, one for each layer and direction": [list(state.shape) for state in states],
        }
    }
