"""The recipe of section 13.13: its numbers, and what a run leaves for Kaggle."""

import numpy as np
import pytest

from kerasd2l import finding
from kerasd2l.chapters.computer_vision.kaggle_cifar10 import write_submission
from kerasd2l.data import Source
from kerasd2l.run import Run, open_run
from kerasd2l.training.fit import fit


def test_numbers_of_the_book():
    recipe = finding.load("kaggle_cifar10")
    numbers = recipe.arguments
    assert (recipe.epochs, recipe.batch_size, numbers["valid_ratio"]) == (20, 32, 0.1)
    names = ("learning_rate", "weight_decay", "momentum", "lr_period", "lr_decay")
    assert [numbers[name] for name in names] == [2e-4, 5e-4, 0.9, 4, 0.9]
    names = ("crop_scale", "crop_ratio", "horizontal_flip")
    assert [numbers[name] for name in names] == [0.64, (1.0, 1.0), 0.5]
    with pytest.raises(ValueError, match="`lr_period` must be at least 1 epoch"):
        finding.load("kaggle_cifar10", lr_period=0)


def test_run_validates_falls_and_writes_a_submission(tmp_path):
    small = {"width": 0.125, "depths": "1,1", "lr_period": 1, "epochs": 2}
    recipe = finding.load("kaggle_cifar10", **small)
    run = Run(path=tmp_path, recipe=recipe.name, arguments=recipe.arguments, seed=0)
    summary = fit(recipe, run, Source("builtin"), limit_steps=2, run_eagerly=True)
    assert {"train_accuracy", "valid_accuracy"} <= set(summary["metrics"])
    events = open_run(tmp_path).read("summary.json")
    assert events["examples"]["valid"] == 64  # two batches of 32
    rates = [event["learning_rate"] for event in metrics_of(tmp_path)]
    np.testing.assert_allclose(rates, [2e-4 * 32, 2e-4 * 32 * 0.9], rtol=1e-6)
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert lines[0] == "id,label" and len(lines) == 251
    names = run.read("assets.json")["class_names"]
    assert all(line.split(",")[1] in names for line in lines[1:])


def metrics_of(folder):
    import json

    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_submission_has_a_label_for_each_picture(tmp_path):
    write_submission(tmp_path / "s.csv", ["1", "10"], ["cat", "dog"])
    assert (tmp_path / "s.csv").read_text() == "id,label\n1,cat\n10,dog\n"
    with pytest.raises(ValueError, match="zip"):
        write_submission(tmp_path / "s.csv", ["1"], ["cat", "dog"])
