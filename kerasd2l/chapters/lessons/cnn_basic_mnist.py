"""L.10 A convolutional network for MNIST."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.image_classification import MomentumDescent, Pictures, image_classification

models = lazy("kerasd2l.models")


def mnist_cnn(
    *,
    pictures: Pictures = Pictures(dataset="mnist"),
    descent: MomentumDescent = MomentumDescent(0.01, batch_size=64, epochs=9, momentum=0.5),
) -> Recipe:
    """Train two convolutions and one dense layer on MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "cnn-basic-mnist". Max pooling before ReLU, pixels normalised by mean 0.1307 and
    deviation 0.3081 inside the model, SGD with momentum, cross-entropy; 8,490 parameters. One's own
    pictures: --set dataset=image_folder --set resize=28 --data files --data-dir FOLDER.
    Expected: test accuracy 0.98 (the lesson, which names no epochs).
    Command: kerasd2l train mnist_cnn --data files --export
    """
    lesson = Expected("test_accuracy", 0.98, 0.98, "lesson 10")
    return image_classification(
        "cnn-basic-mnist",
        lambda shape, num_classes: models.mnist_cnn(shape, num_classes),
        pictures=pictures,
        descent=descent,
        least=16,  # before two 5 x 5 convolutions and two poolings
        expected=lesson if pictures.dataset == "mnist" else None,
        small_steps=True,
    )
