"""7.2 Networks using blocks (VGG)."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")


def vgg(
    *,
    pictures: Pictures = Pictures(resize=224),
    convs: tuple[int, ...] = (1, 1, 2, 2, 2),
    filters: tuple[int, ...] = (64, 128, 256, 512, 512),
    width: float = 0.25,
    dense_units: tuple[int, ...] = (4096, 4096),
    descent: Descent = Descent(0.05, batch_size=128),
) -> Recipe:
    """Train VGG-11 at a quarter of its width on Fashion-MNIST (60,000 + 10,000, at 224 x 224).

    Section: "vgg". Xavier weights, SGD, cross-entropy, as in the book. `convs` and `filters` have
    one number for each block; the original width is --set width=1. The builtin digits train in
    seconds with --set resize=32 --set dense_units=64. One's own pictures: --set
    dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.918-0.920 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train vgg --data files --export
    """
    if len(convs) != len(filters) or not convs or min((*convs, *filters)) < 1:
        raise ValueError(
            "`convs` and `filters` must have one number for each block, all at least 1. "
            f"Received: convs={convs}, filters={filters}."
        )
    default = ((1, 1, 2, 2, 2), (64, 128, 256, 512, 512), 0.25, (4096, 4096))
    as_published = (convs, filters, width, dense_units) == default
    return image_classification(
        "vgg",
        lambda shape, num_classes: models.vgg(
            shape,
            num_classes,
            conv_arch=tuple(zip(convs, filters, strict=True)),
            width=width,
            dense_units=dense_units,
        ),
        pictures=pictures,
        descent=descent,
        least=2 ** len(convs),
        expected=published(pictures, 0.918, 0.920) if as_published else None,
    )
