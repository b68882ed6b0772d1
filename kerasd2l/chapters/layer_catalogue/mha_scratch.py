"""S.9 Multi-head attention from scratch."""

from __future__ import annotations

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def heads_by_hand(*, num_hiddens: int = 64, num_heads: int = 8, num_steps: int = 200) -> Demo:
    """Split a width into heads, attend in each, join them: by hand and by the layer.

    Section: "mha-scratch". (8, 200, 64) becomes (8, 8, 200, 8) by a reshape and a transposition,
    and back. Both have the same weights; the mask lets each step see itself and those before it.
    Expected: 4 x 64 x 64 weights and 4 x 64 biases, 16,640 parameters; no difference; a mask of
    zeros in the place of the future lets no weight through.
    Command: kerasd2l run heads_by_hand --out figures
    """
    if num_heads < 1 or num_hiddens < 1 or num_hiddens % num_heads:
        raise ValueError(
            "`num_heads` must divide `num_hiddens`. "
            f"Received: num_hiddens={num_hiddens}, num_heads={num_heads}."
        )
    if num_steps < 2:
        raise ValueError(f"`num_steps` must be at least 2. Received: num_steps={num_steps}.")
    return Demo("mha-scratch", lambda: _run(num_hiddens, num_heads, num_steps))


def _run(num_hiddens: int, num_heads: int, num_steps: int) -> DemoResult:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, num_steps, num_hiddens)).astype("float32")
    mask = np.tril(np.ones((8, num_steps, num_steps), "int32"))
    by_hand = scratch.CatalogueMultiHeadAttention(num_heads, num_hiddens, dropout_rate=0.1, seed=0)
    layer = layers.MultiHeadAttention(num_hiddens, num_heads, dropout_rate=0.1, use_bias=True)
    outputs = by_hand([x, x, x], attention_mask=mask)
    layer.build(x.shape)
    layer.set_weights(by_hand.get_weights())
    expected, weights = layer(x, attention_mask=mask == 1, return_weights=True)
    heads = scratch.split_heads(x, num_heads)
    attended, by_mask = scratch.scaled_dot_product_attention(heads, heads, heads, mask[:, None])
    figure, panels = figures.new_figure(1, 2, width=3, height=2.8)
    first = min(num_steps, 20)
    for axes, place in zip(panels[0], (0, num_heads - 1), strict=True):
        shown = np.asarray(weights)[0, place, :first, :first]
        figures.heatmap(axes, shown, title=f"head {place + 1}", numbers=None)
    return DemoResult(
        {
            "inputs": list(x.shape),
            "heads": list(heads.shape),
            "attended": list(attended.shape),
            "joined": list(scratch.join_heads(attended).shape),
            "outputs": list(outputs.shape),
            "parameters": by_hand.count_params(),
            "4 D D + 4 D": 4 * num_hiddens * num_hiddens + 4 * num_hiddens,
            "largest difference to the layer": float(np.abs(outputs - expected).max()),
            "largest weight of a later step": float(np.triu(np.asarray(by_mask), 1).max()),
            "least sum of a row of weights": float(np.asarray(by_mask).sum(-1).min()),
        },
        {"heads": figure},
    )
