"""14.2 Approximate training."""

from __future__ import annotations

import functools
import time
from typing import Any

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")
tf = lazy("tensorflow")


def approx_training(
    *,
    sizes: tuple[int, ...] = (1_000, 4_000, 16_000),
    embed_size: int = 100,
    pairs: int = 512,
    num_noise_words: int = 5,
    repeats: int = 3,
) -> Demo:
    """Measure what a pair of words costs: exact softmax, noise words, Huffman's tree.

    Section: "approx-training". 512 pairs at once, loss and gradients by both tables' rows, for
    vocabularies of 1,000 to 16,000 words with frequencies as 1 / rank. The tree's probabilities of
    all words sum to 1; its paths have some log2 V nodes, weighted by frequency.
    Expected: the softmax's time grows with the vocabulary, that of 5 noise words stays, the tree's
    grows with the logarithm.
    Command: kerasd2l run approx_training --out figures
    """
    if min(sizes, default=0) < 10 or min(embed_size, pairs, num_noise_words, repeats) < 1:
        raise ValueError(f"`sizes` must be 10 and more, all others 1 and more. Received: {sizes}.")
    return Demo(
        "approx-training", lambda: _measure(sizes, embed_size, pairs, num_noise_words, repeats)
    )


def _measure(sizes: Any, embed_size: int, pairs: int, noise: int, repeats: int) -> DemoResult:
    names = ("softmax over all words", f"{noise} noise words", "Huffman's tree")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    values: dict[str, Any] = {}
    for size in sizes:
        rng = np.random.RandomState(size)  # numpy's frozen stream
        counts = np.concatenate([[0], 1e6 / np.arange(1, size)])
        nodes, turns = data.huffman.huffman_paths(counts)
        lengths = (nodes > 0).sum(1)
        values[f"mean path, {size} words"] = float(lengths @ counts / counts.sum())
        centers, words = rng.randint(1, size, (2, pairs))
        v, u = (rng.normal(0, 0.1, (size, embed_size)).astype("float32") for _ in range(2))
        chosen = np.concatenate([words[:, None], rng.randint(1, size, (pairs, noise))], axis=1)
        labels = np.eye(1, noise + 1, dtype="float32")
        mask, turn = (part.astype("float32") for part in (nodes[words] > 0, turns[words]))
        center = v[centers]
        losses = {
            names[0]: functools.partial(_exact, words=words),
            names[1]: functools.partial(_binary, rows=chosen, labels=labels, mask=1.0),
            names[2]: functools.partial(_binary, rows=nodes[words], labels=turn, mask=mask),
        }
        for name, loss in losses.items():
            seconds[name].append(_seconds(loss, center, u, repeats))
        if size == sizes[0]:
            values[f"sum over all words of the tree's P, {size} words"] = _tree_total(
                nodes[1:], turns[1:], center[0].astype("float64"), u.astype("float64")
            )
    for name, line in seconds.items():
        values[f"{name}: microseconds a pair"] = [1e6 * one / pairs for one in line]
    figure = figures.lines(
        list(sizes),
        {name: [1e6 * one / pairs for one in line] for name, line in seconds.items()},
        title=f"Loss and gradients of a pair, vectors of {embed_size}",
        xlabel="words in the vocabulary",
        ylabel="microseconds",
        xscale="log",
        yscale="log",
    )
    return DemoResult(values, {"costs": figure})


def _exact(v: Any, u: Any, words: Any) -> Any:
    """Return the cross-entropy (B,) of the softmax over all rows."""
    logits = tf.matmul(v, u, transpose_b=True)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(words, logits)


def _binary(v: Any, u: Any, rows: Any, labels: Any, mask: Any) -> Any:
    """Return the loss (B,) of yes or no at each of the rows (B, M)."""
    logits = tf.einsum("bd,bmd->bm", v, tf.gather(u, rows))
    return tf.reduce_sum(mask * (tf.nn.softplus(logits) - labels * logits), axis=1)


def _tree_total(nodes: Any, turns: Any, v: Any, u: Any) -> float:
    logits = u[nodes] @ v
    steps = np.where(turns == 1, logits, -logits)
    chances = np.where(nodes > 0, 1 / (1 + np.exp(-steps)), 1.0)
    return float(chances.prod(1).sum())


def _seconds(loss: Any, v: Any, u: Any, repeats: int) -> float:
    """Return the least time of the loss and its gradients in a graph."""
    v, u = tf.constant(v), tf.Variable(u)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(v)
            total = tf.reduce_sum(loss(v, u))
        gradients = tape.gradient(total, [v, u])
        return [getattr(g, "values", g) for g in gradients]  # of a lookup only its rows

    step()  # traced
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.asarray(step()[0])
        times.append(time.perf_counter() - start)
    return min(times)
