"""9.3 Deep recurrent neural networks."""

from __future__ import annotations

from typing import Literal

from kerasd2l import layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.descent import ClippedDescent
from kerasd2l.tasks.language_model import Corpus, Network, Writing, language_model

keras = lazy("keras")
np = lazy("numpy")
memory = lazy("kerasd2l.scratch.memory")

_BATCH, _STEPS, _SIZE = 4, 12, 8


def deep_lstm_lm(
    *,
    network: Network = Network(num_layers=2),
    corpus: Corpus = Corpus(),
    descent: ClippedDescent = ClippedDescent(2.0),
    writing: Writing = Writing(),
) -> Recipe:
    """Train two layers of long short-term memory on The Time Machine, one on top of the other.

    Section: "deep-rnn". 2 x 256 units; the first 10,000 characters, one-hot; batches of 32 x 35;
    SGD at 2, gradients clipped to norm 1.
    Expected: perplexity on the training text 1.0, 500 epochs (d2l-zh, PyTorch).
    Command: kerasd2l train deep_lstm_lm --data files --export
    """
    return language_model(
        "deep-rnn",
        "lstm",
        network=network,
        corpus=corpus,
        descent=descent,
        writing=writing,
        published=1.0 if network == Network(num_layers=2) else None,
    )


def stacked_layers(
    *, kind: Literal["rnn", "gru", "lstm"] = "lstm", num_layers: int = 2, units: int = 16
) -> Demo:
    """Stack recurrent layers in three ways that compute the same.

    Section: "deep-rnn". By hand; as Keras layers in a row (layer by layer, all steps at once); as
    cells stepped together (step by step, all layers at once). The state is that of every layer, the
    output the hidden states of the top layer alone.
    Expected: no differences; for 28 tokens and 256 units the second layer of an LSTM adds 525,312
    weights to the 291,840 of the first.
    Command: kerasd2l run stacked_layers --set kind=gru --set num_layers=3
    """
    for name, value in (("num_layers", num_layers), ("units", units)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    return Demo("deep-rnn", lambda: _stack(kind, num_layers, units))


def _stack(kind: str, num_layers: int, units: int) -> DemoResult:
    X = _inputs()
    by_hand = scratch.StackedRNNScratch(
        units, num_layers, kind, return_sequences=True, return_state=True, stddev=0.3, seed=0
    )
    outputs, *states = by_hand(X)
    more = {"reset_after": False} if kind == "gru" else {}
    row = keras.Sequential(
        [keras.Input((None, _SIZE))]
        + [_concise(kind)(units, return_sequences=True, **more) for _ in range(num_layers)]
    )
    scratch.copy_to_keras(by_hand, row)
    cell = {"rnn": "SimpleRNNCell", "gru": "GRUCell", "lstm": "LSTMCell"}[kind]
    cells = [getattr(keras.layers, cell)(units, **more) for _ in range(num_layers)]
    together = keras.layers.RNN(keras.layers.StackedRNNCells(cells), return_sequences=True)
    together.build((None, None, _SIZE))
    scratch.copy_to_keras(by_hand, together)
    book = scratch.StackedRNNScratch(256, num_layers, kind)
    book.build((None, None, 28))
    values = {
        "inputs": list(X.shape),
        "outputs": list(outputs.shape),
        "states": {
            name: list(state.shape) for name, state in zip(by_hand.state_names, states, strict=True)
        },
        "largest difference of the outputs from the top layer's last state": memory.apart(
            outputs[:, -1], states[-len(by_hand.rnns[0].state_names)]
        ),
        "largest difference from Keras layers in a row": memory.apart(outputs, row(X)),
        "largest difference from cells stepped together": memory.apart(outputs, together(X)),
        "weights of each layer, 28 tokens and 256 units": [rnn.count_params() for rnn in book.rnns],
    }
    return DemoResult(values)


def _inputs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(_BATCH, _STEPS, _SIZE)).astype("float32")


def _concise(kind: str):
    return {"rnn": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}[kind]
