#!/usr/bin/env python
"""Time training with our recurrent layers against Keras' own and, where installed, PyTorch's.

A character model: one-hot input, one recurrent layer, a dense layer at every step, cross entropy,
SGD with the global norm clipped to 1. Whole steps in the loop of the library, the contestants in
turns. On a machine that others use, too, single rounds are slow: besides the median the best round
is printed, and the CPU time, which does not wait. "elsewhere_cores" is what others took meanwhile.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable

import click
import numpy as np

from kerasd2l.cli import say, use_tensorflow

KINDS = {"SimpleRNN": "RNN", "GRU": "GRU", "LSTM": "LSTM"}  # Keras' name: PyTorch's


@click.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Default: all")
@click.option("--units", type=click.IntRange(min=1), default=256, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=35, show_default=True, help="Time.")
@click.option("--vocabulary", type=click.IntRange(min=2), default=28, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True)
@click.option("--updates", type=click.IntRange(min=1), default=20, show_default=True, help="Each.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(kinds, units, batch, steps, vocabulary, rounds, updates, as_json):
    """Print training tokens per second of layers.*, keras.layers.* and torch.nn.*."""
    use_tensorflow()
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)  # as for recipes with small steps

    from kerasd2l import layers

    ids = np.random.default_rng(0).integers(0, vocabulary, (batch, steps + 1))
    x, y = np.eye(vocabulary, dtype="float32")[ids[:, :-1]], ids[:, 1:]
    result = {"units": units, "batch": batch, "steps": steps, "vocabulary": vocabulary}
    for kind in kinds or KINDS:
        timers = {
            "ours": _loop_timer(getattr(layers, kind), units, x, y, updates),
            "keras": _loop_timer(getattr(keras.layers, kind), units, x, y, updates),
        }
        if importlib.util.find_spec("torch"):
            timers["torch"] = _torch_timer(KINDS[kind], units, x, y, updates)
        result[kind] = figures = _alternate(timers, rounds, updates, batch * steps)
        for other in list(timers)[1:]:
            ratio = figures[f"{other}_best_ms"] / figures["ours_best_ms"]
            figures[f"best_over_{other}"] = ratio
            figures[f"median_over_{other}"] = (
                figures["ours_tokens_per_second"] / figures[f"{other}_tokens_per_second"]
            )
        for name, value in figures.items():
            say(f"{kind} {name}: {value:.4g}")
    click.echo(json.dumps(result) if as_json else "\n".join(f"{k}: {v}" for k, v in result.items()))


def _alternate(
    timers: dict[str, Callable[[], None]], rounds: int, updates: int, tokens: int
) -> dict[str, float]:
    """Let the timers take turns; return what each needs, and who else computed."""
    wall: dict[str, list[float]] = {name: [] for name in timers}
    cpu: dict[str, list[float]] = {name: [] for name in timers}
    before = time.perf_counter(), time.process_time(), _busy_seconds()
    for number in range(rounds):
        for name in timers if number % 2 else reversed(timers):
            start = time.perf_counter(), time.process_time()
            timers[name]()
            wall[name].append((time.perf_counter() - start[0]) / updates)
            cpu[name].append((time.process_time() - start[1]) / updates)
    seconds, mine, busy = (
        b - a
        for a, b in zip(
            before, (time.perf_counter(), time.process_time(), _busy_seconds()), strict=True
        )
    )
    figures = {"elsewhere_cores": max(0.0, busy - mine) / seconds}
    for name in timers:
        median = statistics.median(wall[name])
        figures[f"{name}_tokens_per_second"] = tokens / median
        figures[f"{name}_median_ms"] = 1000 * median
        figures[f"{name}_best_ms"] = 1000 * min(wall[name])
        figures[f"{name}_cpu_ms"] = 1000 * statistics.median(cpu[name])
    return figures


def _busy_seconds() -> float:
    """Return the CPU seconds of all processes of the machine since its start, 0 if unknown."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(number) for number in file.readline().split()[1:]]
    except (OSError, ValueError):
        return 0.0
    return (sum(ticks[:3]) + sum(ticks[5:7])) / os.sysconf("SC_CLK_TCK")


def _loop_timer(layer, units, x, y, updates) -> Callable[[], None]:
    """Return a function that trains some updates in our loop."""
    import keras
    import tensorflow as tf

    from kerasd2l.recipe import Data
    from kerasd2l.training.loop import Loop, Training

    inputs = keras.Input(x.shape[1:])
    outputs = keras.layers.Dense(x.shape[-1])(layer(units, return_sequences=True)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(1.0, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    train = tf.data.Dataset.from_tensors((x, y.astype("int32"))).cache().repeat(updates)
    data = Data(train, None, None, {}, {}, {"train": updates * len(x)})
    loop = Loop(Training(model, data, 10**6))
    loop.steps.__enter__()
    loop.prepare()

    def train_some() -> None:
        loop.train_epoch()

    train_some()  # compiles
    return train_some


def _torch_timer(kind, units, x, y, updates) -> Callable[[], None]:
    """Return a function that trains some updates in PyTorch."""
    import torch

    layer = getattr(torch.nn, kind)(x.shape[-1], units, batch_first=True)
    head = torch.nn.Linear(units, x.shape[-1])
    weights = [*layer.parameters(), *head.parameters()]
    optimizer, loss = torch.optim.SGD(weights, lr=1.0), torch.nn.CrossEntropyLoss()
    inputs, targets = torch.tensor(x), torch.tensor(y).flatten()

    def train_some() -> None:
        total = 0.0
        for _ in range(updates):
            optimizer.zero_grad()
            value = loss(head(layer(inputs)[0]).flatten(0, 1), targets)
            value.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            total = total + value.detach()
        float(total)  # like the loop's sum of losses

    train_some()
    return train_some


if __name__ == "__main__":
    main()
