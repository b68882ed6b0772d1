"""13.1, 13.6, 13.9: training pictures are changed, those of the test are not."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kerasd2l import cli, finding
from kerasd2l.data import Source


def pictures(**arguments):
    """Return the training pictures of the first two epochs, and those of the test."""
    loaded = finding.load("train_with_data_aug", batch_size=1000, **arguments).data(
        Source("builtin")
    )
    epochs = [np.concatenate([x for x, _ in loaded.epoch(0)]) for _ in range(2)]
    np.testing.assert_array_equal(*epochs)
    return epochs[0], np.concatenate([x for x, _ in loaded.test])


def test_training_pictures_are_flipped_and_nothing_else_by_default():
    plain, test = pictures(horizontal_flip=0)
    flipped, same = pictures()
    np.testing.assert_array_equal(test, same)
    as_it_was = (flipped == plain).all((1, 2, 3))
    assert ((flipped == plain[:, :, ::-1]).all((1, 2, 3)) | as_it_was).all()
    assert 0.4 < as_it_was.mean() < 0.6


@pytest.mark.slow
def test_other_changes_are_a_setting_away():
    plain, _ = pictures(horizontal_flip=0)
    changed, _ = pictures(crop_scale=0.5, hue=0.2, erasing=0.5, blur=1.0, vertical_flip=0.5)
    assert changed.shape == plain.shape and np.isfinite(changed).all()
    assert (changed != plain).any((1, 2, 3)).mean() > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hue": 0.7}, "`hue` must be"),
        ({"crop_scale": 0.0}, "`scale` must be"),
        ({"horizontal_flip": 2.0}, "`p` must be a probability"),
    ],
)
def test_a_wrong_number_stops_before_the_data(arguments, message):
    with pytest.raises(ValueError, match=message):
        finding.load("train_with_data_aug", **arguments)


def test_the_published_figure_is_that_of_the_book_s_numbers():
    assert finding.load("train_with_data_aug").expected.low == 0.81
    assert finding.load("train_with_data_aug", hue=0.1).expected is None
    assert finding.load("train_with_data_aug", dataset="mnist").expected is None


def test_the_sheet_is_drawn_of_a_picture_of_one_s_own(tmp_path):
    Image.new("RGB", (40, 30), (200, 100, 0)).save(tmp_path / "a.png")
    demo = finding.load("image_augmentation", picture=str(tmp_path / "a.png"), size=(8, 9), count=2)
    shapes = demo.run().values["shapes of the results"]
    assert shapes["crop"] == [8, 9, 3] and shapes["hue"] == [30, 40, 3]
    (tmp_path / "a.png").write_bytes(b"x")
    words = ["run", "image_augmentation", "--set", f"picture={tmp_path / 'a.png'}"]
    failed = CliRunner().invoke(cli.main, words)
    assert failed.exit_code == 1 and "a.png is no whole picture" in failed.stderr


@pytest.mark.parametrize(
    ("demo", "dataset"),
    [
        ("object_detection_dataset", "box_folder"),
        ("semantic_segmentation_and_dataset", "mask_folder"),
    ],
)
def test_a_folder_that_holds_nothing_is_one_line_of_error(demo, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("KERASD2L_DATA", str(tmp_path))
    words = ["run", demo, "--set", f"dataset={dataset}", "--set", "source=files", "--json"]
    failed = CliRunner().invoke(cli.main, words)
    assert failed.exit_code == 1 and failed.stdout == "" and "Traceback" not in failed.stderr
    assert "Error: " in failed.stderr and str(tmp_path) in failed.stderr


def test_drawn_scenes_are_told_of():
    told = CliRunner().invoke(cli.main, ["run", "object_detection_dataset", "--json"])
    assert told.exit_code == 0, told.output
    values = json.loads(told.stdout)
    assert "[32, 4, 5]" in json.dumps(values)
