import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.models import tabular_regression
from kerasd2l.testing import check_model


def test_model():
    x = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    # inventory 4.11: a linear map, one weight per column and a bias
    check_model(lambda: tabular_regression(7, weight_decay=0.1, seed=1), x, parameters=8)


def test_weights_and_bias_start_as_in_pytorch():
    model = tabular_regression(10_000, seed=0)
    kernel, _ = model.get_weights()
    assert np.abs(kernel).max() <= 0.01 and np.abs(kernel).max() > 0.0099
    assert kernel.std() == pytest.approx(0.01 / np.sqrt(3), rel=0.03)  # of a uniform distribution
    biases = [float(tabular_regression(4, seed=s).get_weights()[1][0]) for s in range(40)]
    assert max(map(abs, biases)) <= 0.5 and np.std(biases) == pytest.approx(0.5 / 3**0.5, rel=0.2)


def test_decay_adds_its_share_of_the_weights_to_the_gradient():
    x, y = np.eye(3, 4, dtype="float32"), np.ones((3, 1), "float32")
    gradients = {}
    for decay in (0.0, 0.3):
        model = tabular_regression(4, weight_decay=decay, seed=0)
        model.compile("sgd", "mse")
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True), training=True)
        gradients[decay] = tape.gradient(loss, [v.value for v in model.trainable_weights])
    kernel, bias = (np.asarray(a) - b for a, b in zip(gradients[0.3], gradients[0.0], strict=True))
    np.testing.assert_allclose(kernel, 0.3 * model.get_weights()[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bias, 0.0, atol=1e-6)


def test_prices_keep_their_digits_in_half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = tabular_regression(1)
        model.set_weights([np.array([[1.0]]), np.array([180_921.0])])
        assert float(model(np.array([[0.0]]))[0, 0]) == 180_921.0
    finally:
        keras.config.set_dtype_policy(before)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"`num_features` must be at least 1. Received: 0"):
        tabular_regression(0)
    for decay in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=r"`weight_decay` must be 0 or a positive number"):
            tabular_regression(1, weight_decay=decay)
