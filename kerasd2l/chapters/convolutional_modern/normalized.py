"""Networks with batch normalisation: LeNet, ResNet, ResNeXt, DenseNet, RegNet."""

from __future__ import annotations

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.chapters.convolutional_modern.classifier import Dataset, image_recipe, published
from kerasd2l.recipe import Recipe

models = lazy("kerasd2l.models")


def batch_norm_lenet(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int | None = None,
    skip_broken: bool = False,
    learning_rate: float = 1.0,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train LeNet with batch normalisation on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "batch-norm". Keras' layer with the book's momentum 0.9 and epsilon 1e-5, before each
    sigmoid; Xavier weights, SGD, cross-entropy, no padding. The large learning rate makes the test
    accuracy jump from epoch to epoch. One's own pictures: --set dataset=image_folder --set
    resize=32 --data files --data-dir FOLDER.
    Expected: test accuracy 0.708-0.863 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train batch_norm_lenet --data files --export
    """
    return image_recipe(
        "batch-norm",
        lambda shape, num_classes: models.batch_norm_lenet(shape, num_classes),
        dataset=dataset,
        resize=resize,
        least=16,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.708, 0.863),
    )


def batch_norm_lenet_scratch(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int | None = None,
    skip_broken: bool = False,
    learning_rate: float = 1.0,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train LeNet with batch normalisation by hand on Fashion-MNIST (60,000 + 10,000, 28 x 28).

    Section: "batch-norm". The same network with `scratch.BatchNormScratch`; with the same weights
    it computes the same.
    Expected: test accuracy 0.807-0.876 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train batch_norm_lenet_scratch --data files
    """
    return image_recipe(
        "batch-norm",
        lambda shape, num_classes: models.batch_norm_lenet(
            shape, num_classes, batch_norm=scratch.BatchNormScratch
        ),
        dataset=dataset,
        resize=resize,
        least=16,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.807, 0.876),
    )


def resnet18(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 96,
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    skip_broken: bool = False,
    learning_rate: float = 0.05,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train ResNet-18 on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 96 x 96).

    Section: "resnet". Xavier weights, SGD, cross-entropy, as in the book; `depths` are the blocks
    of each stage, 3,4,6,3 is ResNet-34. The builtin digits train in seconds with --set resize=32
    --set width=0.25. One's own pictures: --set dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.893-0.906 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train resnet18 --data files --export
    """
    as_published = (depths, width) == ((2, 2, 2, 2), 1.0)
    return image_recipe(
        "resnet",
        lambda shape, num_classes: models.resnet18(shape, num_classes, depths=depths, width=width),
        dataset=dataset,
        resize=resize,
        least=1,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.893, 0.906) if as_published else None,
    )


def resnext(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 96,
    depths: tuple[int, ...] = (2, 2, 2, 2),
    group_width: int = 16,
    bottleneck: float = 1.0,
    width: float = 1.0,
    skip_broken: bool = False,
    learning_rate: float = 0.05,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train a ResNeXt with the stages of ResNet-18 on Fashion-MNIST (60,000 + 10,000, at 96 x 96).

    Section: "resnext". The book gives the block (grouped convolutions) and trains no network with
    it; learning rate and batch are ResNet's. The builtin digits train in seconds with --set
    resize=32 --set width=0.25. One's own pictures: --set dataset=image_folder --data files
    --data-dir FOLDER.
    Expected: nothing is published.
    Command: kerasd2l train resnext --data files --export
    """
    return image_recipe(
        "resnext",
        lambda shape, num_classes: models.resnext(
            shape,
            num_classes,
            depths=depths,
            group_width=group_width,
            bottleneck=bottleneck,
            width=width,
        ),
        dataset=dataset,
        resize=resize,
        least=1,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
    )


def densenet(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 96,
    depths: tuple[int, ...] = (4, 4, 4, 4),
    growth_rate: int = 32,
    width: float = 1.0,
    skip_broken: bool = False,
    learning_rate: float = 0.1,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train a small DenseNet on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 96 x 96).

    Section: "densenet". Xavier weights, SGD, cross-entropy, as in the book. The builtin digits
    train in seconds with --set resize=32 --set width=0.25. One's own pictures: --set
    dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.882-0.885 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train densenet --data files --export
    """
    as_published = (depths, growth_rate, width) == ((4, 4, 4, 4), 32, 1.0)
    return image_recipe(
        "densenet",
        lambda shape, num_classes: models.densenet(
            shape, num_classes, depths=depths, growth_rate=growth_rate, width=width
        ),
        dataset=dataset,
        resize=resize,
        least=2 ** (len(depths) + 1) - 3,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        expected=published(0.882, 0.885) if as_published else None,
    )


def regnet(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int = 96,
    depths: tuple[int, int] = (4, 6),
    width: float = 1.0,
    skip_broken: bool = False,
    learning_rate: float = 0.05,
    batch_size: int = 128,
    epochs: int = 10,
) -> Recipe:
    """Train the RegNetX of the book on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, at 96 x 96).

    Section: "cnn-design". 32 and 80 channels in groups of 16, SGD, cross-entropy; Xavier weights,
    where the book's newer edition leaves PyTorch's own. The builtin digits train in seconds with
    --set resize=32 --set width=0.5. One's own pictures: --set dataset=image_folder --data files
    --data-dir FOLDER.
    Expected: the book shows a curve and prints no figure.
    Command: kerasd2l train regnet --data files --export
    """
    return image_recipe(
        "cnn-design",
        lambda shape, num_classes: models.regnet(shape, num_classes, depths=depths, width=width),
        dataset=dataset,
        resize=resize,
        least=1,
        skip_broken=skip_broken,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
    )
