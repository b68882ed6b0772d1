#!/usr/bin/env python
"""Ask exported models thousands of wrong things, and count the processes that die of it.

Exports one untrained model of each kind, starts a process without this library on each, and sends
it mutated requests: pictures of every format cut and changed, strange and long texts, tensors of
wrong shapes, kinds and numbers. The same seed sends the same requests. Prints one JSON object:
how many were answered and refused, how many processes died, requests over five seconds, the
largest memory, answers that are no finite number. Exits with 1 if any process died.

    scripts/mutate_served.py --count 1000
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SLOW = 5.0  # seconds
SMALL_TEXT = {"num_hiddens": 16}
RECIPES: dict[str, dict[str, Any]] = {
    "lenet": {},
    "mnist_resnet": {},
    "names_classifier": SMALL_TEXT,
    "gru_lm": SMALL_TEXT,
    "seq2seq_gru": SMALL_TEXT | {"num_examples": 256, "num_layers": 1, "num_steps": 8},
    "house_prices": {},
    "diabetes": {},
    "logistic_regression": {},
    "sequence_mlp": {},
    "polynomial_regression": {},
}


def export_all(names: list[str], folder: Path) -> dict[str, Path]:
    """Export untrained models of recipes on the built-in data; return name -> version folder."""
    from kerasd2l import finding
    from kerasd2l.data import Source
    from kerasd2l.export import export
    from kerasd2l.recipe import Recipe

    paths = {}
    for name in names:
        recipe = finding.load(name, **RECIPES.get(name, {}))
        if not isinstance(recipe, Recipe):
            raise SystemExit(f"{name} is a demo: nothing is served of it")
        data = recipe.data(Source("builtin"))
        model = recipe.model(data)
        if not model.built:
            model(next(iter(data.train))[0])
        paths[name] = export(model, recipe.name, recipe.endpoints, data.assets, folder, name=name)
    return paths


def attack(path: Path, count: int, seed: int) -> dict[str, Any]:
    """Send the requests 0..count-1; a new process takes over where one died."""
    told: dict[str, Any] = {"asked": count, "answered": 0, "refused": 0, "dead": [], "slow": []}
    told |= {"not_finite": [], "peak_mb": 0}
    first = 0
    while first < count:
        words = [sys.executable, __file__, "--ask", str(path), str(first), str(count), str(seed)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        child = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert child.stdout  # noqa: S101 - for the type checker
        for line in child.stdout:
            reply = json.loads(line)
            first = reply["case"] + 1
            told[reply["outcome"]] += 1
            told["peak_mb"] = max(told["peak_mb"], reply["peak_mb"])
            if reply["seconds"] > SLOW:
                told["slow"].append((reply["case"], reply["what"], round(reply["seconds"], 1)))
            if not reply["finite"]:
                told["not_finite"].append((reply["case"], reply["what"]))
        if child.wait():
            told["dead"].append((first, child.returncode))
            first += 1
    return told


def ask(path: str, first: int, last: int, seed: int) -> None:
    """Load a SavedModel, send it requests, print a line of JSON for each."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    signatures = {name: loaded.signatures[name] for name in sorted(loaded.signatures)}
    for case in range(first, last):
        random = np.random.default_rng([seed, case])
        name = list(signatures)[random.integers(len(signatures))]
        specs = signatures[name].structured_input_signature[1]
        inputs, what = request(random, specs)
        start, finite = time.perf_counter(), True
        try:
            answer = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
            outcome = "answered"
            for value in answer.values():
                if value.dtype.is_floating:
                    finite &= bool(np.isfinite(value.numpy()).all())
        except (tf.errors.OpError, TypeError, ValueError) as error:
            outcome, said = "refused", str(error)
        seconds = time.perf_counter() - start
        peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
        reply = {"case": case, "outcome": outcome, "seconds": seconds, "what": f"{name}: {what}"}
        if outcome == "refused":
            reply["said"] = said[:300]
        print(json.dumps(reply | {"finite": finite, "peak_mb": peak}), flush=True)


