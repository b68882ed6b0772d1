import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kerasd2l.data import DataError, Source
from kerasd2l.data.sets import kaggle_house
from kerasd2l.testing import check_data

REAL = os.environ.get("KERASD2L_DATA")


@pytest.fixture
def files(tmp_path):
    """The generated table as the two files of the data set."""
    folder = tmp_path / "kaggle_house"
    folder.mkdir()
    for name, table in zip(kaggle_house.FILES, kaggle_house.generate(20, 6), strict=True):
        table.to_csv(folder / name, index=False, na_rep="NA")
    return folder


def load(files, **options):
    return kaggle_house.load(Source("files", files.parent), **options)


def change(files, change_table, name="train.csv"):
    table = pd.read_csv(files / name, dtype=str, keep_default_na=False)
    change_table(table).to_csv(files / name, index=False)


def pandas_encoding(folder):
    """The book's preprocessing, written with pandas alone: (names, train, test)."""
    options = {"keep_default_na": False, "na_values": ["NA", ""]}
    train, test = (pd.read_csv(folder / name, **options) for name in kaggle_house.FILES)
    features = [*kaggle_house.NUMERIC, *kaggle_house.CATEGORICAL]
    table = pd.concat((train[features], test[features]))
    numeric = list(kaggle_house.NUMERIC)
    scaled = table[numeric].apply(lambda column: (column - column.mean()) / column.std())
    codes = pd.get_dummies(table[list(kaggle_house.CATEGORICAL)], dummy_na=True)
    table = pd.concat([scaled.fillna(0), codes], axis=1)
    values = table.to_numpy(np.float32)
    return list(table.columns), values[: len(train)], values[len(train) :]


def test_builtin_is_sound():
    data = check_data(lambda: kaggle_house.load("builtin", batch_size=64))
    assert data.size == {"train": 400}
    assert data.y.shape == (400, 1) and data.x_unknown.shape == (100, data.x.shape[1])
    assert data.ids[:2] == ["401", "402"]
    assert not (data.x == data.x[:1]).all(0)[: len(kaggle_house.NUMERIC)].any()


def test_files_are_encoded_as_pandas_does(files):
    data = load(files)
    names, train, test = pandas_encoding(files)
    assert kaggle_house.Encoding(**data.assets).names == names
    np.testing.assert_allclose(data.x, train, rtol=0, atol=1e-6)
    np.testing.assert_allclose(data.x_unknown, test, rtol=0, atol=1e-6)


@pytest.mark.skipif(not REAL, reason="KERASD2L_DATA is not set")
def test_the_real_files():
    data = kaggle_house.load(Source("files", REAL))
    # inventory 4.11: (2919, 331) after the preprocessing
    assert data.x.shape == (1460, 331) and data.x_unknown.shape == (1459, 331)
    names, train, test = pandas_encoding(Path(REAL) / "kaggle_house")
    assert kaggle_house.Encoding(**data.assets).names == names
    np.testing.assert_allclose(data.x, train, rtol=0, atol=1e-6)
    np.testing.assert_allclose(data.x_unknown, test, rtol=0, atol=1e-6)
    assert data.y[:2, 0].tolist() == [208500, 181500]  # the first lines of the file
    assert "MasVnrType_None" in names  # a code; pandas' defaults take it for a gap
    for name, digest in kaggle_house.SHA1.items():
        content = (Path(REAL) / "kaggle_house" / name).read_bytes()
        assert hashlib.sha1(content, usedforsecurity=False).hexdigest() == digest


def test_missing_numbers_become_the_mean_and_missing_codes_a_column():
    known, unknown = kaggle_house.generate(30, 5)
    encoding = kaggle_house.Encoding.of(pd.concat((known, unknown)))
    row = unknown.iloc[:1].copy()
    row["LotArea"] = np.nan
    row["Alley"] = None
    encoded = dict(zip(encoding.names, encoding(row)[0], strict=True))
    assert encoded["LotArea"] == 0.0
    assert {name: value for name, value in encoded.items() if name.startswith("Alley_")} == {
        **{f"Alley_{code}": 0.0 for code in encoding.categorical["Alley"]},
        "Alley_nan": 1.0,
    }


def test_a_code_that_was_not_seen_becomes_zeros():
    known, unknown = kaggle_house.generate(30, 5)
    encoding = kaggle_house.Encoding.of(known)
    row = unknown.iloc[:1].assign(Neighborhood="Atlantis")
    encoded = dict(zip(encoding.names, encoding(row)[0], strict=True))
    assert not any(v for name, v in encoded.items() if name.startswith("Neighborhood_"))


