"""What the recipes of this chapter share: pictures in, SGD, cross-entropy, class names out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from kerasd2l import data, export
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe

keras = lazy("keras")

Dataset = Literal["fashion_mnist", "mnist", "cifar10", "image_folder"]


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
    height, width, channels = data.picture_shape(dataset, resize)
    if height < least:
        raise ValueError(
            f"`resize` must be at least {least}: the network shrinks smaller pictures below one "
            f"pixel. Received: resize={resize}, dataset={dataset} ({height} x {width} pixels)."
        )
    if skip_broken and dataset != "image_folder":
        raise ValueError(
            "`skip_broken` is for pictures of one's own; published sets are read whole or not at "
            f"all. Received: skip_broken=True, dataset={dataset}. Use dataset=image_folder."
        )
    return Recipe(
        section=section,
        dataset=dataset,
        data=lambda source: data.load_pictures(
            dataset, source, batch_size=batch_size, resize=resize, skip_broken=skip_broken
        ),
        model=lambda d: build(d.features["pixels"].shape, len(d.assets["class_names"])),
        optimizer=lambda: keras.optimizers.SGD(learning_rate),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=export.image_classifier(height=height, width=width, channels=channels),
        expected=expected if dataset == "fashion_mnist" else None,
    )


def published(low: float, high: float) -> Expected:
    """Return the test accuracies of the two official notebooks, PyTorch and TensorFlow."""
    return Expected("test_accuracy", low, high, "d2l-zh notebooks")
