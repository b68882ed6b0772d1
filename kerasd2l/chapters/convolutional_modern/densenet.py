"""7.8 Densely connected networks (DenseNet)."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")


def densenet(
    *,
    pictures: Pictures = Pictures(resize=96),
    depths: tuple[int, ...] = (4, 4, 4, 4),
    growth_rate: int = 32,
    width: float = 1.0,
    descent: Descent = Descent(0.1),
) -> Recipe:
    """Train a small DenseNet on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 96 x 96).

    Section: "densenet". Xavier weights, SGD, cross-entropy, as in the book. The builtin digits
    train in seconds with --set resize=32 --set width=0.25. One's own pictures: --set
    dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.882-0.885 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train densenet --data files --export
    """
    as_published = (depths, growth_rate, width) == ((4, 4, 4, 4), 32, 1.0)
    return image_classification(
        "densenet",
        lambda shape, num_classes: models.densenet(
            shape, num_classes, depths=depths, growth_rate=growth_rate, width=width
        ),
        pictures=pictures,
        descent=descent,
        least=2 ** (len(depths) + 1) - 3,
        expected=published(pictures, 0.882, 0.885) if as_published else None,
    )
