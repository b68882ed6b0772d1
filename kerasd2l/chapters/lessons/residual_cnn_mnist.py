"""L.11b Residual blocks for MNIST."""

from __future__ import annotations

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.data.picture_sets import Dataset
from kerasd2l.recipe import Expected, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")


def mnist_resnet(
    *,
    dataset: Dataset = "mnist",
    resize: int | None = None,
    skip_broken: bool = False,
    learning_rate: float = 0.01,
    momentum: float = 0.5,
    batch_size: int = 64,
    epochs: int = 9,
) -> Recipe:
    """Train the lessons' CNN with two residual blocks on MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "residual-cnn-mnist". z = ReLU(f(x) + x) with two 3 x 3 convolutions in f; the rest,
    one's own pictures included, as `mnist_cnn`.
    Expected: test accuracy 0.99 (the lesson, which names no epochs).
    Command: kerasd2l train mnist_resnet --data files --export
    """
    return _digits(
        "residual-cnn-mnist",
        "mnist_resnet",
        Expected("test_accuracy", 0.99, 0.99, "lesson 11"),
        data.PictureSet(dataset, resize=resize, least=_LEAST, skip_broken=skip_broken),
        learning_rate=learning_rate,
        momentum=momentum,
        batch_size=batch_size,
        epochs=epochs,
    )


_LEAST = 16  # pixels of a side, before two 5 x 5 convolutions and two poolings


def _digits(
    section: str,
    network: str,
    expected: Expected,
    pictures,
    *,
    learning_rate: float,
    momentum: float,
    batch_size: int,
    epochs: int,
) -> Recipe:
    """Make the recipe that these lessons share; `network` is the name of a builder in models."""
    height, width, channels = pictures.shape
    return Recipe(
        section=section,
        dataset=pictures.dataset,
        data=lambda source: pictures.load(source, batch_size=batch_size),
        model=lambda d: getattr(models, network)(
            d.features["pixels"].shape, len(d.assets["class_names"])
        ),
        optimizer=lambda: keras.optimizers.SGD(learning_rate, momentum=momentum),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=endpoints.image_classifier(height=height, width=width, channels=channels),
        expected=expected if pictures.dataset == "mnist" else None,
        intra_op_threads=1,  # each piece of a batch has a core of its own
    )
