"""The command line: `kerasd2l VERB`. TensorFlow is imported inside the verbs that compute.

stdout carries the result, stderr the talk. Exit codes: 0 done, 1 failure, 2 usage, 3 the loss is
not finite, 130 and 143 stopped by Ctrl-C and SIGTERM (with the state saved once there is one), 141
nobody reads the result.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

import click

from kerasd2l import __version__, finding
from kerasd2l.cli import listing
from kerasd2l.cli.console import (
    HomePath,
    Seconds,
    check_skip_broken,
    data_options,
    draw,
    jit_compile_option,
    json_option,
    jsonable,
    known_failures,
    known_refusals,
    load,
    load_recipe,
    parse_settings,
    print_json,
    savedmodels_option,
    skip_broken_option,
    take_options,
    use_tensorflow,
    value_lines,
)
from kerasd2l.cli.conversion import convert
from kerasd2l.cli.exporting import export
from kerasd2l.cli.launching import launch
from kerasd2l.cli.program import Program, say
from kerasd2l.cli.serving import serve
from kerasd2l.recipe import Demo
from kerasd2l.run import writing


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kerasd2l")
def main() -> None:
    """Dive into Deep Learning in Keras 3: train its recipes, run its demos, serve its models."""


main.add_command(convert)
main.add_command(export)
main.add_command(launch)
main.add_command(serve)


@main.command("list")
@click.argument("pattern", default="*")
@click.option("--all", "everything", is_flag=True, help="Also sections that are not built yet.")
@json_option
def list_(pattern: str, everything: bool, as_json: bool) -> None:
    """List recipes and demos in the book's order.

    PATTERN is part of a name, a section (rnn-scratch, 8.5) or a chapter (8).
    """
    rows = listing.rows_of(pattern, everything=everything)
    if as_json:
        print_json({"recipes": rows})
    else:
        listing.print_table(rows)


@main.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what a recipe or demo does, and its arguments.

    NAME is its name, or a section's slug or number; of a section with several, all are listed.
    """
    section = finding.section_of(name)
    several = finding.entries_of(section) if section else []
    if len(several) > 1 and not any(name == entry.short for entry in several):
        rows = listing.rows_of(name, everything=False)
        if as_json:
            print_json({"recipes": rows})
        else:
            listing.print_table(rows)
        return
    load(name, {})  # a wrong name ends here
    entry = finding.find(name)
    if as_json:
        doc = inspect.cleandoc(entry.function.__doc__ or "")
        arguments = listing.describe_arguments(entry)
        print_json({**listing.describe(entry), "doc": doc, "arguments": arguments})
    else:
        listing.print_entry(entry)


@main.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@data_options()
@skip_broken_option
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training data.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples per step, all replicas.")
@click.option("--limit-steps", type=click.IntRange(min=1), help="At most N batches per epoch.")
@click.option(
    "--accumulate",
    type=click.IntRange(min=1, max=2**20),
    default=1,
    show_default=True,
    help="Train as with a batch N times as large, computed in N pieces one after the other.",
)
@click.option(
    "--strategy",
    type=click.Choice(["auto", "one", "mirrored", "multi_worker", "parameter_server"]),
    default="auto",
    help="One device, all GPUs of this machine, or the workers of a cluster.",
)
@click.option("--replicas", type=click.IntRange(min=1), help="Replicas of --strategy mirrored.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "mixed_bfloat16", "mixed_float16"]),
    default="float32",
)
@click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, show_default=True)
@jit_compile_option
@click.option("--deterministic", is_flag=True, help="Deterministic kernels (slower).")
@click.option("--out", type=HomePath(file_okay=False), help="Run folder.")
@click.option(
    "--tensorboard",
    is_flag=True,
    help="Histograms of the weights, too, in RUN/tensorboard, where the figures always are.",
)
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@click.option(
    "--checkpoint-seconds",
    type=Seconds(),
    default=10.0,
    show_default=True,
    help="Save no oftener than this, and at the end. 0: after every epoch.",
)
@click.option(
    "--rendezvous-timeout", type=Seconds(), default=120.0, help="Seconds to wait for workers."
)
@click.option("--export", "export_", is_flag=True, help="Export a SavedModel afterwards.")
@savedmodels_option
@click.option("--dry-run", is_flag=True, help="Do one step and say what would happen.")
@json_option
def train(
    name: str,
    pairs: tuple[str, ...],
    skip_broken: bool,
    jit_compile: bool,
    epochs: int | None,
    batch_size: int | None,
    **options: Any,
):
    """Train the recipe NAME."""
    from kerasd2l.cli import command

    settings: dict[str, Any] = dict(parse_settings(pairs))
    flags: dict[str, Any] = take_options(settings, skip_broken=skip_broken, jit_compile=jit_compile)
    settings |= {"epochs": epochs} if epochs else {}
    settings |= {"batch_size": batch_size} if batch_size else {}
    found = load_recipe(name, settings)
    if options["accumulate"] > 1:  # what the memory holds at once stays
        settings["batch_size"] = found.batch_size * options["accumulate"]
        found = load_recipe(name, settings)
    if options["resume"] and not options["out"]:
        raise click.UsageError("--resume needs --out: the folder of the run to continue.")
    check_skip_broken(found, flags["skip_broken"])
    use_tensorflow()
    as_json = options.pop("as_json")
    with known_failures():
        summary = command.train(found, env=os.environ, say=say, **flags, **options)
    if as_json:
        print_json(summary)
    else:
        click.echo(command.report(summary, exports=bool(found.endpoints)))


