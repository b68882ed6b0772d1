"""The scripts that compare with `model.fit` and with PyTorch, which is no dependency."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not TORCH, reason="PyTorch is not installed")


def script(name, *arguments):
    command = [sys.executable, SCRIPTS / f"{name}.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def answer(name, *arguments):
    done = script(name, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SHORT = ("lenet", "--data", "builtin", "--set", "batch_size=32", "--limit-steps", "2")


@pytest.mark.slow
def test_benchmark_tells_times_and_their_ratio():
    found = answer("benchmark", *SHORT, "--rounds", "1", "--no-torch")
    assert found["recipe"] == "convolutional_neural_networks/lenet"
    assert (found["steps"], found["batch_size"], found["rounds"]) == (2, 32, 1)
    assert found["feed"] == "pipeline" and found["jit_compile"] is False
    assert found["ratio"] == pytest.approx(found["fit_seconds"] / found["loop_seconds"])
    for kind in ("loop", "fit"):
        speed = found[f"{kind}_examples_per_second"]
        assert speed == pytest.approx(2 * 32 / found[f"{kind}_seconds"])
    assert found["peak_memory_mib"] > 100
    assert "ratio_torch" not in found and "torch_seconds" not in found


@pytest.mark.skipif(TORCH, reason="PyTorch is installed")
def test_benchmark_without_pytorch_says_how_to_get_it():
    done = script("benchmark", *SHORT, "--torch")
    assert done.returncode == 2
    assert "pip install torch" in done.stderr


@needs_torch
def test_benchmark_times_pytorch_on_the_same_batches():
    found = answer("benchmark", *SHORT, "--rounds", "1", "--no-fit")
    assert found["feed"] == "memory" and found["torch_layout"] in ("contiguous", "channels_last")
    assert found["ratio_torch"] == pytest.approx(found["torch_seconds"] / found["loop_seconds"])
    assert "ratio" not in found


@needs_torch
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("transformer", ()),  # a model of its own class, weights of words
        ("bert_pretraining", ("max_pairs=64", "batch_size=32")),  # two outputs
        ("decomposable_attention", ("num_hiddens=8", "batch_size=32")),  # batches of other lengths
    ],
)
def test_benchmark_times_networks_on_words(name, settings):
    options = [part for setting in settings for part in ("--set", setting)]
    options += ["--data", "builtin", "--limit-steps", "2", "--rounds", "1", "--no-fit"]
    found = answer("benchmark", name, *options)
    assert (found["steps"], found["torch_layout"]) == (2, "contiguous")
    assert found["ratio_torch"] == pytest.approx(found["torch_seconds"] / found["loop_seconds"])


@pytest.mark.skipif(
    not TORCH or importlib.util.find_spec("torchvision") is None,
    reason="torchvision is not installed",
)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tiny_ssd", ("resize=64", "batch_size=4")),
        ("unet", ("crop=32,32", "width=0.125", "levels=2", "batch_size=4")),
    ],
)
def test_benchmark_times_networks_for_pictures(name, settings):
    options = [part for setting in settings for part in ("--set", setting)]
    options += ["--data", "builtin", "--limit-steps", "2", "--rounds", "1", "--no-fit"]
    found = answer("benchmark", name, *options)
    assert found["torch_layout"] in ("contiguous", "channels_last")
    assert found["ratio_torch"] == pytest.approx(found["torch_seconds"] / found["loop_seconds"])


@needs_torch
def test_networks_equal_their_references():
    names = ("lenet", "batch_norm_lenet", "dropout_mlp", "mnist_inception")
    rows = answer("torch_reference", "--parity", *names)
    assert set(rows) == set(names)
    for row in rows.values():
        assert row.pop("scale") > 0
        assert max(row.values()) < 1e-4


@needs_torch
def test_both_frameworks_learn_the_same():
    found = answer(
        "compare_with_torch", "batch_norm_lenet", "--data", "builtin", "--images", "200",
        "--test-images", "100", "--epochs", "2", "--set", "batch_size=50",
    )  # fmt: skip
    assert found["examples"] == {"train": 200, "test": 100}
    for figure in ("train_loss", "test_loss", "test_accuracy"):
        assert found["ours"][figure] == pytest.approx(found["torch"][figure], abs=0.02)


@needs_torch
def test_a_language_model_goes_beside_pytorch():
    found = answer(
        "benchmark", "gru_lm", "--data", "builtin", "--set", "num_hiddens=8", "--set",
        "max_tokens=3000", "--limit-steps", "2", "--rounds", "1", "--no-fit",
    )  # fmt: skip
    assert found["feed"] == "memory"
    assert found["ratio_torch"] == pytest.approx(found["torch_seconds"] / found["loop_seconds"])


@pytest.mark.slow
def test_benchmark_of_replicas_tells_the_seconds_of_a_step():
    found = answer("benchmark_replicas", *SHORT, "--rounds", "1")
    seconds = found["seconds_per_step"]
    assert set(seconds) == {"one", "mirrored_1", "mirrored_2_fixed", "mirrored_2_growing"}
    assert min(seconds.values()) > 0
    assert found["overhead_mirrored_1"] == pytest.approx(seconds["mirrored_1"] / seconds["one"] - 1)
