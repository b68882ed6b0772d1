import numpy as np
import pytest
from PIL import Image
from tiny_models import CLASSES

from kerasd2l.serving.show import figure, format_prediction

ROWS = {
    "probabilities": np.array([[0.05, 0.02, 0.93], [0.5, 0.25, 0.25]], "float32"),
    "class_ids": np.array([2, 0]),
}


def test_classes_are_named_best_first():
    lines = format_prediction(ROWS, names=["shirt.png"], class_names=CLASSES, top=2)
    assert lines == ["shirt.png: ankle boot 0.93, t-shirt 0.05", "2: t-shirt 0.50, trouser 0.25"]


def test_other_outputs_are_named():
    one = {"translation": np.array(["va !"], dtype=object), "score": np.array([0.5], "float32")}
    assert format_prediction(one) == ["translation: va !", "score: 0.5"]
    two = {"translation": np.array(["va !", "cours !"], dtype=object)}
    assert format_prediction(two, names=["go", "run"]) == [
        "go: translation va !",
        "run: translation cours !",
    ]
    mixed = {"scalar": np.float32(2), "rows": np.zeros((2, 2))}
    assert format_prediction(mixed)[0] == "scalar: 2"
    assert format_prediction({"sound_bytes": np.array([b"abc"], object)}) == [
        "sound_bytes: 3 bytes"
    ]


def test_a_long_text_and_one_of_several_lines_name_one_line():
    ranked = {"probabilities": np.array([[0.9, 0.1]] * 2)}
    lines = format_prediction(ranked, names=["word " * 10_000, "a\nb"], class_names=["yes", "no"])
    assert lines[0].startswith("word word") and lines[0].endswith("…: yes 0.90, no 0.10")
    assert len(lines[0]) < 250 and lines[1] == "a b: yes 0.90, no 0.10"


def test_what_of_a_text_was_not_read_is_said_where_there_is_such():
    ranked = {"probabilities": np.array([[0.9, 0.1]] * 2)}
    ranked |= {"premise_words_left_out": [1, 0], "characters_left_out": [250, 0]}
    lines = format_prediction(ranked, names=["a", "b"], class_names=["yes", "no"])
    assert lines == [
        "a: yes 0.90, no 0.10 (250 characters left out, 1 word left out of premise)",
        "b: yes 0.90, no 0.10",
    ]
    written = {"text": np.array(["time"], object), "characters_left_out": np.array([0], "int32")}
    assert format_prediction(written) == ["text: time"]
    written["characters_left_out"][0] = 9000
    assert format_prediction(written) == ["text: time", "characters_left_out: 9000"]


def test_probabilities_without_names_are_still_shown():
    lines = format_prediction(ROWS, class_names=None)
    assert lines[0].startswith("1: probabilities [0.05, 0.02, 0.93], class_ids 2")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_figure_is_a_picture(tmp_path, picture, mode):
    outputs = {"probabilities": ROWS["probabilities"][:1]}
    drawing = figure([picture("a.png", mode)], outputs, CLASSES)
    drawing.savefig(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.format == "PNG" and image.size[0] > 300
    left, right = drawing.axes
    assert left.get_title() == "a.png"
    assert right.get_xlabel() == "probability" and right.get_xlim() == (0, 1)
    assert [label.get_text() for label in right.get_yticklabels()] == [
        "ankle boot",
        "t-shirt",
        "trouser",
    ]


def test_figure_shows_sixteen_pictures_at_most():
    outputs = {"probabilities": np.full((20, 3), 1 / 3)}
    pixels = [np.random.default_rng(i).random((28, 28, 1)) for i in range(20)]
    drawing = figure(pixels, outputs, CLASSES)
    assert sum(bool(axes.patches) for axes in drawing.axes) == 16
    assert "first 16 of 20" in drawing.get_suptitle()


def test_figure_needs_probabilities_for_every_picture():
    with pytest.raises(ValueError, match=r"needs `probabilities` of that shape"):
        figure([np.zeros((2, 2))], ROWS, CLASSES)
    with pytest.raises(ValueError, match=r"Received: y"):
        figure([np.zeros((2, 2))], {"y": np.zeros(1)}, CLASSES)


def test_dollars_in_names_are_no_formulas(tmp_path, picture):
    outputs = {"probabilities": ROWS["probabilities"][:1]}
    drawing = figure([picture(r"$\nonsense$.png")], outputs, ["$a", r"$\b$", "c$"])
    drawing.savefig(tmp_path / "out.png")


def test_deep_pictures_are_not_white(tmp_path):
    deep = np.arange(0, 1 << 16, 256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    drawing = figure([tmp_path / "deep.png"], {"probabilities": np.eye(3)[:1]}, CLASSES)
    np.testing.assert_allclose(drawing.axes[0].images[0].get_array(), deep / 65535, atol=1e-6)
