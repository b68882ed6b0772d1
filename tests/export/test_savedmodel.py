import dataclasses
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_models import CLASSES, make_linear, make_normed, make_subclassed

from kerasd2l.export import manifest
from kerasd2l.export.kerasfile import load_model
from kerasd2l.export.savedmodel import export, export_run
from kerasd2l.recipe import Endpoint, Recipe, ServingFunction, TensorSpec
from kerasd2l.run import RunError


def endpoint(build, name="serving_default", shape=(None, 2), **signature):
    specs = signature or {"x": TensorSpec(shape)}
    return Endpoint(name, specs, build, lambda: {key: np.zeros((2, 2)) for key in specs})


def nothing_left(folder):
    return not folder.exists() or not any(folder.iterdir())


def test_importing_the_room_loads_no_tensorflow():
    code = (
        "import sys, kerasd2l.export, kerasd2l.endpoints.images as images\n"
        "import kerasd2l.serving.predict, kerasd2l.export.savedmodel, kerasd2l.serving.show\n"
        "images.image_classifier(height=28, width=28, channels=1)\n"
        "assert not {'tensorflow', 'keras', 'matplotlib', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_signatures_have_the_names_dtypes_and_free_batch_that_were_declared(exported):
    assert exported.name == "1" and exported.parent.name == "tiny"
    loaded = tf.saved_model.load(str(exported))
    assert set(loaded.signatures) == {"serving_default", "predict"}
    bytes_in = loaded.signatures["serving_default"].structured_input_signature[1]
    assert bytes_in == {"image_bytes": tf.TensorSpec((None,), tf.string, name="image_bytes")}
    pixels_in = loaded.signatures["predict"].structured_input_signature[1]
    assert pixels_in == {"pixels": tf.TensorSpec((None, 28, 28, 1), tf.float32, name="pixels")}
    for signature in loaded.signatures.values():
        outputs = signature.structured_outputs
        assert {key: spec.dtype for key, spec in outputs.items()} == {
            "probabilities": tf.float32,
            "class_ids": tf.int64,
            "class_names": tf.string,
        }
        assert outputs["probabilities"].shape.as_list() == [None, 3]
        assert outputs["class_ids"].shape.as_list() == [None]


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_any_batch_can_be_served(exported, batch):
    predict = tf.saved_model.load(str(exported)).signatures["predict"]
    outputs = predict(pixels=tf.zeros((batch, 28, 28, 1)))
    assert outputs["probabilities"].shape == (batch, 3)
    assert outputs["class_names"].shape == (batch,)


def test_folder_is_what_tf_serving_expects(exported):
    assert {path.name for path in exported.iterdir()} >= {
        "saved_model.pb",
        "variables",
        "assets",
        "assets.extra",
    }
    assert [path.name for path in exported.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("make", [make_normed, make_subclassed])
def test_layers_run_as_in_inference_and_give_what_the_model_gives(
    tmp_path, endpoints, assets, make
):
    model = make()
    path = export(model, "x/y", endpoints, assets, tmp_path, name="m")
    pixels = np.random.default_rng(1).random((4, 28, 28, 1), dtype="float32")
    serve = tf.saved_model.load(str(path)).signatures["predict"]
    expected = keras.ops.softmax(model(pixels, training=False)).numpy()
    for _ in range(2):
        found = serve(pixels=tf.constant(pixels))["probabilities"].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_several_inputs_keep_their_names_whatever_their_order(tmp_path, linear):
    def build(model, assets):
        return lambda zebra, apple: {"difference": zebra - 2.0 * apple, "zebra": zebra}

    one = endpoint(build, zebra=TensorSpec((None,)), apple=TensorSpec((None,)))
    path = export(linear, "x/y", (one,), {}, tmp_path, name="m")
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    outputs = serve(apple=tf.constant([1.0]), zebra=tf.constant([10.0]))
    assert outputs["difference"].numpy() == [8.0]
    assert manifest.read(path)["signatures"]["serving_default"]["inputs"] == {
        "zebra": {"dtype": "float32", "shape": [None]},
        "apple": {"dtype": "float32", "shape": [None]},
    }


def test_lookup_tables_named_as_resources_are_in_the_export(tmp_path, linear):
    def build(model, assets):
        keys = tf.constant(assets["words"])
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(assets["words"]))), -1
        )

        def serve(x):
            return {"ids": table.lookup(x)}

        return ServingFunction(serve, resources=[table])

    one = endpoint(build, x=TensorSpec((None,), "string"))
    one = dataclasses.replace(one, example=lambda: {"x": [b"b", b"?"]})
    path = export(linear, "x/y", (one,), {"words": ["a", "b"]}, tmp_path, name="m")
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    assert serve(x=tf.constant(["b", "?"]))["ids"].numpy().tolist() == [1, -1]


