"""House prices of Ames, Iowa (Kaggle): 1460 + 1459 houses, 79 columns of numbers and codes.

De Cock, 2011. A missing cell says "NA" or nothing (see `recipe.MISSING`); "None" is a code of
MasVnrType, not a gap.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import downloads, limits, pipeline, tables
from kerasd2l.data.source import DataError, Source, resolve
from kerasd2l.recipe import MISSING, MISSING_NUMBER, Data, TensorSpec

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy("pandas")

FILES = ("train.csv", "test.csv")
SITES = (
    "https://d2l-data.s3-accelerate.amazonaws.com/",
    "http://d2l-data.s3-accelerate.amazonaws.com/",
)
SHA1 = {  # of the book's kaggle_house_pred_train.csv and kaggle_house_pred_test.csv
    "train.csv": "585e9cc93e70b39160e7921475f9bcd7d31219ce",
    "test.csv": "fa19780a7b011d9b009e8bff8e99922a8ee2eb90",
}
ID, LABEL = "Id", "SalePrice"
SPACES = " \t\n\r\f\v"

# Columns of numbers, with the mean and spread that the built-in table imitates.
NUMERIC: Mapping[str, tuple[float, float]] = {
    "MSSubClass": (57, 43), "LotFrontage": (69, 23), "LotArea": (10168, 3900),
    "OverallQual": (6, 1.4), "OverallCond": (5.6, 1.1), "YearBuilt": (1971, 30),
    "YearRemodAdd": (1984, 21), "MasVnrArea": (102, 179), "BsmtFinSF1": (441, 456),
    "BsmtFinSF2": (50, 169), "BsmtUnfSF": (561, 440), "TotalBsmtSF": (1052, 441),
    "1stFlrSF": (1160, 392), "2ndFlrSF": (336, 429), "LowQualFinSF": (5, 46),
    "GrLivArea": (1501, 506), "BsmtFullBath": (0.4, 0.5), "BsmtHalfBath": (0.1, 0.3),
    "FullBath": (1.6, 0.6), "HalfBath": (0.4, 0.5), "BedroomAbvGr": (2.9, 0.8),
    "KitchenAbvGr": (1, 0.2), "TotRmsAbvGrd": (6.5, 1.6), "Fireplaces": (0.6, 0.6),
    "GarageYrBlt": (1978, 26), "GarageCars": (1.8, 0.8), "GarageArea": (473, 215),
    "WoodDeckSF": (94, 127), "OpenPorchSF": (47, 68), "EnclosedPorch": (23, 64),
    "3SsnPorch": (3, 25), "ScreenPorch": (16, 56), "PoolArea": (2, 36),
    "MiscVal": (51, 567), "MoSold": (6.2, 2.7), "YrSold": (2008, 1.3),
}  # fmt: skip
# Columns of codes, with some codes of the real table for the built-in one, frequent ones first.
CATEGORICAL: Mapping[str, tuple[str, ...]] = {
    column: tuple(codes.split(","))
    for column, codes in {
        "MSZoning": "RL,RM,FV,RH,C (all),NA", "Street": "Pave,Grvl", "Alley": "NA,Grvl,Pave",
        "LotShape": "Reg,IR1,IR2,IR3", "LandContour": "Lvl,HLS,Bnk,Low",
        "Utilities": "AllPub,NA,NoSeWa", "LotConfig": "Inside,Corner,CulDSac,FR2,FR3",
        "LandSlope": "Gtl,Mod,Sev", "Neighborhood": "NAmes,CollgCr,OldTown,Edwards,Somerst,NridgHt",
        "Condition1": "Norm,Feedr,Artery,RRAn", "Condition2": "Norm,Feedr,Artery",
        "BldgType": "1Fam,TwnhsE,Duplex,Twnhs,2fmCon",
        "HouseStyle": "1Story,2Story,1.5Fin,SLvl,SFoyer", "RoofStyle": "Gable,Hip,Gambrel,Flat",
        "RoofMatl": "CompShg,Tar&Grv,WdShake", "Exterior1st": "VinylSd,MetalSd,HdBoard,Wd Sdng,NA",
        "Exterior2nd": "VinylSd,MetalSd,HdBoard,Wd Sdng,NA",
        "MasVnrType": "None,BrkFace,Stone,NA,BrkCmn", "ExterQual": "TA,Gd,Ex,Fa",
        "ExterCond": "TA,Gd,Fa,Ex", "Foundation": "PConc,CBlock,BrkTil,Slab",
        "BsmtQual": "TA,Gd,Ex,Fa,NA", "BsmtCond": "TA,Gd,Fa,NA", "BsmtExposure": "No,Av,Gd,Mn,NA",
        "BsmtFinType1": "Unf,GLQ,ALQ,Rec,NA", "BsmtFinType2": "Unf,Rec,LwQ,NA",
        "Heating": "GasA,GasW,Grav", "HeatingQC": "Ex,TA,Gd,Fa", "CentralAir": "Y,N",
        "Electrical": "SBrkr,FuseA,FuseF,NA", "KitchenQual": "TA,Gd,Ex,Fa,NA",
        "Functional": "Typ,Min2,Min1,Mod,NA", "FireplaceQu": "NA,Gd,TA,Fa,Po",
        "GarageType": "Attchd,Detchd,BuiltIn,NA", "GarageFinish": "Unf,RFn,Fin,NA",
        "GarageQual": "TA,NA,Fa,Gd", "GarageCond": "TA,NA,Fa,Gd", "PavedDrive": "Y,N,P",
        "PoolQC": "NA,Ex,Gd", "Fence": "NA,MnPrv,GdPrv,GdWo", "MiscFeature": "NA,Shed,Gar2",
        "SaleType": "WD,New,COD,NA", "SaleCondition": "Normal,Partial,Abnorml,Family",
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """How a row becomes numbers: scaled columns, then one column per code and one for "missing".

    A missing number becomes the mean, which is 0; a code that was not seen becomes zeros only.

    Args:
        numeric: column -> (mean, standard deviation).
        categorical: column -> its codes, sorted.
    """

    numeric: Mapping[str, tuple[float, float]]
    categorical: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Encoding:
        """Learn means, deviations (n - 1) and codes from a table, as the book's pandas code does.

        A column without spread is left unscaled.
        """
        numeric = {}
        for column in NUMERIC:
            mean, std = table[column].mean(), table[column].std()
            numeric[column] = (
                float(mean) if np.isfinite(mean) else 0.0,
                float(std) if np.isfinite(std) and std > 0 else 1.0,
            )
        codes = {column: sorted(table[column].dropna().unique()) for column in CATEGORICAL}
        return cls(numeric, codes)

    @classmethod
    def from_assets(cls, assets: Mapping[str, Any]) -> Encoding:
        """Make an encoding from what `assets` gave."""
        numeric = {column: (pair[0], pair[1]) for column, pair in assets["numeric"].items()}
        return cls(numeric, dict(assets["categorical"]))

    @property
    def names(self) -> list[str]:
        """The names of the encoded columns, as pandas' get_dummies gives them."""
        return list(self.numeric) + [
            f"{column}_{code}"
            for column, codes in self.categorical.items()
            for code in (*codes, "nan")
        ]

    @property
    def assets(self) -> dict[str, Any]:
        """Plain data from which an exported signature encodes a row in the same way."""
        return {
            "numeric": {column: list(pair) for column, pair in self.numeric.items()},
            "categorical": {column: list(codes) for column, codes in self.categorical.items()},
        }

    def __call__(self, table: pd.DataFrame) -> np.ndarray:
        """Encode a table of n houses: (n, len(names)) float32.

        Raises:
            DataError: too many codes, or a number that is infinite when it is standardised.
        """
        width = len(self.names)
        if len(table) * width > limits.CELLS:
            raise DataError(
                f"{len(table)} houses have so many codes that each becomes {width} numbers: "
                f"at most {limits.CELLS} numbers in all. Are the columns of codes the right ones?"
            )
        columns = []
        for column, (mean, std) in self.numeric.items():
            columns.append(((table[column] - mean) / std).fillna(0.0).to_numpy())
        for column, codes in self.categorical.items():
            values = table[column]
            text = values.fillna("").to_numpy(object)  # no code is empty
            columns += [text == code for code in codes] + [values.isna().to_numpy()]
        encoded = np.stack(columns, axis=1).astype(np.float64)
        wrong = np.abs(encoded).max(axis=0) > limits.FLOAT
        if wrong.any():
            column = self.names[int(np.argmax(wrong))]
            raise DataError(
                f"{column} has a number that is too large beside those of the training."
            )
        return encoded.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class HouseData(Data):
    """Data that can be cut into folds; `train` holds all houses whose price is known.

    Args:
        x: (n, F) float32, encoded, in the order of the file.
        y: (n, 1) float32, prices in dollars.
        x_unknown: (m, F) float32, houses whose price is to be told.
        ids: their m ids, as text.
        batch_size: int.
        seed: int, of the order of training examples.
    """

    x: np.ndarray
    y: np.ndarray
    x_unknown: np.ndarray
    ids: Sequence[str]
    batch_size: int
    seed: int

    def fold(self, i: int, k: int) -> Data:
        """Return the i-th of k folds: `valid` is the i-th part, `train` all the others.

        The parts are neighbours in the file, as in the book. Where k does not divide n, the first
        parts are one longer (the book leaves the rest out).

        Raises:
            DataError: k is below 2 or larger than the data. ValueError: i is not in 0..k-1.
        """
        n = len(self.x)
        if not 2 <= k <= n:
            raise DataError(
                f"`k` must be 2 to {n}: each of the k folds needs one of the {n} houses. "
                f"Received: k={k}. Take k=5."
            )
        if not 0 <= i < k:
            raise ValueError(f"`i` must be 0 to {k - 1}. Received: i={i}.")
        held_out = np.zeros(n, bool)
        held_out[np.array_split(np.arange(n), k)[i]] = True
        train = pipeline.from_arrays(
            (self.x[~held_out], self.y[~held_out]), batch_size=self.batch_size, seed=self.seed
        )
        valid = pipeline.from_arrays(
            (self.x[held_out], self.y[held_out]), batch_size=self.batch_size
        )
        return pipeline.make_data(train, valid=valid, features=self.features, assets=self.assets)


