"""The networks of the course lessons: sizes, shapes, starting weights."""

import itertools

import numpy as np
import pytest

from kerasd2l.models import diabetes_mlp, logistic_regression, mnist_mlp
from kerasd2l.testing import check_model

PIXELS = np.random.default_rng(0).random((3, 28, 28, 1), dtype="float32")
NUMBERS = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")


def kernels(model):
    return [layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")]


def test_mnist_mlp():
    output = check_model(mnist_mlp, PIXELS, parameters=575_050)
    assert output.shape == (3, 10)
    # S4-lessons.md:117-122
    widths = [784, 512, 256, 128, 64, 10]
    assert kernels(mnist_mlp()) == list(itertools.pairwise(widths))


def test_mnist_mlp_normalises_and_uses_relu():
    model = mnist_mlp(hidden_units=(5,), seed=1)
    w_1, b_1, w_2, b_2 = (weight.astype(float) for weight in model.get_weights())
    x = (PIXELS.reshape(3, -1) - 0.1307) / 0.3081  # S4-lessons.md:112
    expected = np.maximum(x @ w_1 + b_1, 0) @ w_2 + b_2
    np.testing.assert_allclose(model(PIXELS), expected, atol=1e-5)


def test_mean_and_deviation_are_those_of_mnist(real_data):
    from kerasd2l.data import idx

    pixels = idx.read(real_data / "mnist" / idx.IMAGES["train"], 3)
    counts, levels = np.bincount(pixels.ravel(), minlength=256), np.arange(256) / 255
    mean = np.average(levels, weights=counts)
    variance = np.average((levels - mean) ** 2, weights=counts)
    assert (round(mean, 4), round(variance**0.5, 4)) == (0.1307, 0.3081)  # S4-lessons.md:112


def test_diabetes_mlp():
    output = check_model(diabetes_mlp, NUMBERS, parameters=87)
    assert output.shape == (3, 1)
    # S4-lessons.md:102: 8 -> 6 is a 6x8 matrix; Keras keeps it transposed
    assert kernels(diabetes_mlp()) == [(8, 6), (6, 4), (4, 1)]
    model = diabetes_mlp(seed=2)
    x = NUMBERS.astype(float)
    weights = [weight.astype(float) for weight in model.get_weights()]
    for i in (0, 2):
        x = 1 / (1 + np.exp(-(x @ weights[i] + weights[i + 1])))
    np.testing.assert_allclose(model(NUMBERS), x @ weights[4] + weights[5], atol=1e-5)


def test_logistic_regression():
    check_model(lambda: logistic_regression(8), NUMBERS, parameters=9)
    assert kernels(logistic_regression(8)) == [(8, 1)]  # S4-lessons.md:101: 1x8, transposed
    model = logistic_regression(8, seed=1)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model(NUMBERS), NUMBERS @ kernel + bias, atol=1e-6)


def test_weights_start_in_the_range_of_their_inputs():
    model = mnist_mlp(seed=0)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            limit = layer.kernel.shape[0] ** -0.5
            for weight in layer.get_weights():
                assert np.abs(weight).max() <= limit
            kernel = layer.get_weights()[0]
            assert np.abs(kernel).max() > 0.95 * limit
            assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.1)  # uniform
    again = mnist_mlp(seed=0)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: logistic_regression(0), "`num_features` must be positive. Received: 0"),
        (lambda: diabetes_mlp(hidden_units=(6, 0)), "`hidden_units` must be positive. Received: 0"),
        (lambda: mnist_mlp(num_classes=1), "`num_classes` must be at least 2. Received: .*1"),
        (lambda: mnist_mlp(stddev=0.0), "`stddev` must be positive. Received: stddev=0.0"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
