"""From a checkpoint's file to a model: read it, see whose it is, put every array in its place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasd2l.convert.names import TARGETS
from kerasd2l.convert.reading import ConvertError, read
from kerasd2l.convert.rules import fill

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Converted:
    """A model with the weights of a checkpoint.

    Args:
        model: keras.Model.
        path: the file of the weights.
        family: str, whose checkpoint it is.
        fresh: parts of the model that the checkpoint lacks: their weights are drawn anew.
        assets: vocabulary, tokenizer and max_len, as a training leaves them; None: the numbers of
            the tokens are the checkpoint's own.
        remarks: what else there is to know.
    """

    model: keras.Model
    path: Path
    family: str
    fresh: Sequence[str] = ()
    assets: Mapping[str, Any] | None = None
    remarks: Sequence[str] = ()


def convert(
    path: str | os.PathLike,
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    use_tokens: bool = False,
) -> Converted:
    """Turn a checkpoint of elsewhere into a model of this library.

    Sizes are read off the weights. Every array of the file is used, every weight of the model comes
    from it; only whole heads of BERT (hidden, mlm, nsp) may lack, and are drawn anew.

    Args:
        path: file, or folder of a checkpoint: safetensors, or a state dict that PyTorch wrote.
        name: str, one of TARGETS.
        settings: num_heads, which weights do not tell, and dropout_rate.
        use_tokens: bool, number the tokens as our vocabularies do, by vocab.txt or vocab.json
            beside the file. Default: False, the numbers stay the checkpoint's own.

    Returns:
        Converted.

    Raises:
        ConvertError: the file cannot be read, or its arrays are not exactly those of the model.
        ValueError: another name, or a setting that the model does not have.

    Reference:
        Zhang et al., Dive into Deep Learning; Wolf et al., Transformers, 2020.
    """
    if name not in TARGETS:
        raise ValueError(f"`name` must be one of {', '.join(TARGETS)}. Received: {name!r}.")
    target = TARGETS[name]
    if other := sorted(set(settings or {}) - set(target.settings)):
        raise ValueError(
            f"{name} has the settings {', '.join(target.settings)}. Received: {', '.join(other)}."
        )
    checkpoint = read(Path(path))
    families = [one for one in target.families if one.is_of(checkpoint.arrays)]
    if not families:
        raise ConvertError(
            f"{checkpoint.path} holds no {name}: it has {', '.join(list(checkpoint.arrays)[:3])}, "
            f"... Known are {' and '.join(one.title for one in target.families)}."
        )
    known = {**target.known, **(settings or {})}
    for key in target.known.keys() & (settings or {}).keys():
        if target.known[key] != known[key]:
            raise ConvertError(f"{name} has {key}={target.known[key]}. Received: {known[key]}.")
    try:
        plan = families[0].plan(checkpoint, known, use_tokens)
        model = fill(plan, checkpoint.path)
    except ValueError as error:  # sizes that the model does not take
        raise ConvertError(
            f"{checkpoint.path} makes no {name}: {' '.join(str(error).split())}"
        ) from error
    assets = None
    if use_tokens:
        if plan.tokens is None:
            raise ConvertError(
                f"a folder needs the vocabulary of a BERT, vocab.txt or vocab.json beside "
                f"{checkpoint.path}. Give --out FILE.keras for the model alone."
            )
        max_len = model.encoder.max_len
        assets = {"vocabulary": plan.tokens, "tokenizer": plan.words, "max_len": max_len}
    return Converted(model, checkpoint.path, families[0].title, plan.fresh, assets, plan.remarks)
