"""9.4 Bidirectional recurrent neural networks."""

from __future__ import annotations

from typing import Any, Literal

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.descent import ClippedDescent
from kerasd2l.tasks.language_model import Corpus, Network, Writing, language_model

keras = lazy("keras")
np = lazy("numpy")
memory = lazy("kerasd2l.scratch.memory")
tf = lazy("tensorflow")

_BATCH, _STEPS, _SIZE = 4, 12, 8


def bidirectional_lstm_lm(
    *,
    network: Network = Network(num_layers=2),
    corpus: Corpus = Corpus(),
    descent: ClippedDescent = ClippedDescent(),
    writing: Writing = Writing(),
) -> Recipe:
    """Train a network that reads from both ends to predict the next character: the wrong tool.

    Section: "bi-rnn". Two bidirectional layers of 2 x 256 LSTM units; the first 10,000 characters,
    one-hot; batches of 32 x 35; SGD at 1, gradients clipped to norm 1. In training the backward
    direction has seen the very character that is asked for: the perplexity falls to 1 on any text
    and says nothing. When the network writes, there is no future to copy from, and out comes
    nonsense. The text so far is read anew for each character: slow, but what the network computes.
    Expected: perplexity on the training text 1.1, and "erererer" as text (d2l-zh, PyTorch).
    Command: kerasd2l train bidirectional_lstm_lm --data files --export
    """
    return language_model(
        "bi-rnn",
        "lstm",
        network=network,
        corpus=corpus,
        descent=descent,
        writing=writing,
        published=1.1 if network == Network(num_layers=2) else None,
        bidirectional=True,
    )


def both_directions(
    *, kind: Literal["rnn", "gru", "lstm"] = "lstm", units: int = 16, seed: int = 0
) -> Demo:
    """Read a sequence from both ends, and see why that cannot predict the next token.

    Section: "bi-rnn". A bidirectional layer against its two halves run apart, the second on the
    reversed sequence. Figure: how strongly the output of each step depends on the input of each
    step: on the past alone in one direction, on everything in both. A language model in both
    directions sees in training the very token that it shall predict, and has no future to read when
    it writes.
    Expected: outputs (4, 12, 2 x units); no difference from the two halves; one direction does not
    depend on later inputs at all, both directions do.
    Command: kerasd2l run both_directions --out figures
    """
    if units < 1:
        raise ValueError(f"`units` must be at least 1. Received: units={units}.")
    return Demo("bi-rnn", lambda: _directions(kind, units, seed))


def _directions(kind: str, units: int, seed: int) -> DemoResult:
    X = _inputs()
    by_hand = scratch.BiRNNScratch(
        units, kind, return_sequences=True, return_state=True, stddev=0.4, seed=seed
    )
    outputs, *states = by_hand(X)
    more = {"reset_after": False} if kind == "gru" else {}
    concise = keras.layers.Bidirectional(_concise(kind)(units, return_sequences=True, **more))
    concise.build(X.shape)
    scratch.copy_to_keras(by_hand, concise)
    forwards = by_hand.f_rnn(X)[0]
    backwards = by_hand.b_rnn.__class__.from_config(
        {**by_hand.b_rnn.get_config(), "go_backwards": False, "return_state": False}
    )
    backwards.build(X.shape)
    backwards.set_weights(by_hand.b_rnn.get_weights())
    halves = np.concatenate([forwards, backwards(X[:, ::-1])[:, ::-1]], axis=-1)
    dependence = {
        "one direction": _dependence(lambda x: by_hand.f_rnn(x)[0], X),
        "both directions": _dependence(lambda x: by_hand(x)[0], X),
    }
    later = np.triu_indices(_STEPS, 1)
    values: dict[str, Any] = {
        "outputs": list(outputs.shape),
        "states": [list(state.shape) for state in states],
        "largest difference from two layers, one on the reversed sequence": memory.apart(
            outputs, halves
        ),
        "largest difference from keras.layers.Bidirectional": memory.apart(outputs, concise(X)),
        "largest dependence on later inputs": {
            name: float(matrix[later].max()) for name, matrix in dependence.items()
        },
    }
    return DemoResult(values, {"dependence": _draw(dependence)})


def _inputs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(_BATCH, _STEPS, _SIZE)).astype("float32")


def _concise(kind: str):
    return {"rnn": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}[kind]


def _dependence(function, X):
    """Return (T, T): the length of the gradient of a direction in output t for input s."""
    X = tf.constant(X)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(X)
        outputs = function(X)
        v = np.random.default_rng(1).normal(size=outputs.shape[-1]).astype("float32")
        goals = tf.unstack(tf.reduce_sum(outputs * v, axis=(0, 2)))  # T
    slopes = [tape.gradient(goal, X) for goal in goals]  # (T, B, T, D)
    return np.sqrt(np.sum(np.square(slopes), axis=(1, 3)))


def _draw(dependence):
    figure, panels = figures.new_figure(1, 2, width=4.2, height=3.8)
    largest = max(matrix.max() for matrix in dependence.values())
    for axes, (name, matrix) in zip(panels[0], dependence.items(), strict=True):
        shown = np.log10(np.maximum(matrix / largest, 1e-4))
        extent = (0.5, _STEPS + 0.5, _STEPS + 0.5, 0.5)
        image = axes.imshow(shown, cmap="viridis", vmin=-4, vmax=0, extent=extent)
        axes.set(title=f"{name[0].upper()}{name[1:]}", xlabel="step of the input")
        axes.set_ylabel("step of the output")
    figure.colorbar(
        image, ax=panels[0].tolist(), label="log10 of dependence, largest is 0", extend="min"
    )
    return figure
