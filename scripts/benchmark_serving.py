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
import re
import shutil
import socket
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
from serving_process import resident, serving

TARGETS = {
    "json p50 ms": ("at most", 1.0),
    "overhead beyond parsing and computing ms": ("at most", 0.3),
    "grpc / json": ("at most", 1.0),
    "16 connections /s": ("at least", 2000.0),
    "batching on / off": ("at least", 1.5),
    "picture / in process": ("at most", 1.2),
    "memory beside TensorFlow MB": ("at most", 64.0),
}
CONNECTIONS = 16


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


def percentiles(call: Callable[[], Any], count: int) -> tuple[float, float]:
    """Return the median and the 99th percentile of a call, in milliseconds."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def bare(model: Path, count: int) -> dict[str, float]:
    """Time the model in this process: the signature, the picture, and parsing the JSON."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(max(model.iterdir(), key=lambda path: path.name)))
    predict, default = loaded.signatures["predict"], loaded.signatures["serving_default"]
    example, encoded, body = pixels(), picture(), json_bodies()["numbers"]

    def compute() -> dict[str, Any]:
        return {k: v.numpy() for k, v in predict(pixels=tf.constant(example)).items()}

    def compute_picture() -> dict[str, Any]:
        outputs = default(image_bytes=tf.constant([encoded]))
        return {name: value.numpy() for name, value in outputs.items()}

    def parse() -> bytes:
        np.asarray(json.loads(body)["instances"], np.float32)
        return json.dumps({"predictions": answer}).encode()

    outputs = compute()
    answer = outputs["probabilities"].tolist()
    compute_picture()
    memory = resident(os.getpid())
    for call in (compute, compute_picture):
        percentiles(call, 50)
    return {
        "call": percentiles(compute, count)[0],
        "picture": percentiles(compute_picture, count // 5)[0],
        "parse": percentiles(parse, count)[0],
        "memory": memory,
    }


class Connection:
    """One HTTP connection that is kept, with as little Python around it as can be."""

    def __init__(self, port: int, path: str, body: bytes):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request = head.encode() + body

    def ask(self) -> bytes:
        """Send the request and return the body of the answer."""
        self.socket.sendall(self.request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, content = received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not answered: {head!r} {content[:200]!r}")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        while length and len(content) < int(length[1]):
            content += self._more()
        return content

    def _more(self) -> bytes:
        part = self.socket.recv(1 << 20)
        if not part:
            raise SystemExit("the connection was closed")
        return part


def throughput(port: int, path: str, body: bytes, seconds: float) -> tuple[float, float]:
    """Return requests per second over 16 connections, and their 99th percentile in ms."""
    if not shutil.which("wrk"):
        return _own_throughput(port, path, body, seconds)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(
            f'wrk.method = "POST"\nlocal file = io.open("{folder}/body", "rb")\n'
            'wrk.body = file:read("*a")\nwrk.headers["Content-Type"] = "application/json"\n'
        )
        words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency"]
        words += ["-s", str(script), f"http://127.0.0.1:{port}{path}"]
        told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"not all were answered:\n{told}")
    rate = re.search(r"Requests/sec: +([\d.]+)", told)
    late = re.search(r"99% +([\d.]+)(us|ms|s)", told)
    if not rate or not late:
        raise SystemExit(f"wrk says something else than usual:\n{told}")
    return float(rate[1]), float(late[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[late[2]]


def _own_throughput(port: int, path: str, body: bytes, seconds: float) -> tuple[float, float]:
    words = [sys.executable, __file__, "--load", f"{port} {path} {seconds}"]
    told = subprocess.run(words, input=body, check=True, capture_output=True).stdout
    rate, late = told.split()
    return float(rate), float(late)


def load(port: int, path: str, seconds: float, body: bytes) -> tuple[float, float]:
    """Ask over 16 connections, each with a thread, until the time is up."""
    import threading

    times: list[float] = []
    end = time.perf_counter() + seconds

    def ask() -> None:
        connection = Connection(port, path, body)
        while (start := time.perf_counter()) < end:
            connection.ask()
            times.append(1000 * (time.perf_counter() - start))

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) / seconds, statistics.quantiles(times, n=100)[98]


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
    words = [sys.executable, __file__, "--bare", str(models / "lenet"), "--count", str(count)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}

    def floors() -> dict[str, float]:
        done = subprocess.run(words, check=True, capture_output=True, env=environment)
        return json.loads(done.stdout)

    bodies = json_bodies()
    path = "/v1/models/lenet:predict"
    rows = []
    found: dict[str, float] = {}
    with serving(models) as server:
        numbers = Connection(server.port, path, bodies["numbers"])
        encoded = Connection(server.port, path, bodies["picture"])
        calls = {"json": numbers.ask, "picture": encoded.ask, "grpc": grpc_call(server.grpc)}
        for call in calls.values():
            percentiles(call, 100)
        for _ in range(rounds):
            row = {"floor": floors()}
            for name, call in calls.items():
                row[name] = percentiles(call, count // (5 if name == "picture" else 1))
            row["many"] = throughput(server.port, path, bodies["numbers"], seconds)
            rows.append(row)
        memory = server.memory()
    with serving(models, "--batching", "off") as server:
        Connection(server.port, path, bodies["numbers"]).ask()
        single = [throughput(server.port, path, bodies["numbers"], seconds) for _ in range(rounds)]
    floor = {key: min(row["floor"][key] for row in rows) for key in rows[0]["floor"]}
    best = {name: min(row[name] for row in rows) for name in calls}
    many, alone = max(row["many"] for row in rows), max(single)
    found["bare call ms"] = floor["call"]
    found["parsing and writing JSON ms"] = floor["parse"]
    found["json p50 ms"], found["json p99 ms"] = best["json"]
    found["overhead beyond parsing and computing ms"] = (
        best["json"][0] - floor["call"] - floor["parse"]
    )
    found["grpc p50 ms"], found["grpc p99 ms"] = best["grpc"]
    found["grpc / json"] = best["grpc"][0] / best["json"][0]
    found["16 connections /s"], found["16 connections p99 ms"] = many
    found["16 connections, batching off /s"], found["batching off p99 ms"] = alone
    found["batching on / off"] = many[0] / alone[0]
    found["picture in process ms"] = floor["picture"]
    found["picture p50 ms"], found["picture p99 ms"] = best["picture"]
    found["picture / in process"] = best["picture"][0] / floor["picture"]
    found["front MB"] = memory["front"]
    found["process of the models MB"] = memory["models"]
    found["bare process MB"] = floor["memory"]
    found["memory beside TensorFlow MB"] = sum(memory.values()) - floor["memory"]
    return found


@click.command()
@click.option("--models", type=click.Path(exists=True, path_type=Path), help="Has lenet/ in it.")
@click.option("--count", default=1000, show_default=True, help="Requests of a round, one by one.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each round at 16 connections.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--bare", "bare_model", type=click.Path(path_type=Path), hidden=True)
@click.option("--load", "load_words", hidden=True)
def main(
    models: Path | None,
    count: int,
    seconds: float,
    rounds: int,
    bare_model: Path | None,
    load_words: str | None,
) -> None:
    """Print a table of figures beside their targets, and a line of JSON."""
    if bare_model:
        print(json.dumps(bare(bare_model, count)))
        return
    if load_words:
        port, path, time_left = load_words.split()
        print(*load(int(port), path, float(time_left), sys.stdin.buffer.read()))
        return
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(models or write_model(Path(temporary)), count, seconds, rounds)
    for name, value in found.items():
        words, target = TARGETS.get(name, ("", 0.0))
        met = not words or (value <= target if words == "at most" else value >= target)
        aim = f"{words} {target:g}{'' if met else '  MISSED'}" if words else ""
        click.echo(f"{name:42} {value:10.3f}  {aim}".rstrip())
    click.echo(json.dumps({name: round(value, 4) for name, value in found.items()}))


if __name__ == "__main__":
    main()
