"""Gradients with pencil and paper, beside those of a GradientTape; the first training cycle."""

from __future__ import annotations

from collections.abc import Callable

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.scratch import chain_rule, descent

keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")


def backprop_by_hand(*, learning_rate: float = 0.01, epochs: int = 100) -> Demo:
    """Derive the gradients of three models by hand, check them, and learn with them.

    Section: "backprop-by-hand". y = w x, y = w x + b and y = w_1 x^2 + w_2 x + b with the squared
    loss, on (1, 2), (2, 4), (3, 6). Prints loss and gradients at x = 2, y = 4 with all parameters
    at 1, by the chain rule and by a GradientTape; then trains each model, one point after the
    other. Figure: their losses.
    Expected: both gradients are the same; y = w x finds w = 2.
    Command: kerasd2l run backprop_by_hand --out figures
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    return Demo("backprop-by-hand", lambda: _compare_gradients(learning_rate, epochs))


_MODELS: dict[str, tuple[Callable, tuple[str, ...]]] = {
    "w x": (chain_rule.proportional, ("w",)),
    "w x + b": (chain_rule.linear, ("w", "b")),
    "w_1 x^2 + w_2 x + b": (chain_rule.quadratic, ("w_1", "w_2", "b")),
}


def _compare_gradients(learning_rate: float, epochs: int) -> DemoResult:
    values, curves = {}, {}
    for name, (backward, parameters) in _MODELS.items():
        loss, by_hand = backward(2.0, 4.0, *[1.0] * len(parameters))
        weights, losses = _learn(backward, parameters, learning_rate, epochs)
        values[f"y = {name}"] = {
            "loss": loss,
            "gradient by hand": by_hand,
            "gradient by tape": _by_tape(backward, parameters, 2.0, 4.0),
            "learned": weights,
            "loss after training": losses[-1],
        }
        curves[f"$y = {name}$"] = losses
    figure = figures.lines(
        np.arange(1, epochs + 1),
        curves,
        title="Learning with gradients from pencil and paper",
        xlabel="epoch",
        ylabel="squared loss, mean of three points",
        yscale="log",
    )
    return DemoResult(values, {"losses": figure})


def _by_tape(backward, parameters, x: float, y: float) -> dict[str, float]:
    """Return the gradient of a model's loss at 1, 1, ... as TensorFlow computes it."""
    variables = [tf.Variable(1.0) for _ in parameters]
    with tf.GradientTape() as tape:
        loss, _ = backward(x, y, *variables)
    return dict(zip(parameters, map(float, tape.gradient(loss, variables)), strict=True))


def _learn(backward, parameters, learning_rate: float, epochs: int):
    """Train from 1, 1, ... by hand, a step after each point; return weights and mean losses."""
    weights = dict.fromkeys(parameters, 1.0)
    means = []
    for _ in range(epochs):
        losses = []
        for x, y in descent.POINTS:
            loss, gradient = backward(x, y, **weights)
            losses.append(loss)
            for name in parameters:
                weights[name] -= learning_rate * gradient[name]
        means.append(float(np.mean(losses)))
    return weights, means


