"""`kerasd2l launch`: one command in several worker processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from kerasd2l.cli.console import HomePath, print_json
from kerasd2l.cli.program import Verb


@click.command(cls=Verb, context_settings={"ignore_unknown_options": True})
@click.option("--workers", type=click.IntRange(min=1), required=True, help="Processes to start.")
@click.option(
    "--ps",
    "servers",
    type=click.IntRange(min=0),
    default=0,
    help="Parameter servers, and a chief, to start too: --strategy parameter_server.",
)
@click.option("--max-restarts", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--log-dir", type=HomePath(file_okay=False))
@click.option(
    "--grace", type=float, default=30.0, help="Seconds from SIGTERM to SIGKILL when stopped."
)
@click.option(
    "--network",
    type=click.Choice(["isolated", "host"]),
    default="isolated",
    show_default=True,
    help="Workers reach each other only, or may also download; then all reach them.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def launch(
    workers: int,
    servers: int,
    max_restarts: int,
    log_dir: Path | None,
    grace: float,
    network: str,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND (`-- train ...`) in N worker processes on this machine, supervised."""
    from kerasd2l.cluster.launch import launch as start

    try:
        code = start(
            list(command),
            workers=workers,
            env=os.environ,
            log_dir=log_dir,
            max_restarts=max_restarts,
            grace=grace,
            network=network,
            servers=servers,
        )
    except (ValueError, OSError) as error:
        if "--json" in command:
            print_json({"error": str(error), "exit_code": 1, "worker": None})
        raise click.ClickException(str(error)) from error
    sys.exit(code)
