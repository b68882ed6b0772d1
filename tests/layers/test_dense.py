"""Linear with PyTorch's first weights, and Threshold."""

import keras
import numpy as np
import pytest

from kerasd2l.layers import Linear, Threshold
from kerasd2l.testing import check_layer


def test_linear_starts_within_one_over_the_root_of_fan_in():
    # S2:700-706: kaiming_uniform(a=sqrt(5)): gain sqrt(2 / (1 + 5)), bound gain * sqrt(3 / fan_in).
    layer = Linear(500, seed=0)
    layer.build((None, 400))
    bound = np.sqrt(2 / (1 + 5)) * np.sqrt(3 / 400)
    assert bound == pytest.approx(1 / np.sqrt(400))
    for weights in layer.get_weights():
        assert np.abs(weights).max() <= bound
        assert np.abs(weights).max() > 0.99 * bound
        assert weights.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)  # uniform
    assert not np.array_equal(layer.kernel[0], layer.bias)


def test_linear_is_dense():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("f")
    ours, theirs = Linear(5), keras.layers.Dense(5)
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)


def test_linear_checks():
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("f")
    arguments = {"units": 5, "use_bias": False, "seed": 3}
    check_layer(Linear, arguments, x, free_axes=(0, 1), mask="passes")
    without = Linear(5, use_bias=False)
    np.testing.assert_array_equal(without(np.zeros((1, 4), "f")), np.zeros((1, 5)))
    first, second = Linear(5, seed=3), Linear(5, seed=3)
    np.testing.assert_array_equal(first(x), second(x))


def test_threshold():
    x = np.array([[-1.0, 0.3, 0.31, 5.0]], "f")
    out = check_layer(Threshold, {"threshold": 0.3, "value": -2.0}, x[..., None], mask="passes")
    np.testing.assert_array_equal(out[0, :, 0], np.array([-2, -2, 0.31, 5], "f"))
    np.testing.assert_array_equal(Threshold(0.0, 0.0)(x), keras.ops.relu(x))


def test_bad_values():
    with pytest.raises(ValueError, match="`units` must be a whole number of at least 1"):
        Linear(0)
    with pytest.raises(ValueError, match="inputs of a known width"):
        Linear(2)(keras.Input((None,)))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dropout_of_whole_channels_is_keras_spatial_dropout(rank):
    # S2:63-65: PyTorch's Dropout2d drops a channel of an example as a whole and scales the others.
    rate, x = 0.25, np.ones((50, *(3, 4, 2)[:rank], 40), "f")
    layer = getattr(keras.layers, f"SpatialDropout{rank}D")(rate, seed=0)
    out = np.asarray(layer(x, training=True)).reshape(50, -1, 40)
    assert (out == out[:, :1]).all()
    np.testing.assert_allclose(np.unique(out), [0, 1 / (1 - rate)], rtol=1e-6)
    assert (out[:, 0] == 0).mean() == pytest.approx(rate, abs=0.04)  # 2,000 draws: 4 deviations
    np.testing.assert_array_equal(layer(x), x)
    with pytest.raises(ValueError, match="`rate`"):
        getattr(keras.layers, f"SpatialDropout{rank}D")(1.5)


def test_threshold_keeps_nan():
    """As ReLU does: a NaN that becomes 0 hides a fault."""
    x = np.array([np.nan, -1.0, 2.0], np.float32)
    np.testing.assert_array_equal(Threshold(0.0, 0.0)(x), [np.nan, 0.0, 2.0])
