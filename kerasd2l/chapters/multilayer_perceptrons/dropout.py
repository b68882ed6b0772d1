"""4.7 Dropout."""

from __future__ import annotations

from typing import Literal

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")
np = lazy("numpy")


def dropout_mlp(
    *,
    pictures: Pictures = Pictures(),
    implementation: Literal["concise", "scratch"] = "concise",
    hidden_units: tuple[int, ...] = (256, 256),
    dropout_rates: tuple[float, ...] = (0.2, 0.5),
    descent: Descent = Descent(0.5),
) -> Recipe:
    """Train 784-256-256-10 with dropout 0.2 and 0.5 on Fashion-MNIST (60,000 + 10,000 pictures).

    Section: "dropout". Dropout after each hidden ReLU, weights from N(0, 0.01^2), SGD. "scratch"
    has its own matrices and its own mask. The high learning rate is the book's. One's own
    pictures: --set dataset=image_folder --set resize=28 --data files --data-dir FOLDER.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train dropout_mlp --data files
    """
    by_hand = implementation == "scratch"
    if not all(units >= 1 for units in hidden_units):
        raise ValueError(f"`hidden_units` must be positive. Received: {hidden_units}.")
    if len(dropout_rates) != len(hidden_units) or not all(0 <= p < 1 for p in dropout_rates):
        raise ValueError(
            "`dropout_rates` must be one number in [0, 1) for each hidden layer. "
            f"Received: dropout_rates={dropout_rates}, hidden_units={hidden_units}."
        )
    return image_classification(
        "dropout",
        lambda shape, classes: (
            scratch.DropoutMLPScratch(classes, hidden_units, dropout_rates)
            if by_hand
            else models.dropout_mlp(
                shape, classes, hidden_units=hidden_units, dropout_rates=dropout_rates
            )
        ),
        pictures=pictures,
        descent=descent,
        expected=published(pictures, 0.7, 1.0, "asserted by the book"),
        by_hand=by_hand,
    )


def dropout_by_hand(*, seed: int = 0) -> Demo:
    """Apply dropout with 0, 0.5 and 1 to the numbers 0-15, and measure what it keeps.

    Section: "dropout". The mask comes from uniform numbers: normal ones would keep 31 % at 0.5.
    Expected: 0 changes nothing, 0.5 doubles the survivors, 1 leaves zeros; the mean stays.
    Command: kerasd2l run dropout_by_hand --out figures
    """
    return Demo("dropout", lambda: _drop(seed))


def _drop(seed: int) -> DemoResult:
    x = np.arange(16, dtype=np.float32).reshape(2, 8)
    values = {"input": x.tolist()}
    for rate in (0.0, 0.5, 1.0):
        values[f"dropout {rate:g}"] = np.asarray(scratch.dropout_layer(x, rate, seed)).tolist()
    ones = np.ones(100_000, np.float32)
    rates = np.linspace(0, 0.9, 10)
    results = [np.asarray(scratch.dropout_layer(ones, float(p), seed)) for p in rates]
    kept = [float(np.mean(result > 0)) for result in results]
    means = [float(np.mean(result)) for result in results]
    deviations = [float(np.std(result)) for result in results]
    values |= {"share kept at 0.5": kept[5], "mean of 100,000 ones at 0.5": means[5]}
    figure = figures.lines(
        rates,
        {"share of units kept": kept, "mean": means, "standard deviation": deviations},
        title="Dropout of 100,000 ones",
        xlabel="dropout rate",
        ylabel="measured value",
    )
    return DemoResult(values, {"dropout": figure})
