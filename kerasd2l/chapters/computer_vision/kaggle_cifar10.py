"""13.13 Image classification (CIFAR-10) on Kaggle."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Data, Expected, Recipe
from kerasd2l.run import write_atomic
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import Fall, SummedDescent

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # of CIFAR-10's pixels


def kaggle_cifar10(
    *,
    valid_ratio: float = 0.1,
    changes: Changes = Changes(crop_scale=0.64, crop_ratio=(1.0, 1.0)),
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    fall: Fall = Fall(lr_period=4),
    descent: SummedDescent = SummedDescent(
        2e-4, weight_decay=5e-4, momentum=0.9, batch_size=32, epochs=20
    ),
) -> Recipe:
    """Train ResNet-18 on Kaggle's CIFAR-10 (the book's small part: 1,000 + 5 pictures).

    Section: "kaggle-cifar10". The 1,000 have a class, the 5 have none. Of each class the same
    number of pictures, `valid_ratio` of the rarest one, is held out: `valid_accuracy` is that of a
    model which is trained without them. Then a second one is trained on all: `train_...` and the
    export are of it. It tells the pictures without a class in submission.csv, in the order of their
    numbers as text. Random crops of 64 to 100 % of the area, flips, normalised pixels, SGD on the
    sum of the losses, a rate that falls by 0.9 every 4 epochs.
    Expected: accuracy of validation 0.406-0.438 after 20 epochs of the small part (d2l notebooks).
    Command: kerasd2l train kaggle_cifar10 --data files --export
    """
    changes.transforms(32, 32)  # a wrong number stops here

    def load(source: Any) -> Data:
        loaded = data.kaggle_cifar10.load(source, batch_size=descent.batch_size)
        loaded.held_out(valid_ratio)  # a ratio that is too large is told before the training
        return augmented(loaded, loaded.seed)

    def augmented(loaded: Data, seed: int) -> Data:
        return data.pipeline.augmented(loaded, changes.augment(32, 32), seed)

    def build(loaded: Data) -> Any:
        network = models.resnet18(
            loaded.features["pixels"].shape,
            len(loaded.assets["class_names"]),
            depths=depths,
            width=width,
            small_stem=True,
        )
        return models.normalised(network, MEAN, STD)

    def fit(whole: Any) -> list[dict[str, Any]]:
        held_out = augmented(whole.data.held_out(valid_ratio), whole.data.seed)
        rate = descent.learning_rate * descent.batch_size
        return _validate_and_train(recipe, whole, held_out, fall.callback(rate))

    recipe = Recipe(
        section="kaggle-cifar10",
        dataset="kaggle_cifar10",
        data=load,
        model=build,
        optimizer=descent.optimizer,
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.image_classifier(height=32, width=32, channels=3),
        expected=Expected("valid_accuracy", 0.406, 0.438, "d2l-zh and d2l-en notebooks"),
    )
    return dataclasses.replace(recipe, fit=fit)


def _validate_and_train(
    recipe: Recipe, whole: Any, held_out: Data, schedule: Any
) -> list[dict[str, Any]]:
    """Train a model without the held-out pictures, then `whole.model` with all of them."""
    from kerasd2l.training.apart import train_apart

    whole = dataclasses.replace(whole, callbacks=(*whole.callbacks, schedule))
    apart = train_apart(recipe, dataclasses.replace(whole, callbacks=(schedule,)), held_out)

    def with_validation(history: list[dict[str, Any]]) -> None:
        for event in history:
            other = apart[event["epoch"] - 1]
            event |= {key: other[key] for key in other if key.startswith("valid_")}
        whole.on_epoch(history)

    history = dataclasses.replace(whole, on_epoch=with_validation).run()
    if whole.checkpoints is not None and whole.checkpoints.writes:
        names = whole.data.assets["class_names"]
        logits = [whole.model(x, training=False) for x in whole.data.unknown()]
        ids = np.concatenate([keras.ops.convert_to_numpy(part).argmax(-1) for part in logits])
        path = whole.checkpoints.folder.parent / "submission.csv"
        write_submission(path, whole.data.ids, [names[k] for k in ids])
    return history


def write_submission(path: Path, ids: Sequence[str], labels: Sequence[str]) -> None:
    """Write the file that Kaggle takes: a line "id,label" for each picture.

    Args:
        path: the .csv file.
        ids: n numbers, as text.
        labels: n names of classes.

    Raises:
        ValueError: not as many ids as labels.
    """
    lines = [f"{id_},{label}\n" for id_, label in zip(ids, labels, strict=True)]
    write_atomic(path, "".join(["id,label\n", *lines]).encode("utf8"))
