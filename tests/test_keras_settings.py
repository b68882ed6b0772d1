"""Keras' own settings - keras.json and the backend - change no number, or are told."""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import small
from click.testing import CliRunner

from kerasd2l import layers, models, training
from kerasd2l.cli import checkup, keras_settings, main
from kerasd2l.export import SavedModelError, export
from kerasd2l.training import LoopError
from kerasd2l.training.fit import policy

ROOT = Path(layers.__file__).parents[1]
OTHERS = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first"}


@pytest.fixture
def other_settings():
    """Settings as a user's keras.json makes them when Keras is imported."""
    config, before = keras.config, {name: getattr(keras.config, name)() for name in OTHERS}
    dtype = config.dtype_policy()
    for name, value in OTHERS.items():
        getattr(config, f"set_{name}")(value)
    yield
    for name, value in before.items():
        getattr(config, f"set_{name}")(value)
    config.set_dtype_policy(dtype)


def keras_home(folder, **settings):
    (folder / "keras.json").write_text(json.dumps(settings))
    return {"KERAS_HOME": str(folder)}


BUILDERS = {
    "softmax_regression": {},
    "mlp": {},
    "mnist_mlp": {},
    "lenet": {"pooling": "max"},
    "batch_norm_lenet": {},
    "mnist_cnn": {},
    "mnist_inception": {},
    "mnist_resnet": {},
    "alexnet": {"width": 0.1, "dense_units": (16,)},
    "vgg": {"width": 0.1, "dense_units": (16,), "input_shape": (32, 32, 1)},
    "nin": {"width": 0.1, "input_shape": (67, 67, 1)},
    "googlenet": {"width": 0.125, "input_shape": (32, 32, 1)},
    "resnet18": {"width": 0.125, "input_shape": (32, 32, 1)},
    "densenet": {"width": 0.25, "depths": (2, 1), "input_shape": (32, 32, 1)},
}


def test_channels_first_changes_no_network(other_settings):
    for name, arguments in BUILDERS.items():
        configs = []
        for data_format in ("channels_last", "channels_first"):
            keras.config.set_image_data_format(data_format)
            config = getattr(models, name)(**arguments, seed=0, name="net").get_config()
            configs.append(json.dumps(config, default=str))
        assert configs[0] == configs[1], name


def test_channels_first_changes_no_layer_of_ours(other_settings):
    pixels = np.random.default_rng(0).random((2, 6, 5, 4), dtype="float32")
    made = {
        layers.Conv2D: {"filters": 4, "kernel_size": 3},
        layers.GroupedConv2D: {"filters": 4, "kernel_size": 3, "groups": 2},
        layers.TransposedConv2D: {"filters": 4, "kernel_size": 3, "strides": 2, "padding": 1},
        layers.BatchNormalization: {},
        layers.AdaptiveMaxPooling2D: {"output_size": 2},
        layers.FractionalMaxPooling2D: {"pool_size": 2, "output_size": 3},
        layers.ReplicationPadding2D: {},
    }
    for layer, arguments in made.items():
        outputs = []
        for data_format in ("channels_last", "channels_first"):
            keras.config.set_image_data_format(data_format)
            keras.utils.set_random_seed(0)
            outputs.append(np.asarray(layer(**arguments, dtype="float32")(pixels)))
        np.testing.assert_array_equal(*outputs, err_msg=layer.__name__)


def takes_data_format(name):
    there = getattr(keras.layers, name, None)
    return inspect.isclass(there) and "data_format" in inspect.signature(there.__init__).parameters


@pytest.mark.parametrize("room", ["layers", "models", "scratch"])
def test_every_keras_layer_that_asks_is_told_where_the_channels_are(room):
    told = {name for name in dir(keras.layers) if takes_data_format(name)}
    assert {"Conv2D", "Flatten", "GlobalAveragePooling2D", "ZeroPadding2D"} <= told
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            keywords = {keyword.arg for keyword in node.keywords}
            if node.func.attr in told and ast.unparse(node.func).startswith(("keras.", "layers.")):
                assert "data_format" in keywords, f"{path}:{node.lineno}"


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_floatx_is_none_of_a_runs_precision(precision, other_settings):
    with policy(precision):
        assert keras.config.floatx() == "float32"
        assert keras.layers.Dense(1).variable_dtype == "float32"
    assert keras.config.floatx() == "float16"


def test_the_command_line_takes_its_own_settings_and_says_so(other_settings):
    said = []
    keras_settings.reset(said.append)
    (line,) = said
    for name, value in OTHERS.items():
        assert f"{name}={value} (here {keras_settings.OURS[name]})" in line
        assert getattr(keras.config, name)() == keras_settings.OURS[name]
    keras_settings.reset(said.append)
    assert said == [line], "nothing to say the second time"


def test_the_doctor_tells_what_keras_json_says(tmp_path):
    env = keras_home(tmp_path, **OTHERS, backend="torch")
    report = checkup.examine(env)
    assert report["keras_json"] == {"path": f"{tmp_path}/keras.json", **OTHERS, "backend": "torch"}
    told = [problem for problem in report["problems"] if "keras.json" in problem]
    assert len(told) == 4
    for name, value in {**OTHERS, "backend": "torch"}.items():
        assert any(f"keras.json says {name}={value}: " in problem for problem in told)


@pytest.mark.parametrize("content", ["", "{", '{"floatx": "float32", "epsilon": 1e-07}', None])
def test_the_usual_settings_are_no_problem(content, tmp_path):
    if content is not None:
        (tmp_path / "keras.json").write_text(content)
    report = checkup.examine({"KERAS_HOME": str(tmp_path)})
    assert not [problem for problem in report["problems"] if "keras.json" in problem]


def program(home, *words):
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    env = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-m", "kerasd2l.cli", *words],
        env={**env, **home, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_run_under_other_settings_has_the_same_numbers(tmp_path):
    words = ["train", "mlp", "--data", "builtin", "--epochs", "1", "--limit-steps", "1", "--json"]
    home = keras_home(tmp_path, **OTHERS, backend="torch")
    done = program(home, *words, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    usual = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "usual")])
    metrics = json.loads(usual.stdout)["metrics"]
    assert json.loads(done.stdout)["metrics"] == pytest.approx(metrics, abs=1e-5)
    assert "left aside of Keras' settings (keras.json): image_data_format=" in done.stderr
    assert "left aside" not in usual.stderr


@pytest.mark.parametrize(
    "verb", [["doctor"], pytest.param(["run", "autograd"], marks=pytest.mark.slow)]
)
def test_settings_that_keras_cannot_take_are_one_line(verb, tmp_path):
    done = program(keras_home(tmp_path, floatx="float8"), *verb)
    assert done.returncode == 1
    assert f"cannot be imported with {tmp_path}/keras.json: {{'floatx': 'float8'}}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("replicas", [1, 2])
def test_another_backend_is_told_as_the_command_line_tells_it(replicas, monkeypatch, tmp_path):
    model = small.pictures()
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(LoopError, match=r"KERAS_BACKEND=torch: .* TensorFlow. Unset KERAS_BACKEND"):
        small.train(lambda: model, small.data(), replicas=replicas, epochs=1)
    with pytest.raises(LoopError, match=r"KERAS_BACKEND=torch"):
        training.evaluate(model, small.data(), "test")
    with pytest.raises(SavedModelError, match=r"KERAS_BACKEND=torch: .* TensorFlow"):
        export(model, "book/none", (), {}, tmp_path, name="none")
