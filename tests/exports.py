"""Fixtures of the tests on endpoints, exports and serving."""

import json

import numpy as np
import pytest
from PIL import Image
from tiny_models import CLASSES, make_linear

from kerasd2l.endpoints import image_classifier
from kerasd2l.export.savedmodel import export


@pytest.fixture(scope="session")
def endpoints():
    return image_classifier(height=28, width=28, channels=1)


@pytest.fixture(scope="session")
def assets():
    return {"class_names": CLASSES}


@pytest.fixture(scope="session")
def linear():
    return make_linear()


@pytest.fixture(scope="session")
def exported(tmp_path_factory, linear, endpoints, assets):
    """One export for the tests that only read: savedmodels/tiny/1."""
    return export(
        linear,
        "linear_networks/tiny",
        endpoints,
        assets,
        tmp_path_factory.mktemp("read") / "savedmodels",
        name="tiny",
        metrics={"test_accuracy": 0.5},
        arguments={"learning_rate": 0.1},
    )


@pytest.fixture
def run_folder(tmp_path, linear):
    """What a finished run leaves on the disk."""
    path = tmp_path / "run"
    path.mkdir()
    config = {"recipe": "linear_networks/tiny", "arguments": {"learning_rate": 0.1}}
    (path / "config.json").write_text(json.dumps(config))
    (path / "assets.json").write_text(json.dumps({"class_names": CLASSES}))
    (path / "summary.json").write_text(json.dumps({"metrics": {"test_accuracy": 0.75}}))
    linear.save(path / "model.keras")
    return path


@pytest.fixture
def picture(tmp_path):
    """Write a random picture of a mode and size and return its path."""

    def write(name, mode="L", size=(28, 28), **options):
        pixels = np.random.default_rng(3).integers(0, 256, (*size[::-1], 4), dtype=np.uint8)
        file = tmp_path / name
        Image.fromarray(pixels).convert(mode).save(file, **options)
        return file

    return write
