"""Streams that are closed, signals that come early, names that are no text, homes that are not."""

import dataclasses
import errno
import io
import json
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kerasd2l import cli, run
from kerasd2l.cli import console
from kerasd2l.data import DataError, Source, resolve
from kerasd2l.data.sets import image_folder
from kerasd2l.run import Run

SMALL = ["--data", "builtin", "--epochs", "1", "--limit-steps", "3"]
NO_TEXT = os.fsdecode(b"p\xe9")  # Latin-1, as old archives and cameras have it


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, no_real_data):
    for name in ("TF_CONFIG", "KERAS_BACKEND", "TF_USE_LEGACY_KERAS"):
        monkeypatch.delenv(name, raising=False)


def call(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def train(out, *words):
    return call("train", "softmax_regression", *SMALL, "--out", out, *words)


# Ctrl-C and SIGTERM before the first step


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
@pytest.mark.parametrize("part", ["data", "model", "optimizer"])
def test_stopped_before_the_first_step_leaves_nothing(part, number, code, monkeypatch, tmp_path):
    load = cli.load_recipe

    def stopped(*arguments):
        signal.raise_signal(number)

    monkeypatch.setattr(
        cli, "load_recipe", lambda *words: dataclasses.replace(load(*words), **{part: stopped})
    )
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    result = train(tmp_path / "run")
    assert result.exit_code == code, (result.output, result.exception)
    assert "stopped before the first step" in result.stderr
    assert not (tmp_path / "run").exists()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    monkeypatch.undo()
    assert train(tmp_path / "run").exit_code == 0, "the folder is free"


def test_a_run_says_what_it_loads_before_it_does(monkeypatch, tmp_path):
    load = cli.load_recipe

    def no_data(source):
        raise DataError("nothing there")

    monkeypatch.setattr(
        cli, "load_recipe", lambda *words: dataclasses.replace(load(*words), data=no_data)
    )
    said = train(tmp_path / "run").stderr.splitlines()
    assert said[1:] == ["loading fashion_mnist (--data builtin)", "Error: nothing there"]


def test_a_source_says_where_it_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "kerasd2l").mkdir()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    assert str(Source("builtin")) == "--data builtin"
    assert str(Source("files", tmp_path)) == f"--data files, in {tmp_path}"
    assert str(Source("tfds")) == "--data tfds"
    assert str(Source("auto", tmp_path)) == f"--data auto, in {tmp_path} or {tmp_path}/kerasd2l"


