"""The demos of computer vision give the numbers that the book prints."""

import numpy as np
import pytest

from kerasd2l import figures, finding


def _run(name, **arguments):
    return finding.load(f"computer_vision/{name}", **arguments).run()


def test_bounding_boxes():
    values = _run("bounding_boxes").values
    assert values["centre and size"] == [[219, 280.5, 318, 471], [527.5, 302.5, 255, 381]]
    assert values["there and back"] == [[True] * 4] * 2


def test_anchor_boxes():
    values = _run("anchor_boxes").values
    assert values["shape"] == [1, 2042040, 4]
    first = values["around pixel (250, 250)"]["s=0.75, r=1"]
    np.testing.assert_allclose(first, [0.06, 0.07, 0.63, 0.82])
    small = _run("anchor_boxes", height=3, width=5, sizes="0.5", ratios="1,2").values
    assert small["shape"] == [1, 30, 4]
    with pytest.raises(ValueError, match="`height` and `width` must be 1 to 2000"):
        _run("anchor_boxes", height=0)


def test_anchor_labels():
    values = _run("anchor_labels").values
    assert values["classes (0: background)"] == [0, 1, 2, 0, 2]
    assert values["offsets"][1] == [1.4, 10.0, 2.59, 7.18]
    assert values["offsets"][4] == [-0.571, -1.0, 4.17e-6, 0.626]
    detections = values["detections (class, confidence, corners)"]
    assert [row[:2] for row in detections] == [[0, 0.9], [1, 0.9], [-1, 0.8], [-1, 0.7]]


def test_display_anchors():
    assert list(_run("display_anchors").values.values()) == [48, 12, 3]


# Inventory 13.8: what the book prints of RoI pooling; of RoIAlign what torchvision gives.
def test_roi_pooling():
    demo = _run("roi_pooling")
    assert demo.values == {
        "RoI pooling": [[[5, 6], [9, 10]], [[9, 11], [13, 15]]],
        "RoIAlign": [[[0.625, 1.5], [4.125, 5.0]], [[4.3125, 5.75], [8.3125, 9.75]]],
    }
    assert len(demo.figures["roi_pooling"].axes) == 4


def test_transposed_conv():
    values = _run("transposed_conv").values
    assert values["strides 1"] == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]
    assert values["padding 1"] == [[4]]
    assert values["strides 2"] == [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]]
    assert values["largest difference from the layer"] == 0
    assert values["sizes there and back"][0] == values["sizes there and back"][2]
    assert values["convolution of 0 to 8"] == [[27, 37], [57, 67]]
    assert values["W x is the convolution"] and values["W^T y is the transposed one"]


def test_boxes_are_drawn_where_they_are():
    picture = np.zeros((20, 30, 3))
    figure = figures.boxes_on_pictures([picture], [[[1, 2, 11, 7], [0, 0, 3, 3]]], [["cat"]], ["a"])
    axes = figure.axes[0]
    assert axes.patches[0].get_bbox().extents.tolist() == [1, 2, 11, 7]
    assert axes.patches[0].get_edgecolor() != axes.patches[1].get_edgecolor()
    assert [text.get_text() for text in axes.texts] == ["cat"]
    figures.show_bboxes(axes, np.zeros((0, 4)))  # nothing to draw
    assert len(axes.patches) == 2
