import os

import pytest

from kerasd2l.cluster.jobs import Job, train_job


def job(*words):
    return train_job(["train", "lenet", *words], workers=2)


@pytest.mark.parametrize("words", [["--out", "runs/a b"], ["--out=runs/a b"]])
def test_the_run_folder_of_a_command(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert job(*words).out == "runs/a b"
    assert job(*words).name == "kerasd2l-a-b"
    elsewhere = job(*words, "--epochs", "3").from_anywhere()
    assert elsewhere.out == os.path.join(tmp_path, "runs/a b")
    assert elsewhere.command[-2:] == ("--epochs", "3")
    assert len(elsewhere.command) == len(job(*words).command) + 2


def test_a_command_without_out_gets_a_folder():
    assert job().out.startswith("runs/lenet-")
    assert job().command[:2] == ("train", "--out")


def test_names_are_those_of_schedulers():
    assert job("--out", "/x/" + "Ä_1." * 40).name == ("kerasd2l-" + "1-" * 40)[:40].rstrip("-")
    assert job("--out", "/x/-").name == "kerasd2l-train"


def test_runs_in_folders_of_one_name_do_not_meet():
    one, other = job("--out", "runs/a/lenet"), job("--out", "runs/b/lenet")
    assert one.name == other.name
    assert one.unique_name != other.unique_name
    assert one.unique_name == job("--out=./runs/a//lenet").unique_name
    assert one.unique_name.startswith("kerasd2l-lenet-")


def test_resume_stands_once():
    assert job("--out", "x").with_resume() == ("train", "--resume", "lenet", "--out", "x")
    again = job("--resume", "--out", "x")
    assert again.with_resume() == again.command


def test_a_restart_never_goes_on_with_a_run_that_was_there_before(tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(ValueError, match="already holds a run"):
        job("--out", str(tmp_path)).check_new()
    job("--resume", "--out", str(tmp_path)).check_new()
    job("--out", str(tmp_path / "new")).check_new()


@pytest.mark.parametrize("command", [[], ["list"], ["lenet", "train"]])
def test_only_train_runs_on_a_cluster(command):
    with pytest.raises(ValueError, match="a cluster runs `train` only"):
        train_job(command, workers=2)


def test_a_job_without_out_says_so():
    with pytest.raises(ValueError, match="no --out"):
        Job(("train", "lenet"), workers=2).out  # noqa: B018
