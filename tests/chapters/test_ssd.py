"""13.7: the recipes of single-shot detection, from their data to the figures of `evaluate`."""

import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from kerasd2l import cli, detection_metrics, finding
from kerasd2l.data import Source
from kerasd2l.data.box_shapes import usual_shapes
from kerasd2l.data.sets import scenes
from kerasd2l.tasks.detection import average_precisions

TINY = ("--set", "resize=64", "--limit-steps", "2", "--batch-size", "4", "--epochs", "1")


def call(*words):
    done = CliRunner().invoke(cli.main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.stdout


class Answers:
    """Knows the objects of two pictures by their brightness, and is sure of them or not."""

    LABELS = np.array([[[0, 0, 0, 0.5, 0.5], [2, 0.5, 0.5, 1, 1]], [[2, 0, 0, 1, 1], [-1] * 5]])
    PIXELS = np.array([0.0, 1.0], "float32")[:, None, None, None] * np.ones((2, 4, 4, 3), "float32")

    def __init__(self, shift=0.0):
        self.shift = shift

    def candidates(self, pixels):
        rows = tf.gather(self.LABELS, tf.cast(pixels[:, 0, 0, 0], tf.int32))
        scores = tf.one_hot(tf.cast(rows[..., 0], tf.int32), 3) * 0.9
        return tf.cast(rows[:, :, None, 1:] + self.shift, tf.float32), scores


def test_average_precision_of_what_is_served():
    batches = [(Answers.PIXELS, Answers.LABELS), (Answers.PIXELS[1:], Answers.LABELS[1:])]
    names = {"class_names": ["cat", "dog", "cow"]}
    # no dog is there, so that its precision is no number
    assert average_precisions(Answers(), batches, names) == pytest.approx(
        {"ap50": 1, "ap": 1, "ap50_cat": 1, "ap50_cow": 1}
    )
    assert average_precisions(Answers(0.4), batches, names)["ap50_cat"] == 0
    nothing = [(Answers.PIXELS[:1], np.full((1, 1, 5), -1.0))]
    assert average_precisions(Answers(), nothing, names) == {"ap50": 0.0, "ap": 0.0}


def test_without_pycocotools_a_line_says_what_is_left_out(monkeypatch, caplog):
    monkeypatch.setattr(detection_metrics, "has_pycocotools", lambda: False)
    with caplog.at_level("INFO", "kerasd2l"):
        figures = average_precisions(
            Answers(), [(Answers.PIXELS, Answers.LABELS)], {"class_names": ["cat", "dog", "cow"]}
        )
    assert "ap" not in figures and figures["ap50"] == pytest.approx(1)
    assert "pip install pycocotools" in caplog.text


def test_each_picture_goes_through_the_model_once():
    seen = []

    class Counts(Answers):
        def candidates(self, pixels):
            tf.py_function(lambda x: seen.append(len(x)), [pixels], [])
            return super().candidates(pixels)

    average_precisions(Counts(), [(Answers.PIXELS, Answers.LABELS)] * 2, {"class_names": "abc"})
    assert seen == [2, 2]


@pytest.mark.slow
def test_trained_evaluated_and_asked_from_the_command_line(tmp_path, no_real_data):
    run, models = tmp_path / "run", tmp_path / "models"
    words = ("--out", run, "--export", "--savedmodels", models, "--json")
    summary = json.loads(call("train", "tiny_ssd", "--data", "builtin", *TINY, *words))
    for name in ("train_loss", "test_loss", "test_class_error", "test_bbox_mae"):
        assert 0 <= summary["metrics"][name] < 10
    figures = json.loads(call("evaluate", run, "--limit-steps", "1", "--json"))["metrics"]
    assert {"test_ap50", *(f"test_ap50_{name}" for name in scenes.CLASS_NAMES)} <= set(figures)
    pictures = [tmp_path / "one.png", tmp_path / "two.jpg"]
    for path, size in zip(pictures, [(128, 128), (300, 90)], strict=True):
        Image.fromarray(scenes.scenes("test").x[0]).resize(size).save(path)
    drawn = tmp_path / "boxes.png"
    low = ("--input", "score_threshold=0")
    lines = call("predict", models / "tiny_ssd", *pictures, *low, "--out", drawn).splitlines()
    assert len(lines) == 2 and "100 objects: " in lines[0]
    assert Image.open(drawn).size[0] > 500


def test_pictures_are_changed_with_their_boxes():
    def first(**arguments):
        recipe = finding.load("tiny_ssd", resize=64, batch_size=800, **arguments)
        loaded = recipe.data(Source("builtin"))
        return [part.numpy() for part in next(iter(loaded.epoch(0)))]

    x, y = first()
    flipped_x, flipped_y = first(horizontal_flip=1.0)
    np.testing.assert_allclose(flipped_x, x[:, :, ::-1], atol=1e-6)
    there = y[..., 0] >= 0
    np.testing.assert_allclose(flipped_y[there][:, [1, 3]], 1 - y[there][:, [3, 1]], atol=1e-5)


def test_only_the_books_numbers_have_the_books_figure():
    assert finding.load("tiny_ssd").expected is not None
    assert finding.load("tiny_ssd", smooth_beta=0.5).expected is None
    assert finding.load("tiny_ssd", dataset="box_folder").expected is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("smallest=0.9", "`largest` more"),
        ("resize=32", "at least 64 x 64 pixels"),
        ("focal_gamma=-1", "must be at least 0"),
        ("score_threshold=1", "in [0, 1)"),
        ("horizontal_flip=2", "Received: "),
    ],
)
def test_wrong_numbers_are_one_line_of_error(setting, message):
    refused("tiny_ssd", setting, message)


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("yolo", "resize=100", "multiples of 32"),
        ("yolo", "num_shapes=4", "must be 3, 6, 9 or so on"),
        ("yolo", "shapes=0.1,0.2,0.3", "width, height and so on"),
        ("yolo", "box_loss=l1", "must be one of giou, squared"),
        ("yolo_v1", "boxes=0", "`boxes` must be at least 1"),
        ("yolo_v1", "grid=50", "with grid=50 needs pictures of at least 1569 x 1569 pixels"),
    ],
)
def test_wrong_numbers_of_yolo_are_one_line_of_error(name, setting, message):
    refused(name, setting, message, *("" if "resize" in setting else ("--set", "resize=64")))


