"""`models.lenet(weights="mnist")`, and the models that lie in savedmodels/."""

import base64
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.export import manifest
from kerasd2l.models import lenet

SHIPPED = Path(__file__).resolve().parents[2] / "savedmodels"
NAMES = ("lenet_mnist", "gru_time_machine", "names_languages")


def rows(name):
    return manifest.read(SHIPPED / name / "1")["examples"]["serving_default"]


def test_weights_are_those_of_the_saved_model():
    pictures = [base64.b64decode(row["image_bytes"]["b64"]) for row in rows("lenet_mnist")]
    served = tf.saved_model.load(str(SHIPPED / "lenet_mnist" / "1")).signatures["serving_default"]
    there = served(image_bytes=tf.constant(pictures))
    pixels = np.stack(
        [tf.io.decode_png(picture, 1).numpy() / np.float32(255) for picture in pictures]
    )
    here = tf.nn.softmax(lenet(weights="mnist")(pixels))
    np.testing.assert_allclose(here, there["probabilities"], atol=1e-5)
    assert there["class_names"].numpy().tolist() == [b"%d" % digit for digit in range(10)]


@pytest.mark.skipif("KERASD2L_DATA" not in os.environ, reason="needs the real files of MNIST")
def test_weights_know_98_5_percent_of_mnist():
    from kerasd2l.data import Source, mnist

    data = mnist.load(Source("files", os.environ["KERASD2L_DATA"]), batch_size=1000)
    model = lenet(weights="mnist")
    right = [np.sum(np.argmax(model(x), -1) == y) for x, y in data.test]
    assert np.sum(right) >= 9850


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "imagenet"}, r"one of \['mnist'\]. Received: weights='imagenet'"),
        ({"weights": "mnist", "num_classes": 5}, "with num_classes=10. Received: num_classes=5"),
        ({"weights": "mnist", "input_shape": (32, 32, 1)}, r"input_shape=\(28, 28, 1\)"),
        ({"weights": "mnist", "activation": "relu", "pooling": "max"}, "sigmoid.*average.*relu"),
    ],
)
def test_weights_of_another_network_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        lenet(**arguments)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shipped_is_whole_and_answers_its_examples(name):
    folder = SHIPPED / name / "1"
    manifest.verify_files(folder)
    about = manifest.read(folder)
    assert about["name"] == name
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    (key,) = about["signatures"]["serving_default"]["inputs"]
    values = [
        base64.b64decode(row[key]["b64"]) if isinstance(row[key], dict) else row[key]
        for row in rows(name)
    ]
    answers = serve(**{key: tf.constant(values)})
    assert set(answers) == set(about["signatures"]["serving_default"]["outputs"])
    assert all(len(answer) == len(values) for answer in answers.values())


def test_what_is_shipped_takes_less_than_6_mb():
    files = [file for name in NAMES for file in (SHIPPED / name).rglob("*") if file.is_file()]
    assert 0 < sum(file.stat().st_size for file in files) < 6_000_000
