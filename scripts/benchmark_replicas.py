#!/usr/bin/env python
"""Time a step of a recipe under one device, one mirrored replica and several.

The batch stays ("fixed": strong scaling) or grows with the replicas ("growing": weak scaling). All
take turns, an epoch each, after a warm-up; medians of seconds a step are printed.
"overhead_mirrored_1" is what `mirrored --replicas 1` takes more than one device, as a part of it.
Without GPUs the replicas are logical devices of the same cores, which share what there is: a fixed
batch cannot become quicker, and a growing one takes as much longer as it grows.
"""

from __future__ import annotations

import json

import click
from benchmark import _alternate, _clocks, _elsewhere, _loop_timer

from kerasd2l.cli import data_options, load_recipe, parse_settings, use_tensorflow


@click.command()
@click.argument("name", default="lenet")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@data_options()
@click.option("--replicas", type=click.IntRange(min=2), default=2, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--limit-steps", type=click.IntRange(min=2), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(name, pairs, data, data_dir, replicas, rounds, limit_steps, as_json):
    """Time a step of recipe NAME under 1 device, 1 replica, and --replicas."""
    settings = parse_settings(pairs)
    fixed = load_recipe(name, settings)
    batch = fixed.batch_size
    growing = load_recipe(name, {**settings, "batch_size": batch * replicas})
    use_tensorflow()
    from kerasd2l.data import Source
    from kerasd2l.training.fit import prepare
    from kerasd2l.training.strategy import make_strategy

    several = make_strategy("mirrored", replicas=replicas)  # first: devices are made once
    single = make_strategy("mirrored", replicas=1)
    source = Source(kind=data, data_dir=data_dir)
    timers, steps = {}, {}
    for kind, recipe, strategy in (
        ("one", fixed, make_strategy("one")),
        ("mirrored_1", fixed, single),
        (f"mirrored_{replicas}_fixed", fixed, several),
        (f"mirrored_{replicas}_growing", growing, several),
    ):
        loaded, model = prepare(recipe, source, strategy, seed=0)
        steps[kind] = min(int(loaded.train.cardinality()), limit_steps)
        timers[kind] = _loop_timer(model, loaded, limit_steps, strategy)
    before = _clocks()
    medians = _alternate(timers, rounds)
    seconds = {kind: medians[kind] / steps[kind] for kind in timers}
    result = {
        "recipe": fixed.name,
        "batch_size": batch,
        "replicas": replicas,
        "steps": steps["one"],
        "rounds": rounds,
        "seconds_per_step": seconds,
        "overhead_mirrored_1": seconds["mirrored_1"] / seconds["one"] - 1,
        "elsewhere_cores": _elsewhere(before, _clocks()),
    }
    click.echo(json.dumps(result) if as_json else "\n".join(f"{k}: {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
