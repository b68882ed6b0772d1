#!/usr/bin/env python
"""Time a step on several local workers, and count the bytes that they send for it.

    python scripts/benchmark_workers.py lenet --workers 2

The workers are started as `kerasd2l launch` does, in a network of their own: its loopback carries
nothing but their traffic. A step on n workers costs what its share of the batch costs on one device
with the other cores at the same work, and the collectives. The floor of an all-reduce is
2 (n - 1) / n times the weights, which each worker sends. TensorFlow's heartbeats and the counts of
metrics are in the bytes too, and the packets' own headers.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import click
from benchmark import _loop_timer

from kerasd2l.cli import data_options, load_recipe, parse_settings, use_tensorflow


def loopback_bytes() -> int:
    """Return the bytes that this network's loopback has carried."""
    for line in Path("/proc/self/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[0])
    return 0


@click.command()
@click.argument("name", default="lenet")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@data_options()
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--limit-steps", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--as-worker", is_flag=True, hidden=True)
def main(name, pairs, data, data_dir, workers, rounds, limit_steps, as_worker):
    """Train recipe NAME for a few rounds of steps on local workers; print one JSON object."""
    if as_worker:
        work(name, pairs, data, data_dir, rounds, limit_steps)
        return
    from kerasd2l.cluster.launch import launch

    words = [name, *(word for pair in pairs for word in ("--set", pair)), "--data", data]
    words += ["--data-dir", str(data_dir)] if data_dir else []
    words += ["--rounds", str(rounds), "--limit-steps", str(limit_steps), "--as-worker"]
    said = io.BytesIO()
    program = (sys.executable, str(Path(__file__).resolve()))
    with tempfile.TemporaryDirectory() as logs:
        code = launch(
            words,
            workers=workers,
            env=os.environ,
            program=program,
            stdout=said,
            log_dir=Path(logs),
        )
    if code:
        sys.exit(code)
    click.echo(said.getvalue().decode().strip().splitlines()[-1])


def work(name, pairs, data, data_dir, rounds, limit_steps) -> None:
    """Be one of the workers, or alone."""
    recipe = load_recipe(name, parse_settings(pairs))
    use_tensorflow()
    from kerasd2l.cluster.resolving import find
    from kerasd2l.data import Source
    from kerasd2l.training.fit import prepare
    from kerasd2l.training.strategy import make_strategy

    strategy = make_strategy("auto", cluster=find(os.environ))
    workers = strategy.num_replicas_in_sync
    loaded, model = prepare(recipe, Source(kind=data, data_dir=data_dir), strategy, seed=0)
    steps = min(int(loaded.train.cardinality()), limit_steps)
    epoch = _loop_timer(model, loaded, limit_steps, strategy)
    epoch(0)  # compiles
    seconds, sent = [], []
    for number in range(1, rounds + 1):
        before = loopback_bytes()
        seconds.append(epoch(number) / steps)
        sent.append((loopback_bytes() - before) / steps)
    weights = sum(4 * int(v.shape.num_elements()) for v in _values(model))
    result = {
        "recipe": recipe.name,
        "batch_size": recipe.batch_size,
        "workers": workers,
        "steps": steps,
        "rounds": rounds,
        "step_ms": 1000 * statistics.median(seconds),
        "bytes_per_step_and_worker": statistics.median(sent) / workers,
        "floor_bytes": 2 * (workers - 1) / workers * weights,
        "weights_bytes": weights,
    }
    click.echo(json.dumps(result))
    time.sleep(1.0)  # the other is still reading the last collective


def _values(model):
    return [variable.value for variable in model.trainable_variables]


if __name__ == "__main__":
    main()
