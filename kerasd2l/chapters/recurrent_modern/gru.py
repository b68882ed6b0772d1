"""9.1 Gated recurrent units (GRU)."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.descent import ClippedDescent
from kerasd2l.tasks.language_model import Corpus, Network, Writing, language_model

np = lazy("numpy")
memory = lazy("kerasd2l.scratch.memory")

_OPEN, _SHUT = 30.0, -30.0  # biases: sigmoid(30) is 1 and sigmoid(-30) 1e-13


def gru_lm(
    *,
    network: Network = Network(),
    corpus: Corpus = Corpus(),
    descent: ClippedDescent = ClippedDescent(),
    writing: Writing = Writing(),
) -> Recipe:
    """Train gated recurrent units to predict the next character of The Time Machine.

    Section: "gru". 256 units; the first 10,000 characters, one-hot; batches of 32 x 35; SGD at 1,
    gradients clipped to norm 1. By hand (implementation=scratch), the reset gate is applied before
    the product with the weights, as in the book; Keras' layer applies it afterwards.
    Expected: perplexity on the training text 1.0; by hand 1.1, 500 epochs (d2l-zh, PyTorch).
    Measured on the 5,000 characters that follow: 7.3 after 149 epochs, 91 after 500.
    Command: kerasd2l train gru_lm --data files --export
    """
    as_published = (network.num_hiddens, network.num_layers) == (256, 1)
    perplexity = 1.1 if network.by_hand else 1.0
    return language_model(
        "gru",
        "gru",
        network=network,
        corpus=corpus,
        descent=descent,
        writing=writing,
        published=perplexity if as_published else None,
    )


def gru_gates(*, units: int = 16, num_steps: int = 40, seed: int = 0) -> Demo:
    """Open and shut the gates of a GRU, and compare the three ways in which texts define it.

    Section: "gru". A GRU whose update gate is shut (Z = 0) and whose reset gate is open (R = 1) is
    the plain RNN; with R = 0, too, it is a layer of an MLP, and with Z = 1 the state never changes.
    The book resets the state before the product with W_hh, Keras after it, and texts differ in
    whether Z weighs the old state or the new one. Figure: how much of the gradient reaches an input
    k steps back.
    Expected: no differences but that between the two ways to reset; 226,076 parameters of the
    book's language model (28 tokens, 256 units); a longer memory with a larger bias of Z.
    Command: kerasd2l run gru_gates --out figures
    """
    if min(units, num_steps) < 2:
        raise ValueError(
            "`units` and `num_steps` must be at least 2. "
            f"Received: units={units}, num_steps={num_steps}."
        )
    return Demo("gru", lambda: _gru(units, num_steps, seed))


def _gru(units: int, num_steps: int, seed: int) -> DemoResult:
    X, H = memory.gate_inputs(units, num_steps, seed)
    rnn = memory.gate_layer(scratch.RNNScratch, units, seed)
    plain = {name: memory.weights_by_name(rnn)[name] for name in ("W_xh", "W_hh", "b_h")}

    def gru(z: float, r: float, **more: Any):
        biases = {"b_z": np.full(units, z), "b_r": np.full(units, r)}
        return memory.gate_layer(scratch.GRUScratch, units, seed, {**biases, **plain}, **more)

    mlp = np.tanh(X[:, -1] @ plain["W_xh"] + plain["b_h"])
    before, after = gru(0.0, 0.0), gru(0.0, 0.0, reset_after=True)
    twins = {}
    for name, ours in (("before", before), ("after", after)):
        twin = layers.GRU(units, reset_after=name == "after")
        twin.build(X.shape)
        scratch.copy_to_keras(ours, twin)
        twins[name] = memory.apart(ours(X, initial_state=H), twin(X, initial_state=H))
    values = {
        "parameters of the book's language model": memory.book_parameters("gru"),
        "largest difference": {
            "from the RNN where Z = 0 and R = 1": memory.apart(
                gru(_SHUT, _OPEN)(X, initial_state=H), rnn(X, initial_state=H)
            ),
            "from an MLP's layer where Z = 0 and R = 0": memory.apart(
                gru(_SHUT, _SHUT)(X, initial_state=H), mlp
            ),
            "from the first state where Z = 1": memory.apart(
                gru(_OPEN, 0.0)(X, initial_state=H), H
            ),
            "from Keras, reset before the product": twins["before"],
            "from Keras, reset after the product": twins["after"],
            "between the two ways to reset": memory.apart(
                before(X, initial_state=H), after(X, initial_state=H)
            ),
            "with Z on the new state and the signs of its weights turned": memory.apart(
                _new_state_weighed(before, X, H), before(X, initial_state=H)
            ),
        },
    }
    cases = {"RNN": rnn} | {f"GRU, b_z = {z:g}": gru(z, 0.0) for z in (0.0, 2.0, 4.0)}
    curves = {name: memory.gradient_by_lag(layer, X) for name, layer in cases.items()}
    values["gradient that reaches the first input, of that of the last"] = {
        name: float(curve[-1]) for name, curve in curves.items()
    }
    return DemoResult(values, {"memory": figures.gradient_by_lag(curves)})


def _new_state_weighed(gru, X, H):
    """Run H = (1 - z) H + z H', z with the turned weights of Z: the same layer in other words."""
    w = memory.weights_by_name(gru)
    for x in np.swapaxes(X, 0, 1):
        z = 1 / (1 + np.exp(x @ w["W_xz"] + H @ w["W_hz"] + w["b_z"]))
        r = 1 / (1 + np.exp(-(x @ w["W_xr"] + H @ w["W_hr"] + w["b_r"])))
        H = H - z * H + z * np.tanh(x @ w["W_xh"] + (r * H) @ w["W_hh"] + w["b_h"])
    return H
