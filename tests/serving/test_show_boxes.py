"""What a detector answered is said in a line a picture, and drawn on the pictures."""

import numpy as np
import pytest
from PIL import Image

from kerasd2l.serving.boxes import boxes_figure
from kerasd2l.serving.show import format_prediction


def answer(*counts):
    """Return boxes of pictures: these many of four rows are boxes, the others padding."""
    size = len(counts)
    there = np.arange(4) < np.array(counts)[:, None]
    return {
        "boxes": np.where(there[..., None], [10.0, 20.0, 60.0, 80.0], 0),
        "scores": np.where(there, 0.912, 0),
        "class_ids": np.where(there, np.arange(4) * 11, -1),
        "class_names": np.where(there, "a $dog$", "").astype(object),
        "num_detections": np.array(counts).reshape(size),
    }


def test_a_line_says_what_is_where():
    lines = format_prediction(answer(1, 0, 2), names=["a.png", "b.png"], class_names=["x"])
    found = "a $dog$ 0.91 (10, 20)-(60, 80)"
    assert lines == [
        f"a.png: 1 object: {found}",
        "b.png: 0 objects",
        f"3: 2 objects: {found}, {found}",
    ]


def test_boxes_are_drawn_where_they_are_in_the_picture(tmp_path):
    path = tmp_path / "large.png"
    Image.new("L", (3000, 1500)).save(path)  # drawn smaller
    figure = boxes_figure([path, np.zeros((90, 70, 3))], answer(2, 0))
    first, second = figure.axes
    assert [patch.get_bbox().extents.tolist() for patch in first.patches] == [[10, 20, 60, 80]] * 2
    assert first.get_xlim() == (0, 3000) and first.get_ylim() == (1500, 0)
    assert first.get_title() == "large.png" and not second.patches
    figure.savefig(tmp_path / "drawn.png")  # a name with dollars is no formula


def test_some_of_many_pictures_are_drawn():
    figure = boxes_figure([np.zeros((8, 8))] * 20, answer(*[1] * 20))
    assert figure.get_suptitle() == "the first 16 of 20 pictures"


def test_answers_without_boxes_cannot_be_drawn():
    with pytest.raises(ValueError, match="needs the boxes of each"):
        boxes_figure([np.zeros((8, 8))], answer(1, 1))
    with pytest.raises(ValueError, match="needs the boxes of each"):
        boxes_figure([np.zeros((8, 8))], {"boxes": np.zeros((1, 2, 4))})
