#!/usr/bin/env python
"""Time the training of skip-gram with noise words against PyTorch's, in turns.

The book's sizes on Penn Treebank, or on the built-in text: batches of 512 words in the middle with
60 places each, ready in memory; vectors of 100, Adam at 0.002; whole steps in the loop of the
library. PyTorch's step is the book's: `bmm` of two `nn.Embedding`, the masked loss, `optim.Adam`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import cast

import click

from kerasd2l.cli import say, use_tensorflow
from kerasd2l.recipe import Recipe


@click.command()
@click.option("--data", type=click.Choice(["builtin", "files"]), default="files", show_default=True)
@click.option("--batches", type=click.IntRange(min=1), default=40, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def main(data: str, batches: int, rounds: int) -> None:
    """Print words a second of both, and the ratio of their medians."""
    use_tensorflow()
    import tensorflow as tf

    from kerasd2l import finding
    from kerasd2l.data import Source
    from kerasd2l.training.fit import prepare

    recipe = cast(Recipe, finding.load("word2vec"))
    found, model = prepare(recipe, Source(data), tf.distribute.get_strategy(), seed=0)
    few = list(found.epoch(0).take(batches))
    timers = {"ours": _loop_timer(model, found, few)}
    timers["torch"] = _torch_timer(len(found.assets["vocabulary"]), few)
    words = sum(int(x["inputs"].shape[0]) for x, _, _ in few)
    rates: dict[str, list[float]] = {name: [] for name in timers}
    for number in range(rounds):
        for name in timers if number % 2 else reversed(timers):
            start = time.perf_counter()
            timers[name]()
            rates[name].append(words / (time.perf_counter() - start))
        say(", ".join(f"{name} {line[-1]:,.0f} words/s" for name, line in rates.items()))
    ours, other = (statistics.median(line) for line in rates.values())
    click.echo(f"ours {ours:,.0f} words/s, torch {other:,.0f} words/s, ratio {ours / other:.2f}")


def _loop_timer(model, data, few) -> Callable[[], None]:
    """Return a function that trains all batches in our loop."""
    import dataclasses

    import tensorflow as tf

    from kerasd2l.training.loop import Loop, Training

    whole = [batch for batch in few if batch[1].shape[0] == few[0][1].shape[0]]
    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *whole)
    size = {"train": len(whole) * int(few[0][1].shape[0])}
    train = tf.data.Dataset.from_tensor_slices(stacked)
    loop = Loop(Training(model, dataclasses.replace(data, train=train, order=None, size=size), 1))
    loop.steps.__enter__()
    loop.prepare()

    def train_all() -> None:
        loop.train_epoch()

    train_all()  # compiles
    return train_all


def _torch_timer(vocab_size: int, few) -> Callable[[], None]:
    """Return a function that trains all batches in PyTorch."""
    import torch

    v, u = (torch.nn.Embedding(vocab_size, 100) for _ in range(2))
    for table in (v, u):
        torch.nn.init.xavier_uniform_(table.weight)
    optimizer = torch.optim.Adam([*v.parameters(), *u.parameters()], lr=0.002)
    batches = []
    for x, labels, _ in few:
        outputs = torch.tensor(x["outputs"].numpy())
        centers = torch.tensor(x["inputs"].numpy())[:, None]
        batches.append((centers, outputs, (outputs > 0).float(), torch.tensor(labels.numpy())))

    def train_all() -> None:
        for centers, outputs, mask, labels in batches:
            optimizer.zero_grad()
            logits = torch.bmm(v(centers), u(outputs).permute(0, 2, 1)).squeeze(1)
            losses = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, labels, weight=mask, reduction="none"
            ).mean(1)
            (losses / mask.sum(1) * mask.shape[1]).sum().backward()
            optimizer.step()

    train_all()
    return train_all


if __name__ == "__main__":
    main()
