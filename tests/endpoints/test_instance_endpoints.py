"""The signatures of instance segmentation: masks lie within their boxes, the surest one on top."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_models import encoded

from kerasd2l.endpoints.instances import instance_segmenter, paste
from kerasd2l.export.savedmodel import export
from kerasd2l.segmentation_metrics import mask_iou
from kerasd2l.serving.boxes import boxes_figure
from kerasd2l.tasks.instances import average_precisions

NAMES = ["cat", "dog"]
BOXES = np.array([[0.0, 0.0, 0.5, 1.0], [0.25, 0.0, 1.0, 1.0]], "float32")
SCORES = [[0.9, 0.0], [0.0, 0.8]]


@keras.saving.register_keras_serializable("tests")
class KnowsMasks(keras.Model):
    """Thinks of two objects: a cat on the left, its upper half, and a dog, all of its box."""

    def build(self, input_shape):
        self.sure = self.add_weight(shape=(), initializer="ones", name="sure")
        self.passes = self.masked = 0

    def call(self, inputs, training=False):
        self.passes += 1
        return keras.ops.mean(inputs, axis=(1, 2, 3)) * self.sure

    def candidates_and_maps(self, inputs):
        count = keras.ops.shape(inputs)[0]
        sure = self(inputs)[:, None, None]
        boxes = keras.ops.broadcast_to(BOXES[None, :, None], (count, 2, 1, 4))
        return boxes, keras.ops.convert_to_tensor(SCORES)[None] * sure, sure

    def object_masks(self, maps, boxes, class_ids):
        self.masked += 1
        halves = keras.ops.convert_to_tensor([[1.0] * 4] * 2 + [[0.0] * 4] * 2)
        cat = keras.ops.cast(class_ids == 0, "float32")[..., None, None]
        dog = keras.ops.cast(class_ids == 1, "float32")[..., None, None]
        return cat * halves + dog * keras.ops.ones((4, 4))


@pytest.fixture(scope="module")
def knows():
    model = KnowsMasks()
    model.build((None, 8, 12, 3))
    return model


@pytest.fixture(scope="module")
def served(knows, tmp_path_factory):
    endpoints = instance_segmenter(height=8, width=12, max_detections=3)
    folder = tmp_path_factory.mktemp("instances")
    path = export(knows, "x/knows", endpoints, {"class_names": NAMES}, folder, name="knows")
    assert knows.passes <= knows.masked + 1, "boxes and masks are of one pass"
    return tf.saved_model.load(str(path)).signatures


def asked(signature, **inputs):
    return {key: value.numpy() for key, value in signature(**inputs).items()}


def numbers(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def painted(height, width):
    """What the PNG of a white picture says."""
    page = np.zeros((height, width), int)
    page[:, width // 4 :] = 2
    page[: height // 2, : width // 2] = 1  # the surer one, on top
    return page


def test_masks_come_with_the_boxes_in_the_size_of_each_picture(served):
    sizes = [(40, 60), (200, 24)]
    pictures = [encoded(Image.new("RGB", (w, h), (255,) * 3)) for h, w in sizes]
    found = asked(served["serving_default"], image_bytes=tf.constant(pictures))
    assert found["masks"].shape == (2, 3, 4, 4) and found["masks"].dtype == "float32"
    assert found["num_detections"].tolist() == [2, 2]
    assert found["class_names"][0].tolist() == [b"cat", b"dog", b""]
    assert found["masks"][0].mean((1, 2)).tolist() == [0.5, 1.0, 0.0]
    for png, size in zip(found["mask_png"], sizes, strict=True):
        np.testing.assert_array_equal(numbers(png), painted(*size))


def test_pixels_and_thresholds(served):
    found = asked(served["predict"], pixels=tf.ones((1, 8, 12, 3)))
    np.testing.assert_array_equal(numbers(found["mask_png"][0]), painted(8, 12))
    white = tf.constant([encoded(Image.new("RGB", (12, 8), (255,) * 3))])
    asked_for = {"score_threshold": tf.constant(0.85), "iou_threshold": tf.constant(0.5)}
    found = asked(served["detect"], image_bytes=white, **asked_for)
    assert sorted(np.unique(numbers(found["mask_png"][0]))) == [0, 1]


def test_no_objects_and_no_pictures(served):
    black = encoded(Image.new("RGB", (9, 7)))
    found = asked(served["serving_default"], image_bytes=tf.constant([black]))
    assert not numbers(found["mask_png"][0]).any() and not found["masks"].any()
    found = asked(served["serving_default"], image_bytes=tf.constant([], tf.string))
    assert {value.shape[0] for value in found.values()} == {0}


def test_a_mask_is_pasted_as_pillow_stretches_it():
    mask = np.random.RandomState(0).rand(1, 28, 28).astype("float32")
    pasted = paste(
        tf.constant(mask), tf.constant([[10.0, 20.0, 66.0, 104.0]]), tf.constant([120, 80])
    )
    theirs = Image.fromarray(mask[0]).resize((56, 84), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(pasted[0, 20:104, 10:66], np.asarray(theirs), atol=1e-5)
    assert np.count_nonzero(pasted) == 56 * 84


def test_average_precision_by_masks(knows):
    """The dog's box and mask are right; the cat's box is right, of its mask half is: IoU 0.5."""
    whole = np.ones((1, 2, 56, 56), "float32")
    objects = np.concatenate([[[0.0], [1.0]], BOXES], axis=1)[None].astype("float32")
    pixels = np.ones((1, 8, 12, 3), "float32")

    def scored(masks):
        dataset = [(tf.constant(pixels), {"boxes": tf.constant(objects), "masks": masks})]
        return average_precisions(knows, dataset, {"class_names": NAMES})

    boxes = {"ap50": 1.0, "ap50_cat": 1.0, "ap50_dog": 1.0}
    assert scored(tf.constant(whole)) == boxes | {
        "ap50_mask": 1.0, "ap50_mask_cat": 1.0, "ap50_mask_dog": 1.0
    }  # fmt: skip
    lower = whole.copy()
    lower[0, 0, :28] = 0  # the cat is the lower half: no pixel is right
    assert scored(tf.constant(lower)) == boxes | {
        "ap50_mask": 0.5, "ap50_mask_cat": 0.0, "ap50_mask_dog": 1.0
    }  # fmt: skip


def test_iou_of_masks_is_that_of_pycocotools():
    pycocotools = pytest.importorskip("pycocotools.mask")
    random = np.random.RandomState(0)
    a, b = (random.rand(n, 13, 17) < 0.4 for n in (4, 3))
    runs = [
        [pycocotools.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]
        for masks in (a, b)
    ]
    np.testing.assert_allclose(mask_iou(a, b), pycocotools.iou(*runs, [0] * 3), rtol=1e-12)


def test_masks_are_drawn_over_the_picture(served):
    white = encoded(Image.new("RGB", (60, 40), (255,) * 3))
    found = asked(served["serving_default"], image_bytes=tf.constant([white]))
    found["class_names"] = np.array([[name.decode() for name in found["class_names"][0]]], object)
    figure = boxes_figure([np.ones((40, 60, 3))], found)
    _, cover = figure.axes[0].images
    assert cover.get_extent() == [0, 60, 40, 0]
    shown = np.asarray(cover.get_array())
    np.testing.assert_array_equal(shown[..., 3] > 0, painted(40, 60) > 0)
    assert len(np.unique(shown[shown[..., 3] > 0], axis=0)) == 2, "a colour for each object"


def test_more_objects_than_a_png_can_number():
    with pytest.raises(ValueError, match="`max_detections` must be at most 255"):
        instance_segmenter(height=8, width=8, max_detections=256)
