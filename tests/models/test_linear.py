"""Linear models and perceptrons: sizes of the book, serialisation, initial weights, bad input."""

import numpy as np
import pytest

from kerasd2l import models
from kerasd2l.testing import check_model

PIXELS = np.random.default_rng(0).random((3, 28, 28, 1), dtype=np.float32)


def test_linear_regression():
    inputs = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    assert check_model(models.linear_regression, inputs, parameters=3).shape == (3, 1)
    # no bias, as in polynomial regression; fresh=False: a second process adds nothing
    check_model(
        lambda: models.linear_regression(2, use_bias=False), inputs, parameters=2, fresh=False
    )


def test_softmax_regression():
    output = check_model(models.softmax_regression, PIXELS, parameters=784 * 10 + 10)
    assert output.shape == (3, 10)  # S1:452-453


def test_mlp():
    parameters = 784 * 256 + 256 + 256 * 10 + 10
    check_model(models.mlp, PIXELS, parameters=parameters, fresh=False)


def test_dropout_mlp():
    parameters = 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10  # S1:977
    check_model(models.dropout_mlp, PIXELS, parameters=parameters, fresh=False)
    model = models.dropout_mlp()
    assert [model.get_layer(f"dropout_{i}").rate for i in (1, 2)] == [0.2, 0.5]  # S1:978
    names = [layer.name for layer in model.layers]
    assert names[2:] == ["hidden_1", "dropout_1", "hidden_2", "dropout_2", "logits"]


@pytest.mark.parametrize("build", [models.softmax_regression, models.mlp, models.dropout_mlp])
def test_weights_start_from_the_normal_distribution_of_the_book(build):
    weights = build(seed=1).get_weights()
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        assert kernel.std() == pytest.approx(0.01, rel=0.06)
        assert abs(kernel.mean()) < 0.001
        np.testing.assert_array_equal(bias, 0)
    again, other = build(seed=1).get_weights(), build(seed=2).get_weights()
    np.testing.assert_array_equal(weights[0], again[0])
    assert not np.array_equal(weights[0], other[0])


def test_dropout_works_only_in_training():
    model = models.dropout_mlp(stddev=0.1, seed=0)
    np.testing.assert_array_equal(model(PIXELS, training=False), model(PIXELS, training=False))
    assert not np.array_equal(model(PIXELS, training=True), model(PIXELS, training=True))


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (models.linear_regression, {"num_inputs": 0}, "`num_inputs` must be at least 1"),
        (models.softmax_regression, {"num_classes": 1}, "`num_classes` must be at least 2"),
        (models.mlp, {"num_classes": 1}, "`num_classes` must be at least 2"),
        (models.mlp, {"hidden_units": (8, 0)}, "`hidden_units` must be positive"),
        (models.dropout_mlp, {"dropout_rates": (1.5, 0.5)}, r"must be in \[0, 1\).*\(1.5, 0.5\)"),
        (models.dropout_mlp, {"dropout_rates": (0.5,)}, "one rate for each hidden layer"),
    ],
)
def test_bad_arguments(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
