"""7.5 Batch normalization."""

from __future__ import annotations

from collections.abc import Callable

from kerasd2l import data, endpoints, scratch
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


def batch_norm_lenet(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int | None = None,
    skip_broken: bool = False,
    learning_rate: float = 1.0,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train LeNet with batch normalisation on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "batch-norm". Keras' layer with the book's momentum 0.9 and epsilon 1e-5, before each
    sigmoid; Xavier weights, SGD, cross-entropy, no padding. The large learning rate makes the test
    accuracy jump from epoch to epoch. One's own pictures: --set dataset=image_folder --set
    resize=32 --data files --data-dir FOLDER.
    Expected: test accuracy 0.708-0.863 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train batch_norm_lenet --data files --export
    """
    return image_recipe(
        "batch-norm",
        lambda shape, num_classes: models.batch_norm_lenet(shape, num_classes),
        dataset=dataset,
        resize=resize,
        least=16,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.708, 0.863),
    )


def batch_norm_lenet_scratch(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int | None = None,
    skip_broken: bool = False,
    learning_rate: float = 1.0,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train LeNet with batch normalisation by hand on Fashion-MNIST (60,000 + 10,000, 28 x 28).

    Section: "batch-norm". The same network with `scratch.BatchNormScratch`; with the same weights
    it computes the same.
    Expected: test accuracy 0.807-0.876 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train batch_norm_lenet_scratch --data files
    """
    return image_recipe(
        "batch-norm",
        lambda shape, num_classes: models.batch_norm_lenet(
            shape, num_classes, batch_norm=scratch.BatchNormScratch
        ),
        dataset=dataset,
        resize=resize,
        least=16,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.807, 0.876),
    )