def load(source: Source | str | None = None, *, batch_size: int = 64) -> HouseData:
    """Load the house prices; the built-in stand-in is a generated table with the same columns.

    Numbers are standardised over both files together, as in the book (the test file has no prices,
    so nothing of the answer leaks). Section: "kaggle-house-price".

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.

    Returns:
        HouseData: x (B, F) float32, F = 331 with the real files; y (B, 1) float32, dollars.

    Raises:
        DataError: the files are not to be had or not right.

    Example:
        >>> load("builtin").size
        {'train': 400}
    """
    source = Source.of(source)

    def fetch(folder: Path) -> None:
        for name, digest in SHA1.items():
            urls = [f"{site}kaggle_house_pred_{name}" for site in SITES]
            path = folder / name
            patience: dict[str, Any] = {"timeout": source.timeout, "retries": source.retries}
            downloads.download(urls, path, digest, max_bytes=limits.TABLE_BYTES, **patience)

    folder = resolve(source, "kaggle_house", FILES, fetch)
    if folder is None:
        known, unknown = generate()
    else:
        known, unknown = (
            read(folder / name, labelled=labelled)
            for name, labelled in zip(FILES, (True, False), strict=True)
        )
    if source.assets:  # of a trained model: its means and codes
        encoding = Encoding.from_assets(source.assets)
    else:
        encoding = Encoding.of(pd.concat((known, unknown), ignore_index=True))
    x, y = encoding(known), known[[LABEL]].to_numpy(np.float32)
    train = pipeline.from_arrays((x, y), batch_size=batch_size, seed=source.seed)
    return HouseData(
        train=train.dataset,
        valid=None,
        test=None,
        features={"features": TensorSpec((x.shape[1],))},
        assets=encoding.assets,
        size={"train": train.size},
        order=train.order,
        x=x,
        y=y,
        x_unknown=encoding(unknown),
        ids=unknown[ID].tolist(),
        batch_size=batch_size,
        seed=source.seed,
    )


