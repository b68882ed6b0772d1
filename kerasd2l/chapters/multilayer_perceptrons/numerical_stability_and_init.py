"""4.9 Numerical stability and initialization."""

from __future__ import annotations

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")


def numerical_stability(*, seed: int = 0) -> Demo:
    """Multiply 100 random matrices, follow the sigmoid's gradient, leave float16, break symmetry.

    Section: "numerical-stability-and-init".
    Expected: entries around 1e25 after 100 products of 4 x 4 matrices (d2l-zh: 1e25-1e26),
    0.2^30 = 1.07e-21, 5^30 = 9.31e20, float16 from 6.1e-5 to 65504; equal weights stay equal.
    Command: kerasd2l run numerical_stability --out figures
    """
    return Demo("numerical-stability-and-init", lambda: _destabilise(seed))


def _destabilise(seed: int) -> DemoResult:
    import tensorflow as tf

    x = tf.range(-8.0, 8.05, 0.1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.sigmoid(x)
    gradient = tape.gradient(y, x)
    products = {
        f"N(0, {scale:g}$^2$)": scratch.product_of_matrices(scale=scale, seed=seed)
        for scale in (1.0, 0.5, 0.25)
    }
    half = np.finfo(np.float16)
    with np.errstate(over="ignore"):
        too_large, too_small = float(np.float16(1e5)), float(np.float16(1e-8))
    values = {
        "largest entry after 100 products": products["N(0, 1$^2$)"][-1],
        "0.2^30": 0.2**30,
        "5^30": 5.0**30,
        "1.5^100": 1.5**100,
        "0.8^100": 0.8**100,
        "float16 range": [float(half.tiny), float(half.max)],
        "1e5 in float16": str(too_large),
        "1e-8 in float16": too_small,
        "sigmoid gradient at 0, 6 and 8": [float(np.interp(p, x, gradient)) for p in (0, 6, 8)],
        "largest gradient through 30 sigmoids": 0.25**30,
        "different hidden units, equal initial weights": _different_units("equal", seed),
        "different hidden units, random initial weights": _different_units("random", seed),
    }
    figure, panels = figures.new_figure(1, 2)
    left, right = panels[0]
    left.plot(x, y, label="sigmoid(x)")
    left.plot(x, gradient, "--", label="gradient")
    left.set(title="The sigmoid saturates", xlabel="x", ylabel="value")
    left.legend()
    for (name, sizes), style in zip(products.items(), ("-", "--", ":"), strict=True):
        right.semilogy(range(1, len(sizes) + 1), sizes, style, label=f"entries from {name}")
    right.set(title="Product of 4 x 4 matrices", xlabel="matrices", ylabel="largest entry (size)")
    right.legend(fontsize=7)
    return DemoResult(values, {"stability": figure})


def _different_units(start: str, seed: int) -> int:
    """Train 4 hidden units for 20 steps; return how many different weight vectors they have."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(64, 3)).astype("float32"), random.integers(0, 2, 64)
    model = models.mlp((3,), 2, hidden_units=(4,), activation="tanh", stddev=0.5, seed=seed)
    if start == "equal":
        model.set_weights([np.full(w.shape, 0.3, "float32") for w in model.get_weights()])
        output = model.get_layer("logits")
        kernel, bias = output.get_weights()
        output.set_weights([kernel * [[1, -1]], bias])  # the classes differ, the units do not
    model.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = model.get_layer("hidden_1").get_weights()[0]
    for _ in range(20):
        model.train_on_batch(x, y)
    kernel = model.get_layer("hidden_1").get_weights()[0]  # (3, 4)
    if np.allclose(before, kernel):
        raise RuntimeError("the hidden units did not learn at all")
    return len(np.unique(np.round(kernel.T, 4), axis=0))


def xavier_initialization(*, num_layers: int = 50, width: int = 256, seed: int = 0) -> Demo:
    """Measure activations and gradients through 50 layers: initial weights, and activations.

    Section: "numerical-stability-and-init". 256 examples of N(0, 1), layers of 256 units.
    Expected: Xavier keeps the mean square of a linear network near 1 both ways, and tanh alive;
    N(0, 0.01^2) lets it vanish, N(0, 1) explode. The gradient should lie within 1e-6..1e3.
    Command: kerasd2l run xavier_initialization --out figures
    """
    for name, value in (("num_layers", num_layers), ("width", width)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    return Demo("numerical-stability-and-init", lambda: _measure_signals(num_layers, width, seed))


def _measure_signals(num_layers: int, width: int, seed: int) -> DemoResult:
    def normal(stddev):
        return lambda fan_in, fan_out, random: random.normal(0, stddev, (fan_in, fan_out))

    def xavier(fan_in, fan_out, random):
        bound = scratch.xavier_bound(fan_in, fan_out)
        return random.uniform(-bound, bound, (fan_in, fan_out))

    identity = keras.activations.linear
    cases = {
        "linear": {
            "N(0, 0.01$^2$)": (normal(0.01), identity),
            "N(0, 1)": (normal(1.0), identity),
            "Xavier": (xavier, identity),
        },
        "Xavier": {
            "tanh": (xavier, keras.activations.tanh),
            "relu": (xavier, keras.activations.relu),
            "sigmoid": (xavier, keras.activations.sigmoid),
            "4 sigmoid(x) - 2": (xavier, scratch.scaled_sigmoid),
        },
    }
    values = {
        "variance by Xavier": scratch.xavier_variance(width, width),
        "bound by Xavier": scratch.xavier_bound(width, width),
    }
    figure, panels = figures.new_figure(2, 2)
    for (group, members), (left, right) in zip(cases.items(), panels, strict=True):
        for (name, (initializer, activation)), style in zip(
            members.items(), ("-", "--", ":", "-."), strict=False
        ):
            signal = scratch.propagate(
                initializer, activation, num_layers=num_layers, width=width, seed=seed
            )
            gradient = signal.backward[0] ** 0.5
            values[f"{group}, {name}".replace("$", "")] = {
                "mean square of the last activations": signal.forward[-1],
                "mean square of the first gradients": signal.backward[0],
                "size of the first gradients within 1e-6..1e3": 1e-6 <= gradient <= 1e3,
            }
            layers = range(num_layers + 1)
            left.semilogy(layers, signal.forward, style, label=name)
            right.semilogy(layers, signal.backward, style, label=name)
        what = "initial weights, no activation" if group == "linear" else "Xavier weights"
        left.set(title=f"Activations: {what}", xlabel="layer", ylabel="mean square")
        right.set(title=f"Gradients: {what}", xlabel="layer", ylabel="mean square")
        left.legend(fontsize=7)
        right.legend(fontsize=7)
    return DemoResult(values, {"signals": figure})
