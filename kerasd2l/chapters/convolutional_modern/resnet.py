"""7.6 Residual networks (ResNet)."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")


def resnet18(
    *,
    pictures: Pictures = Pictures(resize=96),
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    descent: Descent = Descent(0.05),
) -> Recipe:
    """Train ResNet-18 on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 96 x 96).

    Section: "resnet". Xavier weights, SGD, cross-entropy, as in the book; `depths` are the blocks
    of each stage, 3,4,6,3 is ResNet-34. The builtin digits train in seconds with --set resize=32
    --set width=0.25. One's own pictures: --set dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.893-0.906 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train resnet18 --data files --export
    """
    as_published = (depths, width) == ((2, 2, 2, 2), 1.0)
    return image_classification(
        "resnet",
        lambda shape, num_classes: models.resnet18(shape, num_classes, depths=depths, width=width),
        pictures=pictures,
        descent=descent,
        expected=published(pictures, 0.893, 0.906) if as_published else None,
    )
