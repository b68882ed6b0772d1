#!/usr/bin/env python
"""Train a recipe in our loop and in PyTorch on the same budget, and print both test accuracies.

Both begin with the same weights and see the same pictures in the same order, with the recipe's own
optimizer and loss. Networks without dropout differ by rounding alone; dropout draws its own masks
in each framework. `pip install torch` first: it is no dependency.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time

import click
import numpy as np

from kerasd2l.cli import data_options, load_recipe, parse_settings, say, use_tensorflow


@click.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@data_options()
@click.option("--images", type=click.IntRange(min=1), help="Train on that many; default: all.")
@click.option("--test-images", type=click.IntRange(min=1), help="Test on that many; default: all.")
@click.option("--epochs", type=click.IntRange(min=1), help="Default: the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--channels-last", is_flag=True, help="PyTorch's memory format.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    name, pairs, data, data_dir, images, test_images, epochs, seed, channels_last, as_json
) -> None:
    """Train recipe NAME in both frameworks."""
    settings = dict(parse_settings(pairs)) | ({"epochs": epochs} if epochs else {})
    recipe = load_recipe(name, settings)
    use_tensorflow()
    import tensorflow as tf
    from torch_reference import NoReference, Training, reference

    from kerasd2l.data import Source
    from kerasd2l.training.fit import prepare

    source = Source(kind=data, data_dir=data_dir, seed=seed)
    loaded, model = prepare(recipe, source, tf.distribute.get_strategy(), seed=seed)
    loaded = _budget(loaded, recipe.batch_size, images, test_images, seed)
    try:
        training = Training(recipe, reference(recipe, model), channels_last=channels_last)
    except NoReference as error:
        raise click.ClickException(str(error)) from error
    result = {
        "recipe": recipe.name,
        "input_shape": list(model.input_shape[1:]),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.arguments.get("learning_rate"),
        "seed": seed,
        "examples": dict(loaded.size),
        "ours": _train_ours(model, loaded, recipe.epochs),
        "torch": _train_torch(training, loaded, recipe.epochs),
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    for key, value in result.items():
        click.echo(f"{key}: {value}")


def _budget(data, batch_size: int, images: int | None, test_images: int | None, seed: int):
    """Return the data with the first pictures of its first epoch and of its test set only."""
    from kerasd2l.data import pipeline

    train = _take(data.epoch(0), min(images or data.size["train"], data.size["train"]))
    test = _take(data.test, min(test_images or data.size["test"], data.size["test"]))
    training = pipeline.from_arrays(train, batch_size=batch_size, seed=seed)
    return dataclasses.replace(
        data,
        train=training.dataset,
        order=training.order,
        test=pipeline.from_arrays(test, batch_size=batch_size).dataset,
        size={"train": len(train[1]), "test": len(test[1])},
    )


def _take(batches, count: int) -> tuple[np.ndarray, ...]:
    """Return the first `count` examples of batches as arrays."""
    found, seen = [], 0
    for x, y in batches.as_numpy_iterator():
        found.append((x[: count - seen], y[: count - seen]))
        seen += len(found[-1][1])
        if seen >= count:
            break
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _train_ours(model, data, epochs: int) -> dict[str, float]:
    from kerasd2l import training

    start = time.perf_counter()
    history = training.train(model, dataclasses.replace(data, test=None), epochs=epochs)
    seconds = time.perf_counter() - start
    for event in history:
        say(f"ours, epoch {event['epoch']}: {_figures(event)}")
    tested = training.evaluate(model, data)
    say(f"ours: {_figures(tested)}")
    return {
        **{k: v for k, v in {**history[-1], **tested}.items() if k.endswith(("_loss", "accuracy"))},
        "train_seconds": seconds,
        "compile_seconds": sum(event["compile_seconds"] for event in history),
    }


def _train_torch(training, data, epochs: int) -> dict[str, float]:
    def ready(dataset):
        return (training.batch(x, y) for x, y in dataset.as_numpy_iterator())

    start = time.perf_counter()
    for epoch in range(epochs):
        figures = training.epoch(ready(data.epoch(epoch)))
        say(f"PyTorch, epoch {epoch + 1}: {_figures(figures)}")
    seconds = time.perf_counter() - start
    tested = training.evaluate(ready(data.test))
    say(f"PyTorch: {_figures(tested)}")
    return {**figures, **tested, "train_seconds": seconds}


def _figures(figures: dict[str, float]) -> str:
    shown = {k: v for k, v in figures.items() if k.endswith(("_loss", "accuracy"))}
    return ", ".join(f"{k} {v:.4f}" for k, v in shown.items() if math.isfinite(v))


if __name__ == "__main__":
    main()
