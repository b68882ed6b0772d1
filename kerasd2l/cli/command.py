"""What `kerasd2l train` does once its words are understood: devices, signals, run, export."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kerasd2l.recipe import Recipe
from kerasd2l.run import Run, RunError, plain, versions

# Errors of TensorFlow that mean: another worker went away.
_LOST_PEER = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError")


def train(
    recipe: Recipe,
    *,
    env: Mapping[str, str],
    say: Callable[[str], None],
    data: str,
    data_dir: Path | None,
    skip_broken: bool,
    strategy: str,
    replicas: int | None,
    seed: int,
    out: Path | None,
    tensorboard: bool,
    resume: bool,
    checkpoint_seconds: float,
    rendezvous_timeout: float,
    export_: bool,
    savedmodels: Path,
    dry_run: bool,
    **how: Any,
) -> dict[str, Any]:
    """Train a recipe as the command line asks; the options are those of `kerasd2l train`.

    `how` are those of `training.fit` that decide what is computed: limit_steps, accumulate,
    precision, deterministic, jit_compile. They stand in config.json.

    Returns:
        The summary of the run, with the path of the SavedModel if it was exported.

    Raises:
        click.UsageError: devices or a batch size that cannot be.
        RunError, DataError, ClusterError, NonFiniteLoss, Preempted: known failures.
    """
    from kerasd2l.data import Source
    from kerasd2l.training.fit import fit
    from kerasd2l.training.small_steps import give_threads
    from kerasd2l.training.strategy import describe, is_chief

    if out and not resume and (out / "config.json").exists():
        raise RunError(
            f"{out} already holds a run. Give --resume to continue it, or another --out."
        )
    options = {
        "data": data,
        "data_dir": str(data_dir) if data_dir else None,
        "skip_broken": skip_broken or None,  # None: as the runs of before have it
        **how,
        "accumulate": how["accumulate"] if how["accumulate"] > 1 else None,
        "jit_compile": how["jit_compile"] or None,
    }
    config = {"recipe": recipe.name, "arguments": recipe.arguments, "seed": seed, **options}
    give_threads(recipe)
    devices = _devices(recipe, env, strategy, replicas, rendezvous_timeout, config, say)
    run = Run(
        path=out or _new_folder(recipe),
        recipe=recipe.name,
        arguments=recipe.arguments,
        seed=seed,
        strategy=describe(devices),
        replicas=devices.num_replicas_in_sync,
        options=options,
        versions=versions(),
        writes=is_chief(devices) and not dry_run,
    )
    source = Source(kind=data, data_dir=data_dir, seed=seed, skip_broken=skip_broken)
    if dry_run:
        return rehearse(recipe, run, source, devices, **how)
    say(f"{recipe.name}: {run.strategy}, {run.replicas} replica(s), seed {seed}, into {run.path}")
    say(f"loading {recipe.dataset} ({source})")
    with _Signals(say) as stop, _lost_peers(devices):
        summary = fit(
            recipe,
            run,
            source,
            strategy=devices,
            resume=resume,
            save_seconds=checkpoint_seconds,
            should_stop=stop,
            on_ready=stop.wait_for_steps,
            say=say,
            progress=sys.stderr.isatty() and run.writes,
            histograms=tensorboard,
            **how,
        )
    if export_ and run.writes:
        summary = _export(recipe, run, savedmodels, summary)
    return summary


def _export(recipe: Recipe, run: Run, savedmodels: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """Export a finished run; return its summary with the path of the SavedModel."""
    from kerasd2l.export import export_run

    path = export_run(run.path, savedmodels, recipe=recipe, metrics=summary["metrics"])
    summary = {**summary, "savedmodel": str(path)}
    run.write("summary.json", summary)
    return summary


def rehearse(
    recipe: Recipe,
    run: Run,
    source: Any,
    strategy: Any,
    *,
    precision: str,
    jit_compile: bool,
    accumulate: int,
    **_: Any,
) -> dict:
    """Build everything, train one step and evaluate one batch, time another; write nothing.

    Returns:
        Recipe, replicas, parameters, shapes, seconds per step and an estimate for the whole run.
    """
    from kerasd2l.training import Training
    from kerasd2l.training.fit import check_batch, policy, prepare

    check_batch(recipe, strategy)
    with policy(precision):
        data, model = prepare(recipe, source, strategy, seed=run.seed, jit_compile=jit_compile)
        steps = int(data.train.cardinality())
        training = Training(model, data, 2, strategy=strategy, limit_steps=1, accumulate=accumulate)
        history = recipe.fit(training) if recipe.fit else training.run()
    seconds = history[-1]["seconds"]
    return {
        "recipe": recipe.name,
        "dry_run": True,
        "strategy": run.strategy,
        "replicas": run.replicas,
        "parameters": model.count_params(),
        "inputs": {name: list(spec.shape) for name, spec in data.features.items()},
        "examples": dict(data.size),
        "steps_per_epoch": steps,
        "epochs": recipe.epochs,
        "compile_seconds": history[0]["compile_seconds"],
        "step_seconds": seconds,
        "estimated_seconds": seconds * steps * recipe.epochs,
    }


def report(summary: Mapping[str, Any], *, exports: bool = True) -> str:
    """Say the result of a training (or a rehearsal) to a person; exports: it can be exported."""
    if summary.get("dry_run"):
        return "\n".join(f"{key}: {value}" for key, value in summary.items())
    lines = [f"{key} {value:.4f}" for key, value in summary["metrics"].items()]
    examples = ", ".join(f"{count:,} {split}" for split, count in summary["examples"].items())
    lines.append(f"{examples} examples, {summary['wall_seconds']:.1f} s in all")
    if summary.get("skipped_pictures"):
        lines.append(f"{summary['skipped_pictures']} broken pictures left out (assets.json)")
    lines += [f"note: {remark}" for remark in summary.get("remarks", ())]
    lines.append(f"run: {summary['run']}  (curves.png, model.keras, summary.json)")
    if summary["savedmodel"]:
        lines.append(f"savedmodel: {summary['savedmodel']}")
        lines.append(f"next: kerasd2l predict {summary['savedmodel']} INPUT")
    elif exports:
        lines.append(f"next: kerasd2l export {summary['run']}")
    return "\n".join(lines)


def _new_folder(recipe: Recipe) -> Path:
    """Name a run after its recipe and the time."""
    short = recipe.name.rpartition("/")[2]
    return Path("runs") / f"{short}-{time.strftime('%Y%m%d-%H%M%S')}"


def _devices(recipe, env, strategy, replicas, rendezvous_timeout, config, say):
    """Make the strategy; what cannot be is a usage error."""
    import click

    from kerasd2l.cluster.cluster import ClusterError, PortError
    from kerasd2l.cluster.resolving import find
    from kerasd2l.training.fit import check_batch
    from kerasd2l.training.strategy import StrategyError, make_strategy

    try:
        cluster = find(env, say=say)
    except ClusterError as error:
        raise click.UsageError(str(error)) from error
    digest = hashlib.sha256(json.dumps(plain(config), sort_keys=True).encode()).hexdigest()[:12]
    fingerprint = " ".join(f"{name}={version}" for name, version in versions().items())
    try:
        devices = make_strategy(
            strategy,
            replicas=replicas,
            cluster=cluster,
            rendezvous_timeout=rendezvous_timeout,
            fingerprint=f"{fingerprint} config={digest}",
            say=say,
        )
        check_batch(recipe, devices)
        _check_pieces(devices, config["accumulate"], config["jit_compile"])
    except ClusterError as error:
        if isinstance(error, PortError):
            raise click.UsageError(str(error)) from error
        raise
    except (StrategyError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    return devices


def _check_pieces(devices: Any, accumulate: int | None, jit_compile: bool | None) -> None:
    """Refuse, before a folder is made, what the loop would refuse."""
    from kerasd2l.training.strategy import StrategyError, is_parameter_server

    if jit_compile and devices.num_replicas_in_sync > 1:
        raise StrategyError(
            "--jit-compile cannot train on more than one replica. "
            "Train without it, or with --strategy one."
        )
    if accumulate and jit_compile:
        raise StrategyError(
            "--accumulate cannot be with --jit-compile, which compiles a step for pieces of one "
            "size. Give one of them."
        )
    if accumulate and is_parameter_server(devices):
        raise StrategyError(
            "--accumulate cannot be with --strategy parameter_server, whose workers do not wait "
            "for each other. Train without it, or with --strategy multi_worker."
        )


class _Signals:
    """SIGTERM and Ctrl-C: the loop saves and stops at the next step. A second one kills.

    Before there are steps to wait for, the first one ends the work where it is.
    """

    def __init__(self, say: Callable[[str], None]):
        self.received, self.steps, self.say = 0, False, say

    def __call__(self) -> bool:
        return bool(self.received)

    def wait_for_steps(self) -> None:
        """Note a signal from now on: somebody asks after every step."""
        self.steps = True

    def __enter__(self) -> _Signals:
        # After the strategy was made: TensorFlow installs a handler of its own for SIGTERM.
        self.before = {
            number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, kind, error, traceback) -> None:
        from kerasd2l.training.loop import Preempted

        for number, handler in self.before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if isinstance(error, Preempted):
            error.exit_code = 128 + (self.received or signal.SIGTERM)
        elif isinstance(error, KeyboardInterrupt) and self.received:
            self.say("stopped before the first step")
            raise SystemExit(128 + self.received) from error

    def _note(self, number, frame) -> None:
        if self.received:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number
        if not self.steps:
            raise KeyboardInterrupt


class _lost_peers:
    """Turns TensorFlow's errors about a worker that went away into one line with its name."""

    def __init__(self, strategy):
        from kerasd2l.training.strategy import is_multi_worker, is_parameter_server

        several = is_multi_worker(strategy) or is_parameter_server(strategy)
        self.strategy = strategy if several else None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        if self.strategy is None or error is None:
            return
        if type(error).__name__ not in _LOST_PEER and "Collective ops is aborted" not in str(error):
            return
        from kerasd2l.cluster.coordination import cluster_of, lost_tasks

        lost = lost_tasks(error, cluster_of(self.strategy))
        who = ", ".join(map(str, lost)) or "another worker"
        raise RunError(
            f"{who} went away or is frozen ({type(error).__name__}). "
            "Start all workers again with --resume."
        ) from error
