"""The command line: `kerasd2l VERB`. TensorFlow is imported inside the verbs that compute.

stdout carries the result, stderr the talk. Exit codes: 0 done, 1 failure, 2 usage, 3 the loss is
not finite, 130 and 143 stopped by Ctrl-C and SIGTERM with the state saved.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from kerasd2l import __version__, recipe
from kerasd2l.recipe import Demo, Recipe

EXIT_NOT_FINITE = 3


def say(text: str) -> None:
    """Talk to the person: on stderr."""
    click.echo(text, err=True)


def print_json(content: Any) -> None:
    """Print the one JSON object of --json."""
    from kerasd2l.run import plain

    click.echo(json.dumps(plain(content), ensure_ascii=False))


@contextlib.contextmanager
def known_failures() -> Iterator[None]:
    """Turn the library's own errors into one line and an exit code; bugs keep their traceback."""
    from kerasd2l.data import DataError
    from kerasd2l.export import InputError, SavedModelError
    from kerasd2l.run import RunError
    from kerasd2l.training import (
        CheckpointError,
        ClusterError,
        LoopError,
        NonFiniteLoss,
        Preempted,
        RecipeError,
    )

    try:
        with contextlib.redirect_stdout(sys.stderr):  # libraries print; stdout is for the result
            yield
    except NonFiniteLoss as error:
        say(f"Error: {error}")
        sys.exit(EXIT_NOT_FINITE)
    except Preempted as error:
        say(str(error))
        sys.exit(error.exit_code)
    except RecipeError as error:
        raise usage_error(error) from error
    except (
        RunError,
        DataError,
        CheckpointError,
        SavedModelError,
        InputError,
        ClusterError,
        LoopError,
        OSError,  # a full disk, a folder that may not be written: the message names the file
    ) as error:
        raise click.ClickException(str(error)) from error


def usage_error(error: Exception, hint: str | None = None) -> click.BadParameter:
    """Make the error of a wrong argument: exit code 2."""
    return click.BadParameter(str(error), param_hint=hint)


def use_tensorflow() -> None:
    """Prepare the process for TensorFlow: its backend, and less noise on stderr."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise click.ClickException(
            f"KERAS_BACKEND={backend}: this command trains and exports with TensorFlow. "
            "Unset KERAS_BACKEND. (The models themselves run on other backends when imported.)"
        )
    if os.environ.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true"):
        raise click.ClickException("TF_USE_LEGACY_KERAS is set: kerasd2l needs Keras 3. Unset it.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _quiet_stderr():
        import tensorflow  # noqa: F401


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what C++ writes to file descriptor 2: TensorFlow greets there at import.

    `kerasd2l doctor` says what failed to load. An exception lets everything through.
    """
    sys.stderr.flush()
    there = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(there, held.read())
            raise
        finally:
            os.dup2(there, 2)
            os.close(there)


def load(name: str, settings: dict[str, Any]) -> Recipe | Demo:
    """Load a recipe or demo for a command: wrong names and values are usage errors."""
    try:
        return recipe.load(name, **settings)
    except recipe.UnknownName as error:
        raise usage_error(error) from error
    except (TypeError, ValueError) as error:
        raise usage_error(error, "--set") from error


def load_recipe(name: str, settings: dict[str, Any]) -> Recipe:
    """Load a recipe; a demo has nothing to train."""
    found = load(name, settings)
    if not isinstance(found, Recipe):
        raise click.BadParameter(f"{found.name} is a demo: use `kerasd2l run {name}`.")
    return found


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Split KEY=VALUE pairs."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"expected KEY=VALUE. Received: {pair!r}.", param_hint="--set")
        settings[key.strip().replace("-", "_")] = value.strip()
    return settings


def data_options(default: str | None = "auto", help: str = "Where the data comes from."):
    """Add --data and --data-dir."""
    kinds = click.Choice(["auto", "builtin", "files", "download"])
    folder = click.Path(path_type=Path)

    def add(command):
        command = click.option(
            "--data-dir", type=folder, help="Folder of --data files [KERASD2L_DATA]."
        )(command)
        return click.option("--data", type=kinds, default=default, help=help)(command)

    return add


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
savedmodels_option = click.option(
    "--savedmodels",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("savedmodels"),
    show_default=True,
    help="Folder of exported models.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kerasd2l")
def main() -> None:
    """Dive into Deep Learning in Keras 3: train its recipes, run its demos, serve its models."""


