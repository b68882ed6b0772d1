"""Checkpoints that resume exactly: every variable, the random seeds, and the place in the data.

A checkpoint is one `.npz` file without pickle: an array per variable and one JSON text for the
position (epoch, step, history, callbacks). It is written to a temporary name, flushed, renamed; the
zip's checksums tell a damaged file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasd2l.run import atomic

_POSITION = "position"
_NAMES = "names"  # of all arrays: a damaged directory of the zip may drop some
_EXTRA = "extra/"


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
        self._kept_best: tuple[dict[str, np.ndarray], dict[str, Any]] | None = None
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

    def save(
        self,
        variables: Iterable[keras.Variable],
        position: dict[str, Any],
        extra: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> None:
        """Save the state at `position["step"]`, and drop the ones beyond the last `keep`.

        Those of later steps go too: they were damaged, and the training went back behind them.

        Args:
            variables: the state, from `state_of`.
            position: plain data, with `step`.
            extra: further arrays by name, such as the best weights of EarlyStopping.
        """
        arrays = to_arrays(variables)  # on every worker: reading a metric adds over all of them
        if not self.writes:
            return
        if self._kept_best:  # first: after a kill, the next best is found again
            self._write(self.best, *self._kept_best)
            self._kept_best = None
        path = self.folder / f"step-{position['step']:09d}.npz"
        self._write(path, arrays | {_EXTRA + key: value for key, value in extra.items()}, position)
        steps = self.steps()
        here = steps.index(path) + 1
        for old in [*steps[: max(here - self.keep, 0)], *steps[here:]]:
            old.unlink(missing_ok=True)

    def keep_best(self, variables: Iterable[keras.Variable], position: dict[str, Any]) -> None:
        """Keep the state with the best monitored figure so far; the next `save` writes it."""
        arrays = to_arrays(variables)
        if self.writes:
            arrays = {name: array.copy() for name, array in arrays.items()}
            self._kept_best = arrays, {**position, "history": list(position.get("history", ()))}

    def newest(self) -> Checkpoint | None:
        """Read the newest checkpoint that is whole; None without one."""
        for path in reversed(self.steps()):
            try:
                return read(path)
            except Exception as error:  # damaged bytes make zipfile and numpy raise anything
                self.say(f"checkpoint {path} is damaged ({error}); trying the one before it")
        if self.steps():
            self.say(f"no checkpoint in {self.folder} is whole: starting from the beginning")
        return None

    def _write(self, path: Path, arrays: dict[str, np.ndarray], position: dict[str, Any]) -> None:
        text = json.dumps({**position, _NAMES: sorted(arrays)})
        with atomic(path) as file:
            # the stub takes any of the names for allow_pickle
            place = np.frombuffer(text.encode("utf8"), np.uint8)
            np.savez(file, **{_POSITION: place}, **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds: an array per variable, the position, and further arrays."""

    path: Path
    arrays: dict[str, np.ndarray]
    position: dict[str, Any]
    extra: dict[str, np.ndarray]

    def assign(self, variables: Iterable[keras.Variable]) -> None:
        """Assign the arrays; nothing is assigned unless all of them fit.

        Raises:
            CheckpointError: names or shapes differ from the model's.
        """
        wanted = {_key(i, variable): variable for i, variable in enumerate(variables)}
        for name in [*wanted, *self.arrays]:
            if name not in self.arrays or name not in wanted:
                where = "this model lacks" if name in self.arrays else "it lacks"
                raise self._other(f"{where} the variable {name!r}")
            there, here = tuple(self.arrays[name].shape), tuple(wanted[name].shape)
            if there != here:
                raise self._other(f"{name!r} has shape {there} there, {here} here")
        for name, variable in wanted.items():
            variable.assign(self.arrays[name])

    def _other(self, how: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path} is of another model: {how}. "
            "Resume with the settings that it was made with, or give another --out."
        )


def read(path: Path) -> Checkpoint:
    """Read a checkpoint file; a damaged one raises one of many kinds of errors."""
    # numpy leaves a damaged file open that it has opened itself
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        if sum(info.file_size for info in archive.zip.infolist()) > path.stat().st_size:
            raise ValueError("it unpacks to more bytes than it has, and was never packed")
        arrays = {name: archive[name] for name in archive.files}
    position = json.loads(arrays.pop(_POSITION).tobytes().decode("utf8"))
    lost = set(position.pop(_NAMES, arrays)) ^ set(arrays)
    if lost:
        raise ValueError(f"its arrays are not those that were written: {', '.join(sorted(lost))}")
    extra = {k.removeprefix(_EXTRA): v for k, v in arrays.items() if k.startswith(_EXTRA)}
    arrays = {name: array for name, array in arrays.items() if not name.startswith(_EXTRA)}
    return Checkpoint(path, arrays, position, extra)


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


def _key(i: int, variable: keras.Variable) -> str:
    # The position counts: "dense_7/kernel" and "conv2d_24_kernel_momentum" have numbers that depend
    # on what was built before in this process.
    name = re.sub(r"_\d+", "", variable.path.rpartition("/")[2])
    return f"{i:04d}:{name}"
