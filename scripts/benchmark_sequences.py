#!/usr/bin/env python
"""Time the training of networks on words, patches and sentences against PyTorch's, in turns.

The same batches, ready in memory; whole steps of both, ours in the loop of the library with the
threads that `kerasd2l train` gives it. Medians and their ratio are printed, above 1 ours are
faster. `torch_sequences.py` has the counterparts. Figures want a quiet machine.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import click

from kerasd2l.cli import data_options, load_recipe, parse_settings, say, use_tensorflow


@click.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@data_options()
@click.option("--batches", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Time torch.compile, too.")
def main(name, pairs, data, data_dir, batches, rounds, compiled) -> None:
    """Time recipe NAME, its first whole batches, in our loop and in PyTorch."""
    recipe = load_recipe(name, parse_settings(pairs))
    use_tensorflow()
    import tensorflow as tf

    from kerasd2l.data import Source
    from kerasd2l.training.fit import prepare
    from kerasd2l.training.small_steps import give_threads

    source = Source(kind=data, data_dir=data_dir)
    give_threads(recipe)
    loaded, model = prepare(recipe, source, tf.distribute.get_strategy(), seed=0)
    few: list[Any] = []
    for batch in loaded.epoch(0).as_numpy_iterator():
        if len(few) == batches or (few and _size(batch) != _size(few[0])):
            break
        few.append(batch)
    few = _same_shapes(few)
    examples = len(few) * _size(few[0])
    timers: dict[str, Callable[[], Any]] = {"ours": _ours(model, loaded, few)}
    timers["torch"] = _torch(recipe, loaded, model, few)
    if compiled:
        timers["torch.compile"] = _torch(recipe, loaded, model, few, compiled=True)
    seconds: dict[str, list[float]] = {kind: [] for kind in timers}
    for number in range(rounds):
        for kind in list(timers) if number % 2 else list(reversed(timers)):
            start = time.perf_counter()
            timers[kind]()
            seconds[kind].append(time.perf_counter() - start)
        say(", ".join(f"{kind} {line[-1]:.3f} s" for kind, line in seconds.items()))
    medians = {kind: statistics.median(line) for kind, line in seconds.items()}
    theirs = min(value for kind, value in medians.items() if kind != "ours")
    rates = {f"{kind} examples/s": round(examples / value, 1) for kind, value in medians.items()}
    found = {"recipe": recipe.name, "batches": len(few), "batch_size": _size(few[0]), **rates}
    click.echo(json.dumps({**found, "ratio": round(theirs / medians["ours"], 3)}))


def _size(batch: Any) -> int:
    import tensorflow as tf

    return len(tf.nest.flatten(batch)[0])


def _same_shapes(few: list) -> list:
    """Pad texts with 0 to the longest of all batches, which may be cut batch by batch."""
    import numpy as np
    import tensorflow as tf

    def pad(*parts):
        shape = np.max([part.shape for part in parts], axis=0)
        return [np.pad(p, [(0, m - n) for n, m in zip(p.shape, shape, strict=True)]) for p in parts]

    columns = [pad(*parts) for parts in zip(*map(tf.nest.flatten, few), strict=True)]
    return [
        tf.nest.pack_sequence_as(batch, [column[i] for column in columns])
        for i, batch in enumerate(few)
    ]


def _ours(model: Any, data: Any, few: list) -> Callable[[], None]:
    """Return a function that trains all batches in our loop."""
    import numpy as np
    import tensorflow as tf

    from kerasd2l.training.loop import Loop, Training

    stacked = tf.nest.map_structure(lambda *parts: np.stack(parts), *few)
    options = tf.data.Options()
    options.autotune.enabled = False  # the batches are ready: there is nothing to tune
    train = tf.data.Dataset.from_tensor_slices(stacked).prefetch(2).with_options(options)
    size = {**data.size, "train": len(few) * _size(few[0])}
    held = dataclasses.replace(data, train=train, order=None, size=size)
    loop = Loop(Training(model, held, 10**6))
    loop.steps.__enter__()
    loop.prepare()

    def train_all() -> None:
        loop.train_epoch()

    train_all()  # compiles
    return train_all


def _torch(recipe, data, model, few: list, *, compiled: bool = False) -> Callable[[], Any]:
    """Return a function that trains all batches in PyTorch."""
    import torch_sequences

    net = torch_sequences.network(recipe, data.assets, model)
    training = torch_sequences.Training(recipe, net, compiled=compiled)
    ready = []
    for batch in few:
        x, y, *weights = (torch_sequences.tensors(part) for part in batch)
        ready.append((x, y, *(weights or [None])))
    start = time.perf_counter()
    training.epoch(ready)  # the first time compiles or warms up
    say(f"PyTorch's first epoch{' compiled' * compiled}: {time.perf_counter() - start:.1f} s")
    return lambda: training.epoch(ready)


if __name__ == "__main__":
    main()
