"""L.9 Many classes: MNIST with a perceptron of several layers."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.image_classification import MomentumDescent, Pictures, image_classification

models = lazy("kerasd2l.models")


def mnist_mlp(
    *,
    pictures: Pictures = Pictures(dataset="mnist"),
    descent: MomentumDescent = MomentumDescent(0.01, batch_size=64, epochs=9, momentum=0.5),
) -> Recipe:
    """Train an MLP 784-512-256-128-64-10 on MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "softmax-mnist-mlp". ReLU, pixels normalised by mean 0.1307 and deviation 0.3081 inside
    the model, SGD with momentum, cross-entropy. One's own pictures: --set dataset=image_folder
    --set resize=28 --data files --data-dir FOLDER.
    Expected: test accuracy 0.97 (the lesson, which names no epochs).
    The export answers kerasd2l predict savedmodels/mnist_mlp digit.png
    Command: kerasd2l train mnist_mlp --data files --export
    """
    lesson = Expected("test_accuracy", 0.97, 0.97, "lesson 9")
    return image_classification(
        "softmax-mnist-mlp",
        lambda shape, num_classes: models.mnist_mlp(shape, num_classes),
        pictures=pictures,
        descent=descent,
        expected=lesson if pictures.dataset == "mnist" else None,
        small_steps=True,
    )
