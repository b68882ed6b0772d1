import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import make_linear

from kerasd2l.export import check, fresh
from kerasd2l.export.check import _compare, _elsewhere, verify
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.export.savedmodel import export_run
from kerasd2l.recipe import Recipe

START = check._start  # as the program has it; tests/conftest.py puts a quicker one in its place


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="int64").reshape(2, 3),
        np.float32(1.5),
        np.zeros((0, 4), "float32"),
        np.array([b"ends in\0\0", b"", b"\xff\0x"], dtype=object),
        np.array([["a", "ü"]], dtype=object),
        b"scalar\0",
    ],
    ids=str,
)
def test_arrays_survive_the_journey(array):
    back = fresh.decode(fresh.encode(array))
    assert back.shape == np.shape(array)
    wanted = np.asarray(array, dtype=object if isinstance(array, bytes) else None)
    if wanted.dtype == object:
        items = [item.encode() if isinstance(item, str) else item for item in wanted.flat]
        assert list(back.flat) == items
    else:
        assert back.dtype == wanted.dtype
        np.testing.assert_array_equal(back, wanted)


def test_export_of_a_run_is_checked_in_a_process_of_its_own(
    tmp_path, run_folder, endpoints, assets, linear, monkeypatch
):
    monkeypatch.setattr(check, "_start", START)
    unused = dict.fromkeys(("data", "model", "optimizer", "loss", "metrics"))
    recipe = Recipe(section="s", dataset="d", epochs=1, batch_size=1, endpoints=endpoints, **unused)
    path = export_run(run_folder, tmp_path / "out", recipe=recipe)  # checks before it publishes
    monkeypatch.undo()
    differences = verify(path, linear, endpoints, assets)
    assert set(differences) == {
        f"{endpoint}/{output}"
        for endpoint in ("serving_default", "predict")
        for output in ("probabilities", "class_ids", "class_names")
    }
    assert max(differences.values()) <= 1e-5


def test_other_process_has_neither_keras_nor_this_library(exported, endpoints):
    example = {"pixels": np.zeros((1, 28, 28, 1), "float32")}
    reply = _elsewhere(exported, {"predict": example}, START)
    assert reply["imported"] == list(fresh.FORBIDDEN)  # blocked; nothing below them was imported
    assert reply["signatures"] == ["predict", "serving_default"]


def test_other_weights_are_found_out(exported, endpoints, assets):
    with pytest.raises(SavedModelError, match=r"output '.*' of endpoint 'predict' differs"):
        verify(exported, make_linear(seed=9), endpoints[1:] + endpoints[:1], assets)


def test_what_cannot_be_loaded_elsewhere_is_an_error(tmp_path, linear, endpoints, assets):
    with pytest.raises(SavedModelError, match=r"cannot be used without this library"):
        verify(tmp_path, linear, endpoints, assets)


def test_comparison_names_endpoint_output_and_difference():
    here = {"y": np.array([1.0, 100.0]), "name": np.array([b"a"], dtype=object)}
    found = _compare("e", here, here | {"y": here["y"] + [5e-6, 5e-4]}, 1e-5)
    assert found == {"e/y": pytest.approx(5e-6), "e/name": 0.0}
    with pytest.raises(SavedModelError, match=r"'y' of endpoint 'e'.*difference 0\.001"):
        _compare("e", here, here | {"y": here["y"] + [1e-3, 0]}, 1e-5)
    with pytest.raises(SavedModelError, match=r"'name' of endpoint 'e' differs"):
        _compare("e", here, here | {"name": np.array([b"b"], dtype=object)}, 1e-5)
    with pytest.raises(SavedModelError, match=r"shape"):
        _compare("e", here, here | {"y": np.ones(3)}, 1e-5)
    with pytest.raises(SavedModelError, match=r"gives"):
        _compare("e", here, {"y": here["y"]}, 1e-5)
    with pytest.raises(SavedModelError, match=r"'y' .* is float32 in the SavedModel, float64 in"):
        _compare("e", here, here | {"y": here["y"].astype("float32")}, 1e-5)
    whole = {"n": np.array([2])}
    with pytest.raises(SavedModelError, match=r"differs"):
        _compare("e", whole, {"n": np.array([3])}, 10.0)
    nan = {"y": np.array([np.nan, np.inf])}
    assert _compare("e", nan, nan, 1e-5) == {"e/y": 0.0}
    with pytest.raises(SavedModelError, match=r"inf"):
        _compare("e", nan, {"y": np.array([0.0, np.inf])}, 1e-5)


