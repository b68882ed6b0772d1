"""7.1 AlexNet."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")


def alexnet(
    *,
    pictures: Pictures = Pictures(resize=224),
    width: float = 1.0,
    dense_units: tuple[int, ...] = (4096, 4096),
    first_padding: int = 1,
    descent: Descent = Descent(0.01, batch_size=128),
) -> Recipe:
    """Train AlexNet on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 224 x 224).

    Section: "alexnet". Xavier weights, SGD, cross-entropy, as in the book. The smaller network of
    the course notes: --set dense_units=4096 --set first_padding=0. The builtin digits train in
    seconds with --set resize=65 --set width=0.1 --set dense_units=64. One's own pictures:
    --set dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.876-0.883 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train alexnet --data files --export
    """
    if first_padding < 0:
        raise ValueError(f"`first_padding` must not be negative. Received: {first_padding}.")
    as_published = (width, dense_units) == (1.0, (4096, 4096))
    return image_classification(
        "alexnet",
        lambda shape, num_classes: models.alexnet(
            shape, num_classes, width=width, dense_units=dense_units, first_padding=first_padding
        ),
        pictures=pictures,
        descent=descent,
        least=67 - 2 * first_padding,
        expected=published(pictures, 0.876, 0.883) if as_published else None,
    )
