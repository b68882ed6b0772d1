"""14.1 Word embedding (word2vec)."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")

WORDS = "the man loves his son".split()


def word2vec_formulas(*, embed_size: int = 8, seed: int = 0) -> Demo:
    """Compute what skip-gram and CBOW say of "the man loves his son", and their gradients.

    Section: "word2vec". One-hot vectors of different words have the cosine 0. Skip-gram: P(o | c)
    = softmax of u . v_c at o, and the gradient of log P by v_c is u_o - sum of P(j | c) u_j; CBOW
    the same with the mean of the neighbours' vectors in the place of v_c, a share 1 / 2m for each.
    Expected: both gradients as automatic differentiation has them, to the rounding.
    Command: kerasd2l run word2vec_formulas --out figures
    """
    if embed_size < 2:
        raise ValueError(f"`embed_size` must be at least 2. Received: embed_size={embed_size}.")
    return Demo("word2vec", lambda: _compute(embed_size, seed))


def _compute(embed_size: int, seed: int) -> DemoResult:
    rng = np.random.RandomState(seed)  # numpy's frozen stream
    v, u = (rng.normal(size=(len(WORDS), embed_size)).astype("float32") for _ in range(2))
    center, contexts = 2, [0, 1, 3, 4]
    one_hot = np.eye(len(WORDS))
    values: dict[str, Any] = {"cosine of two one-hot vectors": float(one_hot[0] @ one_hot[1])}
    chances = {"skip-gram": _softmax(u @ v[center])}
    for o in contexts:
        values[f"skip-gram: P({WORDS[o]} | {WORDS[center]})"] = float(chances["skip-gram"][o])
    by_hand = sum(u[o] - chances["skip-gram"] @ u for o in contexts)
    found = _gradient(lambda x: sum(_log_chance(u, x, o) for o in contexts), v[center])
    values["skip-gram: gradient by v, by hand against automatic"] = float(
        np.abs(by_hand - found).max()
    )
    # CBOW: the neighbours' own table, and the word in the middle as what is predicted
    mean = u[contexts].mean(0)
    chances["CBOW"] = _softmax(v @ mean)
    values[f"CBOW: P({WORDS[center]} | its neighbours)"] = float(chances["CBOW"][center])
    by_hand = (v[center] - chances["CBOW"] @ v) / len(contexts)
    found = _gradient(
        lambda x: _log_chance(v, (x + u[contexts[1:]].sum(0)) / len(contexts), center),
        u[contexts[0]],
    )
    values["CBOW: gradient by a neighbour, by hand against automatic"] = float(
        np.abs(by_hand - found).max()
    )
    figure, panels = figures.new_figure(1, 1, width=5, height=2.4)
    axes = panels[0, 0]
    for i, (name, line) in enumerate(chances.items()):
        axes.bar(np.arange(len(WORDS)) + 0.4 * i - 0.2, line, 0.4, label=name)
    axes.set(xticks=range(len(WORDS)), xticklabels=WORDS, ylabel="probability")
    axes.set_title("What both expect before any training")
    axes.legend()
    return DemoResult(values, {"probabilities": figure})


def _softmax(scores: Any) -> Any:
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def _log_chance(table: Any, vector: Any, word: int) -> Any:
    return tf.nn.log_softmax(tf.linalg.matvec(table, vector))[word]


def _gradient(function: Any, at: Any) -> Any:
    x = tf.constant(at)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = function(x)
    return tape.gradient(loss, x).numpy()
