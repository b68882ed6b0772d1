"""A `model.keras` that is damaged, or made to do harm, is told in a line before Keras sees it."""

import json
import random
import zipfile

import keras
import pytest

from kerasd2l.export.kerasfile import load_model
from kerasd2l.run import RunError


def write(path, config, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("config.json", config)
        file.writestr("metadata.json", "{}")
    return path


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_a_config_that_is_nested_too_deeply(tmp_path, depth):
    with pytest.raises(RunError, match=r"is damaged|cannot load"):
        load_model(write(tmp_path / "m.keras", '{"a":' * depth + "1" + "}" * depth))


def test_a_config_of_many_bytes_takes_no_memory(tmp_path):
    path = write(tmp_path / "m.keras", b" " * (65 << 20), zipfile.ZIP_DEFLATED)
    with pytest.raises(RunError, match=r"config\.json has more than"):
        load_model(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_any_damage_is_one_line_or_harmless(tmp_path, method):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    config = json.dumps(keras.saving.serialize_keras_object(model)).encode()
    whole = write(tmp_path / "m.keras", config, method).read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        broken = bytearray(whole)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        del broken[rng.choice((len(broken), rng.randrange(len(broken)))) :]
        (tmp_path / "m.keras").write_bytes(broken)
        with pytest.raises(RunError):  # weights are missing even where the rest is whole
            load_model(tmp_path / "m.keras")


def test_weights_that_are_damaged_behind_a_right_checksum_are_one_line(tmp_path):
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    rng, refused = random.Random(0), 0
    for _ in range(60):
        weights = bytearray(parts["model.weights.h5"])
        for _ in range(8):
            weights[rng.randrange(len(weights))] ^= 1 << rng.randrange(8)
        with zipfile.ZipFile(path, "w") as file:
            for name, content in (parts | {"model.weights.h5": bytes(weights)}).items():
                file.writestr(name, content)
        try:
            load_model(path)
        except RunError:
            refused += 1
    assert refused > 0
