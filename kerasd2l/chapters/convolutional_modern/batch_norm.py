"""7.5 Batch normalization."""

from __future__ import annotations

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")


def batch_norm_lenet(
    *,
    pictures: Pictures = Pictures(),
    descent: Descent = Descent(1.0),
) -> Recipe:
    """Train LeNet with batch normalisation on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "batch-norm". Keras' layer with the book's momentum 0.9 and epsilon 1e-5, before each
    sigmoid; Xavier weights, SGD, cross-entropy, no padding. The large learning rate makes the test
    accuracy jump from epoch to epoch. One's own pictures: --set dataset=image_folder --set
    resize=32 --data files --data-dir FOLDER.
    Expected: test accuracy 0.708-0.863 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train batch_norm_lenet --data files --export
    """
    return image_classification(
        "batch-norm",
        lambda shape, num_classes: models.batch_norm_lenet(shape, num_classes),
        pictures=pictures,
        descent=descent,
        least=16,
        expected=published(pictures, 0.708, 0.863),
    )


def batch_norm_lenet_scratch(
    *,
    pictures: Pictures = Pictures(),
    descent: Descent = Descent(1.0),
) -> Recipe:
    """Train LeNet with batch normalisation by hand on Fashion-MNIST (60,000 + 10,000, 28 x 28).

    Section: "batch-norm". The same network with `scratch.BatchNormScratch`; with the same weights
    it computes the same.
    Expected: test accuracy 0.807-0.876 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train batch_norm_lenet_scratch --data files
    """
    return image_classification(
        "batch-norm",
        lambda shape, num_classes: models.batch_norm_lenet(
            shape, num_classes, batch_norm=scratch.BatchNormScratch
        ),
        pictures=pictures,
        descent=descent,
        least=16,
        expected=published(pictures, 0.807, 0.876),
    )
