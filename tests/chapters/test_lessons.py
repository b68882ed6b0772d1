"""The course lessons: every number that the seed prints, and SavedModels that take raw input."""

import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from kerasd2l import load
from kerasd2l.cli import main
from kerasd2l.data import Source
from kerasd2l.data.sets import diabetes
from kerasd2l.export import export
from kerasd2l.run import Run
from kerasd2l.training.fit import fit, prepare


def values(name, **arguments):
    return load(name, **arguments).run().values


def test_float_representation():
    found = values("float_representation")
    assert found["0.875"]["exponent"] == -1  # S4-lessons.md:24
    assert found["0.875"]["fraction bits"].rstrip("0") == "11"
    assert found["0.875"]["stored as"] == 0.875
    assert found["6.36"]["exponent"] == 2  # S4-lessons.md:25
    assert found["6.36"]["fraction bits"] == "10010111000010100011111"
    assert found["6.36"]["stored as"] == float(np.float32(6.36))
    # S4-lessons.md:26 says 2^23 = 8388608; from there on the steps are 1, so that fractions end,
    # but whole numbers are exact up to 2^24
    assert found["steps from one number to the next"] == {
        "below 8388608": 0.5,
        "from 8388608": 1.0,
        "from 16777216": 2.0,
    }
    assert found["whole numbers are exact up to"] == 16777216
    assert found["16777217 is stored as"] == 16777216


def test_exhaustive_search():
    found = values("exhaustive_search")
    assert found["weights tried"] == 41  # S4-lessons.md:34
    assert found["best weight"] == pytest.approx(2.0)
    assert found["cost of the best weight"] == pytest.approx(0, abs=1e-12)
    assert found["prediction for x = 4"] == pytest.approx(8)  # S4-lessons.md:32
    costs = found["cost of other weights"]  # derived in the inventory, L.2: 14 / 3 (w - 2)^2
    assert list(costs.values()) == pytest.approx([18.6667, 4.6667, 4.6667, 18.6667], abs=1e-4)


def test_gradient_descent():
    found = values("gradient_descent")  # S4-lessons.md:40-43, derived in the inventory, L.3
    assert found["weight after epoch 1"] == pytest.approx(1.093333, abs=1e-6)
    assert found["cost at the start"] == pytest.approx(4.666667, abs=1e-6)
    assert found["weight after epoch 100"] == pytest.approx(1.9999444, abs=1e-7)
    assert found["cost before epoch 100"] == pytest.approx(1.752e-8, rel=1e-3)
    assert found["prediction for x = 4"] == pytest.approx(7.999778, abs=1e-6)


def test_stochastic_gradient_descent():
    found = values("stochastic_gradient_descent")  # S4-lessons.md:44-48, inventory, L.3
    assert found["weight after epoch 1"] == pytest.approx(1.260688, abs=1e-6)
    assert found["prediction for x = 4 after epoch 1"] == pytest.approx(5.042752, abs=1e-6)
    assert 2 - found["weight after epoch 100"] == pytest.approx(7.6e-14, rel=0.05)
    mini_batches = values("stochastic_gradient_descent", batch_size=2)
    assert 1.0933 < mini_batches["weight after epoch 1"] < 1.2607  # the compromise


def test_descent_that_diverges_is_shown_as_such():
    result = load("gradient_descent", learning_rate=1.0, epochs=400).run()
    assert not np.isfinite(result.values["cost after epoch 400"])
    result.figures["descent"].draw_without_rendering()


def test_backprop_by_hand():
    found = values("backprop_by_hand")
    assert list(found) == ["y = w x", "y = w x + b", "y = w_1 x^2 + w_2 x + b"]
    for model in found.values():
        assert model["gradient by hand"] == pytest.approx(model["gradient by tape"], abs=1e-5)
    assert found["y = w x"]["learned"]["w"] == pytest.approx(2)
    # x = 2, y = 4, parameters 1: 2 (7 - 4) (x^2, x, 1); S4-lessons.md:67-70
    gradient = found["y = w_1 x^2 + w_2 x + b"]["gradient by hand"]
    assert gradient == {"w_1": 24, "w_2": 12, "b": 6}


