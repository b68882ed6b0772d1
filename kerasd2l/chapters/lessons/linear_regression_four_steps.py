"""L.5 Linear regression in four steps."""

from __future__ import annotations

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.scratch import descent

keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")


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
