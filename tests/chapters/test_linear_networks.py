"""The chapter's demos print what the notes and the book print; its recipes train and serve."""

import numpy as np
import pytest
from click.testing import CliRunner

from kerasd2l import cli, finding
from kerasd2l.data import Source
from kerasd2l.testing import check_recipe


def run(name, **arguments):
    return finding.load(f"linear_networks/{name}", **arguments).run()


@pytest.mark.slow
def test_scratch_recipe_trains_on_replicas_and_is_served(tmp_path, no_real_data):
    check_recipe(
        "linear_networks/softmax_regression",
        tmp_path,
        source=Source("builtin"),
        arguments={"implementation": "scratch"},
    )


def test_linear_regression_by_hand():
    values = run("linear_regression_by_hand").values
    assert values["features"] == [1000, 2] and values["labels"] == [1000, 1]
    losses = values["loss after each epoch"]
    assert losses[0] > 100 * losses[1] > 200 * losses[2]  # d2l-zh: .0428, .000162, .000051
    assert losses[2] == pytest.approx(5e-5, rel=0.15)
    for way in ("by SGD", "in closed form"):
        np.testing.assert_allclose(values[f"error of w {way}"], 0, atol=2e-3)  # S1:247
        assert values[f"error of b {way}"] == pytest.approx(0, abs=2e-3)  # S1:248


def test_loss_functions():
    values = run("loss_functions").values
    assert [values[name]["loss at 3"] for name in ("L2", "L1", "Huber")] == [4.5, 3, 2.5]
    assert [values[name]["gradient at 3"] for name in ("L2", "L1", "Huber")] == [3, 1, 1]
    assert values["Huber"]["gradient at 0.5"] == pytest.approx(0.5, abs=1e-6)
    wide = run("loss_functions", delta=4.0).values
    assert wide["Huber"] == pytest.approx(wide["L2"])  # all of [-3, 3] is parabola


def test_vectorization():
    values = run("vectorization", size=300).values
    assert values["same sum"] is True
    assert values["seconds in a loop"] > values["seconds as vectors"]
    np.testing.assert_allclose(values["area under each density"], 1, atol=1e-3)


def test_stable_softmax():
    values = run("stable_softmax").values
    np.testing.assert_allclose(
        values["cross-entropy of the toy example"], [2.3026, 0.6931], atol=5e-5
    )
    assert values["accuracy of the toy example"] == 0.5
    np.testing.assert_allclose(values["gradient by the logits"], values["softmax - y"], atol=1e-6)
    assert values["naive softmax of [1000, 0, -1000]"][0] == "nan"
    assert values["stable softmax of [1000, 0, -1000]"] == [1, 0, 0]
    end = values["first logit without a naive loss"]
    assert 80 < end < 105  # e^88.7 is the largest float32, e^-103 the smallest
    assert values["stable loss there"] == pytest.approx(end, rel=1e-6)


def test_image_classification_dataset(no_real_data):
    result = run("image_classification_dataset", count=9)
    assert result.values["shape of one example"] == [28, 28, 1]  # S1:420, channels last here
    assert result.values["range of the pixels"] == [0, 1]
    assert result.values["examples"] == {"train": 1437, "test": 360}
    titles = [axes.get_title() for axes in result.figures["pictures"].axes]
    assert titles == result.values["names of the sheet"]
    assert set(titles) <= set("0123456789")
    resized = run("image_classification_dataset", count=2, resize=64)
    assert resized.values["shape of one example"] == [64, 64, 1]


def test_image_classification_dataset_of_the_book(real_data):
    values = run("image_classification_dataset", source="files").values
    assert values["examples"] == {"train": 60000, "test": 10000}
    assert values["class names"][:3] == ["t-shirt", "trouser", "pullover"]
    # the first labels of the published test file are 9, 2, 1, 1, 6
    expected = ["ankle boot", "pullover", "trouser", "trouser", "shirt"]
    assert values["names of the sheet"][:5] == expected


def test_prediction_sheet(no_real_data):
    result = run("prediction_sheet", network="mlp", epochs=15, count=6, seed=1)
    values = result.values
    right = [a == b for a, b in zip(values["true names"], values["predicted names"], strict=True)]
    assert len(right) == 6 and values["test_accuracy"] > 0.3
    titles = [axes.get_title() for axes in result.figures["predictions"].axes]
    assert titles == [
        f"{a}\n{b}" for a, b in zip(values["true names"], values["predicted names"], strict=True)
    ]
    assert {axes.get_ylabel() for axes in result.figures["curves"].axes} == {"loss", "accuracy"}


@pytest.mark.slow
def test_softmax_regression_meets_the_assertions_of_the_book(real_data):
    values = run("prediction_sheet", source="files").values
    assert values["train_loss"] < 0.5  # S1:583
    assert 0.7 < values["train_accuracy"] <= 1  # S1:584
    assert 0.7 < values["test_accuracy"] <= 1  # S1:585


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "linear_regression", "--set", "implementation=mine"], "concise, scratch"),
        (["run", "loss_functions", "--set", "delta=0"], "`delta` must be positive"),
        (["run", "prediction_sheet", "--set", "count=0"], "`count` must be at least 1"),
        (["run", "linear_regression_by_hand", "--set", "epochs=0"], "`epochs` must be at least 1"),
        (["run", "vectorization", "--set", "size=0"], "`size` must be at least 1"),
    ],
)
def test_bad_arguments_are_usage_errors(words, message):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 2
    assert message in result.output
