import numpy as np
import pytest

from kerasd2l.layers import CenteredLayer, MyLinear
from kerasd2l.testing import check_layer


def test_centered_layer():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    y = check_layer(CenteredLayer, {}, x, free_axes=(0, 1))
    np.testing.assert_allclose(y, x - x.mean(), atol=1e-6)


def test_centered_layer_on_the_books_numbers():
    # inventory 5.4: Centered([1..5]) = [-2, -1, 0, 1, 2]
    y = CenteredLayer()(np.arange(1.0, 6.0, dtype="float32"))
    np.testing.assert_array_equal(y, [-2, -1, 0, 1, 2])


def test_my_linear_equals_its_formula_and_learns():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    arguments = {"units": 6, "stddev": 0.7, "seed": 3}
    y = check_layer(MyLinear, arguments, x, free_axes=(0, 1))  # a gradient reaches both weights
    layer = MyLinear(**arguments)
    layer(x)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (5, 6) and bias.shape == (6,)
    np.testing.assert_allclose(y, np.maximum(x @ kernel + bias, 0), atol=1e-5)


def test_my_linear_draws_both_weights_from_a_normal_distribution():
    layer = MyLinear(400, seed=0)
    layer.build((None, 100))
    kernel, bias = layer.get_weights()
    assert kernel.std() == pytest.approx(1.0, rel=0.02)
    assert bias.std() == pytest.approx(1.0, rel=0.15)
    assert not np.array_equal(kernel[0], bias)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"`units` must be at least 1. Received: units=0"):
        MyLinear(0)
    with pytest.raises(ValueError, match=r"`stddev` must be a positive number"):
        MyLinear(1, stddev=0.0)
    with pytest.raises(ValueError, match=r"The width of the inputs must be known"):
        MyLinear(1).build((None, None))
