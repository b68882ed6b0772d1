"""10.5 Multi-head attention."""

from __future__ import annotations

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def multihead_attention(*, num_hiddens: int = 100, num_heads: int = 5, seed: int = 0) -> Demo:
    """Attend with several heads: shapes, the number of weights, and what each head looks at.

    Section: "multihead-attention". Queries (2, 4, 100), keys and values (2, 6, 100), of which 3 and
    2 may be seen, five heads. The layer beside the one by hand, which puts heads into the batch.
    Expected: output (2, 4, 100); 4 x 100 x 100 weights, whatever the number of heads.
    Command: kerasd2l run multihead_attention --out figures
    """
    if num_heads < 1 or num_hiddens < 1 or num_hiddens % num_heads:
        raise ValueError(
            "`num_heads` must divide `num_hiddens`. "
            f"Received: num_hiddens={num_hiddens}, num_heads={num_heads}."
        )
    return Demo("multihead-attention", lambda: _run(num_hiddens, num_heads, seed))


def _run(num_hiddens: int, num_heads: int, seed: int) -> DemoResult:
    rng = np.random.RandomState(seed)
    queries = rng.normal(size=(2, 4, num_hiddens)).astype("float32")
    keys = rng.normal(size=(2, 6, num_hiddens)).astype("float32")
    lens = np.array([3, 2], "int32")
    layer = layers.MultiHeadAttention(num_hiddens, num_heads, seed=seed)
    outputs, weights = layer(queries, keys, valid_lens=lens, return_weights=True)
    by_hand = scratch.MultiHeadAttentionScratch(num_hiddens, num_heads)
    by_hand.build([queries.shape, keys.shape, keys.shape])
    by_hand.set_weights(layer.get_weights())
    difference = np.abs(np.asarray(by_hand([queries, keys, keys], valid_lens=lens)) - outputs).max()
    figure, panels = figures.new_figure(1, num_heads, width=1.8, height=2)
    for i, axes in enumerate(panels[0]):
        title = f"head {i + 1}"
        figures.heatmap(axes, np.asarray(weights)[0, i], title=title, numbers=None)
    return DemoResult(
        {
            "output": list(outputs.shape),
            "weights of attention": list(weights.shape),
            "weights to learn": layer.count_params(),
            "largest difference to the layer by hand": float(difference),
        },
        {"heads": figure},
    )
