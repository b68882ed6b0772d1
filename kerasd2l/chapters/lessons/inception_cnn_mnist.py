"""L.11a Inception blocks for MNIST."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.image_classification import MomentumDescent, Pictures, image_classification

models = lazy("kerasd2l.models")


def mnist_inception(
    *,
    pictures: Pictures = Pictures(dataset="mnist"),
    descent: MomentumDescent = MomentumDescent(0.01, batch_size=64, epochs=9, momentum=0.5),
) -> Recipe:
    """Train the lessons' CNN with two Inception blocks on MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "inception-cnn-mnist". Blocks of 16 + 24 + 24 + 24 channels; the rest, one's own
    pictures included, as `mnist_cnn`.
    Expected: test accuracy 0.98 (the lesson, which names no epochs).
    Command: kerasd2l train mnist_inception --data files --export
    """
    lesson = Expected("test_accuracy", 0.98, 0.98, "lesson 11")
    return image_classification(
        "inception-cnn-mnist",
        lambda shape, num_classes: models.mnist_inception(shape, num_classes),
        pictures=pictures,
        descent=descent,
        least=16,  # before two 5 x 5 convolutions and two poolings
        expected=lesson if pictures.dataset == "mnist" else None,
        small_steps=True,
    )
