"""Who imports whom, and what the house forbids: the check passes here and finds planted faults."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from kerasd2l import contents

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "check_imports.py"


def check(folder=None):
    words = [sys.executable, str(SCRIPT), *([str(folder)] if folder else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def planted(folder, **files):
    for name in ("__init__", "recipe", "run", "cli", "figures", "_lazy"):
        (folder / f"{name}.py").write_text("")
    for name in ("layers", "models", "data", "training", "export", "chapters", "testing"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("")
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return check(folder)


def test_the_package_keeps_the_rules():
    code, problems = check()
    assert code == 0, problems


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("layers__bad", "from kerasd2l.models import lenet", "layers must not import models"),
        ("layers__bad", "import kerasd2l.export.check", "layers must not import export"),
        ("layers__bad", "from ..data import idx", "layers must not import data"),
        ("layers__bad", "from kerasd2l import run", "layers must not import run"),
        ("layers__bad", "def f():\n    from kerasd2l import run", "layers must not import run"),
        ("models__bad", "x = lazy('kerasd2l.training')", "models must not import training"),
        ("data__bad", "importlib.import_module('kerasd2l.export')", "data must not import export"),
        ("training__bad", "from kerasd2l import chapters", "training must not import chapters"),
        ("recipe", "from kerasd2l.data import Source", "recipe must not import data"),
        ("chapters__bad", "from kerasd2l import cli", "chapters must not import cli"),
        ("chapters__bad", "from kerasd2l.chapters import other", "no section imports another"),
        ("chapters__bad__part", "from kerasd2l.chapters.other import x", "no section imports"),
        ("chapters__bad__part", "from kerasd2l.chapters.bad.two import x", "no section imports"),
        ("attic__bad", "from kerasd2l import recipe", "attic is a new room"),
        ("layers__bad", "from kerasd2l import lenet", "from the module that defines it"),
        ("layers__bad", "import tensorflow as tf", "layers does without TensorFlow"),
        ("models__bad", "from tensorflow import Variable", "models does without TensorFlow"),
        ("models__bad", "tf = lazy('tensorflow')", "models does without TensorFlow"),
        ("data__utils", "", "a helper lives with its user"),
        ("data__bad", "x = 1\n" * 401, "the file has 401 lines. Allowed: 400"),
        ("data__bad", "def f():\n" + "    x = 1\n" * 61, "f has 61 lines. Allowed: 60"),
        ("data__bad", "import os\nx = os.environ['A']", "the environment is read in"),
        ("data__bad", "import os\nx = os.getenv('A')", "the environment is read in"),
        ("data__bad", "import os\nrun(env=os.environ)", "the environment is read in"),
        ("data__bad", "from os import environ", "the environment is read in"),
        ("data__bad", "def f(:", "no Python"),
    ],
)
def test_a_planted_fault_is_found(tmp_path, name, text, message):
    code, problems = planted(tmp_path, **{name: text})
    assert code == 1
    (line,) = problems.splitlines()
    place, _, found = line.partition(": ")
    assert message in found
    assert place.rpartition(":")[0] == str(tmp_path / (name.replace("__", "/") + ".py"))
    assert 1 <= int(place.rpartition(":")[2]) <= text.count("\n") + 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("models__good", "from kerasd2l.layers import x\nfrom kerasd2l._lazy import lazy"),
        ("data__good", "from kerasd2l.recipe import Data\nimport tensorflow as tf"),
        ("testing__good", "from kerasd2l import export, recipe, run, training"),
        ("chapters__good", "from kerasd2l import data, figures, layers\nimport tensorflow"),
        (
            "cli__console",
            "import os\nfrom kerasd2l import __version__, recipe\nx = os.environ['A']",
        ),
        ("models__good", "def train_step(self, data):\n    import tensorflow as tf"),
        ("export__good", "import os\nos.environ['A'] = '1'\nos.environ.update(B='2')"),
        ("data__good", 'def f():\n    """' + "x\n" * 61 + '    """\n    return 1'),
    ],
)
def test_what_is_allowed_passes(tmp_path, name, text):
    assert planted(tmp_path, **{name: text}) == (0, "")


def test_a_circle_of_files_is_found(tmp_path):
    files = {
        "data__one": "from kerasd2l.data.two import x",
        "data__two": "from kerasd2l.data import three",
        "data__three": "def f():\n    from kerasd2l.data.one import y",
    }
    code, problems = planted(tmp_path, **files)
    assert code == 1
    assert "a circle of files: " in problems and "data/three.py" in problems


def test_a_circle_of_rooms_is_found(tmp_path, monkeypatch):
    """Two arrows that are allowed, each for itself, may still close a circle."""
    spec = importlib.util.spec_from_file_location("check_imports", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(module.ALLOWED, "layers", {"models"})
    planted(tmp_path, layers__a="from kerasd2l.models.b import x", models__c="", models__b="")
    (tmp_path / "models" / "c.py").write_text("from kerasd2l.layers.d import x")
    (tmp_path / "layers" / "d.py").write_text("")
    (problem,) = module.check(tmp_path)
    assert "a circle of rooms: " in problem


def test_every_file_of_the_chapters_is_a_section():
    """A file that the table of contents does not name would never be found."""
    chapters = ROOT / "kerasd2l" / "chapters"
    sections = {f"{section.chapter}/{section.module}.py" for section in contents.SECTIONS}
    files = {path.relative_to(chapters).as_posix() for path in chapters.rglob("*.py")}
    files = {name for name in files if not name.endswith("__init__.py")}
    assert files <= sections


def test_the_command_line_and_the_table_of_contents_load_no_tensorflow():
    code = (
        "import sys, kerasd2l, kerasd2l.cli, kerasd2l.finding\n"
        "assert kerasd2l.finding.list_recipes()\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'sklearn', 'pandas', 'PIL'}\n"
        "sys.exit(' '.join(sorted(loaded & heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
