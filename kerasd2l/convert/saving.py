"""Where a converted model goes: a `.keras` file, or the folder of a run that others begin from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasd2l.convert.conversion import Converted
from kerasd2l.run import Run, RunError, save_keras, versions

# The run that a converted BERT looks like: its signatures are those that `kerasd2l export` writes.
RECIPE = "natural_language_processing_pretraining/bert_pretraining"
_PAIRS = (
    16  # at once, in an evaluation; 512 for BERT base have weights of attention of 6 GB a block
)


def is_folder(out: Path) -> bool:
    """Whether `out` is to be the folder of a run: no name of a `.keras` file."""
    return out.suffix != ".keras"


def save(converted: Converted, out: Path) -> Path:
    """Write a converted model; what is there already is left alone.

    Args:
        converted: from `convert`; a folder needs its assets.
        out: FILE.keras for the model alone, or a folder, in which it looks as after a training:
            `config.json`, `assets.json` with the vocabulary, `model.keras`.

    Returns:
        The path of the model.

    Raises:
        RunError: there is something already.
    """
    if not is_folder(out):
        check_free(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        save_keras(converted.model, out)
        return out
    run = Run(
        path=out,
        recipe=RECIPE,
        arguments=_arguments(converted.model.encoder.arguments),
        options={"converted": str(converted.path)},
        versions=versions(),
    )
    with run.owned():
        run.start()
        try:
            run.write("assets.json", converted.assets)
            save_keras(converted.model, run.model)
        except BaseException:
            run.discard()
            raise
    return run.model


def _arguments(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the recipe calls the sizes of an encoder; pairs as long as it can read."""
    names = ("num_hiddens", "ffn_num_hiddens", "num_heads", "num_layers", "dropout_rate", "max_len")
    return {**{name: encoder[name] for name in names}, "batch_size": _PAIRS}


def check_free(out: Path) -> None:
    """Refuse to write over a model, before the work begins.

    Raises:
        RunError: there is one.
    """
    there = out / "config.json" if is_folder(out) else out
    if there.exists():
        raise RunError(f"{there} exists already. Give another --out, or remove it.")
