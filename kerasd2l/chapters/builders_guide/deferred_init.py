"""5.3 Deferred initialization."""

from __future__ import annotations

import re

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")


def deferred_initialization() -> Demo:
    """Let a network find its input width when the first batch comes.

    Section: "deferred-init". Dense 256, Dense 10, and a batch (2, 20); another width is refused.
    Expected: no weights before, shapes (20, 256), (256,), (256, 10), (10,) after.
    Command: kerasd2l run deferred_initialization
    """
    return Demo(section="deferred-init", run=_defer)


def _defer() -> DemoResult:
    net = keras.Sequential([keras.layers.Dense(256, "relu"), keras.layers.Dense(10)])
    before = [[list(weight.shape) for weight in layer.weights] for layer in net.layers]
    net(keras.ops.ones((2, 20)))
    try:
        net(keras.ops.ones((2, 21)))
        refused = "it was not"
    except ValueError as error:
        found = re.search(r"expected [^\x1b\n]+", str(error))
        refused = f"refused: {found[0] if found else error}"
    return DemoResult(
        {
            "weights of each layer before": before,
            "weights after a batch (2, 20)": [list(weight.shape) for weight in net.weights],
            "a batch (2, 21) then": refused,
        }
    )
