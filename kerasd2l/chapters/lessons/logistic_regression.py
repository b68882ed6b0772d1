"""L.6 Logistic regression."""

from __future__ import annotations

from kerasd2l import data, endpoints, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe

keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")
models = lazy("kerasd2l.models")


def logistic_regression(
    *, learning_rate: float = 0.01, batch_size: int = 4, passes: int = 20, epochs: int = 50
) -> Recipe:
    """Train logistic regression on four points: hours of learning -> passed.

    Section: "logistic-regression". 1, 2, 3, 4 hours -> fail, fail, pass, pass; SGD, mean
    cross-entropy of the logit z = w x + b, decision at z = 0. Tested on four other hours. An epoch
    is 20 passes over the four points: 1000 steps in all.
    Expected: no figure in the lesson. No weights are best, since the points can be told apart: w
    grows for ever, and how far it comes in 1000 steps depends on where it began.
    The export answers kerasd2l predict savedmodels/logistic_regression 1 2.5 7
    Command: kerasd2l train logistic_regression --data builtin --export
    """
    return Recipe(
        section="logistic-regression",
        dataset="hours",
        data=lambda source: data.hours.load(source, batch_size=batch_size, passes=passes),
        model=lambda d: models.logistic_regression(1),
        optimizer=lambda: keras.optimizers.SGD(learning_rate),
        loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=_binary_accuracy,
        epochs=epochs,
        batch_size=batch_size,
        endpoints=(
            endpoints.binary_classifier(
                (),
                input_name="hours",
                transform=lambda hours, assets: hours[:, None],
                example=lambda: [0.0, 1.0, 2.5, 7.0],
            ),
        ),
    )


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


def _binary_accuracy() -> list:
    """Make the accuracy of logits: z = 0 is the boundary."""
    return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]
