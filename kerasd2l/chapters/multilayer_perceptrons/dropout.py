"""4.7 Dropout."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, endpoints, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.data.picture_sets import Dataset
from kerasd2l.recipe import Demo, DemoResult, Expected, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")


def dropout_mlp(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int | None = None,
    skip_broken: bool = False,
    implementation: Literal["concise", "scratch"] = "concise",
    hidden_units: tuple[int, ...] = (256, 256),
    dropout_rates: tuple[float, ...] = (0.2, 0.5),
    learning_rate: float = 0.5,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train 784-256-256-10 with dropout 0.2 and 0.5 on Fashion-MNIST (60,000 + 10,000 pictures).

    Section: "dropout". Dropout after each hidden ReLU, weights from N(0, 0.01^2), SGD. "scratch"
    has its own matrices and its own mask. The high learning rate is the book's. One's own
    pictures: --set dataset=image_folder --set resize=28 --data files --data-dir FOLDER.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train dropout_mlp --data files
    """
    by_hand = implementation == "scratch"
    _check_layers(hidden_units)
    if len(dropout_rates) != len(hidden_units) or not all(0 <= p < 1 for p in dropout_rates):
        raise ValueError(
            "`dropout_rates` must be one number in [0, 1) for each hidden layer. "
            f"Received: dropout_rates={dropout_rates}, hidden_units={hidden_units}."
        )
    pictures = data.PictureSet(dataset, resize=resize, skip_broken=skip_broken)
    return _classifier(
        pictures,
        section="dropout",
        model=lambda shape, classes: (
            scratch.DropoutMLPScratch(classes, hidden_units, dropout_rates)
            if by_hand
            else models.dropout_mlp(
                shape, classes, hidden_units=hidden_units, dropout_rates=dropout_rates
            )
        ),
        by_hand=by_hand,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
    )


def _check_layers(hidden_units: tuple[int, ...]) -> None:
    if not all(units >= 1 for units in hidden_units):
        raise ValueError(f"`hidden_units` must be positive. Received: {hidden_units}.")


def _classifier(
    pictures,
    *,
    section: str,
    model,
    by_hand: bool,
    learning_rate: float,
    batch_size: int,
    epochs: int,
) -> Recipe:
    """Make the recipe that all networks of this chapter share; `model` is (shape, classes)."""
    height, width, channels = pictures.shape
    asserted = Expected("test_accuracy", 0.7, 1.0, "asserted by the book")
    return Recipe(
        section=section,
        dataset=pictures.dataset,
        data=lambda source: pictures.load(source, batch_size=batch_size),
        model=lambda d: model(d.features["pixels"].shape, len(d.assets["class_names"])),
        optimizer=lambda: (scratch.SGDScratch if by_hand else keras.optimizers.SGD)(learning_rate),
        loss=lambda: (
            scratch.CrossEntropyScratch()
            if by_hand
            else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=endpoints.image_classifier(height=height, width=width, channels=channels),
        expected=asserted if pictures.dataset == "fashion_mnist" else None,
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
