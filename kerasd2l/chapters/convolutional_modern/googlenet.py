"""7.4 Networks with parallel branches (GoogLeNet)."""

from __future__ import annotations

from collections.abc import Callable

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.data.picture_sets import Dataset
from kerasd2l.recipe import Expected, Recipe

keras = lazy("keras")
models = lazy("kerasd2l.models")


def image_recipe(
    section: str,
    build: Callable,
    *,
    dataset: str,
    resize: int | None,
    least: int,
    skip_broken: bool,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    expected: Expected | None = None,
) -> Recipe:
    """Make the recipe of an image classifier.

    Args:
        section: str, the book's label.
        build: (input_shape, num_classes) -> keras.Model with logits.
        dataset: str, a name of `data.load_pictures`.
        resize: int, pixels of a side, or None for the data set's own size.
        least: int, the smallest side that the network does not shrink to nothing.
        skip_broken: bool, leave out broken pictures of one's own.
        learning_rate: float, of SGD.
        batch_size: int, the global batch.
        epochs: int.
        expected: the figure on Fashion-MNIST, or None.

    Raises:
        ValueError: pictures that are too small, or broken pictures where there are none.
    """
    pictures = data.PictureSet(dataset, resize=resize, least=least, skip_broken=skip_broken)
    height, width, channels = pictures.shape
    return Recipe(
        section=section,
        dataset=dataset,
        data=lambda source: pictures.load(source, batch_size=batch_size),
        model=lambda d: build(d.features["pixels"].shape, len(d.assets["class_names"])),
        optimizer=lambda: keras.optimizers.SGD(learning_rate),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=endpoints.image_classifier(height=height, width=width, channels=channels),
        expected=expected if dataset == "fashion_mnist" else None,
    )


def published(low: float, high: float) -> Expected:
    """Return the test accuracies of the two official notebooks, PyTorch and TensorFlow."""
    return Expected("test_accuracy", low, high, "d2l-zh notebooks")


def googlenet(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 96,
    width: float = 1.0,
    skip_broken: bool = False,
    learning_rate: float = 0.1,
    batch_size: int = 128,
    epochs: int = 10,
) -> Recipe:
    """Train GoogLeNet on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 96 x 96).

    Section: "googlenet". Xavier weights, SGD, cross-entropy, as in the book. The builtin digits
    train in seconds with --set resize=32 --set width=0.25. One's own pictures: --set
    dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.886-0.899 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train googlenet --data files --export
    """
    return image_recipe(
        "googlenet",
        lambda shape, num_classes: models.googlenet(shape, num_classes, width=width),
        dataset=dataset,
        resize=resize,
        least=1,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.886, 0.899) if width == 1 else None,
    )
