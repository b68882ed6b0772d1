"""7.4 Networks with parallel branches (GoogLeNet)."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")


def googlenet(
    *,
    pictures: Pictures = Pictures(resize=96),
    width: float = 1.0,
    descent: Descent = Descent(0.1, batch_size=128),
) -> Recipe:
    """Train GoogLeNet on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 96 x 96).

    Section: "googlenet". Xavier weights, SGD, cross-entropy, as in the book. The builtin digits
    train in seconds with --set resize=32 --set width=0.25. One's own pictures: --set
    dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.886-0.899 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train googlenet --data files --export
    """
    return image_classification(
        "googlenet",
        lambda shape, num_classes: models.googlenet(shape, num_classes, width=width),
        pictures=pictures,
        descent=descent,
        expected=published(pictures, 0.886, 0.899) if width == 1 else None,
    )
