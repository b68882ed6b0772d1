#!/usr/bin/env python
"""Time training on pictures that are decoded for every batch, beside decoding alone.

Photographs are written as JPEG files into a folder, which is read as a set that is larger than
memory. In turns: TensorFlow's own decoder in a bare pipeline (the floor), reading a whole epoch
without training (both with the tuning of tf.data, which training does without), and training a
small network. What training holds in memory is told beside what the decoded set would take.

    scripts/benchmark_streaming.py --pictures 2000 --rounds 5
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import click
from benchmark import _alternate, _loop_timer
from serving_process import resident

from kerasd2l.cli import use_tensorflow

SIDE = 96  # pixels that the network sees


@click.command()
@click.option("--pictures", type=click.IntRange(min=100), default=2000, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def main(pictures: int, batch_size: int, rounds: int) -> None:
    """Print one JSON object: pictures a second of each, and memory in MB."""
    use_tensorflow()
    import keras

    from kerasd2l.data import Source
    from kerasd2l.data.sets import image_folder

    with tempfile.TemporaryDirectory() as name:
        content = write(Path(name), pictures)
        data = image_folder.load(
            Source("files", Path(name)), resize=SIDE, batch_size=batch_size, memory=0
        )
        model = keras.Sequential(
            [
                keras.layers.Conv2D(8, 5, strides=4, activation="relu"),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(2),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, jit_compile=False)
        files = sorted(str(path) for path in Path(name).glob("train/*/*.jpg"))
        timers = {
            "decoder": lambda number: seconds(bare(files, batch_size)),
            "reading": lambda number: seconds(data.epoch(number)),
            "training": _loop_timer(model, data, None),
        }
        before = resident(os.getpid())
        medians = _alternate(timers, rounds)
    rates = {name: round(len(files) / spent, 1) for name, spent in medians.items()}
    found = {
        "pictures": len(files),
        "pictures_per_second": rates,
        "training / reading": round(rates["training"] / rates["reading"], 3),
        "training / decoder": round(rates["training"] / rates["decoder"], 3),
        "decoded_megabytes": round(content / 1e6),
        "more_memory_after_all_epochs_megabytes": round(resident(os.getpid()) - before),
    }
    click.echo(json.dumps(found))


def write(folder: Path, count: int) -> int:
    """Write two classes of photographs of 500 x 375; return the bytes that they take decoded."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng, content = np.random.default_rng(0), 0
    photographs = load_sample_images().images  # 427 x 640
    for split, number in (("train", count), ("test", 20)):
        for i in range(number):
            place = folder / split / f"class{i % 2}"
            place.mkdir(parents=True, exist_ok=True)
            top, left = rng.integers(0, 52), rng.integers(0, 140)
            part = photographs[i % 2][top : top + 375, left : left + 500]
            Image.fromarray(part).save(place / f"{i:05}.jpg")
            content += part.nbytes
    return content


def bare(files: list[str], batch_size: int):
    """Return a pipeline that reads, decodes, shrinks and batches the files on all cores."""
    import tensorflow as tf

    def decode(path):
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(pixels, (SIDE, SIDE), antialias=True)

    dataset = tf.data.Dataset.from_tensor_slices(files)
    return dataset.map(decode, tf.data.AUTOTUNE).batch(batch_size).prefetch(2)


def seconds(dataset) -> float:
    """Return what it takes to read all of a dataset."""
    begin = time.perf_counter()
    for _ in dataset:
        pass
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
