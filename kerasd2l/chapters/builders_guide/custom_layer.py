"""5.4 Custom layers."""

from __future__ import annotations

from typing import Any

from kerasd2l import layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")


def custom_layers(*, seed: int = 0) -> Demo:
    """Use layers of one's own: CenteredLayer without weights, MyLinear with weights that learn.

    Section: "custom-layer". Inputs [1, 2, 3, 4, 5] and (4, 8) from U(0, 1).
    Expected: centred [-2, -1, 0, 1, 2]; mean behind a centred network 0 up to rounding.
    Command: kerasd2l run custom_layers
    """
    return Demo(section="custom-layer", run=lambda: _use_own_layers(seed))


def _shapes(model: Any) -> dict[str, list[int]]:
    return {weight.path: list(weight.shape) for weight in model.weights}


def _use_own_layers(seed: int) -> DemoResult:
    keras.utils.set_random_seed(seed)
    centered = layers.CenteredLayer()(keras.ops.arange(1.0, 6.0))
    x = keras.random.uniform((4, 8), seed=seed)
    net = keras.Sequential([keras.layers.Dense(128), layers.CenteredLayer()])
    linear = layers.MyLinear(3, seed=seed)
    with tf.GradientTape() as tape:
        y = linear(x)
        total = tf.reduce_sum(y)
    found = tape.gradient(total, [weight.value for weight in linear.trainable_weights])
    stacked = keras.Sequential([layers.MyLinear(8, seed=seed), layers.MyLinear(1, seed=seed)])
    return DemoResult(
        {
            "centred [1, 2, 3, 4, 5]": np.asarray(centered).tolist(),
            "mean behind Dense and CenteredLayer": float(np.mean(net(x))),
            "MyLinear": {
                "weights": _shapes(linear),
                "output shape": list(y.shape),
                "norms of its gradients": [float(tf.norm(gradient)) for gradient in found],
            },
            "MyLinear 8, MyLinear 1 on (4, 8)": list(stacked(x).shape),
        }
    )
