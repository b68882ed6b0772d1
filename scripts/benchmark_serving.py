#!/usr/bin/env python
"""Time `kerasd2l serve` on LeNet: JSON and gRPC, at 1 and 16 connections, beside the bare call.

The floor is the same SavedModel in a process without a server. Each figure is the better of
--rounds rounds (a busy machine only adds time); p99 is of that round. Throughput is wrk's where it
is installed (Debian has it), else of a small client in a process of its own. The requests are
written once, before the clock starts; so is what a client spends on making them not counted.

    scripts/benchmark_serving.py                        an untrained LeNet, made here
    scripts/benchmark_serving.py --models savedmodels   needs lenet/ in it
"""

from __future__ import annotations

import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from serving_load import CONNECTIONS, Connection, throughput
from serving_process import resident, serving

from kerasd2l._lazy import FOR_KERAS_ALONE, left_out

TARGETS = {
    "json p50 ms": ("at most", 1.0),
    "overhead beyond parsing and computing ms": ("at most", 0.3),
    "grpc / json": ("at most", 1.0),
    "16 connections /s": ("at least", 2000.0),
    "batching on / off": ("at least", 1.5),
    "picture / in process": ("at most", 1.2),
    "memory beside TensorFlow MB": ("at most", 64.0),
}


def write_model(folder: Path) -> Path:
    """Export an untrained LeNet as `folder`/lenet; return `folder`."""
    from kerasd2l import finding
    from kerasd2l.data import Source
    from kerasd2l.export import export
    from kerasd2l.recipe import Recipe

    recipe = finding.load("lenet")
    if not isinstance(recipe, Recipe):
        raise SystemExit("lenet is a demo")
    data = recipe.data(Source("builtin"))
    model = recipe.model(data)
    export(model, recipe.name, recipe.endpoints, data.assets, folder, name="lenet")
    return folder


def pixels() -> np.ndarray:
    """Return one example of noise."""
    return np.random.default_rng(0).random((1, 28, 28, 1), dtype=np.float32)


