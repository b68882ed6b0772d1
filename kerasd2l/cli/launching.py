"""`kerasd2l launch`: one training in several processes, on this machine or a cluster."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kerasd2l._lazy import lazy
from kerasd2l.cli.console import HomePath, parse_settings, print_json, usage_error
from kerasd2l.cli.program import Verb, say

if TYPE_CHECKING:
    from kerasd2l.cluster import jobs
else:
    jobs = lazy("kerasd2l.cluster.jobs")

ENGINES = ("local", "ray", "slurm", "kubernetes")
KINDS = ("job", "tfjob", "trainjob")

# Options that only some engines have.
_OF = {
    "log_dir": {"local"},
    "grace": {"local"},
    "network": {"local"},
    "servers": {"local"},
    "gpus_per_worker": {"ray", "slurm", "kubernetes"},
    "cpus_per_worker": {"ray"},
    "address": {"ray"},
    "dry_run": {"slurm", "kubernetes"},
    "nodes": {"slurm"},
    "time": {"slurm"},
    "partition": {"slurm"},
    "sbatch": {"slurm"},
    "image": {"kubernetes"},
    "kind": {"kubernetes"},
    "volume": {"kubernetes"},
    "out_dir": {"kubernetes"},
}
# Variables that the workers on other machines get from here.
_PASSED_ON = ("KERASD2L_", "KERAS_", "TF_", "TFDS_", "NCCL_", "XDG_CACHE_HOME")


class _Launch(Verb):
    """Prints the one object of a command with --json also where nothing was started."""

    def make_context(
        self, info_name: str | None, args: list[str], *arguments: Any, **named: Any
    ) -> click.Context:
        with _told(tuple(args)):  # a copy: click takes the words out of the list
            return super().make_context(info_name, args, *arguments, **named)

    def invoke(self, ctx: click.Context) -> Any:
        with _told(ctx.params["command"]):
            return super().invoke(ctx)


@contextlib.contextmanager
def _told(words: Sequence[str]) -> Iterator[None]:
    """Say an error in an object on stdout, too, where --json is among the words."""
    try:
        yield
    except click.ClickException as error:
        if "--json" in words:
            content = {"error": error.format_message(), "exit_code": error.exit_code}
            print_json({**content, "worker": None})
        raise


@click.command(cls=_Launch, context_settings={"ignore_unknown_options": True})
@click.option("--workers", type=click.IntRange(min=1), required=True, help="Processes to start.")
@click.option("--engine", type=click.Choice(ENGINES), default="local", show_default=True)
@click.option(
    "--ps",
    "servers",
    type=click.IntRange(min=0),
    default=0,
    help="local: parameter servers, and a chief, to start too: --strategy parameter_server.  [0]",
)
@click.option(
    "--max-restarts",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How often all start again from the newest checkpoint.",
)
@click.option("--log-dir", type=HomePath(file_okay=False), help="local: folder of the logs.")
@click.option(
    "--grace",
    type=float,
    default=30.0,
    help="local: seconds from SIGTERM to SIGKILL when stopped.  [30]",
)
@click.option(
    "--network",
    type=click.Choice(["isolated", "host"]),
    default="isolated",
    help="local: workers reach each other only, or may also download; then all reach them.  "
    "[isolated]",
)
@click.option(
    "--gpus-per-worker",
    type=click.IntRange(min=0),
    default=0,
    help="ray, slurm, kubernetes: GPUs of each worker.  [0]",
)
@click.option(
    "--cpus-per-worker",
    type=click.FloatRange(min=0),
    default=1.0,
    help="ray: cores to set aside for each worker.  [1]",
)
@click.option(
    "--address",
    default="auto",
    help="ray: HOST:PORT of the cluster, auto (the one of this node, or RAY_ADDRESS), local (a "
    "new one).  [auto]",
)
@click.option("--dry-run", is_flag=True, help="slurm: print the script, submit nothing.")
@click.option("--nodes", type=click.IntRange(min=1), help="slurm: machines.")
@click.option("--time", help="slurm: time limit, such as 30 (minutes) or 1-12:00:00.")
@click.option("--partition", help="slurm: the queue.")
@click.option(
    "--sbatch", multiple=True, metavar="KEY=VALUE", help="slurm: other options of sbatch."
)
@click.option("--image", help="kubernetes: container image with kerasd2l.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="job",
    help="kubernetes: an Indexed Job, Kubeflow's TFJob or TrainJob.  [job]",
)
@click.option(
    "--volume",
    default="kerasd2l",
    help="kubernetes: PersistentVolumeClaim for run folders and data.  [kerasd2l]",
)
@click.option(
    "--out-dir",
    type=HomePath(file_okay=False),
    help="kubernetes: folder for the manifest and a Dockerfile; without it: stdout.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def launch(
    ctx: click.Context, engine: str, workers: int, command: tuple[str, ...], **options: Any
) -> None:
    """Run COMMAND (`-- train ...`) in N worker processes.

    On this machine; in a Ray cluster; as a Slurm job; or write a manifest for Kubernetes. On
    clusters --out must be on a disk that all workers share.
    """
    for name, engines in _OF.items():
        given = ctx.get_parameter_source(name) != ParameterSource.DEFAULT
        if given and engine not in engines:
            raise click.BadParameter(
                f"is an option of {' and '.join(sorted(engines))}. Received: --engine {engine}.",
                param_hint="--" + {"servers": "ps"}.get(name, name).replace("_", "-"),
            )
    start: Callable[..., int] = {
        "local": _local,
        "ray": _ray,
        "slurm": _slurm,
        "kubernetes": _kubernetes,
    }[engine]
    sys.exit(start(command, workers, options))


def _local(command: tuple[str, ...], workers: int, options: dict[str, Any]) -> int:
    from kerasd2l.cluster.launch import launch as start

    names = ("log_dir", "max_restarts", "grace", "network", "servers")
    chosen = {name: options[name] for name in names}
    try:
        return start(list(command), workers=workers, env=os.environ, **chosen)
    except ValueError as error:
        raise usage_error(error) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error


def _job(command: tuple[str, ...], workers: int, options: dict[str, Any]) -> jobs.Job:
    numbers = {name: options[name] for name in ("gpus_per_worker", "max_restarts")}
    try:
        return jobs.train_job(command, workers=workers, **numbers)
    except ValueError as error:
        raise usage_error(error, "COMMAND") from error


def _ray(command: tuple[str, ...], workers: int, options: dict[str, Any]) -> int:
    from kerasd2l.cluster import ray

    job = _job(command, workers, options)
    passed_on = {
        key: value
        for key, value in os.environ.items()
        if key.startswith(_PASSED_ON) and key != "TF_CONFIG"
    }
    chosen = {name: options[name] for name in ("address", "cpus_per_worker")}
    try:
        return ray.launch(job, env=passed_on, **chosen)
    except ray.ExtraMissing as error:
        raise usage_error(error, "--engine") from error
    except (jobs.EngineError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _slurm(command: tuple[str, ...], workers: int, options: dict[str, Any]) -> int:
    from kerasd2l.cluster import slurm

    job = _job(command, workers, options)
    chosen = {name: options[name] for name in ("nodes", "time", "partition")}
    flags = [pair if "=" in pair else f"{pair}=" for pair in options["sbatch"]]
    more = {key.replace("_", "-"): value for key, value in parse_settings(tuple(flags)).items()}
    try:
        text = slurm.script(job, options=more, **chosen)
    except ValueError as error:
        raise usage_error(error) from error
    if options["dry_run"]:
        click.echo(text, nl=False)
        folder = shlex.quote(f"{job.out}/logs")
        say(f"launch: nothing is submitted. Before sbatch: mkdir -p {folder}")
        return 0
    try:
        number, code = slurm.submit(text, job)
    except (jobs.EngineError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(number)
    say(
        f"launch: job {number} is submitted; its logs are slurm-{number}.log and "
        f"worker-0.log, ... in {job.out}/logs. scancel {number} saves and ends it."
    )
    return code


def _kubernetes(command: tuple[str, ...], workers: int, options: dict[str, Any]) -> int:
    from kerasd2l.cluster import kubernetes

    if not options["image"]:
        raise click.BadParameter(
            "Kubernetes needs a container image with kerasd2l, such as registry/kerasd2l:1. "
            "--out-dir DIR writes a Dockerfile for it.",
            param_hint="--image",
        )
    job = _job(command, workers, options)
    chosen = {name: options[name] for name in ("image", "kind", "volume")}
    try:
        documents = kubernetes.manifests(job, **chosen)
        text = kubernetes.as_yaml(documents, shlex.join(["kerasd2l", *sys.argv[1:]]))
        if options["out_dir"] is None:
            click.echo(text, nl=False)
            return 0
        for path in kubernetes.write(options["out_dir"], job, text):
            click.echo(path)
    except ValueError as error:
        raise usage_error(error) from error
    except (jobs.EngineError, OSError) as error:
        raise click.ClickException(str(error)) from error
    say(f"launch: apply it with: kubectl apply -f {options['out_dir']}/{job.unique_name}.yaml")
    return 0
