"""3.6 The image classification data set."""

from __future__ import annotations

import time

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def image_classification_dataset(
    *,
    source: data.Kind = "builtin",
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


def _first_examples(dataset, count: int):
    """Return the first `count` pictures and labels of a split, as arrays."""
    images, labels = next(iter(dataset.unbatch().batch(count)))
    return np.asarray(images), np.asarray(labels)
