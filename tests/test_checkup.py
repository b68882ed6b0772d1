"""The doctor tells what is there and, in words, what will go wrong."""

import os

import pytest

from kerasd2l.cli import checkup


@pytest.fixture
def clean(monkeypatch):
    monkeypatch.delenv("KERASD2L_DATA", raising=False)
    return {"PATH": os.environ["PATH"]}


def test_versions_devices_and_libraries(clean):
    report = checkup.examine(clean)
    assert {"python", "kerasd2l", "tensorflow", "keras", "numpy"} <= set(report["versions"])
    assert any("CPU:0" in device for device in report["devices"])
    assert "libcudnn.so.9" in report["gpu_libraries"]
    assert all(isinstance(state, str) and state for state in report["gpu_libraries"].values())
    assert report["environment"] == {}
    assert report["cache_dir"].endswith("kerasd2l")


def test_no_data_folder_is_a_problem(clean):
    report = checkup.examine(clean)
    assert report["data_dir"] is None
    assert any("--data files needs --data-dir or KERASD2L_DATA" in p for p in report["problems"])


def test_a_data_folder_shows_what_it_holds(clean, monkeypatch, tmp_path):
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("KERASD2L_DATA", str(tmp_path))
    report = checkup.examine(clean)
    assert report["data_dir"] == f"{tmp_path} (mnist)"
    assert not any("data folder" in problem for problem in report["problems"])
    monkeypatch.setenv("KERASD2L_DATA", str(tmp_path / "gone"))
    assert any("gone does not exist" in p for p in checkup.examine(clean)["problems"])


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("KERAS_BACKEND", "jax", "KERAS_BACKEND is not tensorflow"),
        ("TF_USE_LEGACY_KERAS", "1", "kerasd2l needs Keras 3"),
    ],
)
def test_a_wrong_environment_is_a_problem(clean, name, value, text):
    report = checkup.examine({**clean, name: value})
    assert report["environment"] == {name: value}
    assert any(text in problem for problem in report["problems"])


def test_a_driver_without_cuda_libraries_names_those_that_do_not_load(clean, monkeypatch):
    def load(name):
        if name != "libcuda.so.1":
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(checkup.ctypes, "CDLL", load)
    report = checkup.examine(clean)
    assert report["gpu_libraries"]["libcuda.so.1"] == "found"
    assert report["gpu_libraries"]["libnccl.so.2"].startswith("cannot open shared object file")
    (text,) = [problem for problem in report["problems"] if "TensorFlow sees no GPU" in problem]
    assert "libcudnn.so.9" in text
    assert "libcuda.so.1" not in text