def test_lookup_tables_of_the_models_own_layers_are_in_the_export(tmp_path):
    words = keras.Input((3,), dtype="string")
    numbers = keras.layers.StringLookup(vocabulary=["a", "b"])(words)
    model = keras.Model(words, keras.layers.Embedding(3, 2)(numbers))
    given = np.array([["a", "b", "c"]])
    endpoint = Endpoint(
        "serving_default",
        {"words": TensorSpec((None, 3), "string")},
        lambda model, assets: lambda words: {"vectors": model(words)},
        lambda: {"words": given},
    )
    path = export(model, "tests/words", (endpoint,), {}, tmp_path, name="words")
    answer = tf.saved_model.load(str(path)).signatures["serving_default"](words=tf.constant(given))
    np.testing.assert_allclose(answer["vectors"], model(tf.constant(given)), rtol=1e-6)


def test_weights_are_stored_once_however_many_signatures_use_them(tmp_path):
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    first = Endpoint(
        "serving_default",
        {"x": TensorSpec((None, 100), "float32")},
        lambda model, assets: lambda x: {"y": model(x)},
        lambda: {"x": np.zeros((1, 100), "float32")},
    )
    both = (first, dataclasses.replace(first, name="again"))
    path = export(model, "tests/once", both, {}, tmp_path, name="once")
    (stored,) = (path / "variables").glob("variables.data-*")
    assert 4 * model.count_params() <= stored.stat().st_size < 1.1 * 4 * model.count_params()


def test_versions_are_numbered_after_the_highest(tmp_path, linear, endpoints, assets):
    def again():
        return export(linear, "x/y", endpoints[1:2], assets, tmp_path, name="m").name

    endpoints = (None, dataclasses.replace(endpoints[1], name="serving_default"))
    assert [again(), again()] == ["1", "2"]
    (tmp_path / "m" / "007").mkdir()
    (tmp_path / "m" / "notes").mkdir()
    assert again() == "8"
    assert manifest.read(tmp_path / "m" / "8")["version"] == 8


def test_exports_at_once_get_numbers_of_their_own(tmp_path, linear, assets):
    one = endpoint(lambda model, assets: lambda x: {"y": 2.0 * x})
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(export, make_linear(i), "x/y", (one,), assets, tmp_path, name="m")
            for i in range(4)
        ]
        paths = [job.result() for job in jobs]
    assert sorted(path.name for path in paths) == ["1", "2", "3", "4"]
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["1", "2", "3", "4"]
    for path in paths:
        manifest.verify_files(path)
        assert manifest.read(path)["version"] == int(path.name)


def test_a_number_taken_at_the_last_moment_is_left_alone(tmp_path, linear, monkeypatch):
    one = endpoint(lambda model, assets: lambda x: {"y": x})
    rename, calls = os.rename, []

    def late(source, target):
        calls.append(target)
        if len(calls) == 1:
            target.mkdir()
            (target / "theirs").write_text("kept")
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    path = export(linear, "x/y", (one,), {}, tmp_path, name="m")
    assert path.name == "2" and manifest.read(path)["version"] == 2
    assert (tmp_path / "m" / "1" / "theirs").read_text() == "kept"
    manifest.verify_files(path)


@pytest.mark.parametrize(
    "build",
    [
        lambda model, assets: assets["missing"],
        lambda model, assets: lambda x: 1 / 0,
        lambda model, assets: lambda x: x,
    ],
    ids=["build", "trace", "no dict"],
)
def test_failure_leaves_nothing_behind(tmp_path, linear, build):
    with pytest.raises((KeyError, ZeroDivisionError, TypeError)):
        export(linear, "x/y", (endpoint(build),), {}, tmp_path / "new", name="m")
    assert nothing_left(tmp_path)


def test_failed_check_or_interrupt_publishes_nothing(tmp_path, linear):
    one = endpoint(lambda model, assets: lambda x: {"y": x})

    def check(folder):
        assert (folder / "saved_model.pb").exists()
        assert not folder.name.isdigit()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(linear, "x/y", (one,), {}, tmp_path / "new", name="m", check=check)
    assert nothing_left(tmp_path)


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path, linear):
    def left(process):
        from socket import gethostname

        host = "".join(c if c.isalnum() or c == "." else "_" for c in gethostname())
        path = tmp_path / "m" / f".tmp-{host}-{process}-1"
        (path / "variables").mkdir(parents=True)
        return path

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    old, living = left(dead.pid), left(os.getppid())
    one = endpoint(lambda model, assets: lambda x: {"y": x})
    export(linear, "x/y", (one,), {}, tmp_path, name="m")
    assert not old.exists()
    assert living.exists()


def test_bad_requests_are_refused_at_the_door(tmp_path, linear):
    def same(model, assets):
        return lambda x: {"y": x}

    def ask(*endpoints, name="m"):
        export(linear, "x/y", endpoints, {}, tmp_path / "new", name=name)

    for name in ("", "a/b", "..", "a:b", ".hidden"):
        with pytest.raises(ValueError, match=r"`name` must be made of letters"):
            ask(endpoint(same), name=name)
    with pytest.raises(ValueError, match='must be named "serving_default"'):
        ask(endpoint(same, name="predict"))
    with pytest.raises(ValueError, match=r"same name"):
        ask(endpoint(same), endpoint(same))
    with pytest.raises(ValueError, match=r"batch axis of input 'x' .* must be None"):
        ask(endpoint(same, shape=(1, 2)))
    with pytest.raises(TypeError, match=r"must return a dict of named outputs.*Received: Sym"):
        ask(endpoint(lambda model, assets: lambda x: x))
    with pytest.raises(TypeError, match=r"must have Python names"):
        ask(endpoint(lambda model, assets: lambda x: {"top 5": x}))
    assert nothing_left(tmp_path)