def picture() -> bytes:
    """Return a photograph as a JPEG of 640 x 480."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    file = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).resize((640, 480)).save(file, "JPEG")
    return file.getvalue()


def json_bodies() -> dict[str, bytes]:
    """Return what is posted: the pixels as numbers, and the picture as base64."""
    rows = {"signature_name": "predict", "instances": pixels().tolist()}
    encoded = base64.b64encode(picture()).decode()
    return {
        "numbers": json.dumps(rows).encode(),
        "picture": json.dumps({"instances": [{"b64": encoded}]}).encode(),
    }


def percentiles(
    call: Callable[[], Any], count: int, pause: float = 0.0
) -> tuple[float, float, float]:
    """Return the median, the 99th and the 10th percentile of a call, in milliseconds.

    With a pause before each call, the core has gone to sleep, as it has in a server that waits.
    """
    times = []
    for _ in range(count):
        if pause:
            time.sleep(pause)
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    hundredths = statistics.quantiles(times, n=100)
    return statistics.median(times), hundredths[98], hundredths[9]


def bare(model: Path, count: int) -> dict[str, float]:
    """Time the model in this process: the signature, the picture, and parsing the JSON.

    Reads what is asked from stdin: the JSON, a line end, and the picture. This process imports what
    a server needs to compute, and no more: its memory is what the server's is compared with.
    """
    import orjson

    with left_out(*FOR_KERAS_ALONE):
        import tensorflow as tf

    loaded = tf.saved_model.load(str(max(model.iterdir(), key=lambda path: path.name)))
    predict, default = loaded.signatures["predict"], loaded.signatures["serving_default"]
    body, _, encoded = sys.stdin.buffer.read().partition(b"\n")
    example = np.array(orjson.loads(body)["instances"], np.float32)

    def compute(batch: np.ndarray = example) -> dict[str, Any]:
        return {key: value.numpy() for key, value in predict(pixels=tf.constant(batch)).items()}

    def compute_picture() -> dict[str, Any]:
        outputs = default(image_bytes=tf.constant([encoded]))
        return {name: value.numpy() for name, value in outputs.items()}

    def parse() -> bytes:
        np.array(orjson.loads(body)["instances"], np.float32)
        return orjson.dumps({"predictions": answer})

    answer = compute()["probabilities"].tolist()
    for size in range(1, CONNECTIONS + 1):
        compute(np.repeat(example, size, 0))
    found = {"picture": percentiles(compute_picture, 50 + count // 5)[0], "parse": 0.0}
    memory = resident(os.getpid())
    percentiles(compute, 100)
    median, _, fast = percentiles(compute, count)
    parse_median, _, parse_fast = percentiles(parse, count)
    found |= {"call": median, "call fast": fast, "parse": parse_median, "parse fast": parse_fast}
    found["woken"] = percentiles(compute, count, 0.001)[0] + percentiles(parse, count, 0.001)[0]
    return found | {"memory": memory}


def grpc_call(address: str) -> Callable[[], bytes]:
    """Return a call of Predict with a message that is written once."""
    import grpc
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "lenet"
    request.model_spec.signature_name = "predict"
    tensor = request.inputs["pixels"]
    tensor.dtype = 1
    for size in (1, 28, 28, 1):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = pixels().tobytes()
    message = request.SerializeToString()
    channel = grpc.insecure_channel(address)
    method = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    answer = predict_pb2.PredictResponse.FromString(method(message))
    if len(answer.outputs["probabilities"].float_val) != 10:
        raise SystemExit(f"not answered by gRPC: {answer}")
    return lambda: method(message)


def measure(models: Path, count: int, seconds: float, rounds: int) -> dict[str, float]:
    """Return every figure by its name."""
    bodies = json_bodies()
    path = "/v1/models/lenet:predict"
    floors, latencies, rates, costs = [], [], [], []
    with serving(models) as server:
        calls = {
            "json": Connection(server.port, path, bodies["numbers"]).ask,
            "picture": Connection(server.port, path, bodies["picture"]).ask,
            "grpc": grpc_call(server.grpc),
        }
        for call in calls.values():
            percentiles(call, 100)
        for _ in range(rounds):
            floors.append(_floor(models / "lenet", count, bodies["numbers"]))
            before = server.cpu_seconds()
            latencies_of_json = percentiles(calls["json"], count)
            after = server.cpu_seconds()
            costs.append({name: 1000 * (after[name] - before[name]) / count for name in after})
            asked = {"picture": count // 5, "grpc": count}
            others = {n: percentiles(calls[n], asked[n]) for n in ("picture", "grpc")}
            latencies.append({"json": latencies_of_json, **others})
            rates.append(throughput(server.port, path, bodies["numbers"], seconds))
        memory = server.memory()
    with serving(models, "--batching", "off") as server:
        Connection(server.port, path, bodies["numbers"]).ask()
        single = [throughput(server.port, path, bodies["numbers"], seconds) for _ in range(rounds)]
    floor = {key: min(row[key] for row in floors) for key in floors[0]}
    best = {name: min(row[name] for row in latencies) for name in calls}
    cost = {key: min(row[key] for row in costs) for key in costs[0]}
    return figures(floor, best, max(rates), max(single), memory, cost)


def _floor(model: Path, count: int, body: bytes) -> dict[str, float]:
    """Run `bare` in a process of its own."""
    asked = body + b"\n" + picture()
    words = [sys.executable, __file__, "--bare", str(model), "--count", str(count)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(words, input=asked, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(done.stdout)


def figures(
    floor: dict[str, float],
    best: dict[str, tuple[float, float, float]],
    many: tuple[float, float],
    alone: tuple[float, float],
    memory: dict[str, float],
    cost: dict[str, float],
) -> dict[str, float]:
    """Name what was measured, and set it beside the floor."""
    fast = best["json"][2] - floor["call fast"] - floor["parse fast"]
    return {
        "bare call ms": floor["call"],
        "parsing and writing JSON ms": floor["parse"],
        "json p50 ms": best["json"][0],
        "json p99 ms": best["json"][1],
        "overhead beyond parsing and computing ms": best["json"][0]
        - floor["call"]
        - floor["parse"],
        "the same of the fastest tenth ms": fast,
        "both in process, a millisecond's sleep before each ms": floor["woken"],
        "beyond that ms": best["json"][0] - floor["woken"],
        "json: CPU of the front ms": cost["front"],
        "json: CPU of the models' process ms": cost["models"],
        "grpc p50 ms": best["grpc"][0],
        "grpc p99 ms": best["grpc"][1],
        "grpc / json": best["grpc"][0] / best["json"][0],
        "16 connections /s": many[0],
        "16 connections p99 ms": many[1],
        "16 connections, batching off /s": alone[0],
        "batching off p99 ms": alone[1],
        "batching on / off": many[0] / alone[0],
        "picture in process ms": floor["picture"],
        "picture p50 ms": best["picture"][0],
        "picture p99 ms": best["picture"][1],
        "picture / in process": best["picture"][0] / floor["picture"],
        "front MB": memory["front"],
        "process of the models MB": memory["models"],
        "bare process MB": floor["memory"],
        "memory beside TensorFlow MB": sum(memory.values()) - floor["memory"],
    }


@click.command()
@click.option("--models", type=click.Path(exists=True, path_type=Path), help="Has lenet/ in it.")
@click.option("--count", default=1000, show_default=True, help="Requests of a round, one by one.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each round at 16 connections.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--bare", "bare_model", type=click.Path(path_type=Path), hidden=True)
def main(
    models: Path | None,
    count: int,
    seconds: float,
    rounds: int,
    bare_model: Path | None,
) -> None:
    """Print a table of figures beside their targets, and a line of JSON."""
    if bare_model:
        print(json.dumps(bare(bare_model, count)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(models or write_model(Path(temporary)), count, seconds, rounds)
    for name, value in found.items():
        words, target = TARGETS.get(name, ("", 0.0))
        met = not words or (value <= target if words == "at most" else value >= target)
        aim = f"{words} {target:g}{'' if met else '  MISSED'}" if words else ""
        click.echo(f"{name:54} {value:10.3f}  {aim}".rstrip())
    click.echo(json.dumps({name: round(value, 4) for name, value in found.items()}))


if __name__ == "__main__":
    main()
