"""10.3 Attention scoring functions."""

from __future__ import annotations

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def attention_scoring_functions(*, seed: int = 0) -> Demo:
    """Attend with lengths: additive and scaled dot-product attention, and their weights.

    Section: "attention-scoring-functions". Two examples of 10 equal keys, of which 2 and 6 may be
    seen, values 0..39 in rows of four: equal keys get equal weights, so the outputs are means. Rows
    that may see nothing get zeros. With random keys of width 2 to 512, scores that are not scaled
    leave almost all weight to one key.
    Expected: [2, 3, 4, 5] and [10, 11, 12, 13] for both (the book).
    Command: kerasd2l run attention_scoring_functions --out figures
    """
    return Demo("attention-scoring-functions", lambda: _run(seed))


def _run(seed: int) -> DemoResult:
    rng = np.random.RandomState(seed)
    keys = np.ones((2, 10, 2), "float32")
    values = np.tile(np.arange(40, dtype="float32").reshape(1, 10, 4), (2, 1, 1))
    lens = np.array([2, 6], "int32")
    found, maps = {}, []
    for name, layer, width in (
        ("additive", layers.AdditiveAttention(8, 0.1), 20),
        ("dot product", layers.DotProductAttention(0.5), 2),
    ):
        queries = rng.normal(size=(2, 1, width)).astype("float32")
        outputs, weights = layer(queries, keys, values, valid_lens=lens, return_weights=True)
        found[name] = np.asarray(outputs)[:, 0].round(4).tolist()
        maps.append((name, np.asarray(weights)[:, 0]))
    empty = layers.masked_softmax(np.zeros((1, 1, 3), "float32"), [0])
    found["weights of a query that may see nothing"] = np.asarray(empty)[0, 0].tolist()
    widths = [2, 8, 32, 128, 512]
    figure, panels = figures.new_figure(1, 2, width=3.4, height=2.2)
    for axes, (name, matrix) in zip(panels[0], maps, strict=True):
        figures.heatmap(axes, matrix, title=f"{name}: examples down, keys across", numbers="{:.2f}")
    sharp = figures.lines(
        widths,
        {
            "scaled by 1 / sqrt(d)": [_largest(rng, d, d**-0.5) for d in widths],
            "not scaled": [_largest(rng, d, 1.0) for d in widths],
        },
        title="Why scores are scaled",
        xlabel="width d of queries and keys",
        ylabel="mean of the largest of 10 weights",
        xscale="log",
    )
    return DemoResult(found, {"weights": figure, "scaling": sharp})


def _largest(rng, width: int, scale: float) -> float:
    """Return the mean over 200 queries of the largest weight among 10 random keys."""
    queries, keys = rng.normal(size=(200, 1, width)), rng.normal(size=(200, 10, width))
    scores = (queries @ keys.swapaxes(1, 2) * scale).astype("float32")
    return float(np.asarray(layers.masked_softmax(scores)).max(-1).mean())
