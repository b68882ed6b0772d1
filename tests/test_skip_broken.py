"""Broken pictures of one's own: named in an error, or with --skip-broken left out and counted."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kerasd2l import cli, finding
from kerasd2l.cli.console import check_skip_broken
from kerasd2l.data import DataError, Source, data_error_in
from kerasd2l.data.sets import image_folder
from kerasd2l.run import Run
from kerasd2l.training import fit


def call(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def failure(code, *words):
    """Run a command that must fail with one line of error; return it."""
    result = call(*words)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.stdout == "" and "Traceback" not in result.stderr
    return result.stderr[result.stderr.index("Error: ") :].replace("\n", " ")


@pytest.fixture
def folder(tmp_path):
    """Ten dark and ten bright JPEGs."""
    root = tmp_path / "pictures"
    random = np.random.default_rng(0)
    for name, level in (("bright", 220), ("dark", 30)):
        (root / name).mkdir(parents=True)
        for i in range(10):
            pixels = random.integers(level - 20, level + 20, (40, 30, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.jpg")
    return root


def cut(path):
    """Truncate a file as a lost connection does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def words(folder, out, *more):
    train = ["train", "mlp", "--data", "files", "--data-dir", folder, "--batch-size", 4]
    train += ["--set", "dataset=image_folder", "--set", "resize=8", "--strategy", "one"]
    return [*train, "--epochs", 2, "--out", out, *more]


def test_a_truncated_jpeg_is_named_or_skipped_and_counted(folder, tmp_path, caplog):
    cut(folder / "dark" / "3.jpg")
    out = tmp_path / "run"
    message = failure(1, *words(folder, out))
    assert "dark/3.jpg is no whole picture" in message and "truncated" in message
    assert "leave out what is broken with --skip-broken" in message
    assert not out.exists()

    done = call(*words(folder, out, "--skip-broken", "--json"))
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["skipped_pictures"] == 1
    assert sum(summary["examples"].values()) == 19
    assert done.stderr.count("1 of 20 pictures") == 1 and "dark/3.jpg" in done.stderr
    assert not caplog.text, "said once: the handlers of the root logger do not get it, too"
    assert json.loads((out / "summary.json").read_text())["skipped_pictures"] == 1
    assert json.loads((out / "assets.json").read_text())["skipped_pictures"] == ["dark/3.jpg"]

    again = call(*words(folder, out, "--skip-broken", "--resume"))
    assert again.exit_code == 0, again.output
    assert "1 broken pictures left out" in again.stdout
    assert "started with other settings" in failure(1, *words(folder, out, "--resume"))

    cut(folder / "bright" / "5.jpg")
    told = json.loads(call("evaluate", out, "--json").stdout)  # as it was trained
    assert told["skipped_pictures"] == 2
    assert "2 broken pictures left out" in call("evaluate", out).stdout


def test_evaluate_may_skip_where_the_training_had_no_need_to(folder, tmp_path):
    out = tmp_path / "run"
    done = call(*words(folder, out, "--json"))
    assert "skipped_pictures" not in json.loads(done.stdout)
    cut(folder / "bright" / "5.jpg")
    assert "bright/5.jpg is no whole picture" in failure(1, "evaluate", out)
    told = json.loads(call("evaluate", out, "--skip-broken", "--json").stdout)
    assert told["skipped_pictures"] == 1


# A set that does not fit in memory is decoded anew for each batch: files may break meanwhile.


@pytest.fixture
def no_memory(monkeypatch):
    """Let nothing fit in memory."""
    load = image_folder.load
    monkeypatch.setattr(image_folder, "load", lambda *a, **k: load(*a, **{**k, "memory": 0}))


@pytest.fixture
def breaks_while_training(folder, monkeypatch, no_memory):
    """Let a picture break once everything was found whole."""
    trees, _ = image_folder.find(folder)
    path = trees["train"].paths[5]
    prepare = fit.prepare

    def prepare_then_break(*args, **kwargs):
        prepared = prepare(*args, **kwargs)
        cut(path)
        return prepared

    monkeypatch.setattr(fit, "prepare", prepare_then_break)
    return path


def test_a_picture_that_breaks_in_the_middle_of_an_epoch_is_named(
    folder, breaks_while_training, tmp_path
):
    message = failure(1, *words(folder, tmp_path / "run"))
    assert f"{breaks_while_training} is no whole picture" in message
    assert "--skip-broken" in message


@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_with_skip_broken_the_epoch_goes_on(replicas, folder, breaks_while_training, tmp_path):
    more = ["--strategy", "mirrored", "--replicas", 2] if replicas == 2 else []
    done = call(*words(folder, tmp_path / "run", "--skip-broken", "--json", *more))
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["skipped_pictures"] == 1, "once, though it is missed in two epochs"
    assert summary["examples"] == {"train": 15, "test": 4}
    assert all(np.isfinite(value) for value in summary["metrics"].values())
    assert done.stderr.count("left out while reading") == 1
    assets = json.loads((tmp_path / "run" / "assets.json").read_text())
    assert assets["skipped_pictures"] == [str(breaks_while_training.relative_to(folder))]


def test_a_batch_without_any_whole_picture_is_an_error(folder, no_memory):
    data = image_folder.load(Source("files", folder, skip_broken=True), resize=8, batch_size=1)
    trees, _ = image_folder.find(folder)
    cut(trees["train"].paths[0])
    with pytest.raises(Exception, match="a batch has no whole picture left") as raised:
        list(data.epoch(0))
    assert isinstance(data_error_in(raised.value), DataError)


