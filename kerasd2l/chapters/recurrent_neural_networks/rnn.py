"""8.4 Recurrent neural networks."""

from __future__ import annotations

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def rnn_hidden_state(*, vocab_size: int = 28, seed: int = 0) -> Demo:
    """Compute one hidden state in two ways, and the perplexity of three kinds of guesses.

    Section: "rnn". X (3, 1), H (3, 4): X W_xh + H W_hh equals one product of X and H side by side
    with W_xh on top of W_hh. Without the state a recurrent layer is a layer of an MLP.
    Expected: no difference; perplexity exp(mean cross-entropy) 1 for a model that is always right
    and sure, the size of the vocabulary for one that guesses evenly, infinite for one that gives
    the true token no chance.
    Command: kerasd2l run rnn_hidden_state
    """
    if vocab_size < 2:
        raise ValueError(f"`vocab_size` must be at least 2. Received: vocab_size={vocab_size}.")
    return Demo("rnn", lambda: _hidden_state(vocab_size, seed))


def _hidden_state(vocab_size: int, seed: int) -> DemoResult:
    rng = np.random.default_rng(seed)
    X, W_xh = rng.normal(size=(3, 1)), rng.normal(size=(1, 4))
    H, W_hh = rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
    apart = X @ W_xh + H @ W_hh
    together = np.concatenate([X, H], axis=1) @ np.concatenate([W_xh, W_hh], axis=0)
    layer = scratch.RNNScratch(4)
    layer.build((None, None, 1))
    layer.set_weights([W_xh, W_hh, np.zeros(4)])
    (step,) = layer.step(X.astype("float32"), [H.astype("float32")])
    (first,) = layer.step(X.astype("float32"), layer.begin_state(3))
    labels = rng.integers(0, vocab_size, 100)
    sure = 1e4 * np.eye(vocab_size)[labels]
    guesses = {"always right": sure, "even": 0 * sure, "never right": -sure}
    perplexity: dict[str, float | str] = {}
    for name, logits in guesses.items():
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        with np.errstate(over="ignore"):
            value = float(np.exp(np.mean(losses, dtype=np.float64)))
        perplexity[name] = value if np.isfinite(value) else "infinite"  # JSON has no infinity
    values = {
        "shape of X W_xh + H W_hh": list(apart.shape),
        "largest difference from the concatenated product": float(np.abs(apart - together).max()),
        "largest difference of the layer's step from tanh of it": float(
            np.abs(step - np.tanh(apart)).max()
        ),
        "largest difference from an MLP's layer where H is 0": float(
            np.abs(first - np.tanh(X @ W_xh)).max()
        ),
        "perplexity": perplexity,
    }
    return DemoResult(values)