@main.command("list")
@click.argument("pattern", default="*")
@json_option
def list_(pattern: str, as_json: bool) -> None:
    """List recipes and demos whose name matches PATTERN."""
    rows = [_describe(found) for found in recipe.list_recipes(pattern)]
    if as_json:
        print_json({"recipes": rows})
        return
    if not rows:
        names = [entry.short for entry in recipe.entries()]
        raise click.ClickException(
            f"nothing matches {pattern!r}.{recipe.near_matches(pattern, names)}"
        )
    columns = ("name", "section", "kind", "data", "expected")
    widths = {c: max(len(c), *(len(row[c] or "-") for row in rows)) for c in columns}
    for row in [dict(zip(columns, columns, strict=True)), *rows]:
        click.echo("  ".join((row[c] or "-").ljust(widths[c]) for c in columns).rstrip())


@main.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what a recipe or demo does, and its arguments."""
    found = load(name, {})
    function = recipe.find(name).function
    text = _unindent(function.__doc__ or "")
    arguments = [
        {"name": key, "type": _type_name(parameter.annotation), "default": parameter.default}
        for key, parameter in recipe.parameters(function).items()
    ]
    if as_json:
        print_json({**_describe(found), "doc": text, "arguments": arguments})
        return
    click.echo(f"{found.name}\n\n{text}\n\nArguments (--set NAME=VALUE):")
    for argument in arguments:
        click.echo(f"  {argument['name']}: {argument['type']} = {argument['default']}")
    if not arguments:
        click.echo("  none")


@main.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@data_options()
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training data.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples per step, all replicas.")
@click.option("--limit-steps", type=click.IntRange(min=1), help="At most N batches per epoch.")
@click.option(
    "--strategy",
    type=click.Choice(["auto", "one", "mirrored", "multi_worker"]),
    default="auto",
    help="One device, all GPUs of this machine, or the machines of TF_CONFIG.",
)
@click.option("--replicas", type=click.IntRange(min=1), help="Replicas of --strategy mirrored.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "mixed_bfloat16", "mixed_float16"]),
    default="float32",
)
@click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, show_default=True)
@click.option("--deterministic", is_flag=True, help="Deterministic kernels (slower).")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Run folder.")
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@click.option(
    "--rendezvous-timeout", type=float, default=120.0, help="Seconds to wait for workers."
)
@click.option("--export", "export_", is_flag=True, help="Export a SavedModel afterwards.")
@savedmodels_option
@click.option("--dry-run", is_flag=True, help="Do one step and say what would happen.")
@json_option
def train(name: str, pairs: tuple[str, ...], epochs: int | None, batch_size: int | None, **options):
    """Train the recipe NAME."""
    from kerasd2l.training import command

    settings: dict[str, Any] = dict(parse_settings(pairs))
    settings |= {"epochs": epochs} if epochs else {}
    settings |= {"batch_size": batch_size} if batch_size else {}
    found = load_recipe(name, settings)
    if options["resume"] and not options["out"]:
        raise click.UsageError("--resume needs --out: the folder of the run to continue.")
    use_tensorflow()
    as_json = options.pop("as_json")
    with known_failures():
        summary = command.train(found, env=os.environ, say=say, **options)
    if as_json:
        print_json(summary)
    else:
        click.echo(command.report(summary))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@data_options(default=None, help="Where the data comes from; default: as for the training.")
@click.option("--limit-steps", type=click.IntRange(min=1), help="At most N batches.")
@json_option
def evaluate(
    run: Path, data: str | None, data_dir: Path | None, limit_steps: int | None, as_json: bool
):
    """Evaluate the trained model of the folder RUN."""
    use_tensorflow()
    with known_failures():
        from kerasd2l import training
        from kerasd2l.data import Source
        from kerasd2l.export import load_model
        from kerasd2l.run import open_run
        from kerasd2l.training.fit import compile_model

        folder = open_run(run)
        model = load_model(folder.model)
        found = load_recipe(folder.recipe, dict(folder.arguments))
        compile_model(found, model)
        data = data or folder.options.get("data", "auto")
        data_dir = data_dir or folder.options.get("data_dir")
        loaded = found.data(Source(kind=data, data_dir=data_dir, seed=folder.seed))
        split = "test" if loaded.test is not None else "valid"
        figures = training.evaluate(model, loaded, split, limit_steps=limit_steps)
        result = {
            "recipe": folder.recipe,
            "run": str(run),
            "data": data,
            "examples": {split: figures.pop(f"{split}_examples")},
            "metrics": figures,
        }
    if as_json:
        print_json(result)
    else:
        for key, value in figures.items():
            click.echo(f"{key} {value:.4f}")
        click.echo(f"{result['examples'][split]} examples")


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@savedmodels_option
@click.option("--name", help="Name to serve the model under.")
@json_option
def export(run: Path, savedmodels: Path, name: str | None, as_json: bool) -> None:
    """Export the trained model of the folder RUN as a SavedModel."""
    use_tensorflow()
    with known_failures():
        from kerasd2l.export import export_run

        try:
            path = export_run(run, savedmodels, name=name)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        print_json({"run": str(run), "savedmodel": str(path)})
    else:
        click.echo(str(path))


@main.command()
@click.argument("savedmodel", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1)
@click.option("--signature", default="serving_default", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Draw the answer into this PNG.")
@json_option
def predict(
    savedmodel: Path, inputs: tuple[str, ...], signature: str, out: Path | None, as_json: bool
) -> None:
    """Ask the SavedModel (NAME or NAME/VERSION): INPUT is a picture, a text or numbers."""
    use_tensorflow()
    with known_failures():
        from kerasd2l import export as room

        served = room.load(savedmodel)
        if inputs:
            outputs = served.predict(list(inputs), signature)
            if out:
                _draw(served, inputs, outputs, out)
    if not inputs:
        click.echo(served.describe())
    elif as_json:
        print_json({"savedmodel": str(served.path), "outputs": _jsonable(outputs)})
    else:
        for line in room.format_prediction(
            outputs, names=list(inputs), class_names=served.class_names
        ):
            click.echo(line)


@main.command()
@click.argument("name")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an argument.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of figures.")
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
        for figure_name, figure in result.figures.items() if out else ():
            out.mkdir(parents=True, exist_ok=True)
            paths.append(str(out / f"{figure_name}.png"))
            figure.savefig(paths[-1], dpi=120)
    if as_json:
        print_json({"demo": found.name, "values": result.values, "figures": paths})
        return
    for key, value in result.values.items():
        click.echo(_value_lines(key, value))
    for path in paths:
        click.echo(f"figure: {path}")
    if result.figures and not out:
        say(f"figures not saved: {', '.join(result.figures)}. Give --out DIR.")


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--workers", type=click.IntRange(min=1), required=True, help="Processes to start.")
@click.option("--max-restarts", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--log-dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--grace", type=float, default=30.0, help="Seconds from SIGTERM to SIGKILL.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def launch(
    workers: int, max_restarts: int, log_dir: Path | None, grace: float, command: tuple[str, ...]
) -> None:
    """Run COMMAND (`-- train ...`) in N worker processes on this machine, supervised."""
    from kerasd2l.training.launch import launch as start

    try:
        code = start(
            list(command),
            workers=workers,
            env=os.environ,
            log_dir=log_dir,
            max_restarts=max_restarts,
            grace=grace,
        )
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)


@main.command()
@json_option
def doctor(as_json: bool) -> None:
    """Tell versions, devices, what failed to load, and where data is looked for."""
    from kerasd2l.training import doctor as room

    with contextlib.redirect_stdout(sys.stderr):
        report = room.examine(os.environ)
    if as_json:
        print_json(report)
        return
    for key, value in report.items():
        click.echo(_value_lines(key, value))
    for problem in report["problems"]:
        say(f"problem: {problem}")


def _describe(found: Recipe | Demo) -> dict[str, str | None]:
    is_recipe = isinstance(found, Recipe)
    return {
        "name": found.name,
        "section": found.section,
        "kind": "recipe" if is_recipe else "demo",
        "data": found.dataset if is_recipe else None,
        "expected": str(found.expected) if is_recipe and found.expected else None,
    }


def _draw(served: Any, inputs: tuple[str, ...], outputs: dict[str, Any], out: Path) -> None:
    """Draw pictures with their classes; other answers have no picture."""
    from kerasd2l import export as room

    if served.class_names is None or not all(Path(word).is_file() for word in inputs):
        raise room.InputError("--out draws the answers of image classifiers only. Leave it away.")
    figure = room.figure(list(inputs), outputs, served.class_names)
    try:
        figure.savefig(out, dpi=120)
    except ValueError as error:  # an ending that matplotlib does not know
        raise room.InputError(f"cannot draw into {out}: {error}") from error


def _type_name(annotation: Any) -> str:
    """Return what a person may give: "int", "one of fashion_mnist, mnist", "tuple[int, ...]"."""
    if typing.get_origin(annotation) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(annotation)))}"
    if isinstance(annotation, type) and not typing.get_origin(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _unindent(text: str) -> str:
    import inspect

    return inspect.cleandoc(text)


def _jsonable(outputs: dict[str, Any]) -> dict[str, Any]:
    def text(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode("utf8", "replace")
        return [text(item) for item in value] if isinstance(value, list) else value

    return {
        key: text(getattr(value, "tolist", lambda v=value: v)()) for key, value in outputs.items()
    }


def _value_lines(key: str, value: Any, indent: str = "") -> str:
    if isinstance(value, dict):
        inner = [_value_lines(k, v, indent + "  ") for k, v in value.items()]
        return "\n".join([f"{indent}{key}:", *inner])
    if isinstance(value, float):
        value = f"{value:.6g}"
    elif (
        isinstance(value, (list, tuple)) and len(value) and not isinstance(value[0], (list, tuple))
    ):
        value = ", ".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in value)
    return f"{indent}{key}: {value}"


if __name__ == "__main__":
    main()
