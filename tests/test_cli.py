"""The command line as a person and a program meet it: results, streams, messages, exit codes."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys

import click
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kerasd2l import __version__, cli
from kerasd2l.cli import main
from kerasd2l.data.sets import digits
from kerasd2l.testing.elsewhere import with_keras

KEYS = {
    "recipe",
    "run",
    "data",
    "strategy",
    "replicas",
    "epochs",
    "seed",
    "examples",
    "metrics",
    "examples_per_second",
    "wall_seconds",
    "savedmodel",
}
SMALL = ["--data", "builtin", "--epochs", "1", "--limit-steps", "3"]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("KERASD2L_DATA", "TF_CONFIG", "KERAS_BACKEND", "TF_USE_LEGACY_KERAS"):
        monkeypatch.delenv(name, raising=False)


def call(*words):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


def failure(code, *words):
    """Run a command that must fail; return its one line of error, without a traceback."""
    result = call(*words)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.stderr
    return result.stderr[result.stderr.index("Error: ") :].replace("\n", " ")


def program(*words, **env):
    """Run the real program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "kerasd2l.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, **env},
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of softmax regression with a SavedModel: the result of --json, the folder."""
    folder = tmp_path_factory.mktemp("cli")
    words = ["--data", "builtin", "--epochs", "2", "--set", "batch_size=64"]
    words += ["--set", "learning-rate=0.5"]
    words += ["--out", folder / "run", "--export", "--savedmodels", folder / "served", "--json"]
    result = call("train", "softmax_regression", *words)
    assert result.exit_code == 0, result.output
    return result, folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A written seven, as a file of another size and kind than the model's input."""
    (_, _), (x, y) = digits.arrays()
    path = tmp_path_factory.mktemp("pictures") / "seven.png"
    Image.fromarray(x[y == 7][0, ..., 0]).resize((40, 50)).convert("RGB").save(path)
    return path


# Without TensorFlow


