"""L.12 Recurrent networks."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")

_LETTERS = "ehlo"
_WORD, _TARGET = "hello", "ohlol"


def one_hot_or_embedding(*, vocab_size: int = 89, width: int = 5) -> Demo:
    """Turn the tokens 0, 1 and 88 into vectors in two ways.

    Section: "rnn-basics". One-hot vectors are as wide as the vocabulary, learned ones as wide as
    one likes; an embedding is the product of the one-hot vectors with a matrix, computed as a
    look-up: the same values, and the same gradient, which only reaches the rows of these tokens.
    Expected: 3 x 89 against 3 x 5; no difference from the product.
    Command: kerasd2l run one_hot_or_embedding
    """
    if vocab_size < 3:
        raise ValueError(f"`vocab_size` must be at least 3. Received: vocab_size={vocab_size}.")
    if width < 1:
        raise ValueError(f"`width` must be at least 1. Received: width={width}.")
    return Demo("rnn-basics", lambda: _embed(vocab_size, width))


def _embed(vocab_size: int, width: int) -> DemoResult:
    import tensorflow as tf

    tokens = np.array([0, 1, vocab_size - 1])
    one_hot = keras.ops.one_hot(tokens, vocab_size)
    embedding = keras.layers.Embedding(vocab_size, width)
    embedding.build()
    gradients = []
    for function in (embedding, lambda tokens: one_hot @ embedding.embeddings):
        with tf.GradientTape() as tape:
            vectors = function(tokens)
            loss = tf.reduce_sum(vectors**2)
        matrix = embedding.embeddings.value
        gradients.append(np.asarray(tf.convert_to_tensor(tape.gradient(loss, matrix))))
    difference = np.abs(embedding(tokens) - one_hot @ embedding.embeddings).max()
    values = {
        "one-hot": list(one_hot.shape),
        "embedding": list(embedding(tokens).shape),
        "parameters of the embedding": embedding.count_params(),
        "largest difference from one-hot times matrix": float(difference),
        "largest difference of the gradients": float(np.abs(gradients[0] - gradients[1]).max()),
        "rows with a gradient": int(np.any(gradients[0] != 0, axis=1).sum()),
    }
    return DemoResult(values)


def learn_hello(*, learning_rate: float = 0.1, epochs: int = 15, seed: int = 0) -> Demo:
    """Teach a recurrent network to answer "hello" with "ohlol".

    Section: "rnn-basics". o = g(V s), s = f(U x + W s_prev): letters e, h, l, o in, letters out,
    Adam. One network reads one-hot vectors with 4 hidden units, which are its answer; one reads
    embeddings of 10 numbers and has two layers of 8 units and a dense layer; one reads from both
    ends, o = g(V s + V' s'). The l that follows "he" and the one that follows "hel" ask for
    different answers: without a state nothing could learn it. Figure: the losses.
    Expected: the two larger ones answer "ohlol"; a network without a state cannot get below
    0.277 (2/5 log 2).
    Command: kerasd2l run learn_hello --out figures
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    return Demo("rnn-basics", lambda: _hello(learning_rate, epochs, seed))


def _hello(learning_rate: float, epochs: int, seed: int) -> DemoResult:
    x = np.array([[_LETTERS.index(letter) for letter in _WORD]])  # (1, T)
    y = np.array([[_LETTERS.index(letter) for letter in _TARGET]])
    values: dict[str, Any] = {"question": _WORD, "lesson": _TARGET}
    curves = {}
    for name in ("no state", "one-hot", "embedding, two layers", "both directions"):
        keras.utils.set_random_seed(seed)
        model = _network(name)
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate, epsilon=1e-8),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=True,  # for a few steps of one word a graph is not worth its making
        )
        losses, answers = [], []
        for _ in range(epochs):
            best = np.argmax(model(x), axis=-1)[0]
            answers.append("".join(_LETTERS[letter] for letter in best))
            losses.append(float(model.train_on_batch(x, y)))
        final = np.asarray(model(x))
        curves[name] = losses
        values[name] = {
            "parameters": model.count_params(),
            "answers on the way": answers[:: max(1, epochs // 5)],
            "answer": "".join(_LETTERS[letter] for letter in final.argmax(-1)[0]),
            "loss before the last step": losses[-1],
        }
    figure = figures.lines(
        np.arange(1, epochs + 1),
        curves,
        title=f"Learning to answer {_WORD} with {_TARGET}",
        xlabel="epoch",
        ylabel="cross-entropy (nats per letter)",
        yscale="log",
    )
    return DemoResult(values, {"loss": figure})


def _network(name: str):
    """Build (1, T) letters -> (1, T, 4) logits."""
    size = len(_LETTERS)
    letters = keras.Input((None,), dtype="int32", name="letters")
    one_hot = keras.layers.Embedding(
        size, size, embeddings_initializer="identity", trainable=False, name="one_hot"
    )
    if name == "no state":
        outputs = keras.layers.Dense(size)(one_hot(letters))
    elif name == "one-hot":
        outputs = layers.SimpleRNN(size, return_sequences=True)(one_hot(letters))
    elif name == "both directions":
        rnn = layers.SimpleRNN(size, return_sequences=True)
        outputs = keras.layers.Dense(size)(keras.layers.Bidirectional(rnn)(one_hot(letters)))
    else:
        H = keras.layers.Embedding(size, 10, name="embedding")(letters)
        for _ in range(2):
            H = layers.SimpleRNN(8, return_sequences=True)(H)
        outputs = keras.layers.Dense(size)(H)
    return keras.Model(letters, outputs, name="hello")
