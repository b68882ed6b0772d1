#!/usr/bin/env python
"""Time the training loop against plain `model.fit`, and against PyTorch where it is installed.

They alternate, one epoch each, after a warm-up; medians and their ratios are printed. Each has a
model of its own with the same starting weights, so none profits from the other's compiled
functions. A step is whole: forward, loss, backward, optimizer, and the sums of loss and accuracy.
"elsewhere_cores" are the cores that other processes took meanwhile: figures want a quiet machine.

With PyTorch all three train on the very same batches, made before the timing begins ("feed":
"memory"); PyTorch gets them as ready tensors, pictures channels first. Without it the loop and
`model.fit` read the recipe's own pipeline ("feed": "pipeline").
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
import resource
import statistics
import time

import click
import numpy as np

from kerasd2l.cli import data_options, load_recipe, parse_settings, say, use_tensorflow

BATCHES_MIB = 1024  # what the batches in memory may take, once for each framework


@click.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@data_options()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--limit-steps", type=click.IntRange(min=1), help="At most N batches per epoch.")
@click.option("--fit/--no-fit", "with_fit", default=True, help="Time model.fit, too.")
@click.option(
    "--torch/--no-torch", "with_torch", default=None, help="Default: where it is installed."
)
@click.option(
    "--torch-layout",
    type=click.Choice(["auto", "contiguous", "channels_last", "compiled"]),
    default="auto",
    show_default=True,
    help="PyTorch's memory format; auto tries both on pictures and takes the faster one; "
    "compiled: torch.compile, of what torch_sequences.py and torch_vision.py have.",
)
@click.option("--jit", is_flag=True, help="XLA for ours.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    name,
    pairs,
    data,
    data_dir,
    rounds,
    limit_steps,
    with_fit,
    with_torch,
    torch_layout,
    jit,
    as_json,
):
    """Time one epoch of recipe NAME in our loop, in model.fit and in PyTorch."""
    recipe = load_recipe(name, parse_settings(pairs))
    installed = importlib.util.find_spec("torch") is not None
    if with_torch and not installed:
        raise click.BadParameter("PyTorch is not installed: `pip install torch`, or --no-torch.")
    with_torch = installed if with_torch is None else with_torch
    use_tensorflow()
    import tensorflow as tf

    from kerasd2l.data import Source
    from kerasd2l.training.fit import prepare

    source, strategy = Source(kind=data, data_dir=data_dir), tf.distribute.get_strategy()
    loaded, ours = prepare(recipe, source, strategy, seed=0, jit_compile=jit)
    found = _torch_training(recipe, ours, loaded.assets, torch_layout) if with_torch else None
    batches = _batches(loaded, recipe, limit_steps) if found else None
    if batches:
        loaded = _in_memory(loaded, batches)
    layout, timers = None, {}
    if found:  # first: it takes our weights as they are before training
        training, layouts = found
        layout, timers["torch"] = _torch_timer(training, batches, layouts)
    if with_fit:
        _, theirs = prepare(recipe, source, strategy, seed=0, jit_compile=jit)
        timers["fit"] = _fit_timer(theirs, loaded, limit_steps)
        timers["fit"](0)  # compiles before the loop opens: what the loop quickens is not its own
    timers["loop"] = _loop_timer(ours, loaded, limit_steps)
    before = _clocks()
    medians = _alternate(timers, rounds)
    elsewhere = _elsewhere(before, _clocks())
    steps = min(int(loaded.train.cardinality()), limit_steps or 10**9)
    examples = min(loaded.size["train"], steps * recipe.batch_size)
    result = {
        "recipe": recipe.name,
        "steps": steps,
        "batch_size": recipe.batch_size,
        "input_shape": list(ours.input_shape[1:]) if hasattr(ours, "input_shape") else None,
        "rounds": rounds,
        "jit_compile": jit,
        "feed": "memory" if batches else "pipeline",
        **{
            f"{kind}_seconds": medians[kind] for kind in ("loop", "fit", "torch") if kind in medians
        },
        **({"ratio": medians["fit"] / medians["loop"]} if with_fit else {}),
        **({"ratio_torch": medians["torch"] / medians["loop"]} if found else {}),
        **({"torch_layout": layout} if found else {}),
        **{f"{kind}_examples_per_second": examples / s for kind, s in medians.items()},
        "elsewhere_cores": elsewhere,
        # All in one process: the peak is that of everything together.
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    click.echo(json.dumps(result) if as_json else "\n".join(f"{k}: {v}" for k, v in result.items()))


def _alternate(timers, rounds: int) -> dict[str, float]:
    """Let the timers take turns, the first of a round another one each time; return medians."""
    seconds: dict[str, list[float]] = {kind: [] for kind in timers}
    for number in range(rounds + 1):  # the first round compiles
        for kind in list(timers) if number % 2 else list(reversed(timers)):
            spent = timers[kind](number)
            if number:
                seconds[kind].append(spent)
            say(f"round {number} {kind}: {spent:.3f} s" + ("" if number else " (warm-up)"))
    return {kind: statistics.median(values) for kind, values in seconds.items()}


def _clocks() -> tuple[float, float, float] | None:
    """Return wall time, this process's CPU seconds, and the whole machine's, as Linux tells."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(number) for number in file.readline().split()[1:]]
    except (OSError, ValueError):
        return None
    busy = sum(ticks[:3]) + sum(ticks[5:7])  # not idle, not waiting for a disk
    return time.perf_counter(), time.process_time(), busy / os.sysconf("SC_CLK_TCK")