def test_a_column_without_spread_stays_finite(files):
    change(files, lambda table: table.assign(PoolArea="0"))
    change(files, lambda table: table.assign(PoolArea="0"), "test.csv")
    data = load(files)
    column = list(kaggle_house.NUMERIC).index("PoolArea")
    assert (data.x[:, column] == 0).all()


@pytest.mark.parametrize(
    ("change_table", "message"),
    [
        (lambda t: t.drop(columns=["LotArea", "Alley"]), r"lacks columns LotArea, Alley"),
        (lambda t: t.assign(Extra="1"), r"has the unknown column Extra"),
        (lambda t: t.assign(LotArea=["big"] + ["1"] * 19), r"line 2: LotArea must be a number"),
        (lambda t: t.assign(LotArea=["1"] * 19 + ["inf"]), r"line 21: LotArea must be a number"),
        (lambda t: t.assign(SalePrice="0"), r"SalePrice must be a positive number. Received: '0'"),
        (lambda t: t.assign(SalePrice="NA"), r"SalePrice must be a positive number"),
        (lambda t: t.iloc[:0], r"has a header but no rows"),
    ],
)
def test_a_wrong_table_is_refused(files, change_table, message):
    change(files, change_table)
    with pytest.raises(DataError, match=rf"train\.csv.*{message}"):
        load(files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"train\.csv is empty"),
        (b"\x93NUMPY\xff\xfe", r"train\.csv is no table"),
        (None, r"lacks train\.csv.*--data builtin"),
    ],
)
def test_a_file_that_is_no_table_is_refused(files, content, message):
    (files / "train.csv").unlink()
    if content is not None:
        (files / "train.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(files)


@pytest.mark.parametrize(("end", "count"), [(",more", 82), ("\n1,60", 2), ("", 80)])
def test_rows_that_do_not_fit_the_header_are_refused(files, end, count):
    text = (files / "train.csv").read_text().rstrip("\n")
    (files / "train.csv").write_text((text + end if end else text.rpartition(",")[0]) + "\n")
    line = 22 if "\n" in end else 21
    with pytest.raises(DataError, match=rf"line {line}: expected 81 cells.*Received: {count}\."):
        load(files)


def test_two_columns_of_the_same_name_are_refused(files):
    text = (files / "train.csv").read_text()
    (files / "train.csv").write_text(text.replace("MoSold", "YrSold"))
    with pytest.raises(DataError, match="two columns of the same name"):
        load(files)


def test_folds_share_out_all_houses_in_their_order():
    data = kaggle_house.load("builtin", batch_size=64)
    parts = []
    for i in range(3):
        fold = data.fold(i, 3)
        x, y = (np.concatenate(part) for part in zip(*fold.valid, strict=True))
        assert fold.size == {"train": 400 - len(y), "valid": len(y)}
        rest = np.concatenate([y for _, y in fold.epoch(0)])
        assert sorted([*rest[:, 0], *y[:, 0]]) == sorted(data.y[:, 0])
        parts.append((x, y))
    assert [len(y) for _, y in parts] == [134, 133, 133]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), data.x)
    np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), data.y)


def test_a_fold_is_sound():
    data = kaggle_house.load("builtin", batch_size=64)
    check_data(lambda: data.fold(1, 5))


def test_wrong_numbers_of_folds_are_refused():
    data = kaggle_house.load("builtin")
    for k in (1, 401):
        with pytest.raises(DataError, match=rf"`k` must be 2 to 400.*Received: k={k}\. Take k=5"):
            data.fold(0, k)
    with pytest.raises(ValueError, match=r"`i` must be 0 to 4"):
        data.fold(5, 5)


def test_download_takes_the_books_archive_and_checks_it(tmp_path, server, monkeypatch, files):
    for name in kaggle_house.FILES:
        content = (files / name).read_bytes()
        server.files[f"kaggle_house_pred_{name}"] = content
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        monkeypatch.setitem(kaggle_house.SHA1, name, digest)
    monkeypatch.setattr(kaggle_house, "SITES", (server.url,))
    data = kaggle_house.load(Source("download", cache_dir=tmp_path / "cache", retries=0))
    np.testing.assert_array_equal(data.x, load(files).x)
    server.files["kaggle_house_pred_test.csv"] += b"x"
    with pytest.raises(DataError, match=r"test\.csv"):
        kaggle_house.load(Source("download", cache_dir=tmp_path / "other", retries=0))
