"""The signatures of detectors: boxes in pixels of the picture that was given, whatever its size."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_models import encoded

from kerasd2l.endpoints.boxes import detector, suppressed
from kerasd2l.export.savedmodel import export
from kerasd2l.testing import check_endpoint

NAMES = ["cat", "dog"]
BOXES = [
    [0.1, 0.2, 0.5, 0.6],
    [0.1, 0.2, 0.5, 0.61],  # nearly the first one
    [0.5, 0.5, 1.5, 1.25],  # over the edge
    [1.1, 0.0, 1.3, 0.5],  # outside
]
SCORES = [[0.9, 0.0], [0.8, 0.6], [0.0, 0.7], [0.0, 0.99]]


@keras.saving.register_keras_serializable("tests")
class Knows(keras.Model):
    """Thinks of the same boxes in every picture, the surer the brighter it is."""

    def build(self, input_shape):
        self.sure = self.add_weight(shape=(), initializer="ones", name="sure")

    def call(self, inputs, training=False):
        return keras.ops.mean(inputs, axis=(1, 2, 3)) * self.sure

    def candidates(self, inputs):
        sure = self(inputs)[:, None, None]
        boxes = keras.ops.convert_to_tensor(BOXES, "float32")[None, :, None]
        return (
            keras.ops.broadcast_to(boxes, (keras.ops.shape(inputs)[0], 4, 1, 4)),
            keras.ops.convert_to_tensor(SCORES, "float32")[None] * sure,
        )


@pytest.fixture(scope="module")
def knows():
    model = Knows()
    model.build((None, 8, 12, 3))
    return model


@pytest.fixture(scope="module")
def served(knows, tmp_path_factory):
    endpoints = detector(height=8, width=12, max_detections=3)
    assets = {"class_names": NAMES}
    folder = tmp_path_factory.mktemp("boxes")
    path = export(knows, "x/knows", endpoints, assets, folder, name="knows")
    return tf.saved_model.load(str(path)).signatures


def picture(width, height, level=255):
    return encoded(Image.new("RGB", (width, height), (level,) * 3))


def asked(signature, **inputs):
    return {key: value.numpy() for key, value in signature(**inputs).items()}


def test_boxes_are_in_pixels_of_each_picture(served):
    pictures = [picture(100, 50), picture(30, 200), encoded(Image.new("L", (12, 8), 255), "JPEG")]
    found = asked(served["serving_default"], image_bytes=tf.constant(pictures))
    assert {key: (value.shape, value.dtype.name) for key, value in found.items()} == {
        "boxes": ((3, 3, 4), "float32"),
        "scores": ((3, 3), "float32"),
        "class_ids": ((3, 3), "int64"),
        "class_names": ((3, 3), "object"),
        "num_detections": ((3,), "int32"),
    }
    for row, (width, height) in zip(found["boxes"], [(100, 50), (30, 200), (12, 8)], strict=True):
        wanted = np.array([BOXES[0], [0.5, 0.5, 1, 1], BOXES[1]]) * [width, height, width, height]
        np.testing.assert_allclose(row, wanted, rtol=1e-5)
    # of two cats that overlap one is left; the dog at the same place stays; cut at the edge
    assert found["class_names"][0].tolist() == [b"cat", b"dog", b"dog"]
    np.testing.assert_allclose(found["scores"][0], [0.9, 0.7, 0.6], rtol=1e-5)
    assert found["num_detections"].tolist() == [3, 3, 3]


def test_rows_without_a_box_are_empty(served):
    found = asked(served["serving_default"], image_bytes=tf.constant([picture(9, 9, 0)]))
    assert found["num_detections"].tolist() == [0]
    assert not found["boxes"].any() and not found["scores"].any()
    assert found["class_ids"].tolist() == [[-1] * 3]
    assert found["class_names"].tolist() == [[b""] * 3]


def test_thresholds_may_be_asked_for(served):
    one = tf.constant([picture(10, 10)])

    def counted(score, iou):
        numbers = {"score_threshold": tf.constant(score), "iou_threshold": tf.constant(iou)}
        found = asked(served["detect"], image_bytes=one, **numbers)
        return found["class_names"][0, : found["num_detections"][0]].tolist()

    assert counted(0.65, 0.5) == [b"cat", b"dog"]
    assert counted(0.75, 1.0) == [b"cat", b"cat"]
    assert counted(0.95, 0.5) == []
    for wrong in ((1.0, 0.5), (-0.1, 0.5), (0.5, 1.5), (float("nan"), 0.5)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="threshold must be in"):
            counted(*wrong)


def test_no_pictures_give_no_answers(served):
    found = asked(served["serving_default"], image_bytes=tf.constant([], tf.string))
    assert {value.shape[0] for value in found.values()} == {0}


def test_pixels_give_boxes_in_pixels(served):
    found = asked(served["predict"], pixels=tf.ones((1, 8, 12, 3)))
    np.testing.assert_allclose(found["boxes"][0, 0], [1.2, 1.6, 6.0, 4.8], rtol=1e-5)


@pytest.mark.parametrize("content", [b"", b"no picture at all", picture(30, 30)[:60]])
def test_what_is_no_picture_is_refused(served, content):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"empty|Unknown image|Invalid PNG"):
        asked(served["serving_default"], image_bytes=tf.constant([picture(9, 9), content]))


def test_pixels_that_are_no_numbers_are_refused(served):
    pixels = tf.constant(np.nan, shape=(1, 8, 12, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels must be finite"):
        asked(served["predict"], pixels=pixels)


@pytest.mark.parametrize("place", [0, 2])
def test_endpoint(place, knows, tmp_path):
    endpoint = detector(height=8, width=12)[place]
    check_endpoint(endpoint, knows, {"class_names": NAMES}, tmp_path)


def test_each_class_may_have_boxes_of_its_own():
    boxes = np.zeros((1, 2, 2, 4), "float32")
    boxes[0, :, 0], boxes[0, :, 1] = [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]
    scores = np.array([[[0.9, 0.2], [0.3, 0.8]]], "float32")
    found = suppressed(boxes, scores, score_threshold=0.1, iou_threshold=0.5, max_detections=5)
    assert found["class_ids"].numpy().tolist() == [[0, 1, -1, -1, -1]]
    assert found["boxes"][0, 1].numpy().tolist() == [0.5, 0.5, 1, 1]


def test_wrong_numbers_and_names_are_refused(knows, tmp_path):
    with pytest.raises(ValueError, match="Received: score_threshold=1,"):
        detector(height=8, width=8, score_threshold=1)
    with pytest.raises(ValueError, match="`max_detections` at least 1"):
        detector(height=8, width=8, max_detections=0)
    endpoints = detector(height=8, width=12)
    with pytest.raises(ValueError, match="needs `class_names`"):
        export(knows, "x/y", endpoints, {}, tmp_path, name="m")
    with pytest.raises(ValueError, match="2 classes, the assets have 1 class names"):
        export(knows, "x/y", endpoints, {"class_names": ["cat"]}, tmp_path, name="m")
