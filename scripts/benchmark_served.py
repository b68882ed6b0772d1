#!/usr/bin/env python
"""Time a detector's `serving_default` on one JPEG of 640 x 480 against its forward pass alone.

CPU time of one thread, in turns, medians: a busy machine blurs it less than the clock. The weights
are those that training begins with, so there may be no box; what is not the network (decoding,
resizing, suppression) takes the same time.
"""

from __future__ import annotations

import io
import statistics
import time

import click
import numpy as np

from kerasd2l.cli import load_recipe, parse_settings, use_tensorflow


@click.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@click.option("--rounds", type=click.IntRange(min=1), default=31, show_default=True)
def main(name: str, pairs: tuple[str, ...], rounds: int) -> None:
    """Print milliseconds of both for the detector of recipe NAME, and their ratio."""
    recipe = load_recipe(name, parse_settings(pairs))
    use_tensorflow()
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    loaded = recipe.data("builtin")
    model = recipe.model(loaded)
    endpoint = recipe.endpoints[0]
    encoded = tf.TensorSpec((None,), tf.string)
    serve = tf.function(endpoint.build(model, loaded.assets), [encoded], autograph=False)
    shape = loaded.train.element_spec[0].shape[1:]
    pixels = tf.random.uniform((1, *shape))
    forward = tf.function(lambda x: model(x, training=False), autograph=False)
    picture = tf.constant([_jpeg()])
    calls = {"served": lambda: serve(picture), "forward pass": lambda: forward(pixels)}
    times: dict[str, list[float]] = {kind: [] for kind in calls}
    for number in range(rounds + 3):
        for kind, call in calls.items():
            start = time.process_time()
            tf.nest.map_structure(np.asarray, call())
            if number >= 3:  # before: compiling, and memory that grows
                times[kind].append(1000 * (time.process_time() - start))
    medians = {kind: statistics.median(line) for kind, line in times.items()}
    ratio = medians["served"] / medians["forward pass"]
    text = ", ".join(f"{kind} {ms:.1f} ms" for kind, ms in medians.items())
    click.echo(f"{recipe.name}, {shape[0]} x {shape[1]}: {text}; ratio {ratio:.2f}")


def _jpeg() -> bytes:
    """Return a photograph, as a JPEG of 640 x 480."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    file = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).resize((640, 480)).save(file, "JPEG")
    return file.getvalue()


if __name__ == "__main__":
    main()
