"""Softmax regression on pictures of clothes: data, recipe, numerics, predictions."""

from __future__ import annotations

import time
from typing import Literal

from kerasd2l import data, endpoints, figures, scratch, training
from kerasd2l._lazy import lazy
from kerasd2l.data.picture_sets import Dataset
from kerasd2l.recipe import Demo, DemoResult, Expected, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")


def softmax_regression(
    *,
    dataset: Dataset = "fashion_mnist",
    resize: int | None = None,
    skip_broken: bool = False,
    implementation: Literal["concise", "scratch"] = "concise",
    learning_rate: float = 0.1,
    batch_size: int = 256,
    epochs: int = 10,
) -> Recipe:
    """Train softmax regression on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "softmax-regression-concise". W from N(0, 0.01^2), SGD, cross-entropy. "scratch" is
    section "softmax-regression-scratch": own model, own stable cross-entropy, own SGD. One's own
    pictures: --set dataset=image_folder --set resize=28 --data files --data-dir FOLDER.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train softmax_regression --data files
    """
    by_hand = implementation == "scratch"
    pictures = data.PictureSet(dataset, resize=resize, skip_broken=skip_broken)
    height, width, channels = pictures.shape
    return Recipe(
        section=f"softmax-regression-{implementation}",
        dataset=dataset,
        data=lambda source: pictures.load(source, batch_size=batch_size),
        model=lambda d: (
            scratch.SoftmaxRegressionScratch(len(d.assets["class_names"]))
            if by_hand
            else models.softmax_regression(d.features["pixels"].shape, len(d.assets["class_names"]))
        ),
        optimizer=lambda: (scratch.SGDScratch if by_hand else keras.optimizers.SGD)(learning_rate),
        loss=lambda: (
            scratch.CrossEntropyScratch()
            if by_hand
            else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=endpoints.image_classifier(height=height, width=width, channels=channels),
        expected=(
            Expected("test_accuracy", 0.7, 1.0, "asserted by the book")
            if dataset == "fashion_mnist"
            else None
        ),
    )


def image_classification_dataset(
    *,
    source: Literal["builtin", "auto", "files", "download"] = "builtin",
    count: int = 18,
    resize: int = 28,
) -> Demo:
    """Show a sheet of Fashion-MNIST's first test pictures with their names, and time the reading.

    Section: "image-classification-dataset". 60,000 + 10,000 pictures of 10 kinds of clothes; the
    builtin stand-in is scikit-learn's digits.
    Expected: one example is (28, 28, 1), in [0, 1]; d2l-zh reads the training set in 3.37 s.
    Command: kerasd2l run image_classification_dataset --set source=files --out figures
    """
    for name, value in (("count", count), ("resize", resize)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    return Demo("image-classification-dataset", lambda: _show_clothes(source, count, resize))


def _show_clothes(source: str, count: int, resize: int) -> DemoResult:
    loaded = data.fashion_mnist.load(source, batch_size=256, resize=resize)
    names = loaded.assets["class_names"]
    start = time.perf_counter()
    lowest, highest = np.inf, -np.inf
    for x, _ in loaded.train:
        lowest = min(lowest, float(np.min(x)))
        highest = max(highest, float(np.max(x)))
    seconds = time.perf_counter() - start
    images, labels = _first_examples(loaded.test, count)
    titles = [names[label] for label in labels]
    values = {
        "examples": dict(loaded.size),
        "shape of one example": list(images[0].shape),
        "range of the pixels": [lowest, highest],
        "class names": names,
        "seconds to read all training batches": seconds,
        "names of the sheet": titles,
    }
    figure = figures.pictures(images, titles, columns=9, title="The first test pictures")
    return DemoResult(values, {"pictures": figure})


def stable_softmax() -> Demo:
    """Show where the textbook softmax overflows, and that taking the maximum away cures it.

    Section: "softmax-regression-concise" and "softmax-regression-scratch". The book's toy example,
    the gradient softmax(o) - y, and logits from 0 to 200 in float32.
    Expected: cross-entropy [2.3026, 0.6931], accuracy 0.5; the naive loss ends near a logit of 89.
    Command: kerasd2l run stable_softmax --out figures
    """
    return Demo("softmax-regression-concise", _compare_softmaxes)


def _compare_softmaxes() -> DemoResult:
    import tensorflow as tf

    y_hat, y = np.float32([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]), np.array([0, 2])
    logits = tf.constant([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = scratch.CrossEntropyScratch()(tf.constant([0]), logits)
    gradient = tape.gradient(loss, logits)
    scale = np.arange(0, 201, dtype=np.float32)
    pairs = np.stack([scale, np.zeros_like(scale)], axis=1)  # (n, 2), the first class is the truth
    with np.errstate(all="ignore"):
        naive = np.asarray(scratch.cross_entropy(scratch.softmax(pairs), np.ones(len(scale))))
        naive_row = np.asarray(scratch.softmax(np.float32([[1000, 0, -1000]])))[0]
    stable = -np.asarray(scratch.log_softmax(pairs))[:, 1]
    broken = scale[~np.isfinite(naive)]
    values = {
        "cross-entropy of the toy example": np.asarray(scratch.cross_entropy(y_hat, y)).tolist(),
        "accuracy of the toy example": scratch.accuracy(y_hat, y) / len(y),
        "gradient by the logits": np.asarray(gradient)[0].tolist(),
        "softmax - y": (np.asarray(scratch.stable_softmax(logits))[0] - [1, 0, 0]).tolist(),
        "naive softmax of [1000, 0, -1000]": [str(value) for value in naive_row],
        "stable softmax of [1000, 0, -1000]": np.asarray(
            scratch.stable_softmax(np.float32([[1000, 0, -1000]]))
        )[0].tolist(),
        "first logit without a naive loss": float(broken[0]),
        "stable loss there": float(stable[scale == broken[0]][0]),
    }
    curves = {"naive: -log(softmax)": naive, "stable: log-softmax": stable}
    figure = figures.lines(
        scale,
        {name: np.where(np.isfinite(curve), curve, np.nan) for name, curve in curves.items()},
        title="Loss of a wrong prediction in float32",
        xlabel="logit of the wrong class (the right one has 0)",
        ylabel="cross-entropy (nats)",
    )
    figure.axes[0].axvline(broken[0], color="tab:red", lw=0.8)
    figure.axes[0].annotate("naive: infinite", (broken[0] + 3, 20), color="tab:red")
    return DemoResult(values, {"softmax": figure})


def prediction_sheet(
    *,
    network: Literal["softmax_regression", "mlp"] = "softmax_regression",
    source: Literal["builtin", "auto", "files", "download"] = "builtin",
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
        values, {"predictions": sheet, "curves": training.callbacks.curves(history, network)}
    )


def _first_examples(dataset, count: int):
    """Return the first `count` pictures and labels of a split, as arrays."""
    images, labels = next(iter(dataset.unbatch().batch(count)))
    return np.asarray(images), np.asarray(labels)
