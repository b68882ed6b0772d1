"""8.1 Sequence models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kerasd2l import data, endpoints, figures, training
from kerasd2l._lazy import lazy
from kerasd2l.recipe import (
    Demo,
    DemoResult,
    Endpoint,
    Expected,
    Recipe,
    ServingFunction,
    TensorSpec,
)

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")

MOST_STEPS = 10_000  # of one forecast


def sequence_mlp(
    *,
    num_lags: int = 4,
    noise: float = 0.2,
    horizon: int = 16,
    learning_rate: float = 0.01,
    batch_size: int = 16,
    epochs: int = 5,
) -> Recipe:
    """Train a 4-10-1 network to predict a noisy sine from its last four values.

    Section: "sequence". 1,000 values sin(0.01 t) + N(0, 0.2^2), 600 training examples and the 396
    that follow. Keras' Adam at 0.01 (for PyTorch's place of epsilon see `optimizers.Adam`; d2l-zh's
    TensorFlow code forgets the rate and trains at 0.001).
    Expected: squared error near 0.05, of which the noise is 0.04 (d2l-zh, PyTorch: 0.0517 on the
    training examples after 5 epochs). Served: the last values in, the next `horizon` out.
    Command: kerasd2l train sequence_mlp --data builtin --export
    """
    _check_arguments(num_lags=num_lags, horizon=horizon)
    as_published = (num_lags, noise) == (4, 0.2)
    return Recipe(
        section="sequence",
        dataset="noisy_sine",
        data=lambda source: data.sequences.load_sine(
            source, batch_size=batch_size, num_lags=num_lags, noise=noise
        ),
        model=lambda d: models.sequence_mlp(d.features["history"].shape[0]),
        optimizer=lambda: keras.optimizers.Adam(learning_rate, epsilon=1e-8),
        loss=lambda: keras.losses.MeanSquaredError(),
        metrics=lambda: [],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=_forecasts(num_lags, horizon),
        expected=Expected("train_loss", 0.0517, 0.0563, "d2l-zh PyTorch, epochs 2-5")
        if as_published
        else None,
    )


def _check_arguments(**arguments: int) -> None:
    for name, value in arguments.items():
        if not 1 <= value <= MOST_STEPS:
            raise ValueError(f"`{name}` must be in 1..{MOST_STEPS}. Received: {name}={value}.")


def _forecasts(num_lags: int, horizon: int) -> tuple[Endpoint, ...]:
    """Make the endpoints: history -> the next `horizon` values, or as many as are asked for."""
    history = TensorSpec((None, num_lags))

    def example() -> dict[str, Any]:
        return {"history": data.sequences.lagged(data.sequences.noisy_sine(8), num_lags)[0][:3]}

    def build_fixed(model: Any, assets: Mapping[str, Any]) -> Callable[..., dict]:
        forecast = _forecaster(model)
        return lambda history: forecast(history, horizon)

    def build_free(model: Any, assets: Mapping[str, Any]) -> ServingFunction:
        return ServingFunction(_forecaster(model), defaults={"steps": horizon})

    return (
        Endpoint("serving_default", {"history": history}, build_fixed, example),
        Endpoint(
            "forecast",
            {"history": history, "steps": TensorSpec((), "int32")},
            build_free,
            lambda: example() | {"steps": np.int32(5)},
        ),
    )


def _forecaster(model: Any) -> Callable[[Any, Any], dict]:
    """Return (history, steps) -> the next values, each predicted from those before it."""
    import tensorflow as tf

    message = f"steps must be in 1..{MOST_STEPS}"

    def forecast(history, steps):
        history = tf.debugging.check_numerics(history, "history must be finite numbers")
        steps = tf.convert_to_tensor(steps)
        checks = [
            tf.debugging.assert_greater(steps, 0, message),
            tf.debugging.assert_less_equal(steps, MOST_STEPS, message),
        ]
        with tf.control_dependencies([check for check in checks if check is not None]):
            steps = tf.identity(steps)
        found = tf.TensorArray("float32", size=steps, element_shape=(None,))

        def step(i, last, found):
            value = tf.cast(model(last, training=False), "float32")  # (B, 1)
            return i + 1, tf.concat([last[:, 1:], value], axis=1), found.write(i, value[:, 0])

        _, _, found = tf.while_loop(lambda i, *_: i < steps, step, (0, history, found))
        return {"predictions": endpoints.finite(tf.transpose(found.stack()))}  # (B, steps)

    return forecast


def sequence_predictions(
    *,
    steps: tuple[int, ...] = (1, 4, 16, 64),
    epochs: int = 5,
    learning_rate: float = 0.01,
    seed: int = 0,
) -> Demo:
    """Train on 600 values of a noisy sine, then predict one step, many steps, and k steps ahead.

    Section: "sequence". One figure with one-step predictions and those that feed on themselves
    from value 604 on, one figure with the predictions k = 1, 4, 16 and 64 steps ahead.
    Expected: good one step ahead; fed with themselves, predictions soon decay to a constant
    (d2l-zh, text); the error grows with k.
    Command: kerasd2l run sequence_predictions --out figures
    """
    if not steps or min(steps) < 1 or max(steps) > 300:
        raise ValueError(f"`steps` must be numbers in 1..300. Received: steps={steps}.")
    _check_arguments(epochs=epochs)
    return Demo("sequence", lambda: _predict(steps, epochs, learning_rate, seed))


def _predict(steps: tuple[int, ...], epochs: int, learning_rate: float, seed: int) -> DemoResult:
    num_lags, num_train = 4, 600
    keras.utils.set_random_seed(seed)
    loaded = data.sequences.load_sine(
        data.Source("builtin", seed=seed), num_train=num_train, num_lags=num_lags
    )
    model = models.sequence_mlp(num_lags, seed=seed)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate, epsilon=1e-8), loss="mse")
    history = training.train(model, loaded, epochs=epochs)
    series = data.sequences.noisy_sine()
    x, y = data.sequences.lagged(series, num_lags)
    forecast = _forecaster(model)
    one_step = model.predict_on_batch(x)[:, 0]
    fed = forecast(x[num_train : num_train + 1], len(x) - num_train)["predictions"][0].numpy()
    # row i: 1, 2, ... steps ahead of the true values i .. i + num_lags - 1
    starts = x[: len(series) - num_lags - max(steps) + 1]
    ahead = forecast(starts, max(steps))["predictions"].numpy()
    clean = np.sin(0.01 * np.arange(1, len(series) + 1))
    errors = {
        k: float(np.sqrt(np.mean((ahead[:, k - 1] - clean[num_lags + k - 1 :][: len(ahead)]) ** 2)))
        for k in steps
    }
    values = {
        "training loss of each epoch": [event["train_loss"] for event in history],
        "loss on the training examples afterwards": float(
            np.mean((one_step - y[:, 0])[:num_train] ** 2)
        ),
        "test loss": history[-1]["test_loss"],
        "root mean squared distance from sin(0.01 t), by steps ahead": errors,
        "spread of the last 200 values fed with themselves": float(np.std(fed[-200:])),
        "spread of the last 200 true values": float(np.std(clean[-200:])),
    }
    first = num_lags + num_train  # 604: where the predictions begin to feed on themselves
    time = np.arange(1, len(series) + 1)
    return DemoResult(
        values,
        {
            "predictions": figures.lines(
                {
                    "data": time,
                    "one step ahead": time[num_lags:],
                    "fed with themselves": time[first:],
                },
                {"data": series, "one step ahead": one_step, "fed with themselves": fed},
                title=f"Predictions of a noisy sine, trained up to t = {first}",
                xlabel="time t (steps)",
                ylabel="x",
            ),
            "steps_ahead": figures.lines(
                {f"{k} steps ahead": time[num_lags + k - 1 :][: len(ahead)] for k in steps},
                {f"{k} steps ahead": ahead[:, k - 1] for k in steps},
                title="Predictions k steps ahead of the last data",
                xlabel="time t (steps)",
                ylabel="x",
            ),
        },
    )
