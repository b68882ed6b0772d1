"""What an earlier version made still loads, resumes, is evaluated, exported and asked.

Its figures are in the tests: they were printed by that version (fixtures/before/README.md).
"""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from kerasd2l import cli

BEFORE = Path(__file__).parent / "fixtures" / "before"
TRAIN = ["train", "gru_lm", "--data", "builtin", "--seed", "1", "--resume", "--limit-steps", "3"]
SETTINGS = {"num_hiddens": 8, "num_steps": 6, "max_tokens": 1000, "held_out_tokens": 200}


def call(*words):
    result = CliRunner().invoke(cli.main, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def run(tmp_path, no_real_data):
    with zipfile.ZipFile(BEFORE / "run.zip") as archive:
        archive.extractall(tmp_path / "run")
    return tmp_path / "run"


def test_a_run_folder_is_evaluated(run):
    """Its config.json says `embedding_dim` and `jit_compile`, which are no arguments any more."""
    config = json.loads((run / "config.json").read_text())
    assert {"embedding_dim", "jit_compile"} <= set(config["arguments"])
    metrics = call("evaluate", run, "--json")["metrics"]
    assert metrics["test_loss"] == pytest.approx(3.0736100673675537, abs=1e-5)


@pytest.mark.parametrize(
    "name", [pytest.param("embed_size", marks=pytest.mark.slow), "embedding_dim"]
)
def test_a_run_is_resumed_by_the_same_command(run, name):
    pairs = [f"{key}={value}" for key, value in {**SETTINGS, name: 5}.items()]
    words = [word for pair in pairs for word in ("--set", pair)]
    done = call(*TRAIN, *words, "--epochs", 4, "--out", run, "--json", "--strategy", "one")
    assert done["epochs"] == 4
    assert done["metrics"]["train_loss"] == pytest.approx(2.99575138092041, abs=1e-5)
    assert done["metrics"]["test_loss"] == pytest.approx(2.926748275756836, abs=1e-5)


def test_a_run_is_exported_and_asked(run, tmp_path):
    """Classes in model.keras have moved to other files since."""
    made = call("export", run, "--savedmodels", tmp_path / "new", "--json")["savedmodel"]
    outputs = call("predict", made, "the ", "--json")["outputs"]
    assert outputs["text"] == ["the " + 50 * " "]


def test_a_savedmodel_is_asked(tmp_path):
    with zipfile.ZipFile(BEFORE / "savedmodel.zip") as archive:
        archive.extractall(tmp_path / "gru_lm" / "1")
    outputs = call("predict", tmp_path / "gru_lm", "the ", "--json")["outputs"]
    assert outputs["text"] == ["the " + 50 * " "]