def linear_regression_four_steps(
    *, learning_rate: float = 0.01, epochs: int = 500, seed: int = 0
) -> Demo:
    """Walk through the four steps of every training: data, model, loss and optimizer, cycle.

    Section: "linear-regression-four-steps". Points (1, 2), (2, 4), (3, 6), one Dense unit, sum of
    the squared errors, SGD; the cycle is forward, backward, update, written out. Figure: the loss.
    Expected: y = w x + b comes near w = 2 and b = 0, the prediction for x = 4 near 8.
    Command: kerasd2l run linear_regression_four_steps --out figures
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    return Demo("linear-regression-four-steps", lambda: _four_steps(learning_rate, epochs, seed))


def _four_steps(learning_rate: float, epochs: int, seed: int) -> DemoResult:
    # 1. data
    x, y = np.hsplit(np.array(descent.POINTS, np.float32), 2)  # (3, 1), (3, 1)
    # 2. model
    uniform = keras.initializers.RandomUniform(-1.0, 1.0, seed=seed)
    dense = keras.layers.Dense(1, kernel_initializer=uniform, name="linear")
    dense.build((None, 1))
    begin = [float(weight.numpy().item()) for weight in dense.weights]
    # 3. loss and optimizer
    loss_function = keras.losses.MeanSquaredError(reduction="sum")
    optimizer = keras.optimizers.SGD(learning_rate)
    optimizer.build(dense.trainable_weights)

    # 4. training cycle
    @tf.function(autograph=False)
    def cycle():
        with tf.GradientTape() as tape:
            loss = loss_function(y, dense(x))  # forward
        gradients = tape.gradient(loss, dense.trainable_weights)  # backward
        optimizer.apply_gradients(zip(gradients, dense.trainable_weights, strict=True))  # update
        return loss

    losses = [float(cycle()) for _ in range(epochs)]
    w, b = (float(weight.numpy().item()) for weight in dense.weights)
    values = {
        "weight and bias at the start": begin,
        "weight": w,
        "bias": b,
        "prediction for x = 4": float(dense(np.float32([[4]]))[0, 0]),
        "loss before the first step": losses[0],
        "loss before the last step": losses[-1],
    }
    figure = figures.lines(
        np.arange(1, epochs + 1),
        {"loss": losses},
        title="Linear regression in four steps",
        xlabel="epoch",
        ylabel="sum of squared errors",
        yscale="log",
    )
    return DemoResult(values, {"loss": figure})


def logistic_function(*, learning_rate: float = 0.1, epochs: int = 3000) -> Demo:
    """Show the sigmoid, its slope, and logistic regression learned with the derived gradient.

    Section: "logistic-regression". sigma' = sigma (1 - sigma); d cost / dw = 1/N sum (y_hat - y) x,
    compared with a GradientTape; the binary cross-entropy is the cross-entropy of two classes with
    the logits 0 and z. Four points: 1, 2, 3, 4 hours -> fail, fail, pass, pass. Figures: function
    and slope; the fit with its boundary z = 0.
    Expected: sigma(0) = 0.5, sigma'(0) = 0.25, a boundary near 2.5 hours.
    Command: kerasd2l run logistic_function --out figures
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    return Demo("logistic-regression", lambda: _logistic(learning_rate, epochs))


def _logistic(learning_rate: float, epochs: int) -> DemoResult:
    from kerasd2l.data.sets import hours
    from kerasd2l.scratch.logistic_regression import cross_entropy, sigmoid

    x, y = np.hsplit(np.array(hours.TRAIN, np.float32), 2)  # (4, 1), (4, 1)
    model = scratch.LogisticRegressionScratch(1)
    model.w.assign([[0.3], [-0.2]])
    with tf.GradientTape() as tape:
        cost = tf.reduce_mean(cross_entropy(model(x), y))
    by_tape = tape.gradient(cost, model.w)
    by_hand = model.gradient(x, y)
    logits = model(x)
    two_classes = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.cast(y[:, 0], tf.int32), tf.concat([tf.zeros_like(logits), logits], axis=1)
    )
    model.w.assign([[0.0], [0.0]])
    step = tf.function(lambda: model.descend(x, y, learning_rate), autograph=False)
    costs = [float(step()) for _ in range(epochs)]
    bias, weight = model.w.numpy().ravel().tolist()
    z = np.linspace(-8, 8, 161, dtype=np.float32)
    heights = sigmoid(z).numpy()
    values = {
        "sigmoid(0)": float(heights[80]),
        "slope at 0": float((heights * (1 - heights))[80]),
        "gradient by hand": by_hand.numpy().ravel().tolist(),
        "gradient by tape": by_tape.numpy().ravel().tolist(),
        "cross-entropy of the logit": float(cost),
        "cross-entropy of two classes": float(tf.reduce_mean(two_classes)),
        "cost at the start": costs[0],
        "cost before the last step": costs[-1],
        "weight": weight,
        "bias": bias,
        "boundary (hours)": -bias / weight,
    }
    curves = {"sigmoid": heights, "slope": heights * (1 - heights)}
    drawn = figures.lines(z, curves, title="The logistic function", xlabel="z", ylabel="value")
    return DemoResult(values, {"sigmoid": drawn, "fit": _draw_fit(x, y, weight, bias, sigmoid)})


def _draw_fit(x, y, weight: float, bias: float, sigmoid):
    """Draw the four points, the probability, and the boundary."""
    figure, panels = figures.new_figure(width=5.5, height=3.8)
    axes = panels[0, 0]
    grid = np.linspace(0, 5, 101, dtype=np.float32)
    axes.plot(grid, sigmoid(weight * grid + bias).numpy(), label="probability to pass")
    axes.plot(x.ravel(), y.ravel(), "ko", label="examples")
    axes.axvline(-bias / weight, color="tab:red", linestyle="--", label="boundary z = 0")
    axes.set(title="Logistic regression", xlabel="hours of learning", ylabel="probability to pass")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
