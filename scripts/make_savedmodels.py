#!/usr/bin/env python
"""Train and export the models that lie in savedmodels/, and the weights of `models.lenet`.

    KERASD2L_DATA=DIR python scripts/make_savedmodels.py

DIR has mnist/ (the four .gz files) and timemachine.txt; the names are CLDR's, which Babel brings.
Ten minutes on one core. The three folders, and kerasd2l/models/weights, are replaced once all
three models are trained and are as good as they must be.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "kerasd2l" / "models" / "weights" / "lenet_mnist.weights.h5"
MOST_BYTES = 6_000_000  # of all three


@dataclass(frozen=True)
class Shipped:
    """A model that lies in savedmodels/.

    Args:
        name: str, under which it is served.
        words: of `kerasd2l train`.
        examples: (folder to write files in, folder of data) -> words of `--example`.
        metric: str, the figure that counts.
        bound: float, what it must reach.
        at_least: bool, larger is better.
    """

    name: str
    words: str
    examples: Callable[[Path, Path], list[str]]
    metric: str
    bound: float
    at_least: bool = True


def digits(work: Path, data: Path) -> list[str]:
    """Write the first picture of each digit in MNIST's test set, and return the files."""
    from kerasd2l.data import idx

    images, classes = (data / "mnist" / name for name in idx.FILES[2:])
    pixels, labels = idx.read_pair(images, classes)
    words = []
    for digit in range(10):
        path = work / f"{digit}.png"
        Image.fromarray(pixels[np.argmax(labels == digit), :, :, 0]).save(path, optimize=True)
        words.append(str(path))
    return words


def beginnings(work: Path, data: Path) -> list[str]:
    """Return texts to continue."""
    return ["time traveller", "the morlocks", "i saw the moon ", "it was dark and "]


def names(work: Path, data: Path) -> list[str]:
    """Return days and countries of the test set, picked before the model was asked."""
    some = ["Montag", "torstaina", "gennaio", "Holandia", "Avustralya", "Autriche"]
    return [*some, "viernes", "Thuy Si"]


SHIPPED = (
    Shipped(
        "lenet_mnist",
        "lenet --data files --set dataset=mnist --set learning_rate=0.5 --batch-size 128 "
        "--epochs 30",
        digits,
        "test_accuracy",
        0.985,
    ),
    Shipped(
        "gru_time_machine",
        "gru_lm --data files --set max_tokens=none --set held_out_tokens=10000 --epochs 40 "
        "--set writing.num_tokens=100 --set writing.temperature=0.4",
        beginnings,
        "test_perplexity",
        5.5,
        at_least=False,
    ),
    Shipped(
        "names_languages",
        "names_classifier --data builtin --set embed_size=64 --set num_hiddens=64 --epochs 20",
        names,
        "test_accuracy",
        0.70,
    ),
)


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), envvar="KERASD2L_DATA", required=True)
@click.option("--savedmodels", type=click.Path(path_type=Path), default=ROOT / "savedmodels")
@click.option("--seed", type=int, default=0, show_default=True)
def main(data_dir: Path, savedmodels: Path, seed: int) -> None:
    """Train, check, export and put in their place the models that come with the repository."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for shipped in SHIPPED:
            _make(shipped, data_dir, work, seed)
        size = sum(file.stat().st_size for file in (work / "made").rglob("*") if file.is_file())
        if size > MOST_BYTES:
            raise click.ClickException(f"the models take {size} bytes, more than {MOST_BYTES}.")
        for shipped in SHIPPED:
            shutil.rmtree(savedmodels / shipped.name, ignore_errors=True)
            shutil.copytree(work / "made" / shipped.name, savedmodels / shipped.name)
        _write_weights(work / SHIPPED[0].name / "model.keras")
    click.echo(f"{size} bytes in all")


def _make(shipped: Shipped, data: Path, work: Path, seed: int) -> None:
    """Train one model, look at its figure, and export it."""
    run = work / shipped.name
    words = [*shipped.words.split(), "--data-dir", str(data), "--seed", str(seed)]
    figure = _call("train", *words, "--out", str(run))["metrics"][shipped.metric]
    if not (figure >= shipped.bound if shipped.at_least else figure <= shipped.bound):
        raise click.ClickException(
            f"{shipped.name}: {shipped.metric} is {figure:.4f}, expected {shipped.bound}."
        )
    examples = [word for one in shipped.examples(work, data) for word in ("--example", one)]
    place = ["--savedmodels", str(work / "made"), "--name", shipped.name]
    _call("export", str(run), *place, *examples)
    click.echo(f"{shipped.name}: {shipped.metric} {figure:.4f}")


def _call(*words: str) -> dict:
    """Run a verb of the command line in a process of its own and return its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "kerasd2l.cli", *words, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise click.ClickException(f"kerasd2l {' '.join(words)} ended with {done.returncode}.")
    return json.loads(done.stdout)


def _write_weights(model: Path) -> None:
    from kerasd2l.export import load_model

    WEIGHTS.parent.mkdir(exist_ok=True)
    load_model(model).save_weights(WEIGHTS)


if __name__ == "__main__":
    main()