# Where it is installed: nothing of it may matter to the check of an export


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with everything that this process imports from, this library included."""
    folder = tmp_path_factory.mktemp("installed")
    for package in ("tensorflow", "numpy"):
        for part in Path(sys.modules[package].__file__).parents[1].iterdir():
            if not (folder / part.name).exists():
                (folder / part.name).symlink_to(part)
    ours = folder / "kerasd2l"
    ours.unlink(missing_ok=True)
    ours.symlink_to(Path(check.__file__).parents[1])
    return folder


def bare(script, cwd, *words, **env):
    """Run a script in a Python that has nothing installed, but for what `env` brings."""
    python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | env
    words = [str(python), "-c", script, *map(str, words)]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def ways_to_install(folder, tmp_path):
    """Return, for each way to install, the variables that make Python find it."""
    site = f"lib/python3.{sys.version_info.minor}/site-packages"
    user = tmp_path / "user" / site
    user.parent.mkdir(parents=True)
    user.symlink_to(folder)
    listed = tmp_path / "listed" / site
    listed.mkdir(parents=True)
    (listed / "listed.pth").write_text(f"{folder}\n")
    return {
        "pip install --target": {"PYTHONPATH": str(folder)},
        "a relative PYTHONPATH": {"PYTHONPATH": os.path.relpath(folder, tmp_path)},
        "pip install --user": {"PYTHONUSERBASE": str(tmp_path / "user")},
        "a .pth file of the user": {"PYTHONUSERBASE": str(tmp_path / "listed")},
        "no user's packages": {"PYTHONNOUSERSITE": "1", "PYTHONPATH": str(folder)},
        "the checkout beside": {"PYTHONPATH": f"{Path(check.__file__).parents[2]}:{folder}"},
    }


def test_the_fresh_process_has_the_tensorflow_of_this_one_however_it_is_installed(
    installed, tmp_path
):
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import importlib.util as u, json, os, sys\n"
        "origins = {n: u.find_spec(n).origin for n in ('tensorflow', 'numpy')}\n"
        "print(json.dumps([origins, u.find_spec('lies_about') is None]), file=sys.stderr)\n"
    )
    (tmp_path / "lies_about.py").touch()
    script = (
        "import importlib.util as u, json, sys; from kerasd2l.export import check\n"
        "origins = {n: u.find_spec(n).origin for n in ('tensorflow', 'numpy')}\n"
        "code, said = check._start(sys.argv[1], '')\n"
        "print(json.dumps([code, origins, *json.loads(said)]))"
    )
    for way, env in ways_to_install(installed, tmp_path).items():
        code, here, there, alone = json.loads(bare(script, tmp_path, probe, **env))
        assert (code, there, alone) == (0, here, True), way


@pytest.mark.slow
def test_a_library_beside_tensorflow_is_not_imported_by_the_fresh_process(
    installed, exported, tmp_path
):
    script = (
        "import json, pathlib, sys; from kerasd2l.export import check\n"
        "reply = check._elsewhere(pathlib.Path(sys.argv[1]), {})\n"
        "print(json.dumps([reply['imported'], reply['signatures']]))"
    )
    answer = bare(script, tmp_path, exported, PYTHONPATH=str(installed))
    assert json.loads(answer) == [list(fresh.FORBIDDEN), ["predict", "serving_default"]]
