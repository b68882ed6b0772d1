"""4.4 Concise multilayer perceptrons."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, endpoints, scratch
from kerasd2l._lazy import lazy
from kerasd2l.data.picture_sets import Dataset
from kerasd2l.recipe import Expected, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")


def mlp(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int | None = None,
    skip_broken: bool = False,
    implementation: Literal["concise", "scratch"] = "concise",
    hidden_units: tuple[int, ...] = (256,),
    activation: Literal["relu", "sigmoid", "tanh"] = "relu",
    learning_rate: float = 0.1,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train a multilayer perceptron 784-256-10 on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "mlp-concise". ReLU, weights from N(0, 0.01^2), SGD, cross-entropy. "scratch" is
    section "mlp-scratch": own matrices, own ReLU, own loss and optimizer. One's own pictures:
    --set dataset=image_folder --set resize=28 --data files --data-dir FOLDER.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train mlp --data files
    """
    by_hand = implementation == "scratch"
    if by_hand and activation != "relu":
        raise ValueError(
            "`activation` must be relu with implementation=scratch, which writes ReLU out. "
            f"Received: activation={activation}."
        )
    _check_layers(hidden_units)
    pictures = data.PictureSet(dataset, resize=resize, skip_broken=skip_broken)
    return _classifier(
        pictures,
        section=f"mlp-{implementation}",
        model=lambda shape, classes: (
            scratch.MLPScratch(classes, hidden_units)
            if by_hand
            else models.mlp(shape, classes, hidden_units=hidden_units, activation=activation)
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
