"""13.2 Fine-tuning."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Data, Demo, DemoResult, Expected, Recipe
from kerasd2l.run import open_run
from kerasd2l.tasks import fine_tuning as tuning
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.fine_tuning import Body, TwoRates
from kerasd2l.tasks.image_classification import Pictures
from kerasd2l.tasks.transfer import Weights

export = lazy("kerasd2l.export")
keras = lazy("keras")
models = lazy("kerasd2l.models")
np = lazy("numpy")
optimizers = lazy("kerasd2l.optimizers")
training = lazy("kerasd2l.training")

_SLOW = TwoRates(0.005, l2_decay=0.0, head_decay=0.0, momentum=0.9, batch_size=25)
_QUICK = TwoRates(0.05, 1.0, l2_decay=0.0, head_decay=0.0, momentum=0.9, batch_size=25)


def fine_tuning(
    *,
    weights: str = "",
    pictures: Pictures = Pictures("hotdog", resize=224),
    changes: Changes = Changes(crop_scale=0.08),
    frozen: tuple[str, ...] = (),
    body: Body = Body(),
    descent: TwoRates = TwoRates(),
) -> Recipe:
    """Fine-tune ResNet-18 to tell hot dogs from other pictures (2,000 + 800, of any size).

    Section: "fine-tuning". `weights` is a file from `kerasd2l convert resnet18.safetensors --to
    resnet18`, or the folder of a run of any image network here; without, all weights are random.
    The head is new, and learns ten times as quickly as the body; --set frozen=stem,stage_1 leaves
    the first layers as they are, --set frozen=body all but the head. The book steps along the sum
    of the losses of 128 pictures by 5e-5, decay 0.001; along their mean that is 0.0064, decay
    0.001 / 128. From scratch it has one rate: --set learning_rate=0.064 --set head_rate=1.
    Test pictures are stretched to 224 x 224; the book cuts them out of 256 x 256.
    One's own pictures: --set dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.939-0.940 with weights of ImageNet, 0.843-0.850 from scratch (d2l).
    Command: kerasd2l train fine_tuning --data files --set weights=resnet18.keras --export
    """
    as_published = (pictures, frozen, body) == (Pictures("hotdog", resize=224), (), Body())
    published = (0.939, 0.940) if weights else (0.843, 0.850)
    changes.transforms(32, 32)  # a wrong number stops here
    return tuning.fine_tuning(
        "fine-tuning",
        pictures=pictures,
        changes=changes,
        weights=Weights(weights, open_run, export.load_model) if weights else None,
        body=body,
        descent=descent,
        frozen=frozen,
        expected=Expected("test_accuracy", *published, "d2l-zh and d2l-en notebooks")
        if as_published
        else None,
    )


def transfer_experiment(
    *,
    dataset: Literal["shapes", "cifar10"] = "shapes",
    examples: int = 50,
    seeds: int = 2,
    epochs: int = 5,
    pretraining_examples: int = 80,
    pretraining_epochs: int = 3,
    width: float = 0.25,
    depths: tuple[int, ...] = (1, 1),
) -> Demo:
    """Train on eight classes, then learn two others from few pictures; beside it from scratch.

    Section: "fine-tuning". ResNet-18 for small pictures, narrower, learns the first eight classes
    of the ten. Then, for every seed, `examples` pictures of each of the last two are drawn, and two
    networks learn them for as many epochs: the one that has learned the eight classes, with a new
    head that learns ten times as quickly as the body, and a new one, at the head's rate throughout.
    Scored on all test pictures of the two classes; the bars are the mean, the lines the deviation
    over the seeds. "shapes" are drawn, and the defaults a glance at it; "cifar10" lies in
    $KERASD2L_DATA.
    Expected: on CIFAR-10 fine-tuning is the better one (RESULTS.md: 0.776 and 0.742).
    Command: kerasd2l run transfer_experiment --set dataset=cifar10 --set depths=1,1,1
        --set seeds=5 --set epochs=10 --set pretraining_examples=500 --out figures
    """
    numbers = {"examples": examples, "seeds": seeds, "epochs": epochs}
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={number}.")
    body = {"depths": depths, "width": width, "small_stem": True}

    def run() -> DemoResult:
        splits, names = _pictures(dataset)
        eight = _some(splits, range(8), pretraining_examples, names, batch_size=64, seed=0)
        before = models.imagenet_resnet((32, 32, 3), 8, seed=0, **body)
        first = _trained(before, eight, optimizers.Adam(0.001), pretraining_epochs)
        accuracies: dict[str, list[float]] = {"fine-tuned": [], "from scratch": []}
        for seed in range(seeds):
            two = _some(splits, (8, 9), examples, names, batch_size=25, seed=seed)
            tuned = models.with_new_head(before, (32, 32, 3), 2, seed=seed)
            fresh = models.imagenet_resnet((32, 32, 3), 2, seed=seed, **body)
            for name, model, descent in (
                ("fine-tuned", tuned, _SLOW),
                ("from scratch", fresh, _QUICK),
            ):
                accuracies[name].append(_trained(model, two, descent.optimizer(), epochs))
        return _compared(accuracies, first, names)

    return Demo("fine-tuning", run)


def _pictures(dataset: str) -> tuple[dict[str, tuple[Any, Any]], list[str]]:
    """Return split -> (x (n, 32, 32, 3) uint8, y (n,)) and the names of ten classes."""
    if dataset == "shapes":
        train, test = data.shapes.arrays()
        return {"train": train, "test": test}, list(data.shapes.CLASS_NAMES)
    whole = data.load_pictures(dataset, "auto", batch_size=1000)
    splits = {}
    for split, batches in (("train", whole.epoch(0)), ("test", whole.test)):
        parts = [(np.rint(x.numpy() * 255).astype(np.uint8), y.numpy()) for x, y in batches]
        x, y = zip(*parts, strict=True)
        splits[split] = np.concatenate(x), np.concatenate(y)
    return splits, list(whole.assets["class_names"])


def _some(splits, classes, count: int, names: list[str], *, batch_size: int, seed: int) -> Data:
    """Return `count` training pictures of each class, drawn by the seed, and all of the test's."""
    random = np.random.default_rng(seed)
    x, y = splits["train"]
    places = [np.flatnonzero(y == label) for label in classes]
    chosen = np.concatenate([random.permutation(place)[:count] for place in places])
    number = {label: i for i, label in enumerate(classes)}
    test_x, test_y = splits["test"]
    there = np.isin(test_y, list(classes))
    pairs = ((x[chosen], y[chosen]), (test_x[there], test_y[there]))
    train, test = ((x, np.array([number[label] for label in y], np.int32)) for x, y in pairs)
    return data.pipeline.image_data(
        train,
        test,
        [names[label] for label in classes],
        batch_size=batch_size,
        seed=seed,
        augment=Changes().augment(32, 32),
    )


def _trained(model: Any, pictures: Data, optimizer: Any, epochs: int) -> float:
    """Train, then return the accuracy on the test pictures."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(optimizer, loss, metrics=[accuracy])
    training.train(model, dataclasses.replace(pictures, test=None), epochs=epochs)
    return training.evaluate(model, pictures)["test_accuracy"]


def _compared(accuracies: dict[str, list[float]], first: float, names: list[str]) -> DemoResult:
    """Say and draw means and deviations over the seeds."""
    means = {name: float(np.mean(values)) for name, values in accuracies.items()}
    deviations = {name: float(np.std(values)) for name, values in accuracies.items()}
    figure, panels = figures.new_figure()
    axes = panels[0, 0]
    axes.bar(list(means), list(means.values()), yerr=list(deviations.values()), capsize=6)
    axes.set_ylabel("test accuracy")
    axes.set_ylim(0, 1)
    axes.set_title(f"{names[8]} or {names[9]}, {len(accuracies['fine-tuned'])} seeds")
    values = {
        "accuracy on the eight classes": first,
        "accuracies on the two": accuracies,
        "means": means,
        "deviations": deviations,
    }
    return DemoResult(values, {"transfer": figure})
