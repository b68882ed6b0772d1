"""Diabetes: 759 women, eight measurements each, and whether diabetes was found. Smith et al., 1988.

The lesson's file is a scaled copy of the Pima Indians table, and not a clean one. What the numbers
themselves show, and what this module makes of it:

- Every column was mapped from [lowest, highest] to [-1, 1]; `MINIMUM` and `MAXIMUM` undo that: the
  measurements come back whole, to the last digit.
- The labels were -1 and +1, then every -1 of the file became 0. So 0 is "diabetes" (263 women) and
  1 "no diabetes" (496), and a measurement at its lowest, which is also how a missing one was
  written down, is 0 instead of -1. `scale` does the same to new measurements.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import downloads, limits, pipeline, tables
from kerasd2l.data.source import DataError, Source, file_in, resolve
from kerasd2l.recipe import Data, TensorSpec

NAME = "diabetes.csv.gz"
SHA256 = {NAME: "398214d0f6b7f4a722f598d8e424f28bc078abbd16ebdeea0f8e264492325aa4"}
MIRRORS = ("https://github.com/hunkim/PyTorchZeroToAll/raw/master/data/",)
FEATURES = (
    "pregnancies",
    "glucose (mg/dl)",
    "blood pressure (mm Hg)",
    "skin fold (mm)",
    "insulin (mu U/ml)",
    "body mass index (kg/m^2)",
    "pedigree function",
    "age (years)",
)
MINIMUM = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.078, 21.0)
MAXIMUM = (17.0, 199.0, 122.0, 99.0, 846.0, 67.1, 2.42, 81.0)
CLASS_NAMES = ("diabetes", "no diabetes")

_STAND_IN = {  # columns of scikit-learn's table: its name -> ours
    "age": "age (years)",
    "bmi": "body mass index (kg/m^2)",
    "bp": "blood pressure (mm Hg)",
    "s1": "total cholesterol",
    "s2": "low-density lipoproteins",
    "s3": "high-density lipoproteins",
    "s5": "log of triglycerides",
    "s6": "blood sugar",
}
_STAND_IN_CLASSES = ("slow progression", "fast progression")

datasets = lazy("sklearn.datasets")


def load(source: Source | str | None = None, *, batch_size: int = 32) -> Data:
    """Load the diabetes table: of every class, four fifths for training and a fifth for test.

    The built-in stand-in is another table about diabetes, scikit-learn's: 442 patients, eight of
    its ten columns, and whether the disease progressed more than the median within a year.
    Section: "multi-dimensional-input".

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.

    Returns:
        Data: x (B, 8) float32 in [-1, 1], y (B, 1) float32, 0 or 1. assets: class_names,
        feature_names, and minimum, maximum and lowest_is_zero for `scale`.

    Raises:
        DataError: the file is not to be had or not right.

    Example:
        >>> load("builtin").size
        {'train': 353, 'test': 89}
    """
    source = Source.of(source)
    train, test, assets = arrays(source)
    training = pipeline.from_arrays(train, batch_size=batch_size, seed=source.seed)
    evaluation = pipeline.from_arrays(test, batch_size=batch_size)
    return pipeline.make_data(
        training,
        test=evaluation,
        features={"features": TensorSpec((train[0].shape[1],))},
        assets=assets,
    )


def arrays(
    source: Source | str | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], dict[str, Any]]:
    """Return (x, y) for training, (x, y) for test, and the assets; the split never changes.

    Args:
        source: as for `load`.

    Raises:
        DataError: the file is not to be had or not right.
    """
    source = Source.of(source)
    folder = resolve(
        source,
        "names",  # the folder of the lessons' small tables
        tuple(SHA256),
        lambda folder: downloads.fetch(
            folder, SHA256, MIRRORS, source, max_bytes=limits.TABLE_BYTES
        ),
    )
    x, y, assets = _stand_in() if folder is None else _table(file_in(folder, NAME))
    is_test = _every_fifth(y)
    return (x[~is_test], y[~is_test, None]), (x[is_test], y[is_test, None]), assets


def scale(
    values: Any, minimum: Any, maximum: Any, *, lowest_is_zero: bool, where: Any = np.where
) -> Any:
    """Map measurements to [-1, 1] as the table has them; works on arrays and on tensors.

    Args:
        values: (B, D) float32.
        minimum: (D,) what becomes -1.
        maximum: (D,) what becomes 1.
        lowest_is_zero: bool, the lowest value, which also stands for a missing one, becomes 0.
        where: `np.where` (default), or `tf.where` for tensors.

    Returns:
        (B, D), of the kind of `values`.

    Example:
        >>> scale(np.float32([[0], [50], [100]]), [0], [100], lowest_is_zero=True).ravel().tolist()
        [0.0, 0.0, 1.0]
    """
    low, high = np.float32(minimum), np.float32(maximum)
    scaled = (values - low) * (2 / (high - low)) - np.float32(1)
    if not lowest_is_zero:
        return scaled
    return where(abs(scaled + 1) < 1e-6, np.float32(0), scaled)


def read(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Read the table: rows of eight numbers in [-1, 1] and a label 0 or 1, plain or gzipped.

    Args:
        path: the file.

    Returns:
        (B, 8) float32 and (B,) float32.

    Raises:
        DataError: names the file and the line that is wrong.
    """
    path = Path(path)
    width = len(FEATURES) + 1
    rows = []
    for number, cells in tables.read(path):
        if not cells:
            continue
        if len(cells) != width:
            raise _wrong(path, number, f"{width} columns", f"{len(cells)}")
        rows.append([_number(path, number, cell) for cell in cells])
        if min(rows[-1]) < -1 or max(rows[-1]) > 1:
            raise _wrong(path, number, "numbers in [-1, 1]", ",".join(cells)[:100])
        if rows[-1][-1] not in (0, 1):
            raise _wrong(path, number, "0 or 1 in the last column", cells[-1][:40])
    table = np.array(rows, np.float32).reshape(-1, width)
    x, y = table[:, :-1], table[:, -1]
    if min((y == 0).sum(), (y == 1).sum()) < 5:
        raise DataError(f"{path}: expected at least 5 rows of each class, received {len(y)} rows.")
    return x, y