def _elsewhere(before, after) -> float | None:
    """Return how many cores other processes took meanwhile: 0 on a quiet machine."""
    if before is None or after is None:
        return None
    wall, own, busy = (b - a for a, b in zip(before, after, strict=True))
    return round(max(0.0, busy - own) / wall, 2)


def _batches(data, recipe, limit_steps):
    """Return the first whole batches of the first epoch as numpy arrays, as many as fit."""
    import tensorflow as tf

    batches: list = []
    for batch in data.epoch(0).as_numpy_iterator():
        full = _size(batch) == recipe.batch_size or not batches
        size = sum(array.nbytes for array in tf.nest.flatten(batch[0]))
        room = (len(batches) + 1) * size <= BATCHES_MIB * 2**20 or not batches
        if not (full and room) or len(batches) == (limit_steps or len(batches) + 1):
            break
        batches.append(batch)
    return _same_shapes(batches)


def _size(batch) -> int:
    """Return the examples of a batch."""
    import tensorflow as tf

    return len(tf.nest.flatten(batch)[0])


def _same_shapes(batches):
    """Pad texts with 0 to the longest of all batches, which may be cut batch by batch."""
    import tensorflow as tf

    def pad(*parts):
        shape = np.max([part.shape for part in parts], axis=0)
        return [np.pad(p, [(0, m - n) for n, m in zip(p.shape, shape, strict=True)]) for p in parts]

    columns = [pad(*parts) for parts in zip(*map(tf.nest.flatten, batches), strict=True)]
    return [
        tf.nest.pack_sequence_as(batch, [column[i] for column in columns])
        for i, batch in enumerate(batches)
    ]


def _in_memory(data, batches):
    """Return the data with these batches for training, in this order in every epoch."""
    import tensorflow as tf

    arrays = tf.nest.map_structure(lambda *column: np.stack(column), *batches)
    options = tf.data.Options()
    # TensorFlow's tuning thread holds up the end of an epoch until its next turn (TF 2.21: by up to
    # as long as the epoch took). There is nothing to tune: the batches are ready.
    options.autotune.enabled = False
    train = tf.data.Dataset.from_tensor_slices(arrays).prefetch(2).with_options(options)
    size = {**data.size, "train": sum(map(_size, batches))}
    return dataclasses.replace(data, train=train, order=None, size=size)


def _loop_timer(model, data, limit_steps, strategy=None):
    """Return a function that trains one epoch in our loop and tells its seconds."""
    from kerasd2l.training.loop import Loop, Training

    loop = Loop(Training(model, data, 10**6, strategy=strategy, limit_steps=limit_steps))
    loop.steps.__enter__()
    loop.prepare()

    def epoch(number: int) -> float:
        start = time.perf_counter()
        loop.place.epoch = number
        loop.train_epoch()
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


def _torch_training(recipe, model, assets, layout: str):
    """Return (memory format) -> a PyTorch training, and the formats to try; or None.

    It begins with our weights, but for those of torch_sequences.py and torch_vision.py.
    """
    import torch_sequences
    from torch_language import LanguageTraining
    from torch_reference import NoReference, Training, reference
    from torch_training import Training as OwnTraining

    pictures = True

    def training(layout: str):
        nonlocal pictures
        if torch_sequences.has(recipe):
            pictures = False
            net = torch_sequences.network(recipe, assets, model)
            return OwnTraining(recipe, net, layout=layout)
        if importlib.util.find_spec("torchvision") is not None:
            import torch_vision

            if torch_vision.has(recipe):
                return OwnTraining(recipe, torch_vision.network(recipe, model), layout=layout)
        if layout == "compiled":
            raise NoReference("torch.compile is not for networks with our weights.")
        if recipe.dataset in ("time_machine", "shakespeare"):
            pictures = False
            return LanguageTraining(recipe, model)
        return Training(recipe, reference(recipe, model), channels_last=layout == "channels_last")

    try:
        training("contiguous" if layout == "auto" else layout)
    except NoReference as error:
        say(f"no comparison with PyTorch: {error}")
        return None
    if layout != "auto":
        return training, (layout,)
    return training, ("contiguous", "channels_last") if pictures else ("contiguous",)


def _torch_timer(training, batches, layouts):
    """Return the memory format, the fastest one, and the function that times an epoch."""

    def timer(layout: str):
        trained = training(layout)
        ready = [trained.batch(*batch) for batch in batches]

        def epoch(number: int) -> float:
            start = time.perf_counter()
            trained.epoch(ready)
            return time.perf_counter() - start

        return epoch

    timers = {kind: timer(kind) for kind in layouts}
    if len(timers) == 1:
        return next(iter(timers.items()))
    seconds = {}
    for number, kind in itertools.product(range(2), timers):  # the first time warms up
        seconds[kind] = timers[kind](number)
    say("PyTorch: " + ", ".join(f"{kind} {spent:.3f} s" for kind, spent in seconds.items()))
    fastest = min(seconds, key=seconds.__getitem__)
    return fastest, timers[fastest]


if __name__ == "__main__":
    main()
