"""`kerasd2l convert`: weights of d2l's PyTorch models, Hugging Face's BERT, image networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kerasd2l import finding
from kerasd2l.cli.console import (
    HomePath,
    json_option,
    known_failures,
    parse_settings,
    print_json,
    usage_error,
    use_tensorflow,
)
from kerasd2l.cli.program import Verb, say


class _Convert(Verb):
    """The verb whose help ends with what can be converted."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from kerasd2l.convert import TARGETS

        with formatter.section("NAME is one of"):
            formatter.write_dl([(name, target.text) for name, target in TARGETS.items()])


@click.command(cls=_Convert)
@click.argument("file", type=HomePath())
@click.option("--to", "name", required=True, metavar="NAME", help="What it becomes, see below.")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="num_heads, which weights do not tell; dropout_rate; include_top of image networks.",
)
@click.option(
    "--out",
    type=HomePath(),
    help="FILE.keras, the model alone (default: NAME.keras); or a folder as of a training.",
)
@json_option
def convert(file: Path, name: str, pairs: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Convert the weights in FILE, from elsewhere, into a model of this library.

    FILE is safetensors, a state dict that PyTorch wrote (only this needs PyTorch), the folder of
    either, or a .keras or .h5 of keras.applications. Every array must have its place: what is
    missing, left over or of another shape is named.

    With --out FOLDER the vocabulary beside FILE comes along, and how texts become its words and
    pieces: fine-tune from it with `kerasd2l train bert_pair --set weights=FOLDER`, serve it with
    `kerasd2l export FOLDER`. In FILE.keras the tokens keep the numbers of the checkpoint.
    """
    from kerasd2l.convert import TARGETS

    if name not in TARGETS:
        near = finding.near_matches(name, TARGETS).replace("list`", "convert --help`")
        raise click.BadParameter(f"unknown name {name!r}.{near}", param_hint="--to")
    settings = _settings(pairs, TARGETS[name].settings)
    out = out or Path(f"{name}.keras")
    use_tensorflow()
    with known_failures():
        from kerasd2l import convert as room

        folder = room.is_folder(out)
        room.check_free(out)
        converted = room.convert(file, name, settings, use_tokens=folder)
        path = room.save(converted, out)
        say(f"{converted.path}: {converted.family}")
        for remark in converted.remarks:
            say(remark)
        if converted.fresh:
            say(f"not in the checkpoint, drawn anew: {', '.join(converted.fresh)}")
        parameters = converted.model.count_params()
    if as_json:
        about = {"family": converted.family, "parameters": parameters, "fresh": converted.fresh}
        print_json({"file": str(converted.path), "to": name, "out": str(out), **about})
        return
    click.echo(str(out))
    if folder:
        say(f"serve it: kerasd2l export {out}")
        say(f"fine-tune it: kerasd2l train bert_pair --set weights={out}")
    else:
        if name.startswith("resnet"):
            say(f"fine-tune it: kerasd2l train fine_tuning --set weights={path}")
        say(f"load it: import kerasd2l.models; keras.saving.load_model({str(path)!r})")


def _settings(pairs: tuple[str, ...], known: Mapping[str, type]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key, value in parse_settings(pairs).items():
        if key not in known:
            raise click.BadParameter(
                f"unknown key {key!r}. Known are {', '.join(known)}.", param_hint="--set"
            )
        try:
            settings[key] = finding.convert(key, value, known[key])
        except (TypeError, ValueError) as error:
            raise usage_error(error, "--set") from error
    return settings