def test_other_errors_of_tensorflow_are_no_data_errors():
    assert data_error_in(ValueError("shapes (2, 3) and (4,)")) is None
    assert data_error_in(ValueError("MyDataError: x")) is None


# Who may be asked to skip


def test_a_recipe_without_pictures_refuses(tmp_path):
    message = failure(2, "train", "diabetes", "--data", "builtin", "--skip-broken")
    assert "lessons/diabetes reads no pictures of one's own" in message
    assert "--skip-broken" in message
    loaded = finding.load("diabetes", epochs=1)
    run = Run(tmp_path / "run", loaded.name, loaded.arguments, options={"data": "builtin"})
    fit.fit(loaded, run, Source("builtin"), limit_steps=1, run_eagerly=True)
    message = failure(2, "evaluate", run.path, "--skip-broken")
    assert "lessons/diabetes reads no pictures of one's own" in message


def test_a_published_set_refuses():
    message = failure(2, "train", "lenet", "--data", "builtin", "--skip-broken")
    assert "published sets are read whole or not at all" in message
    assert "Use dataset=image_folder" in message
    assert "Did you mean lenet" in failure(2, "train", "lenett", "--skip-broken")


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("lenet", "image_folder"),
        ("yolo", "box_folder"),
        ("fcn", "mask_folder"),
        ("mask_rcnn", "instance_folder"),
    ],
)
def test_every_folder_of_ones_own_may_be_read_so(name, dataset):
    check_skip_broken(finding.load(name, dataset=dataset), True)  # refuses nothing


# What else can be wrong with a folder, as the command line tells it


def picture(path, size=(20, 20), content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        Image.new("RGB", size, (200, 100, 0)).save(path)
    else:
        path.write_bytes(content)


def empty(root):
    root.mkdir(exist_ok=True)


def one_class(root):
    picture(root / "only" / "1.png")
    picture(root / "only" / "2.png")


def class_without_pictures(root):
    one_class(root)
    picture(root / "notes" / "read me.txt", content=b"text")


def single_pixel(root):
    one_class(root)
    picture(root / "dots" / "1.png")
    picture(root / "dots" / "2.png", (1, 1))


def no_classes(root):
    picture(root / "1.png")


def not_there(root):
    pass


def a_file(root):
    root.write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (empty, "a folder for each of at least two classes, received none"),
        (one_class, "at least two classes, received only"),
        (class_without_pictures, "notes has no pictures (1 other files)"),
        (single_pixel, "dots/2.png has 1 x 1 pixels; expected at least 2 x 2"),
        (no_classes, "holds 1 pictures itself: is the folder above it meant?"),
        (not_there, "is no folder. Give the folder of the pictures with --data-dir"),
        (a_file, "is no folder. Give the folder of the pictures with --data-dir"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_folders(make, text, tmp_path):
    make(tmp_path / "mine")
    message = failure(1, *words(tmp_path / "mine", tmp_path / "run"))
    assert text in message
    assert str(tmp_path / "mine") in message
    assert not (tmp_path / "run").exists()


def test_other_files_beside_the_pictures_are_passed_over(folder):
    picture(folder / "dark" / "notes.txt", content=b"not a picture")
    picture(folder / "dark" / ".hidden.jpg", content=b"not read")
    picture(folder / "list.csv", content=b"a,b")
    data = image_folder.load(Source("files", folder), resize=8, batch_size=4)
    assert sum(data.size.values()) == 20
    assert sum(len(labels) for part in (data.train, data.test) for _, labels in part) == 20


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["vgg", "--set", "resize=31"], "`resize` must be at least 32"),
        (
            ["vgg", "--set", "convs=1,1,1,1,1", "--set", "filters=8,8,8,8,8", "--set", "resize=20"],
            "`resize` must be at least 32",
        ),
        (["alexnet", "--set", "resize=64"], "`resize` must be at least 65"),
        (["resnext", "--set", "group_width=15"], "group_width"),
        (["regnet", "--set", "width=0.3"], "group"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_networks_that_cannot_be(words, text, tmp_path):
    message = failure(2, "train", *words, "--data", "builtin", "--out", tmp_path / "run")
    assert text in message and "Received" in message
    assert not (tmp_path / "run").exists()


def test_what_was_found_is_said_before_training(folder, tmp_path):
    picture(folder / "dark" / "phone.heic", content=b"another kind of picture")
    done = call(*words(folder, tmp_path / "run", "--json"))
    assert done.exit_code == 0, done.output
    said = done.stderr.splitlines()
    assert f"pictures in {folder}: train: bright 8, dark 8; test: bright 2, dark 2" in said
    assert f"passed over in {folder}: 1 .heic files" in said
    assert json.loads(done.stdout)["examples"] == {"train": 16, "test": 4}


def test_a_class_called_train_is_one_with_an_argument(folder, tmp_path):
    (folder / "dark").rename(folder / "train")
    assert "say --set splits=no" in failure(1, *words(folder, tmp_path / "run"))
    done = call(*words(folder, tmp_path / "run", "--set", "splits=no", "--json"))
    assert done.exit_code == 0, done.output
    assets = json.loads((tmp_path / "run" / "assets.json").read_text())
    assert assets["class_names"] == ["bright", "train"]
    assert call("evaluate", tmp_path / "run", "--json").exit_code == 0
