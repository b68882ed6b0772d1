"""9.2 Long short-term memory (LSTM)."""

from __future__ import annotations

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.descent import ClippedDescent
from kerasd2l.tasks.language_model import Corpus, Network, Writing, language_model

np = lazy("numpy")
memory = lazy("kerasd2l.scratch.memory")

_OPEN, _SHUT = 30.0, -30.0  # biases: sigmoid(30) is 1 and sigmoid(-30) 1e-13


def lstm_lm(
    *,
    network: Network = Network(),
    corpus: Corpus = Corpus(),
    descent: ClippedDescent = ClippedDescent(),
    writing: Writing = Writing(),
) -> Recipe:
    """Train long short-term memory to predict the next character of The Time Machine.

    Section: "lstm". 256 units; the first 10,000 characters, one-hot; batches of 32 x 35; SGD at 1,
    gradients clipped to norm 1. Keras' layer begins with forget gates of bias 1, PyTorch's and the
    one by hand with 0.
    Expected: perplexity on the training text 1.1; by hand 1.3, 500 epochs (d2l-zh, PyTorch).
    Measured on the 5,000 characters that follow: 8.3 after 123 epochs, 94 after 500.
    Command: kerasd2l train lstm_lm --data files --export
    """
    as_published = (network.num_hiddens, network.num_layers) == (256, 1)
    perplexity = 1.3 if network.by_hand else 1.1
    return language_model(
        "lstm",
        "lstm",
        network=network,
        corpus=corpus,
        descent=descent,
        writing=writing,
        published=perplexity if as_published else None,
    )


def lstm_gates(*, units: int = 16, num_steps: int = 40, seed: int = 0) -> Demo:
    """Open and shut the gates of an LSTM.

    Section: "lstm". With an open forget gate (F = 1) and a shut input gate (I = 0) the memory C
    stays as it is; with F = 0 and I = 1 it is the candidate of this step alone; a shut output gate
    hides it from H without changing C. Figure: how much of the gradient reaches an input k steps
    back, for biases of the forget gate; the book starts with 0, Keras with 1.
    Expected: no differences; |H| below 1; 299,036 parameters of the book's language model; a longer
    memory with a larger bias of F.
    Command: kerasd2l run lstm_gates --out figures
    """
    if min(units, num_steps) < 2:
        raise ValueError(
            "`units` and `num_steps` must be at least 2. "
            f"Received: units={units}, num_steps={num_steps}."
        )
    return Demo("lstm", lambda: _lstm(units, num_steps, seed))


def _lstm(units: int, num_steps: int, seed: int) -> DemoResult:
    X, H = memory.gate_inputs(units, num_steps, seed)
    C = 3 * H

    def lstm(**biases: float):
        full = {f"b_{gate}": np.full(units, value) for gate, value in biases.items()}
        return memory.gate_layer(scratch.LSTMScratch, units, seed, full, return_state=True)

    def run(layer, inputs=X, state=(H, C)):
        _, last_H, last_C = layer(inputs, initial_state=list(state))
        return np.asarray(last_H), np.asarray(last_C)

    forgets = lstm(f=_SHUT, i=_OPEN)
    w, (previous, _) = memory.weights_by_name(forgets), run(forgets, X[:, :-1])
    candidate = np.tanh(X[:, -1] @ w["W_xc"] + previous @ w["W_hc"] + w["b_c"])
    usual = lstm()
    twin = layers.LSTM(units, return_state=True)
    twin.build(X.shape)
    fresh_bias = np.reshape(twin.get_weights()[2], (4, units)).mean(axis=1)
    scratch.copy_to_keras(usual, twin)
    hidden = run(lstm(o=_SHUT), X[:, :1])
    values = {
        "parameters of the book's language model": memory.book_parameters("lstm"),
        "first biases of i, f, c, o in Keras": fresh_bias.tolist(),
        "largest |H| where |C| is up to 3 times larger": float(np.abs(run(usual)[0]).max()),
        "largest difference": {
            "of C from the first one where F = 1 and I = 0": memory.apart(
                run(lstm(f=_OPEN, i=_SHUT))[1], C
            ),
            "of C from the candidate where F = 0 and I = 1": memory.apart(
                run(forgets)[1], candidate
            ),
            "of H from 0 where O = 0": memory.apart(hidden[0], 0 * H),
            "of C with O = 0 from C with O open, one step": memory.apart(
                hidden[1], run(lstm(o=_OPEN), X[:, :1])[1]
            ),
            "from Keras": memory.apart(run(usual), run(twin)),
        },
    }
    rnn = memory.gate_layer(scratch.RNNScratch, units, seed)
    cases = {"RNN": rnn} | {f"LSTM, b_f = {f:g}": lstm(f=f) for f in (0.0, 1.0, 4.0)}
    curves = {name: memory.gradient_by_lag(layer, X) for name, layer in cases.items()}
    values["gradient that reaches the first input, of that of the last"] = {
        name: float(curve[-1]) for name, curve in curves.items()
    }
    return DemoResult(values, {"memory": figures.gradient_by_lag(curves)})
