"""Weights that a training begins from: a converted network, or the run of another training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasd2l import data
from kerasd2l.data import DataError

_CONVERTED = "kerasd2l convert FILE --to resnet18 --out resnet18.keras"


@dataclass(frozen=True)
class Weights:
    """A network with weights; read only by a training, not to evaluate or export.

    Args:
        path: str, the folder of a run, or a `.keras` file as `kerasd2l convert` writes it.
        open_run: `run.open_run`.
        load_model: `export.load_model`.
    """

    path: str
    open_run: Callable[[Any], Any]
    load_model: Callable[[Any], Any]

    def model(self) -> Any:
        """Load the network.

        Raises:
            DataError: there is none, or it is a checkpoint that must be converted first.
            RunError: the run, or its model, is damaged.
        """
        path = data.source.in_home(self.path)
        if not path.exists():
            raise DataError(f"`weights`: {path} does not exist.")
        if path.is_dir():
            return self.load_model(self.open_run(path).model)
        if path.suffix != ".keras":
            raise DataError(
                "`weights` must be the folder of a run, or a .keras file of this library. "
                f"Received: {path}. Convert it first: {_CONVERTED}"
            )
        return self.load_model(Path(path))
