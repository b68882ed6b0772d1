#!/usr/bin/env python
"""Ask `kerasd2l serve` with other people's clients, each as its makers ship it.

Starts a server on the models of the contract (or asks the one of --http and --grpc, which must
serve them) and runs each client against it: Python's in virtual environments of their own, Node's
with its packages from npm, curl. What they ask is in `scripts/clients/`. Environments are kept
under --cache. Prints a line for each client, and exits with 1 if one failed.

    scripts/serving_clients.py --cache /tmp/clients
    scripts/serving_clients.py --only curl --only fetch
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from serving_process import serving

ROOT = Path(__file__).resolve().parents[1]
ASKS = ROOT / "scripts" / "clients"
MODELS = ROOT / "tests" / "serving" / "contract" / "models.py"
SECONDS = 120


@dataclass(frozen=True)
class Client:
    """One client.

    Args:
        script: of `scripts/clients`.
        program: that runs it, if it is not Python in an environment of its own.
        packages: to install, from PyPI or npm.
    """

    script: str
    program: str = "python"
    packages: tuple[str, ...] = ()


CLIENTS = {
    "curl": Client("ask_curl.sh", "curl"),
    "fetch": Client("ask_fetch.mjs", "node"),
    "grpc-js": Client("ask_grpc_js.cjs", "node", ("@grpc/grpc-js@1", "@grpc/proto-loader@0.8")),
    "min-tfs-client": Client(
        "ask_min_tfs.py", packages=("min-tfs-client==1.0.2", "protobuf==3.20.3")
    ),
    "tritonclient": Client("ask_triton.py", packages=("tritonclient[http,grpc]==2.73.*",)),
    "open-inference-grpc": Client(
        "ask_open_inference.py", packages=("open-inference-grpc==2.0.*", "protobuf==4.25.*")
    ),
    "pydantic-open-inference": Client(
        "ask_pydantic.py", packages=("pydantic-open-inference==1.3.*",)
    ),
}


class Missing(Exception):
    """A program that a client needs is not installed."""


def prepare(name: str, cache: Path) -> tuple[list[str], dict[str, str]]:
    """Install a client if it is not yet; return the words that start it, and its environment.

    Raises:
        Missing: no curl or no Node. CalledProcessError: it cannot be installed.
    """
    client = CLIENTS[name]
    script = str(ASKS / client.script)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if client.program != "python" and not shutil.which(client.program):
        raise Missing(f"{client.program} is not installed")
    if client.program == "curl":
        return ["bash", script], environment
    home = cache / name
    ready = home / "ready"
    if client.program == "node":
        if client.packages and not ready.exists():
            if not shutil.which("npm"):
                raise Missing("npm is not installed")
            words = ["npm", "install", "--silent", "--no-save", "--prefix", str(home)]
            home.mkdir(parents=True, exist_ok=True)
            subprocess.run([*words, *client.packages], check=True, stdout=sys.stderr)
            ready.touch()
        return ["node", script], environment | {"NODE_PATH": str(home / "node_modules")}
    python = home / "bin" / "python"
    if not ready.exists():
        venv.create(home, clear=True, with_pip=True)
        words = [str(python), "-m", "pip", "install", "--quiet", *client.packages]
        subprocess.run(words, check=True, stdout=sys.stderr)
        ready.touch()
    return [str(python), script], environment


def ask(name: str, http: str, grpc: str, cache: Path) -> str:
    """Run a client against a server; return what it says of what failed, or an empty text."""
    words, environment = prepare(name, cache)
    arguments = [http, grpc]
    if name == "grpc-js":
        arguments.append(str(write_descriptors(cache / name / "services.bin")))
    try:
        done = subprocess.run(
            words + arguments, capture_output=True, text=True, timeout=SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        return f"no end within {SECONDS} seconds"
    if done.returncode == 0:
        return ""
    return (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"


def write_descriptors(path: Path) -> Path:
    """Write what `protoc --descriptor_set_out` would of TF Serving's services and of health."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the stubs import TensorFlow
    from google.protobuf.descriptor import FileDescriptor
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from grpc_health.v1 import health_pb2
    from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

    found = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name not in seen:
            seen.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            file.CopyToProto(found.file.add())

    for module in (prediction_service_pb2, model_service_pb2, health_pb2):
        add(module.DESCRIPTOR)
    path.write_bytes(found.SerializeToString())
    return path


@contextlib.contextmanager
def _server(http: str | None, grpc: str | None) -> Iterator[tuple[str, str]]:
    if http and grpc:
        yield http, grpc
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "models"
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        words = [sys.executable, str(MODELS), str(folder)]
        subprocess.run(words, check=True, env=environment, capture_output=True)
        with serving(folder, "--config", str(folder / "models.config")) as server:
            yield server.http, server.grpc


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CLIENTS)), help="Repeatable.")
@click.option("--cache", type=click.Path(path_type=Path), help="Default: a folder that goes.")
@click.option("--http", help="http://HOST:PORT of a server that runs.")
@click.option("--grpc", help="HOST:PORT of a server that runs.")
def main(only: tuple[str, ...], cache: Path | None, http: str | None, grpc: str | None) -> None:
    """Ask a server with clients that know nothing of it."""
    if bool(http) != bool(grpc):
        raise click.UsageError("--http and --grpc go together.")
    failed = 0
    with contextlib.ExitStack() as stack:
        if cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places = stack.enter_context(_server(http, grpc))
        for name in only or CLIENTS:
            try:
                fault = ask(name, *places, cache.resolve())
            except (Missing, subprocess.CalledProcessError) as error:
                fault = f"not run: {error}"
            failed += bool(fault)
            click.echo(f"{name:24} {fault.splitlines()[-1] if fault else 'OK'}")
            if fault:
                click.echo(fault, err=True)
    click.echo(f"Python {sys.version.split()[0]}, grpcio {importlib.metadata.version('grpcio')}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
