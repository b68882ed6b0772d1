"""5.2 Parameter management."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")


def parameters(*, seed: int = 0) -> Demo:
    """Read, initialise and share the parameters of a network 4 -> 8 -> 1 and of nested blocks.

    Section: "parameters". Access by index, by name and all at once; normal, constant, Xavier and an
    own initialiser (histograms); one layer used twice: one variable, whose gradients add.
    Expected: kernels (4, 8) and (8, 1); tied gradient = sum of the two untied ones.
    Command: kerasd2l run parameters --out figures
    """
    return Demo(section="parameters", run=lambda: _show_parameters(seed))


def _show_parameters(seed: int) -> DemoResult:
    keras.utils.set_random_seed(seed)
    net = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", name="hidden"),
            keras.layers.Dense(1, name="out"),
        ]
    )
    nested = models.MySequential([_four_blocks(), keras.layers.Dense(1, name="out")], name="nested")
    nested.build((None, 4))
    values = {
        "by index": {"net.layers[1].bias": net.layers[1].bias.numpy().tolist()},
        "by name": {'net.get_layer("out").kernel': list(net.get_layer("out").kernel.shape)},
        "all at once": _shapes(net),
        "nested blocks": {
            "parameters": nested.count_params(),
            "weights": len(nested.weights),
            "bias of the first layer in the second block": (
                nested.blocks[0].layers[1].layers[0].bias.numpy().tolist()
            ),
        },
    }
    drawing, values["initialisers"] = _initialise(seed)
    values["tied"] = _tie(seed)
    return DemoResult(values, {"initialisers": drawing})


def _four_blocks() -> Any:
    """Build four blocks 4 -> 8 -> 4, one after the other."""
    return keras.Sequential(
        [
            keras.Sequential(
                [keras.layers.Dense(8, "relu"), keras.layers.Dense(4, "relu")], name=f"block_{i}"
            )
            for i in range(4)
        ],
        name="blocks",
    )


def _shapes(model: Any) -> dict[str, list[int]]:
    return {weight.path: list(weight.shape) for weight in model.weights}


def _initialise(seed: int) -> tuple[Any, dict[str, Any]]:
    """Draw 100 x 100 weights with each initialiser: a figure, and what they are like."""
    known = {
        "normal, 0.01": keras.initializers.RandomNormal(stddev=0.01, seed=seed),
        "constant 1": keras.initializers.Constant(1.0),
        "constant 42": keras.initializers.Constant(42.0),
        "Xavier": keras.initializers.GlorotUniform(seed=seed),
        "own: 5 to 10, or 0": layers.GappedUniform(seed=seed),
    }
    drawing, panels = figures.new_figure(1, 3, width=3.6)
    panels, values = iter(panels[0]), {}
    for name, initializer in known.items():
        weights = np.asarray(initializer((100, 100)))
        values[name] = {
            "mean": float(weights.mean()),
            "standard deviation": float(weights.std()),
            "smallest": float(weights.min()),
            "largest": float(weights.max()),
            "share of zeros": float((weights == 0).mean()),
        }
        if not name.startswith("constant"):
            axes = next(panels)
            axes.hist(weights.ravel(), bins=60)
            axes.set(title=name, xlabel="weight", ylabel="weights of 10,000")
    return drawing, values


def _tie(seed: int) -> dict[str, Any]:
    """Compare one layer used twice with two layers that start with its weights."""
    tied = models.tied_mlp(seed=seed)
    first, second = keras.layers.Dense(8, "relu"), keras.layers.Dense(8, "relu")
    untied = keras.Sequential(
        [keras.Input((4,)), tied.get_layer("first"), first, second, tied.get_layer("output")]
    )
    shared = tied.get_layer("shared")
    for layer in (first, second):
        layer.set_weights(shared.get_weights())
    x = keras.random.uniform((2, 4), seed=seed)

    def gradients(model: Any, kernels: list) -> list:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x))
        return tape.gradient(loss, [kernel.value for kernel in kernels])

    (together,) = gradients(tied, [shared.kernel])
    apart = gradients(untied, [first.kernel, second.kernel])
    shared.kernel.assign(tf.tensor_scatter_nd_update(shared.kernel.value, [[0, 0]], [100.0]))
    return {
        "weights": _shapes(tied),
        "gradient of the shared kernel": float(tf.norm(together)),
        "gradients of two kernels": [float(tf.norm(part)) for part in apart],
        "largest difference from their sum": float(np.max(np.abs(together - sum(apart)))),
        "shared[0, 0] after writing 100": float(tied.get_layer("shared").kernel[0, 0]),
    }
