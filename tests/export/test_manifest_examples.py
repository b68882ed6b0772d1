"""Rows in the manifest, and the requests that TF Serving sends itself."""

import base64
import json

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.export import examples, manifest, warmup
from kerasd2l.export.savedmodel import export
from kerasd2l.recipe import Endpoint, TensorSpec


def endpoint(signature, **example):
    return Endpoint("serving_default", signature, lambda model, assets: None, lambda: example)


def test_rows_are_what_rest_takes_as_instances():
    signature = {
        "text": TensorSpec((None,), "string"),
        "image_bytes": TensorSpec((None,), "string"),
        "x": TensorSpec((None, 2), "float32"),
        "n": TensorSpec((None,), "int32"),
        "seed": TensorSpec((), "int64"),
    }
    rows = examples.rows(
        endpoint(
            signature,
            text=["Łódź", b"\xff"],
            image_bytes=[b"png", b""],
            x=[[0.1, 1e-7], [2, -0.5]],
            n=[1, 2],
            seed=7,
        )
    )
    assert json.loads(json.dumps(rows)) == [
        {"text": "Łódź", "image_bytes": {"b64": "cG5n"}, "x": [0.1, 1e-7], "n": 1},
        {"text": {"b64": "/w=="}, "image_bytes": {"b64": ""}, "x": [2.0, -0.5], "n": 2},
    ]


def test_no_more_rows_than_three_and_64_kib():
    signature = {"x": TensorSpec((None, None), "float32")}
    assert len(examples.rows(endpoint(signature, x=np.zeros((5, 2))))) == 3
    assert len(examples.rows(endpoint(signature, x=np.zeros((5, 2))), most=None)) == 5
    assert len(examples.rows(endpoint(signature, x=np.zeros((3, 3000))))) == 1
    assert examples.rows(endpoint(signature, x=np.zeros((3, 30_000)))) == []
    assert examples.rows(endpoint(signature, x=[[np.nan]])) == []


def test_an_export_holds_its_examples(exported):
    shown = manifest.read(exported)["examples"]
    assert set(shown) == {"serving_default", "predict"}
    assert len(shown["serving_default"]) == 2
    picture = base64.b64decode(shown["serving_default"][0]["image_bytes"]["b64"])
    assert picture.startswith(b"\x89PNG")
    loaded = tf.saved_model.load(str(exported))
    pixels = tf.constant([row["pixels"] for row in shown["predict"]])
    assert loaded.signatures["predict"](pixels=pixels)["probabilities"].shape == (len(pixels), 3)


def test_the_warm_up_asks_each_signature_and_is_answered(exported):
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    loaded = tf.saved_model.load(str(exported))
    asked = []
    for record in tf.data.TFRecordDataset(str(exported / warmup.WARMUP)):
        request = log.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "tiny"
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        outputs = loaded.signatures[request.model_spec.signature_name](
            **{key: tf.constant(value) for key, value in inputs.items()}
        )
        rows = len(next(iter(inputs.values())))
        assert outputs["probabilities"].shape == (rows, 3)
        asked.append((request.model_spec.signature_name, rows))
    assert asked == [("serving_default", 1), ("serving_default", 2), ("predict", 1), ("predict", 3)]
    assert warmup.WARMUP in manifest.read(exported)["files"]


def test_without_the_package_an_export_says_that_it_has_no_warm_up(
    tmp_path, monkeypatch, caplog, linear, endpoints, assets
):
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_serving.apis", None)
    with caplog.at_level("INFO", "kerasd2l"):
        path = export(linear, "a/tiny", endpoints, assets, tmp_path, name="tiny")
    assert "pip install 'kerasd2l[serve]'" in caplog.text
    assert not (path / warmup.WARMUP).exists()


def test_examples_that_are_given_are_shown(tmp_path, linear, endpoints, assets):
    pixels = np.full((4, 28, 28, 1), 0.5, "float32")
    given = {"predict": {"pixels": pixels}}
    path = export(linear, "a/tiny", endpoints, assets, tmp_path, name="tiny", examples=given)
    assert manifest.read(path)["examples"]["predict"][0]["pixels"][0][0] == [0.5]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"classify": {}}, "no such signature: classify. There are: serving_default, predict"),
        ({"serving_default": {"text": np.array([b"a"])}}, "needs as many rows"),
        ({"serving_default": {"image_bytes": np.array([], object)}}, "at least one"),
        ({"serving_default": {"image_bytes": np.array([b"text"], object)}}, "Unknown image file"),
    ],
)
def test_examples_that_do_not_fit_leave_nothing(
    tmp_path, linear, endpoints, assets, given, message
):
    with pytest.raises(ValueError, match=message):
        export(linear, "a/tiny", endpoints, assets, tmp_path, name="tiny", examples=given)
    assert not any(tmp_path.iterdir())


def test_a_manifest_of_before_has_no_examples(tmp_path, exported):
    content = manifest.read(exported)
    del content["examples"]
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(content))
    assert "examples" not in manifest.read(tmp_path)