def refused(name, setting, message, *more):
    words = ["train", name, "--data", "builtin", "--dry-run", "--set", setting, *more]
    done = CliRunner().invoke(cli.main, words)
    assert done.exit_code in (1, 2) and message in done.output
    assert "Traceback" not in done.output


def test_yolo_takes_the_shapes_of_its_training_boxes(caplog):
    small = {"resize": 32, "width": 0.125, "depths": (1,) * 5, "horizontal_flip": 0.0}
    recipe = finding.load("yolo", **small, num_shapes=3, batch_size=400)
    loaded = recipe.data(Source("builtin"))
    with caplog.at_level("INFO", "kerasd2l"):
        net = recipe.model(loaded)
    labels = np.concatenate([np.asarray(y) for _, y in loaded.epoch(0)])
    np.testing.assert_allclose(net.shapes, usual_shapes(labels, 3))
    assert "usual shapes of boxes: 0." in caplog.text
    given = finding.load("yolo", **small, shapes=(0.1, 0.2) * 3)
    assert given.model(loaded).shapes == [[0.1, 0.2]] * 3


@pytest.mark.parametrize("number", [0, -3, 4])
def test_shapes_are_as_many_for_each_map(number):
    with pytest.raises(ValueError, match="`num_shapes` must be 3, 6, 9"):
        finding.load("yolo", num_shapes=number)
