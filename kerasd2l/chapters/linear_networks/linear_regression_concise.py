"""3.3 Concise linear regression."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, endpoints, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
losses = lazy("kerasd2l.losses")


def linear_regression(
    *,
    implementation: Literal["concise", "scratch"] = "concise",
    learning_rate: float = 0.03,
    batch_size: int = 10,
    epochs: int = 3,
    data_seed: int = 0,
) -> Recipe:
    """Train linear regression on 1000 + 1000 examples of y = 2 x1 - 3.4 x2 + 4.2 + noise.

    Section: "linear-regression-concise": one Dense unit, mean squared error, SGD. "scratch" is
    section "linear-regression-scratch": own model, own SGD, half the squared error.
    Expected: test loss about 0.0001, the variance of the noise (0.01^2); half of it for "scratch".
    d2l-zh's notebooks end at 0.000098-0.000103 and 0.000050-0.000051 on the training examples.
    Serve: kerasd2l predict savedmodels/linear_regression 1,2
    Command: kerasd2l train linear_regression --data builtin --export
    """
    by_hand = implementation == "scratch"
    low, high = (5.0e-5, 5.1e-5) if by_hand else (9.8e-5, 1.03e-4)
    return Recipe(
        section=f"linear-regression-{implementation}",
        dataset="synthetic",
        data=lambda source: data.synthetic.linear(
            source, batch_size=batch_size, data_seed=data_seed
        ),
        model=lambda d: (
            scratch.LinearRegressionScratch()
            if by_hand
            else models.linear_regression(d.features["features"].shape[0])
        ),
        optimizer=lambda: (scratch.SGDScratch if by_hand else keras.optimizers.SGD)(learning_rate),
        loss=lambda: losses.HalfSquaredError() if by_hand else keras.losses.MeanSquaredError(),
        metrics=lambda: [keras.metrics.MeanAbsoluteError(name="absolute_error")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=(endpoints.regressor((2,)),),
        expected=Expected("test_loss", low, high, "d2l-zh notebooks, on the training examples"),
    )