def read(path: Path, *, labelled: bool) -> pd.DataFrame:
    """Read a table of houses, and nothing but a right one.

    Args:
        path: the .csv file, with a header.
        labelled: bool, whether it has the column SalePrice.

    Returns:
        One row per house: Id as text, numbers as float64 (missing: NaN), codes as text (missing:
        None), SalePrice if labelled.

    Raises:
        DataError: empty, cut off, not a table, a missing or unknown column, text or a number that
            no float32 holds where a number belongs.
    """
    lines, cells = _cells(path)
    expected = [ID, *NUMERIC, *CATEGORICAL, *([LABEL] if labelled else [])]
    for what, names in (
        ("lacks", [name for name in expected if name not in cells]),
        ("has the unknown", [name for name in cells if name not in expected]),
    ):
        if names:
            columns = f"column{'s' if len(names) > 1 else ''} {', '.join(names)[:200]}"
            raise DataError(f"{path} {what} {columns}. Get the file anew.")
    table: dict[str, Any] = {ID: np.array(cells[ID], object)}
    for column in [*NUMERIC, *([LABEL] if labelled else [])]:
        table[column] = _numbers(path, lines, column, cells[column])
    for column in CATEGORICAL:
        codes = [None if re.fullmatch(MISSING, c) else c.strip(SPACES) for c in cells[column]]
        table[column] = np.array(codes, object)
    return pd.DataFrame(table)


