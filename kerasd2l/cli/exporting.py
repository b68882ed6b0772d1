"""`kerasd2l export`: a run as a SavedModel, and the files that carry SavedModels elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kerasd2l.cli.console import (
    HomePath,
    json_option,
    known_failures,
    print_json,
    savedmodels_option,
    use_tensorflow,
)
from kerasd2l.cli.program import Verb
from kerasd2l.export.deployment import TARGETS


@click.command(cls=Verb)
@click.argument("run", type=HomePath())
@savedmodels_option
@click.option("--name", help="Name to serve the model under.")
@click.option(
    "--example",
    "words",
    multiple=True,
    metavar="INPUT",
    help="An input as for predict: shown to those who ask the model, and its warm-up.",
)
@click.option(
    "--for",
    "target",
    type=click.Choice(TARGETS),
    help="Write the files that serve RUN, or a folder of exported models, elsewhere.",
)
@click.option("--out", type=HomePath(file_okay=False), help="For them; default: deploy/TARGET.")
@click.option(
    "--versions", metavar="latest|all|N", help="Versions to serve: the newest, all, or N.  [latest]"
)
@click.option("--label", "labels", multiple=True, metavar="[NAME/]LABEL=VERSION")
@click.option("--storage", metavar="URL", help="Where the folder lies: pvc://..., gs://...")
@click.option("--image", metavar="IMAGE:TAG", help="TF Serving's image.")
@json_option
def export(
    run: Path,
    savedmodels: Path,
    name: str | None,
    words: tuple[str, ...],
    target: str | None,
    as_json: bool,
    **deployment: Any,
) -> None:
    """Export the trained model of the folder RUN as a SavedModel.

    With --for, RUN may also be a folder of exported models, or one NAME folder in it: nothing is
    exported then.
    """
    given = {key: value for key, value in deployment.items() if value}
    if given and not target:
        option = "--" + next(iter(given)).removesuffix("s" if "labels" in given else "")
        raise click.UsageError(f"{option} goes with --for.")
    trained = not target or (run / "config.json").is_file()
    if not trained and (words or name):
        raise click.UsageError(f"--name and --example are of a run. {run} is none.")
    path: Path | None = None
    files: list[Path] = []
    use_tensorflow()
    with known_failures():
        try:
            path = _exported(run, savedmodels, name, words) if trained else None
            files = _deployed(path.parent if path else run, target, given) if target else []
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        what = {"run": str(run), "savedmodel": str(path)} if path else {"savedmodels": str(run)}
        print_json(what | ({"for": target, "files": list(map(str, files))} if target else {}))
    else:
        for made in ([path] if path else []) + files:
            click.echo(str(made))


def _exported(run: Path, savedmodels: Path, name: str | None, words: tuple[str, ...]) -> Path:
    from kerasd2l.export import export_run, recipe_of
    from kerasd2l.run import open_run
    from kerasd2l.serving import inputs

    examples = {}
    if words:
        endpoints = recipe_of(open_run(run)).endpoints
        signature = endpoints[0].signature if endpoints else {}
        asked = {key: spec for key, spec in signature.items() if spec.shape}
        examples = {endpoints[0].name: inputs.parse(words, asked)} if endpoints else {}
    return export_run(run, savedmodels, name=name, examples=examples)


def _deployed(folder: Path, target: str, options: dict[str, Any]) -> list[Path]:
    from kerasd2l.export import deployment

    out = options.pop("out", None)
    return deployment.write(deployment.plan(folder, **options), target, out)