def _number(path: Path, number: int, cell: str) -> float:
    value = tables.number(cell)
    if np.isnan(value):
        raise _wrong(path, number, "a number", repr(cell[:40]))
    return value


def _wrong(path: Path, number: int, expected: str, received: str) -> DataError:
    return DataError(f"{path}, line {number}: expected {expected}, received {received}.")


def _table(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the lesson's table and its assets."""
    return *read(path), _assets(FEATURES, MINIMUM, MAXIMUM, CLASS_NAMES, lowest_is_zero=True)


def _stand_in() -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return eight columns of scikit-learn's table, scaled to [-1, 1], and its assets."""
    bunch = datasets.load_diabetes(scaled=False)
    columns = [bunch.feature_names.index(name) for name in _STAND_IN]
    measured = bunch.data[:, columns].astype(np.float32)
    y = (bunch.target > np.median(bunch.target)).astype(np.float32)
    low, high = measured.min(0), measured.max(0)
    assets = _assets(
        _STAND_IN.values(), low.tolist(), high.tolist(), _STAND_IN_CLASSES, lowest_is_zero=False
    )
    return scale(measured, low, high, lowest_is_zero=False), y, assets


def _assets(names, minimum, maximum, class_names, *, lowest_is_zero: bool) -> dict[str, Any]:
    return {
        "class_names": list(class_names),
        "feature_names": list(names),
        "minimum": list(minimum),
        "maximum": list(maximum),
        "lowest_is_zero": lowest_is_zero,
    }


def _every_fifth(y: np.ndarray) -> np.ndarray:
    """Mark every fifth example of each class, in an order that never changes."""
    is_test = np.zeros(len(y), bool)
    mixed = np.random.RandomState(0).permutation(len(y))  # numpy's frozen stream
    is_test[mixed[np.argsort(y[mixed], kind="stable")][::5]] = True
    return is_test