def test_ctrl_c_while_tensorflow_is_imported_is_no_import_error(tmp_path):
    """Extensions make errors of their own of it; there is nothing to take back yet."""
    (tmp_path / "tensorflow.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
        "except BaseException as error:\n"
        "    raise ImportError('initialization failed') from error\n"
    )
    path = os.pathsep.join([str(tmp_path), *map(os.path.abspath, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "kerasd2l.cli", "train", "lenet", *SMALL, "--out", "run"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert not (tmp_path / "run").exists()


# Streams


def shell(command):
    """Run a line of the shell in which `kerasd2l` is the program; return its exit codes."""
    program = f'kerasd2l() {{ "{sys.executable}" -m kerasd2l.cli "$@"; }}\n'
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    return subprocess.run(
        ["bash", "-c", f"{program}{command}; echo ${{PIPESTATUS[@]}} >&9"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("kerasd2l list", 0),
        ("kerasd2l list 2>&-", 0),
        ("kerasd2l list >&-", 0),
        ("kerasd2l list <&- >&- 2>&-", 0),
        ("kerasd2l train lenett 2>&-", 2),
        ("kerasd2l list | true", 141),
        pytest.param("kerasd2l list --json | true", 141, marks=pytest.mark.slow),
        pytest.param("kerasd2l list 2>&1 | true", 141, marks=pytest.mark.slow),
        pytest.param("kerasd2l show lenet | true", 141, marks=pytest.mark.slow),
        ("kerasd2l train lenett 2>&1 | true", 1),
        ("kerasd2l list >/dev/full", 1),
        pytest.param("kerasd2l train lenett 2>/dev/full", 1, marks=pytest.mark.slow),
    ],
)
def test_streams_that_lead_nowhere(line, code, tmp_path):
    if "/dev/full" in line and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    codes = tmp_path / "codes"
    done = shell(f"exec 9>{codes}; {line}")
    assert int(codes.read_text().split()[0]) == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_script_ends_as_the_verb_does(monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "use_tensorflow", stopped)
    result = CliRunner().invoke(cli.train, ["lenet", *SMALL])
    assert (result.exit_code, result.stderr) == (130, "stopped by Ctrl-C\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "talk",
    [
        "2> >(true)",
        pytest.param("2>&-", marks=pytest.mark.slow),
        pytest.param("2>/dev/full", marks=pytest.mark.slow),
    ],
)
def test_talk_that_nobody_hears_stops_no_training(talk, tmp_path):
    words = f"train softmax_regression {' '.join(SMALL)} --out {tmp_path}/run --json"
    done = shell(f"exec 9>{tmp_path}/code; kerasd2l {words} {talk}")
    assert (tmp_path / "code").read_text() == "0\n"
    assert json.loads(done.stdout)["epochs"] == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf8"])
def test_json_is_json_whatever_the_terminal_can_show(encoding, monkeypatch):
    content = {"run": f"é/{NO_TEXT}/\N{MUSICAL SYMBOL G CLEF}"}
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    console.print_json(content)
    assert json.loads(stream.buffer.getvalue().decode(encoding)) == content


# Names that are not UTF-8


@pytest.fixture
def pictures_folder(tmp_path):
    """Two classes of pictures; the names of the files are no text."""
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 255, (28, 28, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / kind / f"{NO_TEXT}{i}.png", "PNG")
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    ("verb", "parameter"),
    [
        (verb, parameter.name)
        for verb, command in cli.main.commands.items()
        for parameter in command.params
        if isinstance(parameter.type, click.Path)
    ],
)
def test_a_path_that_tensorflow_cannot_open_is_refused_at_the_door(verb, parameter, tmp_path):
    """A run folder in it was left behind, and in the way of the next try."""
    wrong = tmp_path / NO_TEXT
    (given,) = (p for p in cli.main.commands[verb].params if p.name == parameter)
    with pytest.raises(click.BadParameter, match=r"p\\xe9' is not UTF-8.*Rename it"):
        given.type.convert(str(wrong), given, None)
    assert given.type.convert(str(tmp_path / "é"), given, None) == tmp_path / "é"


def test_pictures_whose_names_are_no_text_are_learned_from_and_asked_about(
    pictures_folder, tmp_path
):
    broken = pictures_folder / "cat" / f"{NO_TEXT}.png"
    broken.write_bytes(b"broken")
    words = ["--set", "dataset=image_folder", "--set", "batch_size=4", "--epochs", "1"]
    words += ["--data", "files", "--data-dir", pictures_folder, "--out", tmp_path / "run"]
    result = call("train", "softmax_regression", *words)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert isinstance(result.exception, SystemExit)
    assert not (tmp_path / "run").exists()
    words += ["--skip-broken", "--export", "--savedmodels", tmp_path]
    result = call("train", "softmax_regression", *words, "--json")
    assert result.exit_code == 0, result.output
    assets = json.loads((tmp_path / "run" / "assets.json").read_text("utf8"))
    assert assets["skipped_pictures"] == [f"cat/{NO_TEXT}.png"]
    evaluated = call("evaluate", tmp_path / "run", "--json")
    assert json.loads(evaluated.stdout)["skipped_pictures"] == 1
    picture = pictures_folder / "cat" / f"{NO_TEXT}0.png"
    served = tmp_path / "softmax_regression"
    answer = call("predict", served, picture, "--out", tmp_path / "figure.png")
    assert answer.exit_code == 0, answer.output
    assert r"p\udce90.png: " in answer.stdout
    assert (tmp_path / "figure.png").stat().st_size
    assert call("predict", served, broken).exit_code == 1


def test_a_class_whose_name_is_no_text_is_an_error_that_names_it(pictures_folder):
    (pictures_folder / "dog").rename(pictures_folder / NO_TEXT)
    with pytest.raises(DataError, match=r"the class b'p\\xe9' has a name that is not UTF-8"):
        image_folder.load(Source("files", pictures_folder), batch_size=4, resize=28)


@pytest.mark.slow
def test_a_run_in_a_folder_whose_name_is_no_text_is_exported(tmp_path, monkeypatch):
    (tmp_path / NO_TEXT).mkdir()
    monkeypatch.chdir(tmp_path / NO_TEXT)
    result = train("run", "--export", "--savedmodels", "served", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["savedmodel"] == "served/softmax_regression/1"


def test_temporary_files_where_tensorflow_cannot_read_them_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / NO_TEXT))
    result = train(tmp_path / "run")
    assert result.exit_code == 1
    assert "is not named in UTF-8. Set TMPDIR" in result.stderr
    assert not (tmp_path / "run").exists()


# Nobody in particular


@pytest.fixture
def nobody(monkeypatch):
    """A user whose id no file lists, without HOME: a container that is run with --user."""

    def unlisted(*arguments):
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unlisted)
    monkeypatch.setattr(pwd, "getpwnam", unlisted)
    for name in ("HOME", "XDG_CACHE_HOME", "TFDS_DATA_DIR", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)


