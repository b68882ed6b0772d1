#!/usr/bin/env python
"""Time the training loop against plain `model.fit` on the same compiled model and data.

The two alternate, one epoch each, after a warm-up; medians and their ratio are printed. Each has a
model of its own with the same weights, so neither profits from the other's compiled functions.
"""

from __future__ import annotations

import json
import resource
import statistics
import time

import click

from kerasd2l.cli import data_options, load_recipe, parse_settings, say, use_tensorflow


@click.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@data_options()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--limit-steps", type=click.IntRange(min=1), help="At most N batches per epoch.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(name, pairs, data, data_dir, rounds, limit_steps, as_json):
    """Time one epoch of recipe NAME in our loop and in model.fit."""
    recipe = load_recipe(name, parse_settings(pairs))
    use_tensorflow()
    import tensorflow as tf

    from kerasd2l.data import Source
    from kerasd2l.training.fit import prepare

    source = Source(kind=data, data_dir=data_dir)
    strategy = tf.distribute.get_strategy()
    loaded, ours = prepare(recipe, source, strategy, seed=0)
    _, theirs = prepare(recipe, source, strategy, seed=0)
    timers = {
        "loop": _loop_timer(ours, loaded, limit_steps),
        "fit": _fit_timer(theirs, loaded, limit_steps),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in timers}
    for number in range(rounds + 1):  # the first round compiles
        for kind in timers if number % 2 else reversed(timers):
            spent = timers[kind](number)
            if number:
                seconds[kind].append(spent)
            say(f"round {number} {kind}: {spent:.3f} s" + ("" if number else " (warm-up)"))
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    steps = min(int(loaded.train.cardinality()), limit_steps or 10**9)
    result = {
        "recipe": recipe.name,
        "steps": steps,
        "batch_size": recipe.batch_size,
        "rounds": rounds,
        "loop_seconds": medians["loop"],
        "fit_seconds": medians["fit"],
        "ratio": medians["fit"] / medians["loop"],
        "loop_examples_per_second": _examples(loaded, recipe, steps) / medians["loop"],
        "fit_examples_per_second": _examples(loaded, recipe, steps) / medians["fit"],
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    click.echo(json.dumps(result) if as_json else "\n".join(f"{k}: {v}" for k, v in result.items()))


def _loop_timer(model, data, limit_steps):
    """Return a function that trains one epoch in our loop and tells its seconds."""
    import keras

    from kerasd2l.training.steps import Loop

    loop = Loop(model, data, limit_steps=limit_steps).__enter__()
    callbacks = keras.callbacks.CallbackList([], model=model)

    def epoch(number: int) -> float:
        start = time.perf_counter()
        loop.epoch = number
        loop.train_epoch(0, callbacks, lambda: None)
        return time.perf_counter() - start

    return epoch


def _fit_timer(model, data, limit_steps):
    """Return a function that trains one epoch under `model.fit` and tells its seconds."""

    def epoch(number: int) -> float:
        start = time.perf_counter()
        dataset = data.epoch(number)
        model.fit(dataset.take(limit_steps) if limit_steps else dataset, verbose=0)
        return time.perf_counter() - start

    return epoch


def _examples(data, recipe, steps: int) -> int:
    return min(data.size["train"], steps * recipe.batch_size)


if __name__ == "__main__":
    main()
