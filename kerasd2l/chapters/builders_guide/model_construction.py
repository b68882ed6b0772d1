"""5.1 Layers and modules."""

from __future__ import annotations

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")


def model_construction(*, seed: int = 0) -> Demo:
    """Build blocks by hand: an MLP, a Sequential, one with control flow, one inside another.

    Section: "model-construction". Inputs (2, 20) from U(0, 1). Parameters, outputs against Keras'
    own, the loop of FixedHiddenMLP in and out of a graph, and how often it halves; one figure.
    Expected: MySequential equals keras.Sequential; FixedHiddenMLP gives one number in [-1, 1].
    Command: kerasd2l run model_construction --out figures
    """
    return Demo(section="model-construction", run=lambda: _construct(seed))


def _construct(seed: int) -> DemoResult:
    keras.utils.set_random_seed(seed)
    x = keras.random.uniform((2, 20), seed=seed)
    mlp = models.MLP()
    blocks = [keras.layers.Dense(256, "relu"), keras.layers.Dense(10)]
    ours, theirs = models.MySequential(blocks), keras.Sequential(blocks)
    fixed, nested, chimera = models.FixedHiddenMLP(), models.NestMLP(), models.chimera()
    in_graph = tf.function(fixed)
    values = {
        "MLP": {"output shape": list(mlp(x).shape), "parameters": mlp.count_params()},
        "MySequential against keras.Sequential": {
            "largest difference": float(np.max(np.abs(ours(x) - theirs(x))))
        },
        "FixedHiddenMLP": {
            "output": float(fixed(x)),
            "output in a graph": float(in_graph(x)),
            "output for inputs 1000 times as large": float(fixed(1000 * x)),
            "trainable weights": [weight.path for weight in fixed.trainable_weights],
            "constant weights": [weight.path for weight in fixed.non_trainable_weights],
        },
        "NestMLP": {"output shape": list(nested(x).shape), "parameters": nested.count_params()},
        "chimera": {"output": float(chimera(x)), "parameters": chimera.count_params()},
    }
    scales = np.logspace(-1, 4, 51)
    outputs = [float(fixed(scale * x)) for scale in scales]
    drawing = figures.lines(
        scales,
        {"sum of the output": outputs},
        title="FixedHiddenMLP halves until sum |h| is at most 1",
        xlabel="scale of the inputs",
        ylabel="output",
        xscale="log",
    )
    return DemoResult(values, {"fixed_hidden_mlp": drawing})
