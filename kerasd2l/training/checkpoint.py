"""Checkpoints that resume exactly: every variable, the random seeds, and the place in the data.

A checkpoint is one `.npz` file without pickle: an array per variable and one JSON text for the
position (epoch, step, history, callbacks). It is written to a temporary name, flushed, renamed; the
zip's checksums tell a damaged file.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasd2l.run import atomic

_POSITION = "position"


class CheckpointError(Exception):
    """A checkpoint that belongs to another model."""


class Checkpoints:
    """The checkpoints of one run: the last two to resume from, and the best one.

    Args:
        folder: where they are; made if missing.
        keep: int, how many of the last ones stay.
        writes: False on workers that only read.
        say: (text) -> None, told when a damaged checkpoint is passed over.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 2,
        writes: bool = True,
        say: Callable[[str], None] = lambda text: None,
    ):
        if keep < 1:
            raise ValueError(f"`keep` must be at least 1. Received: keep={keep}.")
        self.folder = Path(folder)
        self.keep = keep
        self.writes = writes
        self.say = say
        if writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".*.tmp"):  # of a process that was killed
                leftover.unlink(missing_ok=True)

    @property
    def best(self) -> Path:
        return self.folder / "best.npz"

    def steps(self) -> list[Path]:
        """Return the checkpoints to resume from, oldest first."""
        return sorted(self.folder.glob("step-*.npz"))

    def save(self, variables: Iterable[keras.Variable], position: dict[str, Any]) -> None:
        """Save the state at `position["step"]`, and drop the ones beyond the last `keep`."""
        arrays = to_arrays(variables)  # on every worker: reading a metric adds over all of them
        if not self.writes:
            return
        self._write(self.folder / f"step-{position['step']:09d}.npz", arrays, position)
        for old in self.steps()[: -self.keep]:
            old.unlink(missing_ok=True)

    def save_best(self, variables: Iterable[keras.Variable], position: dict[str, Any]) -> None:
        """Save the state with the best monitored figure so far."""
        arrays = to_arrays(variables)
        if self.writes:
            self._write(self.best, arrays, position)

    def restore(self, variables: Iterable[keras.Variable]) -> dict[str, Any] | None:
        """Restore the newest checkpoint that is whole; return its position, or None without one.

        Raises:
            CheckpointError: the checkpoint is whole but of another model.
        """
        for path in reversed(self.steps()):
            try:
                arrays, position = read(path)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                self.say(f"checkpoint {path} is damaged ({error}); trying the one before it")
                continue
            assign(list(variables), arrays, path)
            return position
        return None

    def _write(self, path: Path, arrays: dict[str, np.ndarray], position: dict[str, Any]) -> None:
        text = np.frombuffer(json.dumps(position).encode("utf8"), np.uint8)
        with atomic(path) as file:
            np.savez(file, **{_POSITION: text}, **arrays)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint file: variable name -> array, and the position.

    Raises:
        OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile: the file is damaged.
    """
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    position = json.loads(arrays.pop(_POSITION).tobytes().decode("utf8"))
    return arrays, position


def state_of(model: keras.Model) -> list[keras.Variable]:
    """Return every variable that the next step depends on, each once.

    Weights, metrics, seeds of dropout, optimizer slots, and Keras' global seed.
    """
    variables = [*model.variables, *model.metrics_variables]
    for value in vars(model).values():
        if isinstance(value, keras.optimizers.Optimizer):
            variables += value.variables
    variables.append(keras.src.random.seed_generator.global_seed_generator().state)
    unique = {id(variable): variable for variable in variables}
    return list(unique.values())


def to_arrays(variables: Iterable[keras.Variable]) -> dict[str, np.ndarray]:
    """Copy variables to numpy, named by position and path: "0003:conv_1/kernel"."""
    arrays = {}
    for i, variable in enumerate(variables):
        value = tf.convert_to_tensor(variable.value).numpy()  # metrics: summed over replicas
        if value.dtype.kind == "V" or value.dtype.name == "bfloat16":
            value = value.astype(np.float32)  # .npz knows no bfloat16; float32 holds it exactly
        arrays[_key(i, variable)] = value
    return arrays


def assign(variables: list[keras.Variable], arrays: dict[str, np.ndarray], path: Path) -> None:
    """Assign the arrays of a checkpoint; nothing is assigned unless all of them fit.

    Raises:
        CheckpointError: names or shapes differ from the model's.
    """
    wanted = {_key(i, variable): variable for i, variable in enumerate(variables)}
    for name in [*wanted, *arrays]:
        if name not in arrays or name not in wanted:
            where = "this model lacks" if name in arrays else "it lacks"
            raise CheckpointError(f"{path} is of another model: {where} the variable {name!r}.")
        if tuple(arrays[name].shape) != tuple(wanted[name].shape):
            raise CheckpointError(
                f"{path} is of another model: {name!r} has shape {arrays[name].shape} there, "
                f"{tuple(wanted[name].shape)} here."
            )
    for name, variable in wanted.items():
        variable.assign(arrays[name])


def _key(i: int, variable: keras.Variable) -> str:
    # Numbered paths such as "dense_7/kernel" depend on what was built before: the position counts.
    return f"{i:04d}:{variable.path.rpartition('/')[2]}"
