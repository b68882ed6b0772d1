"""Kaggle's CIFAR-10: order, parts and labels as in the book; damaged tables and pictures."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from kerasd2l.data import DataError, Source
from kerasd2l.data.sets import kaggle_cifar10
from kerasd2l.testing import check_data

LABELS = ["cat", "dog", "cat", "frog", "dog", "cat", "dog", "frog", "frog", "cat", "dog", "frog"]


def png(level, size=(32, 32)):
    file = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(file, "PNG")
    return file.getvalue()


def write(root, *, zipped=False, labels=LABELS, size=(32, 32)):
    """Pictures 1 to 12, the n-th of the grey level n, and two without a class."""
    folder = root / "kaggle_cifar10"
    folder.mkdir()
    table = "id,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels, 1))
    parts = {
        "train_tiny": {f"{i}.png": png(i, size) for i in range(1, 13)},
        "test_tiny": {f"{i}.png": png(100 + i) for i in (1, 10)},
    }
    for name, contents in parts.items():
        if zipped:
            with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
                for file, content in contents.items():
                    archive.writestr(f"{name}/{file}", content)
            continue
        (folder / name).mkdir()
        for file, content in contents.items():
            (folder / name / file).write_bytes(content)
    if zipped:
        with zipfile.ZipFile(folder / "trainLabels.csv.zip", "w") as archive:
            archive.writestr("trainLabels.csv", table)
    else:
        (folder / "trainLabels.csv").write_text(table)
    return folder


def load(root, **options):
    return kaggle_cifar10.load(Source("files", root), **options)


@pytest.mark.parametrize("zipped", [False, True])
def test_pictures_are_in_the_order_of_their_numbers_as_text(tmp_path, zipped):
    write(tmp_path, zipped=zipped)
    data = load(tmp_path, batch_size=5)
    levels = data.x[:, 0, 0, 0].tolist()
    assert levels == [1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8, 9]
    names = [data.assets["class_names"][k] for k in data.y]
    assert names == [LABELS[level - 1] for level in levels]
    assert data.ids == ["1", "10"]
    assert [x[:, 0, 0, 0].tolist() for x in data.unknown()] == [
        pytest.approx([101 / 255, 110 / 255])
    ]
    check_data(lambda: load(tmp_path, batch_size=5))


def test_of_each_class_as_many_validate_as_of_the_rarest(tmp_path):
    write(tmp_path, labels=[*LABELS[:-1], "cat"])  # 5 cats, 4 dogs, 3 frogs
    data = load(tmp_path)
    valid = kaggle_cifar10.reorg_train_valid(data.y, 0.7)  # floor(3 * 0.7) = 2
    names = np.array(data.assets["class_names"])[data.y]
    for name in ("cat", "dog", "frog"):
        places = np.flatnonzero(names == name)
        assert valid[places].tolist() == [True] * 2 + [False] * (len(places) - 2)
    assert kaggle_cifar10.reorg_train_valid(data.y, 0.1).sum() == 3  # max(1, ...)
    parts = data.held_out(0.7)
    assert parts.size == {"train": 6, "valid": 6}
    with pytest.raises(DataError, match="`valid_ratio` must leave pictures of each class"):
        data.held_out(1.0)


def test_numbers_of_the_book():
    # 1000 pictures, the rarest class has 86: 8 of each of ten classes validate
    y = np.repeat(np.arange(10), [86, 99, 101, 102, 100, 97, 103, 104, 105, 103])
    assert len(y) == 1000
    assert kaggle_cifar10.reorg_train_valid(y, 0.1).sum() == 80


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no table of labels"),
        ("id,label\n", "is no table of labels"),
        ("number,label\n1,cat\n", "is no table of labels"),
        ("id,label\n1,cow\n", r"line 2: expected a number and one of airplane.*'1,cow'"),
        ("id,label\n1,cat\n", "has no label of the picture 10"),
    ],
)
def test_a_wrong_table_is_one_clear_error(tmp_path, text, message):
    (write(tmp_path) / "trainLabels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_wrong_pictures_are_one_clear_error(tmp_path):
    folder = write(tmp_path, size=(31, 32))
    with pytest.raises(DataError, match=r"1.png has \(32, 31\) pixels; expected 32 x 32"):
        load(tmp_path)
    for picture in (folder / "train_tiny").iterdir():
        picture.unlink()
    with pytest.raises(DataError, match="train_tiny has no pictures"):
        load(tmp_path)
    (folder / "train_tiny").rmdir()
    with pytest.raises(DataError, match=r"lacks train \(or train.zip\)"):
        load(tmp_path)


def test_builtin_stand_in():
    data = kaggle_cifar10.load("builtin")
    assert data.size == {"train": 1000} and len(data.ids) == len(data.x_unknown) == 250


def test_real_files(real_data):
    data = load(real_data)
    assert data.x.shape == (100, 32, 32, 3) and len(data.ids) == 1
    assert data.assets["class_names"][data.y[0]] == "frog"  # picture 1
