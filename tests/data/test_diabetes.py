"""data.diabetes: the lesson's table, its units and its traps, and the stand-in."""

import gzip

import numpy as np
import pytest

from kerasd2l.data import DataError, Source
from kerasd2l.data.sets import diabetes
from kerasd2l.testing import check_data

ROW = "-0.294118,0.487437,0.180328,-0.292929,0,0.00149028,-0.53117,-0.0333333,"


def write(folder, text, name=diabetes.NAME):
    (folder / "names").mkdir(exist_ok=True)
    content = gzip.compress(text if isinstance(text, bytes) else text.encode())
    (folder / "names" / name).write_bytes(content)
    return Source("files", folder)


def rows(zeros=10, ones=10):
    return "".join(f"{ROW}{label}\n" for label in [0] * zeros + [1] * ones)


def test_builtin(no_real_data):
    data = check_data(lambda: diabetes.load("builtin", batch_size=16))
    assert data.size == {"train": 353, "test": 89}  # scikit-learn's 442
    labels = [np.concatenate([y for _, y in part]) for part in (data.train, data.test)]
    assert all(abs(part.mean() - 0.5) < 0.01 for part in labels)  # cut at the median
    x = np.concatenate([x for x, _ in data.train])
    assert x.shape == (353, 8) and x.min() >= -1 and x.max() <= 1
    assert len(data.assets["feature_names"]) == 8


def test_files(tmp_path):
    source = write(tmp_path, rows(zeros=15, ones=10))
    data = check_data(lambda: diabetes.load(source, batch_size=4))
    assert data.size == {"train": 20, "test": 5}  # a fifth of each class
    y = np.concatenate([y for _, y in data.test])
    assert y.shape == (5, 1) and y.sum() == 2
    x, _ = next(iter(data.test))
    np.testing.assert_allclose(x[0], [float(cell) for cell in ROW.split(",")[:8]], rtol=1e-6)


def test_real_table(real_data):
    data = diabetes.load(Source("files", real_data))
    assert data.size == {"train": 607, "test": 152}  # 759 in all
    x, y = diabetes.read(real_data / "names" / diabetes.NAME)
    assert x.shape == (759, 8) and int(y.sum()) == 496
    # Undoing the scaling gives whole numbers of the units that FEATURES names, and tenths and
    # thousandths for body mass index and pedigree: minimum, maximum and order are right.
    low, high = np.array(diabetes.MINIMUM), np.array(diabetes.MAXIMUM)
    measured = (x.astype(float) + 1) / 2 * (high - low) + low
    for column, digits in enumerate([0, 0, 0, 0, 0, 1, 3, 0]):
        values = measured[x[:, column] != 0, column] * 10**digits
        np.testing.assert_allclose(values, np.rint(values), atol=2e-3)
    assert (x != -1).all()  # -1 became 0 everywhere
    # class 0 is diabetes: more sugar in the blood
    glucose = [measured[(y == label) & (x[:, 1] != 0), 1].mean() for label in (0, 1)]
    assert glucose[0] > 140 > 115 > glucose[1]
    assert diabetes.CLASS_NAMES == ("diabetes", "no diabetes")


def test_scale_makes_the_rows_of_the_file():
    scaled = diabetes.scale(
        np.float32([[6, 148, 72, 35, 0, 33.6, 0.627, 50]]),  # the first woman
        diabetes.MINIMUM,
        diabetes.MAXIMUM,
        lowest_is_zero=True,
    )
    np.testing.assert_allclose(scaled[0], [float(cell) for cell in ROW.split(",")[:8]], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least 5 rows of each class, received 0 rows"),
        (rows(zeros=4), "at least 5 rows of each class, received 14 rows"),
        (rows() + "1,2\n", "line 21: expected 9 columns, received 2"),
        (rows() + ROW.replace("0.487437", "high") + "1\n", "line 21: expected a number.*'high'"),
        (rows() + ROW.replace("0.487437", "nan") + "1\n", "line 21: expected a number.*'nan'"),
        (
            rows() + ROW.replace("0.487437", "148") + "1\n",
            r"line 21: expected numbers in \[-1, 1\]",
        ),
        (rows() + ROW + "0.5\n", "line 21: expected 0 or 1 in the last column, received 0.5"),
        (b"\xff\xfe\xff", "not UTF-8"),
    ],
)
def test_wrong_files(text, message, tmp_path):
    with pytest.raises(DataError, match=f"{diabetes.NAME}.*{message}"):
        diabetes.load(write(tmp_path, text))


def test_damaged_gzip(tmp_path):
    source = write(tmp_path, rows())
    path = tmp_path / "names" / diabetes.NAME
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match=r"not whole gzip data.*Get the file anew"):
        diabetes.load(source)
    path.write_bytes(b"1,2,3\n")  # it may lie there unpacked
    with pytest.raises(DataError, match=r"line 1: expected 9 columns, received 3"):
        diabetes.load(source)


def test_missing_file_names_the_ways(tmp_path):
    with pytest.raises(DataError, match=r"names: .* lacks diabetes.csv.gz.*--data builtin"):
        diabetes.load(Source("files", tmp_path))
