import json
import shutil

import pytest

from kerasd2l.export import manifest
from kerasd2l.export.manifest import SavedModelError


@pytest.fixture
def copy(tmp_path, exported):
    return shutil.copytree(exported, tmp_path / "1")


def test_manifest_says_where_it_is_from_and_what_it_takes(exported):
    about = manifest.read(exported)
    assert about["name"] == "tiny" and about["version"] == 1
    assert about["recipe"] == "linear_networks/tiny"
    assert about["arguments"] == {"learning_rate": 0.1}
    assert about["metrics"] == {"test_accuracy": 0.5}
    assert set(about["versions"]) == {"kerasd2l", "tensorflow", "keras", "numpy"}
    assert about["created"].endswith("+00:00")
    assert about["signatures"]["serving_default"]["inputs"] == {
        "image_bytes": {"dtype": "string", "shape": [None]}
    }
    assert about["signatures"]["predict"]["outputs"]["probabilities"] == {
        "dtype": "float32",
        "shape": [None, 3],
    }
    assert {"saved_model.pb", "variables/variables.index"} <= set(about["files"])


def test_untouched_folder_passes(copy):
    manifest.verify_files(copy)
    assert manifest.differences(copy) == {"changed": [], "missing": [], "extra": []}


def test_every_changed_missing_and_extra_file_is_named(copy):
    data = copy / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[10] ^= 1
    data.write_bytes(content)
    (copy / "fingerprint.pb").unlink()
    (copy / "assets.extra" / "more").write_text("x")
    with pytest.raises(SavedModelError) as error:
        manifest.verify_files(copy)
    assert "changed: variables/variables.data-00000-of-00001" in str(error.value)
    assert "missing: fingerprint.pb" in str(error.value)
    assert "extra: assets.extra/more" in str(error.value)


def test_missing_damaged_and_foreign_manifests_are_told_apart(copy):
    file = copy / manifest.MANIFEST
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(SavedModelError, match=r"format 99"):
        manifest.read(copy)
    for text in ("{", "[]", "{}"):
        file.write_text(text)
        with pytest.raises(SavedModelError, match=r"manifest\.json"):
            manifest.read(copy)
    file.unlink()
    with pytest.raises(SavedModelError, match=r"kerasd2l did not export it"):
        manifest.read(copy)


def test_large_assets_are_only_named(tmp_path):
    assets = {"class_names": ["a"], "vocabulary": ["word"] * 20_000}
    empty = {key: {} for key in ("arguments", "signatures", "metrics")}
    manifest.write(tmp_path, name="m", version=1, recipe="r", assets=assets, **empty)
    about = manifest.read(tmp_path)
    assert about["assets"] == {"class_names": ["a"]}
    assert about["assets_left_out"] == ["vocabulary"]