def _cells(path: Path) -> tuple[list[int], dict[str, tuple[str, ...]]]:
    """Read a table with a header: the number of the line of each row, and column -> its cells."""
    rows = [(number, cells) for number, cells in tables.read(path) if cells]
    if not rows:
        raise DataError(f"{path} is empty: expected a table with a header.")
    (_, header), *rows = rows
    if not rows:
        raise DataError(f"{path} has a header but no rows.")
    if len(set(header)) != len(header):
        raise DataError(f"{path} has two columns of the same name.")
    for number, cells in rows:
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {number}: expected {len(header)} cells, as in the header. "
                f"Received: {len(cells)}."
            )
    numbers, columns = zip(*rows, strict=True)
    return list(numbers), dict(zip(header, zip(*columns, strict=True), strict=True))


def _numbers(path: Path, lines: Sequence[int], column: str, cells: Sequence[str]) -> np.ndarray:
    """Turn a column of text into numbers; only what is missing may be NaN, and never a price."""
    values = np.array([tables.number(cell) for cell in cells])
    missing = np.array([bool(re.fullmatch(MISSING_NUMBER, cell)) for cell in cells])
    wrong, kind = np.isnan(values) & ~missing, "a number, or NA"
    if column == LABEL:
        wrong, kind = ~(values.astype(np.float32) > 0), "a positive number"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{path}, line {lines[row]}: {column} must be {kind}. Received: {cells[row][:40]!r}."
        )
    return values


def generate(num_known: int = 400, num_unknown: int = 100) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Generate a table with the columns of the real one: no house in it exists.

    A hidden quality, drawn for each house, drives its numbers and its price; codes are drawn by
    themselves, and good materials (ExterQual) add to the price. Always the same table.

    Args:
        num_known: int, houses with a price.
        num_unknown: int, houses without.

    Returns:
        Two tables as `read` returns them.
    """
    random, n = np.random.RandomState(0), num_known + num_unknown  # numpy's frozen stream
    quality = random.normal(size=n)
    table: dict[str, Any] = {ID: np.array([str(i + 1) for i in range(n)], object)}
    for column, (mean, std) in NUMERIC.items():
        table[column] = np.maximum(
            0.0, np.rint(mean + std * (0.7 * quality + 0.7 * random.normal(size=n)))
        )
    for column in ("LotFrontage", "MasVnrArea", "GarageYrBlt"):
        table[column][random.uniform(size=n) < 0.1] = np.nan
    for column, codes in CATEGORICAL.items():
        weights = 0.5 ** np.arange(len(codes))
        drawn = np.array(codes, object)[random.choice(len(codes), n, p=weights / weights.sum())]
        drawn[drawn == "NA"] = None
        table[column] = drawn
    fine = np.isin(table["ExterQual"], ("Gd", "Ex"))
    noise = random.normal(size=n)
    table[LABEL] = np.rint(np.exp(11.9 + 0.3 * quality + 0.2 * fine + 0.08 * noise))
    frame = pd.DataFrame(table)
    unknown = frame.iloc[num_known:].drop(columns=LABEL).reset_index(drop=True)
    return frame.iloc[:num_known], unknown


def example_rows() -> dict[str, np.ndarray]:
    """Return four raw rows of the built-in table, column -> values, to try a signature with.

    They hold missing numbers (NaN), missing codes ("NA"), and a code that nobody has seen.
    """
    _, table = generate()
    table = table.iloc[:4]
    rows: dict[str, np.ndarray] = {
        column: table[column].to_numpy(np.float32).copy() for column in NUMERIC
    }
    rows |= {column: table[column].fillna("NA").to_numpy(object) for column in CATEGORICAL}
    rows["LotFrontage"][0] = np.nan
    rows["Neighborhood"][1] = "Atlantis"
    return rows
