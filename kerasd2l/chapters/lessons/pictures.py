"""The three convolutional networks of the lessons on handwritten digits."""

from __future__ import annotations

from kerasd2l import data, export, models
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe

keras = lazy("keras")


def mnist_cnn(
    *, learning_rate: float = 0.01, momentum: float = 0.5, batch_size: int = 64, epochs: int = 9
) -> Recipe:
    """Train two convolutions and one dense layer on MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "cnn-basic-mnist". Max pooling before ReLU, pixels normalised by mean 0.1307 and
    deviation 0.3081 inside the model, SGD with momentum, cross-entropy; 8,490 parameters.
    Expected: test accuracy 0.98 (the lesson, which names no epochs).
    Command: kerasd2l train mnist_cnn --data files --export
    """
    return _digits(
        "cnn-basic-mnist", "mnist_cnn", 0.98, learning_rate, momentum, batch_size, epochs
    )


def mnist_inception(
    *, learning_rate: float = 0.01, momentum: float = 0.5, batch_size: int = 64, epochs: int = 9
) -> Recipe:
    """Train the lessons' CNN with two Inception blocks on MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "inception-cnn-mnist". Blocks of 16 + 24 + 24 + 24 channels; the rest as `mnist_cnn`.
    Expected: test accuracy 0.98 (the lesson, which names no epochs).
    Command: kerasd2l train mnist_inception --data files --export
    """
    return _digits(
        "inception-cnn-mnist",
        "mnist_inception",
        0.98,
        learning_rate,
        momentum,
        batch_size,
        epochs,
    )


def mnist_resnet(
    *, learning_rate: float = 0.01, momentum: float = 0.5, batch_size: int = 64, epochs: int = 9
) -> Recipe:
    """Train the lessons' CNN with two residual blocks on MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "residual-cnn-mnist". z = ReLU(f(x) + x) with two 3 x 3 convolutions in f; the rest as
    `mnist_cnn`.
    Expected: test accuracy 0.99 (the lesson, which names no epochs).
    Command: kerasd2l train mnist_resnet --data files --export
    """
    return _digits(
        "residual-cnn-mnist",
        "mnist_resnet",
        0.99,
        learning_rate,
        momentum,
        batch_size,
        epochs,
    )


def _digits(
    section: str,
    network: str,
    accuracy: float,
    learning_rate: float,
    momentum: float,
    batch_size: int,
    epochs: int,
) -> Recipe:
    lesson = 10 if network == "mnist_cnn" else 11
    return Recipe(
        section=section,
        dataset="mnist",
        data=lambda source: data.mnist.load(source, batch_size=batch_size),
        model=lambda d: getattr(models, network)(
            d.features["pixels"].shape, len(d.assets["class_names"])
        ),
        optimizer=lambda: keras.optimizers.SGD(learning_rate, momentum=momentum),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=export.image_classifier(height=28, width=28, channels=1),
        expected=Expected("test_accuracy", accuracy, accuracy, f"lesson {lesson}"),
    )