def test_linear_regression_in_four_steps_goes_where_the_algebra_says():
    found = values("linear_regression_four_steps")
    hessian = 2 * np.array([[14, 6], [6, 3]])  # of sum (w x + b - 2 x)^2, x = 1, 2, 3
    power = np.linalg.matrix_power(np.eye(2) - 0.01 * hessian, 500)
    start = np.array(found["weight and bias at the start"])
    expected = [2, 0] + power @ (start - [2, 0])
    assert [found["weight"], found["bias"]] == pytest.approx(expected, abs=1e-4)
    assert found["prediction for x = 4"] == pytest.approx(8, abs=0.1)


def test_logistic_function():
    found = values("logistic_function", epochs=500)
    assert found["sigmoid(0)"] == 0.5
    assert found["slope at 0"] == 0.25
    assert found["gradient by hand"] == pytest.approx(found["gradient by tape"], abs=1e-6)
    # S4-lessons.md:86: the binary loss is a special case of the one for many classes
    assert found["cross-entropy of the logit"] == pytest.approx(
        found["cross-entropy of two classes"], abs=1e-6
    )
    x, y, w = np.array([1.0, 2, 3, 4]), np.array([0.0, 0, 1, 1]), np.zeros(2)
    for _ in range(500):
        error = 1 / (1 + np.exp(-w[0] - w[1] * x)) - y
        w -= 0.1 * np.array([error.mean(), (error * x).mean()])
    assert [found["bias"], found["weight"]] == pytest.approx(w, abs=1e-3)
    assert found["boundary (hours)"] == pytest.approx(-w[0] / w[1], abs=1e-3)


def test_dataset_dataloader(no_real_data):
    found = values("dataset_dataloader", epochs=2, batch_size=100)
    assert found["the same batches"] is True
    assert found["batches"] == 4
    assert found["shape of the last batch"] == [53, 8]
    assert found["losses"]["PyDataset"] == pytest.approx(found["losses"]["tf.data"], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("float_representation", {"numbers": ()}, "`numbers` must be 1 to 12 numbers. Received: 0"),
        ("exhaustive_search", {"step": 0.0}, "`step` must be positive"),
        ("gradient_descent", {"epochs": 0}, "`epochs` must be at least 1. Received: epochs=0"),
        ("stochastic_gradient_descent", {"batch_size": 4}, "`batch_size` must be 1-3.*4"),
        ("backprop_by_hand", {"epochs": 0}, "`epochs` must be at least 1"),
        ("linear_regression_four_steps", {"epochs": 0}, "`epochs` must be at least 1"),
        ("logistic_function", {"epochs": -1}, "`epochs` must be at least 1. Received: epochs=-1"),
        ("dataset_dataloader", {"batch_size": 0}, "`batch_size` must be at least 1"),
    ],
)
def test_bad_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        load(name, **arguments)


def served(name, folder, source="builtin", **arguments):
    """Train a recipe and export it; return the SavedModel, the model, and its test accuracy."""
    recipe = load(name, **arguments)
    one = tf.distribute.get_strategy()
    data, model = prepare(recipe, Source.of(source), one, seed=0)
    for epoch in range(recipe.epochs):
        model.fit(data.epoch(epoch), shuffle=False, verbose=0)
    _, accuracy = model.evaluate(data.test, verbose=0)
    options = {"name": name, "arguments": recipe.arguments}
    path = export(model, recipe.name, recipe.endpoints, data.assets, folder, **options)
    return path, model, accuracy


def predict(*words):
    result = CliRunner().invoke(main, ["predict", *map(str, words)])
    return result.exit_code, result.output


def predict_json(*words):
    code, output = predict(*words, "--json")
    assert code == 0, output
    return json.loads(output.strip().splitlines()[-1])


def test_logistic_regression_answers_hours(tmp_path):
    path, model, accuracy = served("logistic_regression", tmp_path, learning_rate=0.5)
    assert accuracy == 1.0
    outputs = predict_json(path, "1", "2", "3.5", "7")["outputs"]
    assert outputs["class_names"] == ["fail", "fail", "pass", "pass"]
    z = model(np.float32([[1], [2], [3.5], [7]])).numpy()[:, 0]
    expected = 1 / (1 + np.exp(-z.astype(float)))
    np.testing.assert_allclose(np.array(outputs["probabilities"])[:, 1], expected, atol=1e-5)
    code, output = predict(path, "7")
    assert code == 0 and output.startswith("7: pass ")
    for word, message in (("two", "'two' is not a number"), ("nan", "hours must be finite")):
        code, output = predict(path, word)
        assert code == 1 and message in output


