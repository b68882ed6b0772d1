"""10.1 Attention cues: queries, keys and values."""

from __future__ import annotations

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def attention_cues(*, num_keys: int = 10) -> Demo:
    """Show weights of attention as heat maps: one key a query, the mean, and something between.

    Section: "attention-cues". A query that equals its key, weights in three sharpnesses:
    softmax(c Q K^T) with Q = K = I. At c = 0 all values count the same (pooling without attention);
    with a large c only the value of the own key is left (a look-up).
    Expected: every row sums to 1; its largest weight is e^c / (e^c + n - 1).
    Command: kerasd2l run attention_cues --out figures
    """
    if num_keys < 2:
        raise ValueError(f"`num_keys` must be at least 2. Received: num_keys={num_keys}.")
    return Demo("attention-cues", lambda: _run(num_keys))


def _run(num_keys: int) -> DemoResult:
    keys = np.eye(num_keys, dtype="float32")
    sharpness = (0.0, 2.0, 100.0)
    weights = [np.asarray(layers.masked_softmax((c * keys @ keys.T)[None]))[0] for c in sharpness]
    figure, panels = figures.new_figure(1, len(sharpness), width=3.2, height=3.2)
    for axes, matrix, c in zip(panels[0], weights, sharpness, strict=True):
        figures.heatmap(axes, matrix, title=f"c = {c:g}: queries down, keys across", numbers=None)
    values = {
        f"weight of the own key, c = {c:g}": float(matrix[0, 0])
        for c, matrix in zip(sharpness, weights, strict=True)
    }
    return DemoResult(values, {"weights": figure})
