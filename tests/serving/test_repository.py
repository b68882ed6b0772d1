"""What a folder that changes does to what is served."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from contract.models import write_models

pytest.importorskip("orjson", reason="needs the extra kerasd2l[serve]")

from kerasd2l.export import manifest
from kerasd2l.serving.server.calls import ServingError
from kerasd2l.serving.server.model_config import read_config
from kerasd2l.serving.server.repository import Models
from kerasd2l.serving.server.storage import ModelConfig, Storage


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """half_plus_two/1 adds 2, /2 adds 3, /3 adds 4."""
    folder = tmp_path_factory.mktemp("exports")
    write_models(folder)
    return folder / "half_plus_two"


@pytest.fixture
def folder(tmp_path, exports):
    shutil.copytree(exports / "1", tmp_path / "half" / "1")
    return tmp_path


def watch(folder, **options):
    said = []
    models = Models(Storage(folder, **options), said.append, together=True, most=9)
    models.said = said
    look(models)
    return models


def look(models):
    models.look()
    models.look()  # what has no manifest is loaded at the second look


def answer(models, name="half", version=None, label=None):
    found = models.find(name, version, label)
    x = np.array([2.0], "float32")
    return float(found.run("serving_default", found.checked("serving_default", {"x": x}))["y"][0])


def states(models, name="half"):
    return {state.version: state.state for state in models.states(name)}


def with_manifest(version, **more):
    (version / "assets.extra").mkdir(exist_ok=True)
    manifest.write(
        version,
        name="half",
        version=1,
        recipe="none",
        arguments={},
        signatures={},
        assets={},
        metrics={},
    )
    path = version / manifest.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def test_a_new_version_takes_over_and_the_one_before_goes(folder, exports):
    models = watch(folder)
    assert answer(models) == 3.0
    shutil.copytree(exports / "2", folder / "half" / "2")
    models.look()
    assert answer(models) == 3.0  # not before it has been seen unchanged
    models.look()
    assert answer(models) == 4.0
    assert states(models) == {2: "AVAILABLE", 1: "END"}
    with pytest.raises(ServingError, match=r"Specific\(half, 1\)"):
        models.find("half", 1)


def test_a_version_that_is_taken_away_gives_back_to_the_one_before(folder, exports):
    shutil.copytree(exports / "2", folder / "half" / "2")
    models = watch(folder)
    assert answer(models) == 4.0
    shutil.rmtree(folder / "half" / "2")
    look(models)
    assert answer(models) == 3.0
    assert states(models) == {1: "AVAILABLE"}


def test_a_new_version_that_fails_keeps_the_old_one_and_says_so(folder):
    models = watch(folder)
    (folder / "half" / "2").mkdir()
    (folder / "half" / "2" / "saved_model.pb").write_bytes(b"\xff\xff no graph")
    look(models)
    assert answer(models) == 3.0
    newest = models.states("half")[0]
    assert (newest.version, newest.state) == (2, "END")
    assert newest.code != "OK" and "half/2" in newest.message
    assert str(folder) not in newest.message
    tries = len(models.said)
    look(models)
    assert len(models.said) == tries  # not again until its files change


def test_a_version_is_not_loaded_before_its_manifest_is_fulfilled(folder):
    with_manifest(folder / "half" / "1")
    variables = folder / "half" / "1" / "variables" / "variables.index"
    content = variables.read_bytes()
    variables.unlink()
    models = watch(folder)
    with pytest.raises(ServingError, match="Servable not found"):
        models.find("half")
    assert states(models) == {1: "START"}
    variables.write_bytes(content[:-1] + b"?")
    look(models)
    assert models.states("half")[0].code == "DATA_LOSS"
    variables.write_bytes(content)
    look(models)
    assert answer(models) == 3.0


def test_parts_of_variables_that_are_missing_are_waited_for(folder):
    part = folder / "half" / "1" / "variables" / "variables.data-00000-of-00001"
    part.rename(part.with_name("variables.data-00000-of-00002"))
    models = watch(folder)
    look(models)
    assert states(models) == {1: "START"}
    assert "1 of 2 parts" in models.states("half")[0].message


def test_a_link_out_of_the_folder_is_not_followed(folder, exports):
    os.symlink(exports / "2", folder / "half" / "2")
    file = folder / "half" / "1" / "variables" / "variables.index"
    file.unlink()
    os.symlink(exports / "1" / "variables" / "variables.index", file)
    models = watch(folder)
    assert {state.version: "link" in state.message for state in models.states("half")} == {
        1: True,
        2: True,
    }
    with pytest.raises(ServingError):
        models.find("half")


def test_storage_that_vanishes_unloads_nothing(folder):
    models = watch(folder)
    (folder / "half").rename(folder / ".gone")
    look(models)
    assert answer(models) == 3.0
    assert any("its folder is gone" in problem for problem in models.problems())
    folder.rename(folder.with_name("elsewhere"))
    look(models)
    assert answer(models) == 3.0
    assert any("cannot be read" in problem for problem in models.problems())
    folder.with_name("elsewhere").rename(folder)
    (folder / ".gone").rename(folder / "half")
    look(models)
    assert models.problems() == []


def test_names_that_are_no_versions_are_passed_over(folder, exports):
    shutil.copytree(exports / "2", folder / "half" / ".tmp-host-1-1")
    shutil.copytree(exports / "2", folder / "half" / "99999999999999999999")
    shutil.copytree(exports / "2", folder / "half" / "2a")
    (folder / "half" / "7").write_text("a file")
    (folder / "notes").mkdir()
    models = watch(folder)
    assert models.names() == ["half"]
    assert states(models) == {1: "AVAILABLE"}


def test_two_folders_of_one_number_are_a_problem(folder, exports):
    shutil.copytree(exports / "2", folder / "half" / "01")
    models = watch(folder)
    assert models.problems() == ["half: 01 and 1 are one number"]


@pytest.mark.parametrize(
    ("versions", "wanted"), [("all", {1, 2, 3}), ((2,), {2}), (2, {2, 3}), (1, {3})]
)
def test_which_versions_are_served(tmp_path, exports, versions, wanted):
    config = ModelConfig("half", exports, versions, {"stable": min(wanted), "next": 4})
    models = watch(tmp_path, configs={"half": config})
    assert {number for number, state in states(models).items() if state == "AVAILABLE"} == wanted
    assert answer(models, label="stable") == 2.0 + min(wanted)
    for label in ("next", "never"):  # one of a version that is not loaded, one that nobody gave
        with pytest.raises(ServingError, match=f"Unrecognized servable version label: {label}"):
            models.find("half", label=label)


def test_the_folder_of_one_model_is_served_under_its_name(exports):
    assert watch(exports).names() == ["half_plus_two"]


def test_warm_up_finds_a_model_whose_rows_see_each_other(folder, tmp_path):
    import tensorflow as tf

    class Centred(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), "float32", name="x")])
        def centre(self, x):
            return {"y": x - tf.reduce_mean(x)}

    module = Centred()
    version = tmp_path / "centred" / "1"
    tf.saved_model.save(module, str(version), signatures={"serving_default": module.centre})
    with_manifest(version, examples={"serving_default": [{"x": 1.0}, {"x": 5.0}]})
    with_manifest(folder / "half" / "1", examples={"serving_default": [{"x": 1.0}, {"x": 5.0}]})
    models = watch(folder)
    assert models.find("centred").batchable == set()
    assert "serving_default" in models.find("half").batchable
    shutil.rmtree(version / "assets.extra")  # nor is one batched of which nothing is known
    assert watch(folder).find("centred").batchable == set()


def test_what_cannot_be_read_keeps_nothing_else_from_being_served(folder, exports, monkeypatch):
    """lost+found; a file instead of a version; a name that is no text; a model called 7."""
    (folder / "lost+found").mkdir()
    (folder / "12").write_text("no version")
    shutil.copytree(exports / "1", folder / os.fsdecode(b"odd\xff") / "1")
    shutil.copytree(exports / "2", folder / "7" / "1")
    listed = Path.iterdir

    def refuse(path):
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    models = watch(folder)
    assert models.names() == ["7", "half"]
    assert answer(models) == 3.0 and answer(models, "7") == 4.0


def test_files_that_vanish_while_they_are_looked_at_are_looked_at_again(folder, exports):
    models = watch(folder)
    shutil.copytree(exports / "2", folder / "half" / "2")
    complete = models._storage.complete

    def vanish(found):
        models._storage.complete = complete
        raise FileNotFoundError(2, "No such file or directory")

    models._storage.complete = vanish
    models.look()
    assert answer(models) == 3.0
    assert models.problems() == ["half: No such file or directory"]
    look(models)
    assert answer(models) == 4.0 and not models.problems()


def test_what_is_not_there_is_told_once(tmp_path, folder):
    nothing = watch(tmp_path / "half" / "1")
    look(nothing)
    assert nothing.said == ["no models: the folder must hold NAME/VERSION/saved_model.pb"]
    models = watch(tmp_path, configs={"half": ModelConfig("half", folder / "half", (1,))})
    other = watch(tmp_path, configs={"half": ModelConfig("half", folder / "half", (7,))})
    (folder / "half" / "1").rename(folder / "half" / "x")
    look(models)
    look(other)
    assert models.said[-1] == "half: no versions are left; what serves, serves on"
    assert models.said[-2] != models.said[-1] and answer(models) == 3.0
    assert other.said == ["half: its folder has none of the versions that are wanted"]


def test_what_is_asked_while_versions_change_is_answered(folder, exports):
    """A version that was found and then unloaded says so: the caller looks again."""
    models = watch(folder)
    old = models.find("half")
    queue = models.queue(old, "serving_default")
    shutil.copytree(exports / "2", folder / "half" / "2")
    look(models)
    assert models.queue(old, "serving_default") is None
    assert models.queue(models.find("half"), "serving_default") is not queue
    models.close()


def test_where_the_newest_cannot_be_loaded_at_the_start_the_one_before_serves(folder, exports):
    shutil.rmtree(folder / "half" / "1")
    (folder / "half" / "3").mkdir()
    (folder / "half" / "3" / "saved_model.pb").write_bytes(b"half a fi")
    shutil.copytree(exports / "2", folder / "half" / "2")
    models = watch(folder)
    assert answer(models) == 4.0
    assert states(models) == {3: "END", 2: "AVAILABLE"}
    shutil.rmtree(folder / "half" / "3")
    shutil.copytree(exports / "3", folder / "half" / "3")
    look(models)
    assert answer(models) == 5.0


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ('config {name: "a"}', "a has no base_path"),
        ('config {name: "a" base_path: "b"} config {name: "a" base_path: "c"}', "name of its own"),
        ('config {nom: "a"}', 'no field named "nom"'),
        ("", "names no models"),
    ],
)
def test_a_config_with_a_mistake_is_refused(tmp_path, models, problem):
    file = tmp_path / "models.config"
    file.write_text(f"model_config_list {{{models}}}")
    with pytest.raises(ServingError, match=problem):
        read_config(file)


def with_warm_up(version, arrays):
    """Write a warm-up request beside a SavedModel, as TensorFlow Serving's users do."""
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "half"
    for key, value in arrays.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        file.write(log.SerializeToString())
    return path


def test_warm_up_requests_are_run_where_a_manifest_has_no_example(folder):
    with_warm_up(folder / "half" / "1", {"x": np.array([1.0, 5.0], "float32")})
    models = watch(folder)
    ((signature, arrays),) = models.find("half").examples()
    assert signature == "serving_default"
    assert arrays["x"].tolist() == [1.0, 5.0]
    assert answer(models) == 3.0


def test_a_version_whose_warm_up_requests_are_wrong_is_not_loaded(folder, exports):
    models = watch(folder)
    shutil.copytree(exports / "2", folder / "half" / "2")
    with_warm_up(folder / "half" / "2", {"z": np.array([1.0], "float32")})
    shutil.copytree(exports / "3", folder / "half" / "3")
    path = with_warm_up(folder / "half" / "3", {"x": np.array([1.0], "float32")})
    path.write_bytes(path.read_bytes()[:-3])
    look(models)
    assert states(models) == {1: "AVAILABLE", 2: "END", 3: "END"}
    why = {state.version: state.message for state in models.states("half")}
    assert "unknown inputs: z" in why[2]
    assert why[3] == "assets.extra/tf_serving_warmup_requests is damaged"
    assert answer(models) == 3.0
