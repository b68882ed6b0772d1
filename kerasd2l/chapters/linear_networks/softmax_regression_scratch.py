"""3.7 Softmax regression from scratch."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, figures, training
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")


def prediction_sheet(
    *,
    network: Literal["softmax_regression", "mlp"] = "softmax_regression",
    source: data.Kind = "builtin",
    epochs: int = 10,
    count: int = 24,
    seed: int = 0,
) -> Demo:
    """Train on Fashion-MNIST and show test pictures with their true and their predicted names.

    Section: "softmax-regression-scratch". What the book counts with its Accumulator and draws with
    its Animator, Keras' metrics and the loop's history do here.
    Expected: with --set source=files, train loss < 0.5 and test accuracy above 0.7, as asserted by
    the book. The builtin digits are few: their loss stays higher.
    Command: kerasd2l run prediction_sheet --set source=files --out figures
    """
    for name, value in (("epochs", epochs), ("count", count)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    return Demo(
        "softmax-regression-scratch", lambda: _predict(network, source, epochs, count, seed)
    )


def _predict(network: str, source: str, epochs: int, count: int, seed: int) -> DemoResult:
    keras.utils.set_random_seed(seed)
    loaded = data.fashion_mnist.load(data.Source(source, seed=seed), batch_size=256)
    names = loaded.assets["class_names"]
    model = getattr(models, network)(loaded.features["pixels"].shape, len(names))
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    history = training.train(model, loaded, epochs=epochs)
    images, labels = _first_examples(loaded.test, count)
    predicted = np.argmax(model.predict_on_batch(images), axis=1)
    true_names = [names[label] for label in labels]
    predicted_names = [names[label] for label in predicted]
    titles = [f"{true}\n{guess}" for true, guess in zip(true_names, predicted_names, strict=True)]
    values = {
        key: history[-1][key] for key in ("train_loss", "train_accuracy", "test_accuracy")
    } | {"true names": true_names, "predicted names": predicted_names}
    sheet = figures.pictures(
        images, titles, columns=6, title="True name, and predicted name under it"
    )
    return DemoResult(
        values, {"predictions": sheet, "curves": training.history.curves(history, network)}
    )


def _first_examples(dataset, count: int):
    """Return the first `count` pictures and labels of a split, as arrays."""
    images, labels = next(iter(dataset.unbatch().batch(count)))
    return np.asarray(images), np.asarray(labels)