@main.command()
@click.argument("run", type=HomePath())
@data_options(default=None, help="Where the data comes from; default: as for the training.")
@skip_broken_option
@click.option("--limit-steps", type=click.IntRange(min=1), help="At most N batches.")
@json_option
def evaluate(
    run: Path,
    data: str | None,
    data_dir: Path | None,
    skip_broken: bool,
    limit_steps: int | None,
    as_json: bool,
):
    """Evaluate the trained model of the folder RUN."""
    use_tensorflow()
    with known_failures():
        from kerasd2l import training
        from kerasd2l.data import Source
        from kerasd2l.export import load_model, recipe_of
        from kerasd2l.run import open_run
        from kerasd2l.training.fit import compile_model, load_data
        from kerasd2l.training.same_data import check_names

        folder = open_run(run)
        found = recipe_of(folder)
        check_skip_broken(found, skip_broken)
        model = load_model(folder.model)
        compile_model(found, model)
        data = data or folder.options.get("data", "auto")
        data_dir = data_dir or folder.options.get("data_dir")
        skip_broken = skip_broken or bool(folder.options.get("skip_broken"))
        source = Source(
            data,
            data_dir,
            folder.seed,
            skip_broken=skip_broken,
            assets=folder.read("assets.json"),
        )
        say(f"loading {found.dataset} ({source})")
        loaded = load_data(found, source)
        check_names(folder, loaded)
        splits = ("test", "valid", "train")  # Kaggle keeps the answers of its test set
        split = next(name for name in splits if getattr(loaded, name) is not None)
        figures = training.evaluate(model, loaded, split, limit_steps=limit_steps)
        if found.score:
            batches = getattr(loaded, split).take(limit_steps or -1)
            scores = found.score(model, batches, loaded.assets)
            figures |= {f"{split}_{name}": value for name, value in scores.items()}
        result = {
            "recipe": folder.recipe,
            "run": str(run),
            "data": data,
            "examples": {split: figures.pop(f"{split}_examples")},
            "metrics": figures,
        }
        if "skipped_pictures" in loaded.assets:
            result["skipped_pictures"] = len(loaded.assets["skipped_pictures"])
    if as_json:
        print_json(result)
    else:
        for key, value in figures.items():
            click.echo(f"{key} {value:.4f}")
        click.echo(f"{result['examples'][split]} examples")
        if result.get("skipped_pictures"):
            click.echo(f"{result['skipped_pictures']} broken pictures left out")


@main.command(context_settings={"ignore_unknown_options": True})  # -0.3,0.5 is an input
@click.argument("savedmodel", type=HomePath())
@click.argument("inputs", nargs=-1)
@click.option(
    "--signature", help="Default: serving_default, or the one that has the inputs of --input."
)
@click.option(
    "--input", "settings", multiple=True, metavar="NAME=VALUE", help="Set an input with a default."
)
@click.option("--url", help="Ask the server at URL; SAVEDMODEL is the NAME that it serves.")
@click.option("--out", type=HomePath(), help="Draw the answer into this PNG.")
@json_option
def predict(
    savedmodel: Path,
    inputs: tuple[str, ...],
    url: str | None,
    signature: str | None,
    settings: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask the SavedModel (NAME or NAME/VERSION): INPUT is a picture, a text or numbers."""
    if not url:
        use_tensorflow()
    with known_refusals() if url else known_failures():
        from kerasd2l import serving as room

        served = room.Remote(url, savedmodel.as_posix()) if url else room.load(savedmodel)
        if inputs or settings:
            outputs = served.predict(list(inputs), signature, settings)
            if out:
                draw(served, inputs, outputs, out)
    if not inputs and not settings:
        click.echo(served.describe())
    elif as_json:
        print_json({"savedmodel": str(served.path), "outputs": jsonable(outputs)})
    else:
        for line in room.format_prediction(
            outputs, names=list(inputs), class_names=served.class_names
        ):
            click.echo(line)


@main.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@click.option("--out", type=HomePath(file_okay=False), help="Folder of figures.")
@json_option
def run(name: str, pairs: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Run the demo NAME: print its values, save its figures into --out."""
    found = load(name, parse_settings(pairs))
    if not isinstance(found, Demo):
        raise click.BadParameter(f"{found.name} is a recipe: use `kerasd2l train {name}`.")
    use_tensorflow()
    with known_failures():
        result = found.run()
        paths = []
        if out and result.figures:
            out.mkdir(parents=True, exist_ok=True)
            for figure_name, figure in result.figures.items():
                file = out / f"{figure_name}.png"
                with writing(file):
                    figure.savefig(file, dpi=120)
                paths.append(str(file))
    if as_json:
        print_json({"demo": found.name, "values": result.values, "figures": paths})
        return
    for key, value in result.values.items():
        click.echo(value_lines(key, value))
    for path in paths:
        click.echo(f"figure: {path}")
    if result.figures and not out:
        say(f"figures not saved: {', '.join(result.figures)}. Give --out DIR.")


@main.command()
@json_option
def doctor(as_json: bool) -> None:
    """Tell versions, devices, what failed to load, and where data is looked for."""
    from kerasd2l.cli import checkup

    with contextlib.redirect_stdout(sys.stderr):
        report = checkup.examine(os.environ)
    if as_json:
        print_json(report)
        return
    for key, value in report.items():
        click.echo(value_lines(key, value))
    for problem in report["problems"]:
        say(f"problem: {problem}")