def test_diabetes_answers_measurements(tmp_path, no_real_data):
    path, model, accuracy = served(
        "diabetes", tmp_path, epochs=15, activation="tanh", learning_rate=0.1
    )
    assert accuracy > 0.6  # half of the stand-in's patients are of each class
    assets = diabetes.load("builtin").assets
    patient = [48, 21.6, 87, 183, 103.2, 70, 3.8918, 69]  # of scikit-learn's table
    low, high = np.array(assets["minimum"]), np.array(assets["maximum"])
    scaled = np.float32([2 * (np.array(patient) - low) / (high - low) - 1])
    expected = 1 / (1 + np.exp(-float(model(scaled)[0, 0])))
    row = ",".join(map(str, patient))
    outputs = predict_json(path, row)["outputs"]
    assert outputs["probabilities"][0] == pytest.approx([1 - expected, expected], abs=1e-5)
    assert outputs["class_names"] == [assets["class_names"][int(expected > 0.5)]]
    table = tmp_path / "patients.csv"
    table.write_text(f"{row}\n{row}\n")
    assert predict_json(path, table)["outputs"]["class_ids"] == outputs["class_ids"] * 2
    numbers = json.dumps(scaled[0].tolist())
    again = predict_json(path, "--signature", "predict", numbers)["outputs"]
    np.testing.assert_allclose(again["probabilities"], outputs["probabilities"], atol=1e-5)
    for word, message in (
        (row.replace("87", "high"), "'high' is not a number"),
        (row.replace("87", "nan"), "measurements must be finite numbers"),
        ("1,2,3", "measurements takes float32, 8 for each example"),
    ):
        code, output = predict(path, word)
        assert code == 1 and message in output


@pytest.mark.slow
def test_mnist_mlp_answers_a_picture(tmp_path, no_real_data):
    path, model, accuracy = served(
        "mnist_mlp", tmp_path, epochs=4, learning_rate=0.05, batch_size=16
    )
    assert accuracy > 0.8
    data = load("mnist_mlp").data(Source("builtin"))
    pixels, labels = next(iter(data.test))
    files = []
    for i in range(8):
        files.append(tmp_path / f"{i}.png")
        levels = np.rint(pixels[i, :, :, 0].numpy() * 255).astype(np.uint8)
        Image.fromarray(levels).save(files[-1])
    outputs = predict_json(path, *files)["outputs"]
    logits = model(pixels[:8]).numpy()
    assert outputs["class_names"] == [str(digit) for digit in logits.argmax(1)]
    assert np.mean(outputs["class_ids"] == labels[:8].numpy()) > 0.6
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    np.testing.assert_allclose(outputs["probabilities"], chances, atol=1e-4)
    code, output = predict(path, __file__)
    assert code == 1 and __file__ in output


@pytest.mark.slow
def test_published_accuracy_of_the_mnist_mlp(real_data, tmp_path):
    recipe = load("mnist_mlp")
    run = Run(tmp_path / "run", recipe.name, recipe.arguments, seed=0)
    summary = fit(recipe, run, Source("files", real_data, seed=0))
    assert summary["metrics"]["test_accuracy"] > 0.97  # S4-lessons.md:115


@pytest.mark.slow
def test_diabetes_learns_more_than_the_base_rate(real_data, tmp_path):
    path, _, accuracy = served("diabetes", tmp_path, Source("files", real_data, seed=0), epochs=60)
    assert accuracy > 0.70  # "no diabetes" for all: 0.651
    # the first woman of the Pima table has diabetes, the second has not
    women = ("6,148,72,35,0,33.6,0.627,50", "1,85,66,29,0,26.6,0.351,31")
    assert predict_json(path, *women)["outputs"]["class_names"] == ["diabetes", "no diabetes"]
