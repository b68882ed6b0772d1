"""Image classification: pictures in, cross-entropy, class names out.

A recipe is `image_classification("lenet", build, pictures=Pictures(), descent=Descent(0.9))`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kerasd2l import data, endpoints, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Data, Expected, Recipe
from kerasd2l.tasks.descent import Descending

keras = lazy("keras")


@dataclass(frozen=True)
class Pictures:
    """Which pictures, and how large.

    Args:
        dataset: str, a name of `data.load_pictures`; "image_folder": one's own pictures.
        resize: int, pixels of a side, or None for the data set's own size.
        splits: bool, of one's own pictures: whether folders called train and test are splits; no:
            they are classes.
    """

    dataset: data.Dataset = "fashion_mnist"
    resize: int | None = None
    splits: bool = True


@dataclass(frozen=True)
class Descent:
    """Stochastic gradient descent: its rate, and how long.

    Args:
        learning_rate: float > 0.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the training data.
    """

    learning_rate: float
    batch_size: int = 256
    epochs: int = 10

    def optimizer(self) -> Any:
        """Make the optimizer."""
        return keras.optimizers.SGD(self.learning_rate)


@dataclass(frozen=True)
class MomentumDescent(Descent):
    """Stochastic gradient descent with momentum.

    Args:
        learning_rate: float > 0.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the training data.
        momentum: float in [0, 1), share of the last step that the next one keeps.
    """

    momentum: float = 0.5

    def optimizer(self) -> Any:
        """Make the optimizer."""
        return keras.optimizers.SGD(self.learning_rate, momentum=self.momentum)


@dataclass(frozen=True)
class ScaledDescent(Descent):
    """Stochastic gradient descent whose rate grows with the batch, as with more devices.

    Args:
        learning_rate: float > 0, of a batch of `rate_batch` examples; in proportion for others.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the training data.
        rate_batch: int >= 1, examples.
    """

    rate_batch: int = 256

    def optimizer(self) -> Any:
        """Make the optimizer."""
        return keras.optimizers.SGD(self.learning_rate * self.batch_size / self.rate_batch)


def image_classification(
    section: str,
    build: Callable[[tuple[int | None, ...], int], Any],
    *,
    pictures: Pictures,
    descent: Descending,
    augment: Callable[[int, int], Callable] | None = None,
    least: int = 1,
    expected: Expected | None = None,
    by_hand: bool = False,
    small_steps: bool = False,
) -> Recipe:
    """Make the recipe of an image classifier.

    Args:
        section: str, the book's label.
        build: (input_shape, num_classes) -> keras.Model with logits.
        pictures: the data.
        descent: the optimizer's numbers.
        augment: (height, width) -> random changes of the training pictures; or None.
        least: int, the smallest side that the network does not shrink to nothing.
        expected: the figure, or None; it is one of the pictures that the recipe names by default.
        by_hand: bool, take the optimizer and the loss of `scratch`.
        small_steps: bool, as in Recipe.

    Raises:
        ValueError: pictures that are too small.
    """
    chosen = data.PictureSet(
        pictures.dataset, resize=pictures.resize, least=least, splits=pictures.splits
    )
    height, width, channels = chosen.shape

    def load(source: Any) -> Data:
        loaded = chosen.load(source, batch_size=descent.batch_size)
        if augment is None:
            return loaded
        seed = data.Source.of(source).seed
        return data.pipeline.augmented(loaded, augment(height, width), seed)

    return Recipe(
        section=section,
        dataset=pictures.dataset,
        data=load,
        model=lambda d: build(d.features["pixels"].shape, len(d.assets["class_names"])),
        optimizer=(lambda: scratch.SGDScratch(descent.learning_rate))
        if by_hand
        else descent.optimizer,
        loss=lambda: (
            scratch.CrossEntropyScratch()
            if by_hand
            else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.image_classifier(height=height, width=width, channels=channels),
        expected=expected,
        small_steps=small_steps,
    )


def published(
    pictures: Pictures, low: float, high: float, source: str = "d2l-zh notebooks"
) -> Expected | None:
    """Return the published test accuracies on Fashion-MNIST; None for other pictures.

    Args:
        pictures: what the recipe trains on.
        low: float, the lower of two accuracies, those of the PyTorch and TensorFlow notebooks.
        high: float, the higher one.
        source: str, who says so.
    """
    if pictures.dataset != "fashion_mnist":
        return None
    return Expected("test_accuracy", low, high, source)