def request(random: np.random.Generator, specs: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Make one request: a right one, with one of its inputs changed."""
    batch = int(random.integers(1, 4))
    inputs = {key: right(random, key, spec, batch) for key, spec in specs.items()}
    key = list(specs)[random.integers(len(specs))]
    if specs[key].dtype.name == "string" and random.random() < 0.8:
        change = picture if key.endswith("_bytes") else text
        content, what = change(random)
        inputs[key] = np.array([content, *inputs[key][1:]], object)
        return inputs, f"{key}: {what}"
    if specs[key].dtype.name != "string" and random.random() < 0.4:
        inputs[key], what = numbers(random, inputs[key])
    else:
        inputs[key], what = shaped(random, inputs[key])
    return inputs, f"{key}: {what}"


def right(random: np.random.Generator, key: str, spec: Any, batch: int) -> Any:
    """Return a value that the input takes."""
    shape = [batch if i == 0 else size or 6 for i, size in enumerate(spec.shape)]
    if spec.dtype.name == "string":
        content = encoded("PNG", "RGB") if key.endswith("_bytes") else b"Go on"
        return np.full(shape, content, object)
    if spec.dtype.is_integer:
        return np.asarray(random.integers(1, 5, shape), spec.dtype.as_numpy_dtype)
    return np.asarray(random.random(shape), spec.dtype.as_numpy_dtype)


def numbers(random: np.random.Generator, value: np.ndarray) -> tuple[np.ndarray, str]:
    """Put strange numbers into an array."""
    if value.dtype.kind == "f":
        strange = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -1.0, 1e9]
    else:
        limits = np.iinfo(value.dtype)
        strange = [limits.min, limits.max, -1, 0, 10_001, 129]
    number = strange[random.integers(len(strange))]
    value = np.array(value)
    flat = value.reshape(-1)
    places = slice(None) if random.random() < 0.3 else random.integers(max(flat.size, 1))
    if flat.size:
        flat[places] = number
    return flat.reshape(value.shape), f"{number}"


def shaped(random: np.random.Generator, value: np.ndarray) -> tuple[np.ndarray, str]:
    """Give an array another shape or kind."""
    value = np.asarray(value)
    kind = random.integers(7)
    if kind == 0 and value.ndim:
        value = value[..., 0]
    elif kind == 1:
        value = value[..., None]
    elif kind == 2 and value.ndim:
        axis = random.integers(value.ndim)
        value = np.concatenate([value, np.take(value, [0], axis)], axis)
    elif kind == 3 and value.ndim:
        value = np.take(value, range(0), axis=random.integers(value.ndim))
    elif kind == 4:
        value = value.reshape(-1)[: random.integers(3)]
    elif kind == 5 and value.dtype != object:
        value = value.astype(["float64", "int64", "int32", "float32", "bool"][random.integers(5)])
    else:
        value = value.reshape(-1)[:1].reshape([1] * random.integers(0, 7))
    return value, f"shape {value.shape} {value.dtype}"


def text(random: np.random.Generator) -> tuple[bytes, str]:
    """Make a strange text."""
    alphabet = [
        "a",
        "time ",
        "\0",
        " ",
        "é",
        "e\u0301",
        "😀",
        "\u202e",
        "İ",
        "\ud7ff",
        ",.",
        "<unk>",
    ]
    chosen = alphabet[random.integers(len(alphabet))].encode("utf8")
    size = int(10 ** random.uniform(0, 6))
    kinds: dict[str, Callable[[], bytes]] = {
        "repeated": lambda: chosen * (size // len(chosen)),
        "bytes": lambda: random.bytes(min(size, 100_000)),
        "cut": lambda: ("Zeitreisender é😀" * 9).encode()[: random.integers(100)],
        "words": lambda: b" ".join(random.choice([b"the", b"xyzzy", b"\xff"], min(size, 9999))),
        "empty": lambda: b"",
    }
    kind = list(kinds)[random.integers(len(kinds))]
    content = kinds[kind]()
    return content, f"{kind} {chosen!r}, {len(content)} bytes"


FORMATS = [
    ("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "1"),
    ("PNG", "I;16"), ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("GIF", "P"), ("GIF", "L"),
    ("WEBP", "RGB"), ("WEBP", "RGBA"), ("BMP", "RGB"), ("BMP", "RGBA"), ("BMP", "P"), ("BMP", "1"),
    ("TIFF", "RGB"), ("ICO", "RGBA"), ("EPS", "RGB"), ("PPM", "RGB"),
]  # fmt: skip


def encoded(kind: str, mode: str, **options: Any) -> bytes:
    """Return a picture of noise."""
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200)
    else:
        image = image.convert("RGB").convert(mode) if mode in ("P", "CMYK") else image.convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(random: np.random.Generator) -> tuple[bytes, str]:
    """Make a picture of some format, and damage it."""
    kind, mode = FORMATS[random.integers(len(FORMATS))]
    options: dict[str, Any] = {}
    if kind == "JPEG" and random.random() < 0.3:
        options["progressive"] = True
    if kind == "WEBP":
        options["lossless"] = bool(random.integers(2))
    if kind in ("GIF", "WEBP", "PNG", "TIFF") and mode != "I;16" and random.random() < 0.3:
        from PIL import Image

        options |= {
            "save_all": True,
            "append_images": [Image.new(mode, (32, 24), 1 if mode in "1LP" else None)],
        }
    content = bytearray(encoded(kind, mode, **options))
    damages = []
    for _ in range(random.integers(0, 4)):
        content, what = _damaged(random, content)
        damages.append(what)
    return bytes(content), f"{kind} {mode} {sorted(options)} {damages}"


def _damaged(random: np.random.Generator, content: bytearray) -> tuple[bytearray, str]:
    size = len(content)
    place = int(random.integers(size)) if size else 0
    kind = random.integers(7)
    if kind == 0:
        return content[:place], f"cut at {place}"
    if kind == 1 and size:
        content[place] = random.integers(256)
        return content, f"changed at {place}"
    if kind == 2 and size > 40:  # where sizes and kinds stand
        for at in random.integers(0, 40, 2):
            content[at] = random.choice([0, 1, 2, 4, 8, 16, 32, 127, 128, 255])
        return content, "changed in the header"
    if kind == 3 and size > 40:
        at, form = int(random.integers(4, 36)), random.choice(["<H", ">H", "<I", ">I"])
        number = struct.pack(form, int(random.choice([0, 1, 4097, 20_000, 65_535])))
        content[at : at + len(number)] = number
        return content, f"size at {at}"
    if kind == 4:
        return content + random.bytes(int(random.integers(1, 100))), "longer"
    if kind == 5:
        return content[:place] + content[place + int(random.integers(1, 9)) :], f"hole at {place}"
    return content[:place] + content, f"twice from {place}"


def main(words: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="requests, over all models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipes", default=",".join(RECIPES), help="names between commas")
    parser.add_argument("--ask", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.ask:
        ask(options.ask[0], *map(int, options.ask[1:]))
        return 0
    names = options.recipes.split(",")
    with tempfile.TemporaryDirectory() as folder:
        paths = export_all(names, Path(folder))
        told = {}
        for name, path in paths.items():
            told[name] = attack(path, -(-options.count // len(names)), options.seed)
            print(name, told[name], file=sys.stderr, flush=True)
    print(json.dumps(told))
    return int(any(one["dead"] for one in told.values()))


if __name__ == "__main__":
    sys.exit(main())