def test_nobody_can_train_export_and_ask(nobody, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = train("run", "--export", "--savedmodels", "served")
    assert result.exit_code == 0, result.output
    assert call("evaluate", "run").exit_code == 0
    assert call("export", "run", "--savedmodels", "again").exit_code == 0
    assert call("predict", "served/softmax_regression").exit_code == 0
    assert json.loads(call("doctor", "--json").stdout)["cache_dir"] == "~/.cache/kerasd2l"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "run", "served"]


@pytest.mark.parametrize("kind", ["download", "tfds"])
def test_nobody_has_no_home_to_download_into(kind, nobody, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("train", "lenet", "--data", kind, "--out", "run")
    assert result.exit_code == 1
    assert "HOME" in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [], "no folder called ~"


def test_nobody_reads_files_that_lie_elsewhere(nobody, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").touch()
    assert resolve(Source("auto", tmp_path), "set", ("a",)) == tmp_path / "set"
    with pytest.raises(DataError, match=r"~/data/set lacks a"):
        resolve(Source("files", "~/data"), "set", ("a",))


@pytest.mark.parametrize("path", ["~", "~/run"])
def test_a_home_folder_that_is_not_known_is_refused(path, nobody, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = train(path)
    assert result.exit_code == 2
    assert f"no home folder is known for '{path}'" in result.stderr
    assert list(tmp_path.iterdir()) == []


# A disk that is full


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError("5 requested and 0 written")],
    ids=["Python's", "numpy's"],
)
def test_an_error_of_the_disk_names_the_file(error, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(OSError, match=rf"{error.args[-1]}.*|.*checkpoint.npz") as told:
        with run.atomic(path) as file:
            file.write(b"half")
            raise error
    assert str(path) in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_be_begun_leaves_no_folder(tmp_path, monkeypatch):
    def full(path, content):
        with run.writing(path):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run, "write_atomic", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*config.json'"):
        Run(path=tmp_path / "run", recipe="book/lenet").start()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["best.npz", "model.keras", "curves.png"])
def test_a_disk_that_is_full_is_one_line_that_names_the_file(what, tmp_path, monkeypatch):
    import keras

    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    owner, name = {
        "best.npz": (np, "savez"),
        "model.keras": (keras.Model, "save"),
        "curves.png": ("matplotlib.figure.Figure", "savefig"),
    }[what]
    if isinstance(owner, str):
        monkeypatch.setattr(f"{owner}.{name}", full)
    else:
        monkeypatch.setattr(owner, name, full)
    result = train(tmp_path / "run")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and what in errors[0], result.stderr
    assert not list(Path(tmp_path).rglob("*.tmp"))


def test_an_export_onto_a_full_disk_is_one_line(tmp_path, monkeypatch):
    import tensorflow as tf

    def full(*arguments, **named):
        message = f"{{{{function_node SaveV2}}}} {tmp_path}/data; No space left on device"
        raise tf.errors.ResourceExhaustedError(None, None, message)

    assert train(tmp_path / "run").exit_code == 0
    monkeypatch.setattr(tf.saved_model, "save", full)
    result = call("export", tmp_path / "run", "--savedmodels", tmp_path / "served")
    assert result.exit_code == 1
    told = f"Error: cannot write the export: {tmp_path}/data; No space left on device"
    assert result.stderr.splitlines()[-1] == told
    assert not (tmp_path / "served").exists()


def test_a_vocabulary_of_nothing_is_one_line(tmp_path):
    """It trained on four tokens, without a word."""
    words = ["--data", "builtin", "--set", "pairs.min_freq=100000", "--out", tmp_path / "run"]
    result = call("train", "seq2seq_gru", *words)
    assert result.exit_code == 2
    assert "`min_freq` leaves no token of the text" in result.stderr
    assert not (tmp_path / "run").exists()