def test_help_list_and_show_do_not_import_tensorflow(tmp_path):
    script = """
import sys
from click.testing import CliRunner
from kerasd2l.cli import main
for words in (["--help"], ["train", "--help"], ["list"], ["list", "--json"], ["show", "lenet"],
              ["train", "lenett"], ["train", "lenet", "--set", "nothing=1"]):
    CliRunner().invoke(main, words)
print([name for name in ("tensorflow", "keras", "matplotlib", "sklearn") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_version_and_help():
    assert call("--version").stdout == f"kerasd2l, version {__version__}\n"
    text = call("--help").stdout
    for verb in (
        "list",
        "show",
        "train",
        "evaluate",
        "export",
        "predict",
        "run",
        "launch",
        "doctor",
    ):
        assert re.search(rf"^  {verb} ", text, re.MULTILINE)


def test_list():
    rows = json.loads(call("list", "--json").stdout)["recipes"]
    by_name = {row["name"]: row for row in rows}
    lenet = by_name["convolutional_neural_networks/lenet"]
    assert (lenet["section"], lenet["kind"], lenet["data"]) == ("lenet", "recipe", "fashion_mnist")
    assert "0.779-0.828" in lenet["expected"]
    assert by_name["multilayer_perceptrons/activation_functions"]["kind"] == "demo"
    assert [row["number"] for row in rows][:3] == ["2.5", "3.1", "3.2"], "the book's order"
    chapter, heading, *lines = call("list", "lenet").stdout.splitlines()
    assert chapter == "6 Convolutional neural networks"
    assert heading.split() == ["number", "name", "section", "kind", "data", "expected"]
    assert [line.split()[:2] for line in lines] == [
        ["6.6", "convolutional_neural_networks/lenet"],
        ["6.6", "convolutional_neural_networks/lenet_layers"],
    ]
    assert "Did you mean" in failure(1, "list", "lenett")


@pytest.mark.parametrize("pattern", ["8.5", "rnn-scratch"])
def test_a_section_is_found_by_number_and_by_slug(pattern):
    rows = json.loads(call("list", pattern, "--json").stdout)["recipes"]
    assert {(row["number"], row["section"]) for row in rows} == {("8.5", "rnn-scratch")}


def test_a_recipe_named_like_another_section_is_listed_with_it():
    rows = json.loads(call("list", "mlp", "--json").stdout)["recipes"]
    assert [(row["number"], row["name"]) for row in rows] == [
        ("4.2", "multilayer_perceptrons/activation_functions"),
        ("4.4", "multilayer_perceptrons/mlp"),
    ]


@pytest.mark.parametrize("pattern", ["16", "reinforcement_learning"])
def test_a_chapter_that_is_not_built_yet_says_so(pattern):
    message = failure(1, "list", pattern)
    assert "chapter 16 reinforcement_learning is not built yet" in message
    assert "kerasd2l list --all 16" in message


def test_a_section_that_is_not_built_yet_says_so():
    assert "16.1 mdp is not built yet" in failure(1, "list", "16.1")
    assert "section 16.1 mdp is not built yet" in failure(2, "train", "mdp")
    lines = call("list", "16", "--all").stdout.splitlines()
    assert lines[0] == "16 Reinforcement learning"
    assert lines[2].split() == ["16.1", "-", "mdp", "not", "built", "yet", "-", "-"]


def test_all_185_sections_are_listed():
    rows = json.loads(call("list", "--all", "--json").stdout)["recipes"]
    assert len({row["number"] for row in rows}) == 185


def test_a_section_of_several_entries_lists_them():
    assert call("show", "6.6").stdout == call("list", "6.6").stdout
    assert "has 2 entries. Say" in failure(2, "train", "6.6")
    assert call("show", "7.2").stdout == call("show", "vgg").stdout


def test_show():
    text = call("show", "lenet").stdout
    assert "Expected: test accuracy 0.779-0.828" in text
    assert "learning_rate: float = 0.9" in text
    assert "pooling: one of average, max = average" in text
    shown = json.loads(call("show", "lenet", "--json").stdout)
    assert {"name": "epochs", "type": "int", "default": 10} in shown["arguments"]


# Wrong words: exit code 2, before TensorFlow has to start


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["train", "lenett"], "no recipe or demo named 'lenett'. Did you mean"),
        (["show", "xyzzyx"], "`kerasd2l list` shows them all"),
        (["train", "activation_functions"], "is a demo: use `kerasd2l run activation_functions`"),
        (["run", "lenet"], "is a recipe: use `kerasd2l train lenet`"),
        (["train", "lenet", "--set", "learning_rat=1"], "Did you mean learning_rate?"),
        (["train", "lenet", "--set", "epochs=many"], "`epochs` must be a whole number. Received"),
        (["train", "lenet", "--set", "epochs=1.5"], "`epochs` must be a whole number. Received"),
        (
            ["train", "lenet", "--set", "epochs=0"],
            "`epochs` must be at least 1. Received: epochs=0",
        ),
        (["train", "lenet", "--set", "learning_rate=-1"], "must be a positive number. Received"),
        (["train", "lenet", "--set", "pooling=median"], "must be one of average, max. Received"),
        (["train", "lenet", "--set", "epochs"], "expected KEY=VALUE. Received: 'epochs'"),
        (["train", "lenet", "--set", "=3"], "expected KEY=VALUE. Received: '=3'"),
        (["train", "lenet", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["train", "lenet", "--data", "web"], "Invalid value for '--data'"),
        (["train", "lenet", "--precision", "float8"], "Invalid value for '--precision'"),
        (["train", "lenet", "--resume"], "--resume needs --out"),
        (["launch", "--workers", "0", "--", "train", "lenet"], "Invalid value for '--workers'"),
        (["evaluate"], "Missing argument 'RUN'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words(words, text):
    assert text in failure(2, *words)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--strategy", "mirrored", "--replicas", "3"],
            "3 replicas. Received: batch_size=256. Try",
        ),
        (["--strategy", "mirrored", "--replicas", "64"], "cannot make 64 logical CPU devices"),
        (["--strategy", "one", "--replicas", "2"], 'one" has one replica. Received: replicas=2'),
        (["--strategy", "multi_worker"], "needs TF_CONFIG with more than one worker"),
        (["--jit-compile", "--replicas", "2"], "cannot train on more than one replica"),
        (["--accumulate", "2", "--jit-compile"], "--accumulate cannot be with --jit-compile"),
        (["--accumulate", "0"], "0 is not in the range"),
        (["--accumulate", "1000000000000"], "is not in the range"),
        (["--checkpoint-seconds", "nan"], "nan is not a number"),
        (["--rendezvous-timeout", "-1"], "-1.0 is not in the range"),
    ],
)
def test_devices_that_cannot_be(words, text, tmp_path):
    out = tmp_path / "run"
    assert text in failure(2, "train", "lenet", "--data", "builtin", "--out", out, *words)
    assert not out.exists()


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("{", "TF_CONFIG is not valid JSON"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}}', 'but no "task"'),
        (
            '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 5}}',
            "index of the task is out of range: expected 0 to 1",
        ),
    ],
)
def test_a_wrong_tf_config(config, text, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", config)
    assert text in failure(2, "train", "lenet", *SMALL, "--out", tmp_path / "run")


def test_values_that_only_the_model_can_refuse(tmp_path):
    """One line, not a traceback; and the folder is free for the corrected command."""
    words = ["train", "mlp", *SMALL, "--out", tmp_path / "run", "--set"]
    assert "`hidden_units` must be positive" in failure(2, *words, "hidden_units=16,-1")
    assert call(*words, "hidden_units=16,8").exit_code == 0


# Train


def test_train_prints_one_json_object_last(trained):
    result, folder = trained
    (line,) = result.stdout.splitlines()
    summary = json.loads(line)
    assert set(summary) >= KEYS
    assert summary["recipe"] == "linear_networks/softmax_regression"
    assert (summary["data"], summary["strategy"], summary["replicas"]) == ("builtin", "one", 1)
    assert (summary["epochs"], summary["seed"]) == (2, 0)
    assert summary["examples"] == {"train": 1437, "test": 360}
    assert {"train_loss", "train_accuracy", "test_loss", "test_accuracy"} <= set(summary["metrics"])
    assert summary["metrics"]["test_accuracy"] > 0.8
    assert summary["savedmodel"] == str(folder / "served" / "softmax_regression" / "1")
    assert json.loads((folder / "run" / "summary.json").read_text()) == summary
    assert "epoch 2/2" in result.stderr
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["arguments"]["learning_rate"] == 0.5


def test_train_tells_a_person_what_comes_next(tmp_path):
    out = tmp_path / "run"
    result = call("train", "softmax_regression", *SMALL, "--out", out)
    assert result.exit_code == 0, result.output
    assert re.search(r"^test_accuracy 0\.\d{4}$", result.stdout, re.MULTILINE)
    assert f"next: kerasd2l export {out}" in result.stdout


def test_dry_run_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--data", "builtin", "--dry-run", "--out", "run", "--json"]
    result = call("train", "lenet", *words)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["dry_run"]
    assert report["parameters"] == 61_706
    assert report["inputs"] == {"pixels": [28, 28, 1]}
    assert report["steps_per_epoch"] == 6  # 1437 / 256
    assert report["estimated_seconds"] > 0
    assert list(tmp_path.iterdir()) == []


def test_the_streams_and_codes_of_the_real_program(tmp_path):
    out = tmp_path / "run"
    words = ["train", "softmax_regression", *SMALL, "--replicas", 2, "--out", out, "--json"]
    result = program(*words, TF_CPP_MIN_LOG_LEVEL="3")
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    summary = json.loads(line)
    assert (summary["strategy"], summary["replicas"]) == ("mirrored", 2)
    assert summary["examples"]["train"] == 3 * 256


def test_a_rate_that_diverges(tmp_path):
    out = tmp_path / "run"
    words = ["--data", "builtin", "--set", "learning_rate=1e30", "--out", out, "--json"]
    message = failure(3, "train", "mlp", *words)
    found = re.search(r"is not finite at step (\d+) \(epoch (\d+), learning rate 1e\+30\)", message)
    assert found, message
    assert "Try a smaller learning rate" in message
    assert not list((out / "checkpoints").iterdir())
    assert not (out / "model.keras").exists()


def test_a_folder_with_a_run(trained, tmp_path):
    _, folder = trained
    words = ["--data", "builtin", "--out", folder / "run"]
    before = sorted(folder.rglob("*"))
    text = failure(1, "train", "softmax_regression", *words)
    assert "already holds a run. Give --resume to continue it, or another --out" in text
    text = failure(1, "train", "mlp", *words, "--resume")
    assert "is a run of linear_networks/softmax_regression, not of multilayer_perc" in text
    text = failure(1, "train", "softmax_regression", *words, "--resume", "--seed", 3)
    assert "started with other settings" in text
    assert "seed: 0 then, 3 now" in text
    assert "learning_rate: 0.5 then, 0.1 now" in text
    assert sorted(folder.rglob("*")) == before


def test_resume_of_a_finished_run_is_no_work(trained):
    result, folder = trained
    files = [path for path in (folder / "run").rglob("*") if path.is_file()]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    words = ["--data", "builtin", "--epochs", "2", "--set", "batch_size=64", "--json"]
    words += ["--set", "learning_rate=0.5", "--out", folder / "run", "--resume"]
    again = call("train", "softmax_regression", *words)
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout) == json.loads(result.stdout)
    assert "is finished: nothing to do" in again.stderr
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files} == before


# Data that is not there


def test_missing_and_damaged_files(tmp_path):
    words = ["train", "lenet", "--out", tmp_path / "run", "--data", "files"]
    text = failure(1, *words)
    assert "no data folder was given" in text
    assert "--data builtin" in text
    folder = tmp_path / "data" / "fashion_mnist"
    words += ["--data-dir", folder.parent]
    text = failure(1, *words)
    assert f"{folder} lacks train-images-idx3-ubyte.gz" in text
    folder.mkdir(parents=True)
    for split, count in (("train", 20), ("t10k", 10)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            head = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
            body = head + bytes(int(np.prod(shape)))
            (folder / f"{split}-{kind}-ubyte.gz").write_bytes(gzip.compress(body))
    images = folder / "train-images-idx3-ubyte.gz"
    good = images.read_bytes()
    images.write_bytes(good[: len(good) // 2])
    assert str(images) in failure(1, *words)
    images.write_bytes(gzip.compress(b"\x00\x00\x08\x01" + gzip.decompress(good)[4:]))
    text = failure(1, *words)
    assert str(images) in text
    assert "magic" in text
    assert not (tmp_path / "run").exists()


def test_no_network_fails_in_seconds_and_names_the_other_ways(tmp_path, monkeypatch):
    """A proxy on a closed port is a network that is not there."""
    import time

    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    began = time.monotonic()
    text = failure(1, "train", "lenet", "--data", "download", "--out", tmp_path / "run")
    assert time.monotonic() - began < 30
    assert "--data builtin (needs neither files nor network)" in text
    assert "--data files with --data-dir" in text


# What comes after the training


def test_evaluate_uses_the_data_of_the_training(trained):
    result, folder = trained
    figures = json.loads(call("evaluate", folder / "run", "--json").stdout)
    expected = json.loads(result.stdout)["metrics"]
    assert figures["data"] == "builtin"
    assert figures["examples"] == {"test": 360}
    for name in ("test_loss", "test_accuracy"):
        assert figures["metrics"][name] == pytest.approx(expected[name], abs=1e-6)
    lines = call("evaluate", folder / "run", "--data", "builtin").stdout.splitlines()
    assert lines[-1] == "360 examples"
    assert f"test_accuracy {expected['test_accuracy']:.4f}" in lines


def test_verbs_on_what_is_no_run(tmp_path):
    (tmp_path / "empty").mkdir()
    for verb in ("evaluate", "export"):
        text = failure(1, verb, tmp_path / "none")
        assert "is not the folder of a run: it does not exist" in text
        assert "it has no config.json" in failure(1, verb, tmp_path / "empty")


def test_a_run_without_a_model_is_told(trained, tmp_path):
    _, folder = trained
    half = tmp_path / "half"
    shutil.copytree(folder / "run", half)
    (half / "model.keras").unlink()
    for verb in ("evaluate", "export"):
        assert "the training has not finished" in failure(1, verb, half)
    (half / "model.keras").write_bytes(b"PK not a zip")
    assert "is damaged" in failure(1, "evaluate", half)
    (half / "config.json").write_text('{"recipe": ')
    assert "config.json is damaged" in failure(1, "evaluate", half)


def test_evaluate_reads_another_text_with_the_letters_of_the_training(tmp_path):
    """Its letters have other frequencies: numbered anew, a good model looks like a bad one."""
    for name, text in (("one", "abcabcabc aab"), ("two", "cab cab cab bbb")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "timemachine.txt").write_text((text + "\n") * 400)
    words = ["--data", "files", "--data-dir", tmp_path / "one", "--out", tmp_path / "run"]
    words += ["--set", "max_tokens=2000", "--set", "held_out_tokens=700", "--epochs", 3]
    result = call("train", "rnn_lm", *words, "--set", "batch_size=8", "--set", "num_hiddens=16")
    assert result.exit_code == 0, result.output
    letters = json.loads((tmp_path / "run" / "assets.json").read_text())["vocabulary"]
    assert letters[1:3] == ["a", "b"]
    two = tmp_path / "two"
    result = call("evaluate", tmp_path / "run", "--data-dir", two, "--json")
    assert result.exit_code == 0, result.output
    from kerasd2l.data import Source, time_machine
    from kerasd2l.export import load_model

    model = load_model(tmp_path / "run" / "model.keras")
    data = time_machine.load(
        Source("files", two, assets={"vocabulary": letters}),
        batch_size=8,
        max_tokens=2000,
        held_out_tokens=700,
        partition="sequential",
        mark_start=True,
    )
    losses = []
    for x, y in data.test:
        logits = model(x, training=False)
        losses.append(keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True))
    perplexity = json.loads(result.stdout)["metrics"]["test_perplexity"]
    assert perplexity == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"arguments": {"learning_rat": 0.5}}, "learning_rat"),
        ({"arguments": {"learning_rate": "fast"}}, "learning_rate"),
        ({"arguments": []}, "arguments must be of the kind dict"),
        ({"arguments": {"epochs": {"a": []}}}, "epochs"),
        ({"recipe": "convolutional_modern/resnet19"}, "resnet19"),
        ({"recipe": "preliminaries/autograd"}, "is not to be used"),
        ({"recipe": 5}, "recipe must be of the kind str"),
        ({"options": None}, "options must be of the kind dict"),
        ({"seed": "one"}, "seed must be of the kind int"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_config_with_odd_contents_is_one_line_for_each_verb(change, text, trained, tmp_path):
    _, folder = trained
    shutil.copytree(folder / "run", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, **change}))
    out = ["--out", tmp_path / "run", "--resume", "--data", "builtin", "--epochs", "3"]
    settings = ["--set", "batch_size=64", "--set", "learning-rate=0.5"]
    for words in (
        ["evaluate", tmp_path / "run"],
        ["export", tmp_path / "run", "--savedmodels", tmp_path / "served"],
    ):
        said = failure(1, *words)
        assert "config.json" in said
        assert text in said
    assert not (tmp_path / "served").exists()
    failure(1, "train", "softmax_regression", *out, *settings)


def test_an_evaluation_of_other_classes_is_refused(trained, tmp_path):
    _, folder = trained
    shutil.copytree(folder / "run", tmp_path / "run")
    assets = json.loads((tmp_path / "run" / "assets.json").read_text())
    assets["class_names"][3] = "zebra"
    (tmp_path / "run" / "assets.json").write_text(json.dumps(assets))
    said = failure(1, "evaluate", tmp_path / "run")
    assert "class_names differs (without 'zebra' and with" in said


def test_export_counts_versions(trained, tmp_path):
    _, folder = trained
    for version in ("1", "2"):
        result = call("export", folder / "run", "--savedmodels", tmp_path, "--name", "mine")
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{tmp_path / 'mine' / version}\n"
    assert "must be made of letters" in failure(
        1, "export", folder / "run", "--savedmodels", tmp_path, "--name", "a/b"
    )


def test_predict(trained, picture, tmp_path):
    _, folder = trained
    served = folder / "served" / "softmax_regression"
    figure = tmp_path / "answer.png"
    result = call("predict", served, picture, "--out", figure)
    assert result.exit_code == 0, result.output
    assert re.match(rf"{re.escape(str(picture))}: 7 0\.\d\d, \d 0\.\d\d", result.stdout)
    with Image.open(figure) as drawn:
        assert drawn.size[0] > 400
        assert len(drawn.convert("RGB").getcolors(1 << 20)) > 20  # a picture, bars and words
    answer = json.loads(call("predict", served / "1", picture, "--json").stdout)
    assert answer["outputs"]["class_names"] == ["7"]
    assert sum(answer["outputs"]["probabilities"][0]) == pytest.approx(1, abs=1e-5)
    about = call("predict", served).stdout
    assert "serving_default: " in about
    assert "linear_networks/softmax_regression" in about


def test_predict_on_what_cannot_be(trained, picture, tmp_path):
    _, folder = trained
    served = folder / "served" / "softmax_regression"
    no_picture = tmp_path / "words.png"
    no_picture.write_text("no picture")
    assert str(no_picture) in failure(1, "predict", served, picture, no_picture)
    assert "none.png" in failure(1, "predict", served, tmp_path / "none.png")
    assert "does not exist" in failure(1, "predict", tmp_path / "nothing", picture)
    assert "is no SavedModel" in failure(1, "predict", folder / "run", picture)
    assert "has no signature 'other'. It has: serving_default" in failure(
        2, "predict", served, picture, "--signature", "other"
    )
    nowhere = tmp_path / "none" / "answer.png"
    assert str(nowhere) in failure(1, "predict", served, picture, "--out", nowhere)
    assert "answer.xyz" in failure(1, "predict", served, picture, "--out", tmp_path / "answer.xyz")


def test_run_a_demo(tmp_path):
    result = call("run", "activation_functions", "--out", tmp_path / "figures", "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    shown = json.loads(line)
    assert shown["demo"] == "multilayer_perceptrons/activation_functions"
    assert shown["values"]["sigmoid"]["gradient at 0"] == pytest.approx(0.25, abs=1e-3)
    assert sorted(shown["figures"]) == sorted(map(str, (tmp_path / "figures").glob("*.png")))
    assert len(shown["figures"]) == 3
    result = call("run", "activation_functions")
    assert "gradient at 0: 0.25" in result.stdout
    assert "Give --out DIR" in result.stderr


def test_doctor(tmp_path, monkeypatch):
    report = json.loads(call("doctor", "--json").stdout)
    assert {"versions", "devices", "gpu_libraries", "data_dir", "problems"} <= set(report)
    result = call("doctor")
    assert result.exit_code == 0
    assert "tensorflow: " in result.stdout
    assert "problem: no data folder" in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("KERAS_BACKEND", "jax", "KERAS_BACKEND=jax: this command trains and exports with"),
        ("TF_USE_LEGACY_KERAS", "1", "kerasd2l needs Keras 3. Unset it"),
    ],
)
def test_an_environment_that_cannot_train(name, value, text, monkeypatch):
    monkeypatch.setenv(name, value)
    assert text in failure(1, "train", "lenet", *SMALL)


def test_the_scripts_are_the_verbs(tmp_path):
    """Thin entry points: the same words, the same messages."""
    from pathlib import Path

    scripts = Path(__file__).parents[1] / "scripts"
    for verb in ("train", "evaluate", "export", "predict", "launch"):
        result = subprocess.run(
            [sys.executable, scripts / f"{verb}.py", "--help"], capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        ours, script = (
            re.findall(r"--[a-z][a-z-]*", text)
            for text in (call(verb, "--help").stdout, result.stdout)
        )
        assert script == ours


@pytest.mark.parametrize(
    ("environment", "threads"), [({}, 1), ({"TF_NUM_INTRAOP_THREADS": "2"}, 2)]
)
def test_threads_of_an_operation_are_the_recipes_unless_the_environment_says(
    environment, threads, tmp_path
):
    script = tmp_path / "script.py"
    script.write_text(
        f"import os, sys; sys.path[:] = {sys.path!r}\n"
        "os.environ.pop('TF_NUM_INTRAOP_THREADS', None)\n"
        f"os.environ.update({environment})\n"
        "from kerasd2l import load\n"
        "from kerasd2l.training.small_steps import give_threads\n"
        "give_threads(load('lenet'))\n"
        "import tensorflow as tf\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())\n"
    )
    code, log = with_keras()(str(script), "")
    assert code == 0 and log.split()[-1:] == [str(threads)], log


@pytest.mark.parametrize(
    "verb", [name for name, command in cli.main.commands.items() if name != "list"]
)
def test_a_home_folder_is_meant_alike_by_all_paths_of_a_command(verb, monkeypatch):
    """`--out=~/x` reaches us as it is; a folder called `~` was made once."""
    monkeypatch.setenv("HOME", "/home/somebody")
    paths = [p for p in cli.main.commands[verb].params if isinstance(p.type, click.Path)]
    for parameter in paths:
        assert str(parameter.type.convert("~/x", parameter, None)) == "/home/somebody/x"


def test_tensorflow_is_imported_without_a_word_and_without_what_keras_alone_would_import():
    """It greets at import; the person who waits for a result gets none of it."""
    script = (
        "import os, sys; os.environ.pop('TF_CPP_MIN_LOG_LEVEL', None)\n"
        "from kerasd2l.cli import use_tensorflow; use_tensorflow()\n"
        "from kerasd2l._lazy import FOR_KERAS_ALONE\n"
        "print('tensorflow' in sys.modules, set(FOR_KERAS_ALONE) & set(sys.modules))\n"
        "import keras, pandas; print(pandas.Series([2]).sum())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True set()\n2\n", "")
