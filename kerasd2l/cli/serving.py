"""`kerasd2l serve`: the models of a folder over HTTP and gRPC, and a page to try them on."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ipaddress
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from kerasd2l.cli.console import HomePath, json_option
from kerasd2l.cli.program import Verb, say

PACKAGES = {
    "uvicorn": "uvicorn",
    "httptools": "httptools",
    "orjson": "orjson",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "tensorflow_serving": "tensorflow-serving-api",
}
PATIENCE = 60.0  # seconds that a call may run on after its time is up; then the process is replaced


class _Versions(click.ParamType):
    name = "all|latest|N"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value in ("all", "latest"):
            return {"all": "all", "latest": 1}[value]
        if value.isdigit() and int(value) < 2**63:
            return [int(value)]
        self.fail(f"{value!r} is neither all, latest nor the number of a version.", param, ctx)
        return None


@click.command(cls=Verb)
@click.argument("folder", type=HomePath(file_okay=False))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8501, show_default=True)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    default=8500,
    show_default=True,
    help="0 takes a free one, as for --port.",
)
@click.option(
    "--batching",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="Run what waits together; never for SavedModels without a manifest.",
)
@click.option(
    "--versions", type=_Versions(), default="latest", show_default=True, help="Which are served."
)
@click.option(
    "--config",
    type=HomePath(dir_okay=False),
    help="TensorFlow Serving's models.config: names, versions, labels. Default: the one in FOLDER.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Requests that may wait for a signature; more get 503.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.01, max=3600),
    default=30.0,
    show_default=True,
    help="Seconds for a request; then it gets 504.",
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="A name this server goes by.")
@click.option("--cors", multiple=True, metavar="ORIGIN", help="A site whose pages may ask; *: all.")
@click.option("--json-log", is_flag=True, help="Log in JSON: an object a line.")
@json_option
def serve(
    folder: Path,
    host: str,
    port: int,
    grpc_port: int,
    batching: str,
    versions: Any,
    config: Path | None,
    max_queue: int,
    timeout: float,
    allow_host: tuple[str, ...],
    cors: tuple[str, ...],
    json_log: bool,
    as_json: bool,
) -> None:
    """Serve the SavedModels in FOLDER, as TensorFlow Serving does, and a page to try them on.

    FOLDER holds NAME/VERSION/saved_model.pb. A new version is noticed within a second, and takes
    over when it is complete and warm. Requests go to http://HOST:PORT/v1/models/NAME:predict, or
    by gRPC; with a browser, open http://HOST:PORT. SIGTERM and Ctrl-C finish what has begun, a
    second one does not.

    Nobody is asked for a password: others should reach this only through a proxy that asks.
    """
    for path in (folder, config):
        if path is not None and not path.exists():
            raise click.UsageError(f"{path} does not exist.")
    missing = [name for module, name in PACKAGES.items() if not _there(module)]
    if missing:
        raise click.ClickException(
            f"serving needs {', '.join(missing)}: pip install 'kerasd2l[serve]'"
        )
    # the front starts processes, which gRPC would prepare for, and tell of
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from kerasd2l.serving.server.front import Rules
    from kerasd2l.serving.server.listening import line
    from kerasd2l.serving.server.listening import serve as listen

    def tell(text: str) -> None:
        say(line({"message": text}, as_json=True) if json_log else text)

    if config is None and (folder / "models.config").is_file():
        config = folder / "models.config"
    if not _loopback(host):
        tell(
            f"warning: {host} can be reached by others, nobody is asked for a password, and a "
            "SavedModel is a program. See SECURITY.md."
        )

    def started(address: str, grpc_address: str | None, process: int) -> None:
        if as_json:
            content = {"http": address, "grpc": grpc_address, "model_process": process}
            click.echo(json.dumps(content))
        else:
            click.echo(f"serving {folder} at {address} (page and REST), {grpc_address} (gRPC)")

    problem = _run(
        listen(
            {
                "folder": str(folder.absolute()),
                "versions": versions,
                "config": str(config.absolute()) if config else None,
                "together": batching == "on",
                "most": max_queue,
                "patience": PATIENCE,
            },
            host=host,
            port=port,
            grpc_port=grpc_port,
            rules=Rules(tuple(name.lower() for name in allow_host), cors, timeout),
            say=tell,
            log=lambda what: say(line(what, as_json=json_log)),
            started=started,
        )
    )
    if problem:
        raise click.ClickException(problem)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run the server; on uvloop, where it is installed, with a third less of a processor."""
    run = asyncio.run
    with contextlib.suppress(ImportError):
        from uvloop import run
    return run(coroutine)


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
