"""`kerasd2l export` with examples, and with --for."""

import json
import shutil

import pytest
from click.testing import CliRunner

from kerasd2l import cli
from kerasd2l.cli import exporting
from kerasd2l.export import manifest
from kerasd2l.export import savedmodel as room
from kerasd2l.recipe import Recipe


def call(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


@pytest.fixture
def trained(run_folder, endpoints, monkeypatch):
    """A run whose recipe is found by its name."""
    recipe = Recipe("s", "d", *[lambda *_: None] * 5, 1, 1, endpoints=endpoints)
    monkeypatch.setattr("kerasd2l.export.recipe_of", lambda run: recipe)  # looks it up in `room`
    monkeypatch.setattr(room, "recipe_of", lambda run: recipe)
    monkeypatch.setattr(room, "verify", lambda *_: None)
    return run_folder


def test_examples_are_files_as_for_predict(trained, tmp_path, picture):
    png = picture("shirt.png")
    words = ["export", trained, "--savedmodels", tmp_path / "served", "--json"]
    result = call(*words, "--example", png, "--example", png)
    assert result.exit_code == 0, result.output
    path = json.loads(result.stdout.splitlines()[-1])["savedmodel"]
    shown = manifest.read(path)["examples"]["serving_default"]
    assert len(shown) == 2 and set(shown[0]["image_bytes"]) == {"b64"}


def test_an_example_that_is_no_picture_is_one_line_of_error(trained, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("text")
    for file, message in ((text, "refuses the example"), (tmp_path / "no.png", "does not exist")):
        result = call("export", trained, "--savedmodels", tmp_path / "s", "--example", file)
        assert result.exit_code == 1 and message in result.output
        assert not (tmp_path / "s").exists()


def test_a_run_is_exported_first(trained, tmp_path):
    pytest.importorskip("yaml")
    pytest.importorskip("tensorflow_serving")
    words = ["--for", "compose", "--savedmodels", tmp_path / "s", "--name", "mine", "--json"]
    result = call("export", trained, *words)
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout.splitlines()[-1])
    assert made["savedmodel"] == str(tmp_path / "s" / "mine" / "1")
    assert made["files"][0] == str(tmp_path / "s" / "deploy" / "compose" / "compose.yaml")
    assert "/models/mine" in (tmp_path / "s" / "deploy" / "compose" / "models.config").read_text()


def test_a_folder_of_models_is_not_exported(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "tiny" / "1")
    where = ["--storage", "gs://bucket/m", "--image", "europe-docker.pkg.dev/p/r/s:2.20.0"]
    result = call("export", tmp_path, "--for", "vertex", *where, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [str(tmp_path / "out" / "tiny.json")]
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["1"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--label", "a=1"], 2, "--label goes with --for"),
        (["--storage", "gs://b"], 2, "--storage goes with --for"),
        (["--for", "compose", "--name", "x"], 2, "--name and --example are of a run"),
        (["--for", "compose"], 1, "holds no NAME/VERSION"),
        (["--for", "heroku"], 2, "tfserving"),
    ],
)
def test_what_does_not_go_together(tmp_path, words, code, message):
    result = call("export", tmp_path, *words)
    assert (result.exit_code, message in result.output) == (code, True), result.output


def test_the_verb_is_also_a_script():
    assert exporting.export is cli.export
