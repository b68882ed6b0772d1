"""Convolutional neural networks: from an edge detector to LeNet."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, export, models
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe

keras = lazy("keras")


def lenet(
    *,
    dataset: Literal["fashion_mnist", "mnist"] = "fashion_mnist",
    activation: Literal["sigmoid", "relu", "tanh"] = "sigmoid",
    pooling: Literal["average", "max"] = "average",
    learning_rate: float = 0.9,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train LeNet on pictures of clothes (60,000 + 10,000, 28 x 28 grey).

    Section: "lenet". Xavier weights, SGD, cross-entropy, all as in the book.
    Expected: test accuracy 0.779-0.828 after 10 epochs (d2l-zh notebooks, PyTorch and TensorFlow).
    A modern variant: --set dataset=mnist --set activation=relu --set pooling=max --set
    learning_rate=0.1. The builtin digits are few: they need smaller batches and ReLU.
    Command: kerasd2l train lenet --data files --export
    """
    published = Expected("test_accuracy", 0.779, 0.828, "d2l-zh notebooks")
    as_published = (dataset, activation, pooling) == ("fashion_mnist", "sigmoid", "average")
    return Recipe(
        section="lenet",
        dataset=dataset,
        data=lambda source: getattr(data, dataset).load(source, batch_size=batch_size),
        model=lambda d: models.lenet(
            d.features["pixels"].shape,
            len(d.assets["class_names"]),
            activation=activation,
            pooling=pooling,
        ),
        optimizer=lambda: keras.optimizers.SGD(learning_rate),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=export.image_classifier(height=28, width=28, channels=1),
        expected=published if as_published else None,
    )
