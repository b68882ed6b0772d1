"""The builders' guide: blocks, parameters, layers of one's own, files, devices."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from kerasd2l import figures, layers, scratch
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


def parameters(*, seed: int = 0) -> Demo:
    """Read, initialise and share the parameters of a network 4 -> 8 -> 1 and of nested blocks.

    Section: "parameters". Access by index, by name and all at once; normal, constant, Xavier and an
    own initialiser (histograms); one layer used twice: one variable, whose gradients add.
    Expected: kernels (4, 8) and (8, 1); tied gradient = sum of the two untied ones.
    Command: kerasd2l run parameters --out figures
    """
    return Demo(section="parameters", run=lambda: _show_parameters(seed))


def deferred_initialization() -> Demo:
    """Let a network find its input width when the first batch comes.

    Section: "deferred-init". Dense 256, Dense 10, and a batch (2, 20); another width is refused.
    Expected: no weights before, shapes (20, 256), (256,), (256, 10), (10,) after.
    Command: kerasd2l run deferred_initialization
    """
    return Demo(section="deferred-init", run=_defer)


def custom_layers(*, seed: int = 0) -> Demo:
    """Use layers of one's own: CenteredLayer without weights, MyLinear with weights that learn.

    Section: "custom-layer". Inputs [1, 2, 3, 4, 5] and (4, 8) from U(0, 1).
    Expected: centred [-2, -1, 0, 1, 2]; mean behind a centred network 0 up to rounding.
    Command: kerasd2l run custom_layers
    """
    return Demo(section="custom-layer", run=lambda: _use_own_layers(seed))


def read_write(*, seed: int = 0) -> Demo:
    """Save and load a tensor, a list, a dict, the weights of an MLP 20-256-10, and the MLP itself.

    Section: "read-write". Files in a temporary folder: .npz, .weights.h5, .keras.
    Expected: everything comes back equal.
    Command: kerasd2l run read_write
    """
    return Demo(section="read-write", run=lambda: _read_and_write(seed))


def devices() -> Demo:
    """Put tensors and a model on a GPU where there is one, else on the CPU.

    Section: "use-gpu". try_gpu, try_all_gpus, where a tensor, a sum and a model's weights live.
    Expected: try_gpu(10) falls back to CPU:0 on a machine with fewer than 11 GPUs.
    Command: kerasd2l run devices
    """
    return Demo(section="use-gpu", run=_use_devices)


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


def _read_and_write(seed: int) -> DemoResult:
    keras.utils.set_random_seed(seed)
    x = keras.ops.arange(4.0)
    y = keras.ops.zeros(4)
    net = models.MLP()
    inputs = keras.random.uniform((2, 20), seed=seed)
    outputs = np.asarray(net(inputs))
    values: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for name, tensors in {"tensor": x, "list": [x, y], "dict": {"x": x, "y": y}}.items():
            scratch.save_tensors(path / "tensors.npz", tensors)
            loaded = scratch.load_tensors(path / "tensors.npz")
            pairs = zip(keras.tree.flatten(loaded), keras.tree.flatten(tensors), strict=True)
            values[f"{name} equal"] = all(np.array_equal(a, b) for a, b in pairs)
            values[f"{name} bytes"] = (path / "tensors.npz").stat().st_size
        net.save_weights(path / "mlp.weights.h5")
        clone = models.MLP()
        clone.build((None, 20))
        clone.load_weights(path / "mlp.weights.h5")
        values["MLP from its weights equal"] = np.array_equal(clone(inputs), outputs)
        net.save(path / "mlp.keras")
        whole = keras.saving.load_model(path / "mlp.keras")
        values["MLP from its file equal"] = np.array_equal(whole(inputs), outputs)
        values["MLP bytes"] = (path / "mlp.keras").stat().st_size
    return DemoResult(values)


def _use_devices() -> DemoResult:
    with tf.device(scratch.try_gpu()):
        x = tf.ones((2, 3))
        net = keras.Sequential([keras.layers.Dense(1)])
        y = net(x)
    with tf.device("CPU:0"):
        z = x + 1.0
    return DemoResult(
        {
            "GPUs": scratch.num_gpus(),
            "try_gpu()": scratch.try_gpu(),
            "try_gpu(10)": scratch.try_gpu(10),
            "try_all_gpus()": scratch.try_all_gpus(),
            "a tensor": x.device.rpartition("device:")[2],
            "the weights of a model": net.weights[0].value.device.rpartition("device:")[2],
            "its output": y.device.rpartition("device:")[2],
            "a sum computed on the CPU": z.device.rpartition("device:")[2],
        }
    )
