"""13.14 Dog breed identification (ImageNet Dogs) on Kaggle."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Data, Expected, Recipe
from kerasd2l.run import open_run, write_atomic
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import Fall
from kerasd2l.tasks.fine_tuning import Body, TwoRates
from kerasd2l.tasks.transfer import Weights

export = lazy("kerasd2l.export")
keras = lazy("keras")
models = lazy("kerasd2l.models")
np = lazy("numpy")

_CLASSES = 1000  # of the network that the book begins from


def kaggle_dog(
    *,
    weights: str = "",
    resize: int = 224,
    valid_ratio: float = 0.1,
    hidden_units: tuple[int, ...] = (256,),
    changes: Changes = Changes(crop_scale=0.08, brightness=0.4, contrast=0.4, saturation=0.4),
    fall: Fall = Fall(lr_period=2),
    body: Body = Body(num_layers=34),
    descent: TwoRates = TwoRates(
        0.0032,
        1.0,
        l2_decay=1e-4 / 32,
        head_decay=1e-4 / 32,
        momentum=0.9,
        batch_size=32,
        epochs=10,
    ),
) -> Recipe:
    """Tell 120 breeds of dogs (10,222 + 10,357 pictures; the book's small part: 1,000 + 10).

    Section: "kaggle-dog". `weights` is a ResNet-34 from `kerasd2l convert`: it stays as it is, and
    two dense layers learn from its 1000 logits. Without, all layers are random and learn. Crops of
    8 to 100 % of the area, flips, colours; SGD with momentum, a rate that falls by 0.9 every two
    epochs. The book steps along the sum of the losses of 32 pictures by 1e-4; along their mean that
    is 0.0032, decay 1e-4 / 32. The pictures without a breed are told in submission.csv, a
    probability for each breed. --set valid_ratio=0 trains on all pictures, as the book does last.
    Pictures are stretched to 224 x 224; the book cuts them out of 256 x 256.
    Expected: a loss of 1.503-1.545 on the pictures held out of the small part, with weights (d2l).
    Command: kerasd2l train kaggle_dog --data files --set weights=resnet34.keras --export
    """
    changes.transforms(32, 32)  # a wrong number stops here

    def load(source: Any) -> Data:
        loaded = data.dogs.load(
            source, batch_size=descent.batch_size, resize=resize, valid_ratio=valid_ratio
        )
        seed = data.Source.of(source).seed
        return data.pipeline.augmented(loaded, changes.augment(resize, resize), seed)

    def build(loaded: Data) -> Any:
        shape, num_classes = loaded.features["pixels"].shape, len(loaded.assets["class_names"])
        before = (
            Weights(weights, open_run, export.load_model).model()
            if weights
            else body.build(shape, _CLASSES)
        )
        return models.with_new_head(
            before,
            shape,
            num_classes,
            hidden_units=hidden_units,
            keep_top=True,
            frozen=("body",) if weights else (),
        )

    def fit(training: Any) -> list[dict[str, Any]]:
        callbacks = (*training.callbacks, fall.callback(descent.learning_rate))
        history = dataclasses.replace(training, callbacks=callbacks).run()
        if training.checkpoints is not None and training.checkpoints.writes:
            path = training.checkpoints.folder.parent / "submission.csv"
            names = training.data.assets["class_names"]
            write_submission(path, training.data.ids, names, _probabilities(training))
        return history

    return Recipe(
        section="kaggle-dog",
        dataset="dogs",
        data=load,
        model=build,
        optimizer=descent.optimizer,
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.image_classifier(height=resize, width=resize, channels=3),
        expected=Expected("valid_loss", 1.503, 1.545, "d2l-zh and d2l-en notebooks")
        if weights
        else None,
        fit=fit,
    )


def _probabilities(training: Any) -> Any:
    """Return (n, K) probabilities of the pictures whose breed is to be told."""
    parts = [keras.ops.softmax(training.model(x, training=False)) for x, _ in training.data.unknown]
    return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])


def write_submission(
    path: Path, ids: Sequence[str], class_names: Sequence[str], probabilities: Any
) -> None:
    """Write the file that Kaggle takes: a line of an id and a probability for each breed.

    Args:
        path: the .csv file.
        ids: n texts.
        class_names: K texts, the header.
        probabilities: (n, K).

    Raises:
        ValueError: another shape, or a probability that is no number.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.shape != (len(ids), len(class_names)) or not np.isfinite(probabilities).all():
        raise ValueError(
            f"Expected finite probabilities of shape {(len(ids), len(class_names))}. "
            f"Received: shape {probabilities.shape}."
        )
    lines = [",".join(("id", *class_names))]
    lines += [
        ",".join((name, *(f"{value:.6g}" for value in row)))
        for name, row in zip(ids, probabilities, strict=True)
    ]
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode("utf8"))
