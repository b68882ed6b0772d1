"""What `predict` says and draws of masks."""

import json

import numpy as np
import pytest
from PIL import Image

from kerasd2l.cli.console import jsonable
from kerasd2l.serving.masks import mask_figure, mask_texts, segments
from kerasd2l.serving.predict import _decoded, _joined
from kerasd2l.serving.show import format_prediction

MASKS = np.full((2, 4, 6), 255, np.uint8)
MASKS[0, :4, :5] = 0
MASKS[0, :2, :5] = 2
MASKS[1, :2, :6] = 1
OUTPUTS = {"mask": MASKS, "sizes": np.array([[4, 5], [2, 6]], np.int32)}
NAMES = ["sky", "road", "car $5"]


def test_parts_of_a_picture_are_said_largest_first_without_the_padding():
    lines = format_prediction(OUTPUTS, names=["a.png", "b.png"], class_names=NAMES)
    assert lines == ["a.png: sky 0.50, car $5 0.50", "b.png: road 1.00"]
    assert mask_texts(OUTPUTS, None) == ["class 0 0.50, class 2 0.50", "class 1 1.00"]
    assert not segments({"mask": MASKS})


def test_figure_lays_the_mask_over_the_picture(tmp_path):
    Image.new("RGB", (50, 40), (10, 20, 30)).save(tmp_path / "a.png")
    Image.new("L", (2400, 800)).save(tmp_path / "b.png")  # drawn smaller than it is
    colours = [[0, 0, 255], [255, 0, 0], [0, 255, 0]]
    pictures = [str(tmp_path / name) for name in ("a.png", "b.png")]
    drawing = mask_figure(pictures, OUTPUTS, NAMES, colours)
    drawing.savefig(tmp_path / "out.png")
    left, right = drawing.axes[:2]
    assert left.get_title() == "a.png"
    assert len(left.images) == 1 and len(right.images) == 2
    overlay = right.images[1].get_array()
    assert overlay.shape == (40, 50, 3)  # each class where the picture shows it
    assert overlay[0, 0].tolist() == [0, 1, 0] and overlay[39, 0].tolist() == [0, 0, 1]
    legend = drawing.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["sky", "road", r"car \$5"]


def test_figure_without_names_and_colours_and_of_many_pictures():
    pictures = [np.zeros((4, 6, 3))] * 20
    outputs = {"mask": np.repeat(MASKS[:1], 20, 0), "sizes": np.tile([[4, 5]], (20, 1))}
    drawing = mask_figure(pictures, outputs)
    assert len(drawing.axes) == 32
    assert drawing._suptitle.get_text() == "the first 16 of 20 pictures"
    assert [text.get_text() for text in drawing.legends[0].get_texts()] == ["class 0", "class 2"]


def test_figure_needs_as_many_masks_as_pictures():
    with pytest.raises(ValueError, match="a figure of 1 pictures needs the mask of each"):
        mask_figure([np.zeros((4, 6, 3))], OUTPUTS)


def test_answers_to_several_batches_are_one_whatever_their_sizes():
    small, large = np.zeros((1, 2, 9), np.uint8), np.ones((2, 5, 3), np.uint8)
    joined = _joined([small, large])
    assert joined.shape == (3, 5, 9)
    assert (joined[0, :2] == 0).all() and (joined[0, 2:] == 255).all()
    assert (joined[1:, :, :3] == 1).all() and (joined[1:, :, 3:] == 255).all()


def test_a_png_stays_bytes_and_is_base64_in_json():
    png = np.array([b"\x89PNG\r\n\xff"], object)
    decoded = _decoded({"mask_png": png, "class_names": np.array([[b"sky"]], object)})
    assert decoded["mask_png"][0] == png[0] and decoded["class_names"][0, 0] == "sky"
    assert json.loads(json.dumps(jsonable(decoded))) == {
        "mask_png": [{"b64": "iVBORw0K/w=="}],
        "class_names": [["sky"]],
    }
