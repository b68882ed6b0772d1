import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_models import CLASSES

from kerasd2l.export.manifest import MANIFEST, SavedModelError
from kerasd2l.serving import predict
from kerasd2l.serving.inputs import InputError


@pytest.fixture(scope="module")
def served(exported):
    return predict.load(exported)


def test_signatures_are_known_with_serving_default_first(served):
    assert list(served.signatures) == ["serving_default", "predict"]
    assert served.signatures["predict"].inputs["pixels"].shape == (None, 28, 28, 1)
    assert served.class_names == CLASSES


def test_description_names_everything(served):
    text = served.describe()
    assert "recipe: linear_networks/tiny" in text and "test_accuracy: 0.5" in text
    assert "serving_default: image_bytes string[any] -> " in text
    assert "predict: pixels float32[any, 28, 28, 1] -> " in text
    assert "class_names string[any]" in text


def test_pictures_are_classified_as_the_model_classifies(served, picture, linear):
    file = picture("shirt.png")
    outputs = served.predict([str(file)])
    from PIL import Image

    pixels = np.asarray(Image.open(file), "float32")[None, ..., None] / 255
    wanted = np.asarray(linear(pixels))
    wanted = np.exp(wanted) / np.exp(wanted).sum()
    np.testing.assert_allclose(outputs["probabilities"], wanted, atol=1e-5)
    assert outputs["class_names"].tolist() == [CLASSES[int(wanted.argmax())]]
    assert json.dumps({key: value.tolist() for key, value in outputs.items()})


def test_many_files_are_one_batch_in_their_order(served, picture, monkeypatch):
    files = [
        str(picture("a.png")),
        str(picture("b.jpg", "RGB", (40, 30))),
        str(picture("c.png", "RGBA", (5, 90))),
    ]
    monkeypatch.setattr(predict, "CHUNK", 2)
    together = served.predict(files)
    assert together["probabilities"].shape == (3, 3)
    for i, file in enumerate(files):
        one = served.predict([file])["probabilities"]
        np.testing.assert_allclose(together["probabilities"][i], one[0], atol=1e-6)


def test_the_broken_one_of_many_files_is_named(served, picture, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("this is no image, but a text that is long enough")
    with pytest.raises(InputError) as error:
        served.predict([str(picture("a.png")), str(text), str(picture("b.png"))])
    message = str(error.value)
    assert message.startswith(f"{text}: ") and "Unknown image file format" in message
    assert len(message) < 250 and "node" not in message and "\n" not in message
    with pytest.raises(InputError, match=r"none\.png does not exist"):
        served.predict([str(tmp_path / "none.png")])


def test_tensors_from_the_command_line(served, tmp_path):
    pixels = np.random.default_rng(0).random((2, 28, 28, 1)).astype("float32")
    np.save(tmp_path / "pixels.npy", pixels)
    found = served.predict([str(tmp_path / "pixels.npy")], "predict")
    wanted = served.call({"pixels": pixels}, "predict")
    np.testing.assert_array_equal(found["probabilities"], wanted["probabilities"])
    with pytest.raises(InputError, match=r"28x28x1 for each example"):
        served.predict(["1,2,3"], "predict")


def test_calls_that_do_not_fit_are_short_errors(served):
    with pytest.raises(
        SavedModelError, match=r"no signature 'serve'. It has: serving_default, pre"
    ):
        served.call({}, "serve")
    with pytest.raises(InputError, match=r"takes \['pixels'\]"):
        served.call({"x": 1}, "predict")
    message = r"pixels takes float32\[any, 28, 28, 1\]. Received the shape \[1, 5\]"
    with pytest.raises(InputError, match=message):
        served.call({"pixels": np.zeros((1, 5))}, "predict")
    with pytest.raises(InputError, match="non-rectangular"):
        served.call({"pixels": [[1], [2, 3]]}, "predict")


def test_a_name_means_its_newest_version(exported, tmp_path):
    name = tmp_path / "m"
    for version in ("2", "10", ".tmp-host-1-1"):
        shutil.copytree(exported, name / version)
    (name / "11").mkdir()  # not complete
    assert predict.load(name).path == name / "10"
    assert predict.load(name / "2").path == name / "2"
    with pytest.raises(SavedModelError, match=r"holds several models. Give one: .*/m"):
        predict.load(tmp_path)


def test_what_is_no_savedmodel_says_what_is_there(tmp_path):
    (tmp_path / "lenet").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SavedModelError, match=r"lenett does not exist. .* holds: lenet, notes.txt"):
        predict.load(tmp_path / "lenett")
    with pytest.raises(SavedModelError, match=r"neither saved_model.pb nor .* holds: lenet, notes"):
        predict.load(tmp_path)
    with pytest.raises(SavedModelError, match=r"is a file"):
        predict.load(tmp_path / "notes.txt")
    with pytest.raises(SavedModelError, match=r"holds: nothing"):
        predict.load(tmp_path / "lenet")
    with pytest.raises(SavedModelError, match=r"it does not exist"):
        predict.load(tmp_path / "a" / "b")


def test_damage_is_found_before_it_is_served(exported, tmp_path):
    copy = shutil.copytree(exported, tmp_path / "1")
    (copy / "assets.extra" / "notes").write_bytes(b"added later")
    predict.load(copy)
    data = copy / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-8])
    with pytest.raises(SavedModelError, match=r"changed: variables/variables.data"):
        predict.load(copy)
    with pytest.raises(SavedModelError, match=r"cannot load") as error:
        predict.load(copy, verify=False)
    assert "\n" not in str(error.value)
    (copy / "saved_model.pb").write_bytes(b"nonsense")
    (copy / MANIFEST).unlink()
    with pytest.raises(SavedModelError, match=r"cannot load"):
        predict.load(copy)


def test_a_savedmodel_without_manifest_can_be_used(exported, tmp_path):
    copy = shutil.copytree(exported, tmp_path / "1")
    (copy / MANIFEST).unlink()
    served = predict.load(copy)
    assert served.manifest == {} and served.class_names is None
    assert served.describe().startswith(str(copy))


def test_the_snippet_of_the_readme_runs(exported, picture, tmp_path, monkeypatch, capsys):
    page = Path(__file__).parents[2] / "savedmodels" / "README.md"
    (snippet,) = re.findall(r"```python\n(.*?)```", page.read_text("utf8"), re.DOTALL)
    (tmp_path / "savedmodels").mkdir()
    (tmp_path / "savedmodels" / "lenet").symlink_to(exported.parent)
    picture("shirt.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert any(name in printed for name in CLASSES)