def tiny_recipe(endpoints):
    unused = dict.fromkeys(("data", "model", "optimizer", "loss", "metrics"))
    return Recipe(section="s", dataset="d", epochs=1, batch_size=1, endpoints=endpoints, **unused)


def test_a_run_is_exported_from_its_files(tmp_path, run_folder, endpoints, monkeypatch):
    asked = []

    def load(name, **arguments):
        asked.append((name, arguments))
        return tiny_recipe(endpoints)

    monkeypatch.setattr("kerasd2l.finding.load", load)
    path = export_run(run_folder, tmp_path / "savedmodels", check=False)
    assert asked == [("linear_networks/tiny", {"learning_rate": 0.1})]
    assert path == tmp_path / "savedmodels" / "tiny" / "1"
    about = manifest.read(path)
    assert about["metrics"] == {"test_accuracy": 0.75}
    assert about["assets"] == {"class_names": CLASSES}
    assert about["arguments"] == {"learning_rate": 0.1}


def test_a_run_without_a_sound_model_says_how_to_go_on(tmp_path, run_folder, endpoints):
    model = run_folder / "model.keras"
    content = model.read_bytes()
    recipe = tiny_recipe(endpoints)
    spoiled = bytearray(content)
    spoiled[len(content) // 2] ^= 255
    for bad in (content[:-100], bytes(spoiled), b"", b"PK but no zip"):
        model.write_bytes(bad)
        with pytest.raises(RunError, match=r"damaged.*--resume"):
            export_run(run_folder, tmp_path / "out", recipe=recipe)
    model.unlink()
    with pytest.raises(RunError, match=r"does not exist: the training has not finished.*--resume"):
        export_run(run_folder, tmp_path / "out", recipe=recipe)
    with pytest.raises(RunError, match=r"not the folder of a run"):
        export_run(tmp_path / "none", tmp_path / "out", recipe=recipe)
    assert not (tmp_path / "out").exists()


def test_a_recipe_without_endpoints_cannot_be_exported(tmp_path, run_folder):
    with pytest.raises(ValueError, match=r"tiny has no endpoints"):
        export_run(run_folder, tmp_path / "out", recipe=tiny_recipe(()))


def with_module(model, path, module):
    """Rewrite a .keras file as if its class came from another module."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config |= {"module": module, "class_name": "Nobody", "registered_name": "p>Nobody"}
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_class_that_nobody_imported_is_named_with_its_module(tmp_path):
    path = tmp_path / "model.keras"
    with_module(make_subclassed(), path, "their.models")
    with pytest.raises(RunError, match=r"does not know.*Nobody.*Import .* first: .*their\.models"):
        load_model(path)
    with_module(make_subclassed(), path, "kerasd2l.models.of_tomorrow")
    with pytest.raises(RunError, match=r"needs Nobody of kerasd2l\.models\.of_tomorrow.*version"):
        load_model(path)


def test_a_file_cannot_make_us_import_what_is_not_a_room_of_ours(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "model.keras"
    for module in ("evil", "kerasd2l.cli", "kerasd2l_layers"):
        with_module(make_subclassed(), path, module)
        monkeypatch.delitem(sys.modules, module, raising=False)  # other tests use the cli
        with pytest.raises(RunError, match=r"does not know"):
            load_model(path)
        assert module not in sys.modules


def test_recurrent_layers_are_written_without_cudnn(tmp_path, monkeypatch):
    """Keras takes cuDNN where it sees a GPU; a graph with it fails on a server without one."""
    inputs = keras.Input((None, 2))
    x = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True))(inputs)
    model = keras.Model(inputs, keras.layers.LSTM(2, use_cudnn=True)(x))
    wanted = []
    for kind in (keras.layers.GRU, keras.layers.LSTM):
        plain = kind.inner_loop

        def loop(layer, *args, plain=plain, **kwargs):
            wanted.append(layer.use_cudnn)
            layer.use_cudnn, before = False, layer.use_cudnn  # there is no GPU here
            result = plain(layer, *args, **kwargs)
            layer.use_cudnn = before
            return result

        monkeypatch.setattr(kind, "inner_loop", loop)
    serve = endpoint(lambda model, assets: lambda x: {"y": model(x)}, shape=(None, None, 2))
    export(model, "c/r", (serve,), {}, tmp_path, name="m")
    assert len(wanted) >= 3 and not any(wanted)
    bidirectional, lstm = model.layers[1:]
    assert lstm.use_cudnn is True
    assert bidirectional.forward_layer.use_cudnn == "auto"
