"""Which pictures of a folder are of which split and class."""

import io
import logging
import os

import numpy as np
import pytest
from PIL import Image

from kerasd2l import data
from kerasd2l.data import DataError, Source, picture_tree
from kerasd2l.data.sets import image_folder


def picture(level):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (level, level, level)).save(file, "PNG")
    return file.getvalue()


def write(root, *names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return root


def two_classes(*folders):
    return [
        f"{folder}/{name}/{i}.png" for folder in folders for name in ("cat", "dog") for i in "12"
    ]


def names_of(tree, root):
    return [path.relative_to(root).as_posix() for path in tree.paths]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train", "Test"),
        ("TRAIN", "TEST"),
        ("training", "testing"),
        ("training_set", "test_set"),
        ("Training Set", "Test Set"),
        ("train-set", "test-set"),
        ("training", "Val"),
        ("TRAIN", "validation_set"),
    ],
)
def test_splits_are_known_by_their_usual_names(train, test, tmp_path):
    found = picture_tree.find(write(tmp_path, *two_classes(train, test)))
    assert found.class_names == ["cat", "dog"]
    assert list(found.trees) == ["train", "valid" if test.lower()[0] == "v" else "test"]
    for tree, folder in zip(found.trees.values(), (train, test), strict=True):
        assert names_of(tree, tmp_path) == two_classes(folder)
        assert tree.labels == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("day", "night"), "day and night both hold the folders cat, dog.*splits=no"),
        (("fold1", "fold2", "fold3"), "fold1 and fold2 both hold the folders cat, dog"),
        (("test", "val"), "has val and test, but no train beside it.*splits=no"),
        (("Train", "train", "test"), "has (Train and train|train and Train): which of them"),
        (("train", "training", "test"), "has train and training: which of them is meant"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_asked_about(folders, message, tmp_path):
    write(tmp_path, *two_classes(*folders))
    with pytest.raises(DataError, match=message):
        picture_tree.find(tmp_path)
    assert picture_tree.find(tmp_path, splits=False).class_names == sorted(folders)


def test_classes_may_hold_folders_of_their_own(tmp_path):
    write(tmp_path, "cat/a/1.png", "cat/b/2.png", "dog/b/1.png", "dog/c/2.png", "dog/3.png")
    assert picture_tree.find(tmp_path).class_names == ["cat", "dog"]


def test_a_class_may_be_called_train(tmp_path):
    write(tmp_path, *[f"{name}/{i}.png" for name in ("bus", "car", "train") for i in "1234"])
    with pytest.raises(
        DataError, match=r"4 pictures itself\. If it is a class, say --set splits=no"
    ):
        picture_tree.find(tmp_path)
    chosen = data.PictureSet("image_folder", resize=8, splits=False)
    loaded = chosen.load(Source("files", tmp_path), batch_size=4)
    assert loaded.assets["class_names"] == ["bus", "car", "train"]
    assert loaded.size == {"train": 9, "test": 3}
    with pytest.raises(ValueError, match="`splits` is for pictures of one's own"):
        data.PictureSet("mnist", splits=False)


def test_what_is_hidden_never_counts_and_what_is_passed_over_is_said(tmp_path, caplog):
    root = write(tmp_path / "mine", *two_classes("train", "test"))
    hidden = ("train/cat/.ipynb_checkpoints/1-checkpoint.png", "train/.cache/1.png", ".git/1.png")
    write(root, *hidden, "train/dog/__MACOSX/1.png", "train/dog/.1.png", "train/dog/.2.heic")
    write(root, "train/cat/1.heic", "train/cat/2.HEIC", "train/dog/a.tiff", "train/dog/readme")
    write(root, "train/loose.png", "extra/1.png")
    write(tmp_path / "elsewhere", "1.png")
    os.symlink(tmp_path / "elsewhere", root / "train" / "cat" / "link")
    with caplog.at_level(logging.INFO):
        loaded = image_folder.load(Source("files", root), resize=8)
    assert loaded.size == {"train": 4, "test": 4}
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == f"pictures in {root}: train: cat 2, dog 2; test: cat 2, dog 2"
    assert told[1].startswith(f"passed over in {root}: ")
    passed = set(told[1].partition(": ")[2].split(", "))
    assert passed == {
        "2 .heic files",
        "1 .tiff files",
        "1 other files",
        "1 linked folders",
        "1 folders beside the splits",
        "1 pictures beside the classes",
    }


def test_accents_may_be_written_in_both_ways(tmp_path):
    """A Mac writes é as two characters."""
    write(tmp_path, "train/cafe\u0301/1.png", "train/tea/1.png", "test/caf\u00e9/1.png")
    found = picture_tree.find(tmp_path)
    assert found.class_names == ["caf\u00e9", "tea"]
    assert found.trees["test"].labels == (0,)
    before = Source("files", assets={"class_names": ["cafe\u0301", "tea"]})
    assert picture_tree.find(tmp_path, source=before).class_names == ["cafe\u0301", "tea"]


@pytest.mark.parametrize("there", [("blue", "green", "red"), ("green", "red"), ("red",)])
def test_classes_of_a_run_keep_their_numbers(there, tmp_path):
    """Also where only some of them are there, or a single one."""
    known = ["blue", "green", "red"]
    write(tmp_path, *[f"{name}/{i}.png" for name in there for i in "123"])
    loaded = image_folder.load(
        Source("files", tmp_path, assets={"class_names": known}), resize=8, batch_size=100
    )
    assert loaded.assets["class_names"] == known
    y = np.concatenate([y for split in (loaded.train, loaded.test) for _, y in split])
    assert {known[i] for i in y} == set(there)
    write(tmp_path, "yellow/1.png", "yellow/2.png")
    with pytest.raises(DataError, match="has the class 'yellow', which the model was not trained"):
        image_folder.load(Source("files", tmp_path, assets={"class_names": known}), resize=8)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.truncate(path, 1 << 29)])
def test_a_pipe_or_a_file_without_end_is_named_and_not_waited_for(make, tmp_path):
    path = write(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png") / "dog" / "3.png"
    if make is not os.mkfifo:
        path.touch()
    make(path)
    with pytest.raises(DataError, match=r"dog/3\.png (cannot be read|has more than 256 MB)"):
        image_folder.load(Source("files", tmp_path), resize=8)


def test_a_picture_of_too_many_pixels_is_named_or_left_out(tmp_path):
    root = write(tmp_path, *[f"{name}/{i}.png" for name in ("cat", "dog") for i in "123"])
    Image.new("1", (13_000, 13_000)).save(root / "cat" / "large.png")
    with pytest.raises(DataError, match=r"large\.png .*more than 16 megapixels.*--skip-broken"):
        image_folder.load(Source("files", root), resize=8)
    loaded = image_folder.load(Source("files", root, skip_broken=True), resize=8)
    assert loaded.assets["skipped_pictures"] == ["cat/large.png"]
