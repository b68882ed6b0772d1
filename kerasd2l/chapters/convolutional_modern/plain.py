"""Networks without normalisation: AlexNet, VGG, NiN, GoogLeNet."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.chapters.convolutional_modern.classifier import Dataset, image_recipe, published
from kerasd2l.recipe import Recipe

models = lazy("kerasd2l.models")


def alexnet(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 224,
    width: float = 1.0,
    dense_units: tuple[int, ...] = (4096, 4096),
    first_padding: int = 1,
    skip_broken: bool = False,
    learning_rate: float = 0.01,
    batch_size: int = 128,
    epochs: int = 10,
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
    return image_recipe(
        "alexnet",
        lambda shape, num_classes: models.alexnet(
            shape, num_classes, width=width, dense_units=dense_units, first_padding=first_padding
        ),
        dataset=dataset,
        resize=resize,
        least=67 - 2 * first_padding,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.876, 0.883) if as_published else None,
    )


def vgg(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 224,
    convs: tuple[int, ...] = (1, 1, 2, 2, 2),
    filters: tuple[int, ...] = (64, 128, 256, 512, 512),
    width: float = 0.25,
    dense_units: tuple[int, ...] = (4096, 4096),
    skip_broken: bool = False,
    learning_rate: float = 0.05,
    batch_size: int = 128,
    epochs: int = 10,
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
    return image_recipe(
        "vgg",
        lambda shape, num_classes: models.vgg(
            shape,
            num_classes,
            conv_arch=tuple(zip(convs, filters, strict=True)),
            width=width,
            dense_units=dense_units,
        ),
        dataset=dataset,
        resize=resize,
        least=2 ** len(convs),
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.918, 0.920) if as_published else None,
    )


def nin(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 224,
    width: float = 1.0,
    skip_broken: bool = False,
    learning_rate: float = 0.1,
    batch_size: int = 128,
    epochs: int = 10,
) -> Recipe:
    """Train NiN on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 224 x 224).

    Section: "nin". Xavier weights, SGD, cross-entropy, a last ReLU on the logits, as in the book;
    runs differ much. The builtin digits train in seconds with --set resize=71 --set width=0.1.
    One's own pictures: --set dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.790-0.868 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train nin --data files --export
    """
    return image_recipe(
        "nin",
        lambda shape, num_classes: models.nin(shape, num_classes, width=width),
        dataset=dataset,
        resize=resize,
        least=67,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.790, 0.868) if width == 1 else None,
    )


def googlenet(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 96,
    width: float = 1.0,
    skip_broken: bool = False,
    learning_rate: float = 0.1,
    batch_size: int = 128,
    epochs: int = 10,
) -> Recipe:
    """Train GoogLeNet on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 96 x 96).

    Section: "googlenet". Xavier weights, SGD, cross-entropy, as in the book. The builtin digits
    train in seconds with --set resize=32 --set width=0.25. One's own pictures: --set
    dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.886-0.899 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train googlenet --data files --export
    """
    return image_recipe(
        "googlenet",
        lambda shape, num_classes: models.googlenet(shape, num_classes, width=width),
        dataset=dataset,
        resize=resize,
        least=1,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.886, 0.899) if width == 1 else None,
    )
