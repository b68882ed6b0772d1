"""Networks with hidden layers on pictures of clothes: the MLP, and the MLP with dropout."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, export, models
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe

keras = lazy("keras")


def mlp(
    *,
    hidden_units: tuple[int, ...] = (256,),
    activation: Literal["relu", "sigmoid", "tanh"] = "relu",
    learning_rate: float = 0.1,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train a multilayer perceptron 784-256-10 on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "mlp-concise". ReLU, weights from N(0, 0.01^2), SGD, cross-entropy.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train mlp --data files
    """
    return Recipe(
        section="mlp-concise",
        dataset="fashion_mnist",
        data=lambda source: data.fashion_mnist.load(source, batch_size=batch_size),
        model=lambda d: models.mlp(
            d.features["pixels"].shape,
            len(d.assets["class_names"]),
            hidden_units=hidden_units,
            activation=activation,
        ),
        optimizer=lambda: keras.optimizers.SGD(learning_rate),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=export.image_classifier(height=28, width=28, channels=1),
        expected=Expected("test_accuracy", 0.7, 1.0, "asserted by the book"),
    )
