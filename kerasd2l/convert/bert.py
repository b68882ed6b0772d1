"""What BERT is, whoever wrote its weights: the model, and the heads that a checkpoint may lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.convert.rules import Rule

models = lazy("kerasd2l.models")


def built_bert(arguments: Mapping[str, Any]) -> Any:
    """Build a BERTModel for texts of any length."""
    model = models.BERTModel(**arguments)
    texts = dict.fromkeys(("tokens", "segments", "pred_positions"), (None, None))
    model.build({**texts, "valid_lens": (None,)})
    return model


def heads_there(
    arrays: Mapping[str, np.ndarray],
    heads: Mapping[str, list[Rule]],
    prefixes: Mapping[str, str],
) -> tuple[list[Rule], list[str]]:
    """Return the rules of the heads that a checkpoint has, and the names of the others.

    Args:
        arrays: name -> array.
        heads: part of our model -> its rules.
        prefixes: part of our model -> what their names begin with; with one such array the head is
            there, and must be whole.
    """
    fresh = [part for part in heads if not any(name.startswith(prefixes[part]) for name in arrays)]
    return [rule for part in heads if part not in fresh for rule in heads[part]], fresh
