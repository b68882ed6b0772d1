"""The folder of a run: written first, never overwritten, whole or not at all."""

import json
import math
import os

import numpy as np
import pytest

from kerasd2l.run import Run, RunError, atomic, open_run, plain, versions, write_json


def make(path, **changes):
    values = {
        "recipe": "book/lenet",
        "arguments": {"learning_rate": 0.1, "epochs": 2, "sizes": (1, 2)},
        "seed": 3,
        "strategy": "mirrored",
        "replicas": 2,
        "options": {"data": "builtin"},
        "versions": {"keras": "3"},
    }
    return Run(path=path, **values | changes)


def test_start_writes_the_config_before_any_work_and_it_opens_again(tmp_path):
    run = make(tmp_path / "a" / "b")
    run.start()
    assert run.checkpoints.is_dir()
    assert json.loads((run.path / "config.json").read_text())["arguments"]["sizes"] == [1, 2]
    there = open_run(run.path)
    assert (there.recipe, there.seed, there.strategy) == ("book/lenet", 3, "mirrored")
    assert (there.replicas, there.options, there.versions) == (2, run.options, run.versions)
    assert there.model == run.path / "model.keras"


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    make(tmp_path).start()
    with pytest.raises(RunError, match=r"already holds a run. Give --resume"):
        make(tmp_path, recipe="book/other").start()
    assert open_run(tmp_path).recipe == "book/lenet"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the run folder"):
        make(tmp_path / "file" / "run").start()


def test_a_worker_that_does_not_write_leaves_nothing(tmp_path):
    run = make(tmp_path / "run", writes=False)
    run.start()
    run.write("summary.json", {})
    run.write_metrics([{"epoch": 1}])
    assert not run.path.exists()


def test_resume_takes_the_same_run_with_other_epochs_devices_and_versions(tmp_path):
    make(tmp_path).start()
    before = (tmp_path / "config.json").read_bytes()
    make(tmp_path).resume()
    more = {"learning_rate": 0.1, "epochs": 5, "sizes": [1, 2]}
    make(tmp_path, arguments=more, strategy="one", replicas=1, versions={}).resume()
    assert (tmp_path / "config.json").read_bytes() == before


def test_discard_takes_back_a_start_and_leaves_what_is_not_of_the_run(tmp_path):
    run = make(tmp_path / "run")
    run.start()
    run.write("assets.json", {})
    run.discard()
    assert not run.path.exists()
    run.start()
    (run.path / "notes.txt").write_text("mine")
    run.discard()
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]
    run.start()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "book/other"}, "is a run of book/lenet, not of book/other"),
        ({"seed": 4}, "seed: 3 then, 4 now"),
        ({"options": {"data": "files"}}, "data: 'builtin' then, 'files' now"),
        (
            {"arguments": {"learning_rate": 0.2, "epochs": 2, "sizes": (1, 2)}},
            "learning_rate: 0.1 then, 0.2 now",
        ),
        ({"arguments": {"epochs": 2, "sizes": (1, 2)}}, "learning_rate: 0.1 then, None now"),
    ],
)
def test_resume_refuses_another_run(tmp_path, changes, message):
    make(tmp_path).start()
    with pytest.raises(RunError) as error:
        make(tmp_path, **changes).resume()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "is not the folder of a run: it does not exist"),
        (lambda path: path.mkdir(), "it has no config.json"),
        (lambda path: write(path, "{half"), "config.json is damaged"),
        (lambda path: write(path, '{"recipe": "r", "colour": 1}'), "config.json is damaged"),
        (lambda path: write(path, "[]"), "config.json is damaged"),
    ],
)
def test_open_run_says_what_is_wrong(tmp_path, prepare, message):
    prepare(tmp_path / "run")
    with pytest.raises(RunError) as error:
        open_run(tmp_path / "run")
    assert message in str(error.value)


def write(path, text):
    path.mkdir()
    (path / "config.json").write_text(text)


def test_read_gives_none_without_a_file_and_an_error_for_a_damaged_one(tmp_path):
    run = make(tmp_path)
    assert run.read("summary.json") is None
    (tmp_path / "summary.json").write_text('{"metrics": ')
    with pytest.raises(RunError, match=r"cannot read .*summary.json"):
        run.read("summary.json")


def test_metrics_are_written_anew_so_that_nothing_stands_twice(tmp_path):
    run = make(tmp_path)
    run.write_metrics([{"epoch": 1, "loss": 0.5}])
    run.write_metrics([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": math.nan}])
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert lines == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": None}]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        with atomic(path) as file:
            file.write(b"ne")
            raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    with atomic(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_plain_makes_what_strict_json_knows(tmp_path):
    value = {
        "numpy": np.float32(0.5),
        "array": np.arange(4).reshape(2, 2),
        "tuple": (1, (2, math.inf)),
        "path": tmp_path,
        3: None,
        "text": "ü",
        "nan": np.array([math.nan, 1.0]),
    }
    expected = {
        "numpy": 0.5,
        "array": [[0, 1], [2, 3]],
        "tuple": [1, [2, None]],
        "path": str(tmp_path),
        "3": None,
        "text": "ü",
        "nan": [None, 1.0],
    }
    assert plain(value) == expected
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text("utf8")
    assert json.loads(text) == expected
    assert "ü" in text and "NaN" not in text


def test_versions_name_what_computes():
    assert set(versions()) == {"kerasd2l", "tensorflow", "keras", "numpy"}
    assert versions()["keras"].startswith("3.")


@pytest.mark.parametrize("content", [None, " " * (17 << 20), "[" * 100_000, "9" * 5000, "\0"])
def test_a_file_of_a_run_that_was_made_to_do_harm_is_one_line(tmp_path, content):
    run = Run(tmp_path / "run", "c/f")
    run.start()
    for name in ("config.json", "assets.json"):
        path = run.path / name
        path.unlink(missing_ok=True)
        if content is None:
            os.mkfifo(path)  # whoever reads it waits for a writer
        else:
            path.write_text(content)
    with pytest.raises(RunError, match=r"cannot read .*assets\.json"):
        run.read("assets.json")
    with pytest.raises(RunError, match=r"config\.json"):
        open_run(run.path)
