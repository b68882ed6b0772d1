"""Losses against their formulas, written out in numpy, and against Keras'."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import losses

Y_TRUE = np.array([[0.0, 1.0, 2.0], [-1.0, 0.5, 4.0]], np.float32)
Y_PRED = np.array([[0.5, -1.0, 2.0], [2.0, 1.5, 3.9]], np.float32)
ERROR = Y_PRED - Y_TRUE


def gradient(function, *arguments):
    prediction = tf.constant(Y_PRED)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        loss = function(Y_TRUE, prediction, *arguments)
    return tape.gradient(loss, prediction)


def test_l2():
    np.testing.assert_allclose(losses.half_squared_error(Y_TRUE, Y_PRED), ERROR**2 / 2)  # S1:390
    np.testing.assert_allclose(gradient(losses.half_squared_error), ERROR)


def test_l1():
    np.testing.assert_allclose(losses.absolute_error(Y_TRUE, Y_PRED), np.abs(ERROR))  # S1:394
    np.testing.assert_allclose(gradient(losses.absolute_error), np.sign(ERROR))


@pytest.mark.parametrize("delta", [1.0, 0.3, 2.5])
def test_huber_is_a_parabola_that_becomes_a_line(delta):
    far = np.abs(ERROR) > delta
    assert far.any() and not far.all()
    expected = np.where(far, delta * (np.abs(ERROR) - delta / 2), ERROR**2 / 2)  # S1:398
    np.testing.assert_allclose(losses.huber(Y_TRUE, Y_PRED, delta), expected, rtol=1e-6)
    np.testing.assert_allclose(
        gradient(losses.huber, delta), np.clip(ERROR, -delta, delta), rtol=1e-6
    )
    twin = keras.losses.Huber(delta=delta, reduction=None)(Y_TRUE, Y_PRED)
    np.testing.assert_allclose(
        np.mean(losses.huber(Y_TRUE, Y_PRED, delta), axis=-1), twin, rtol=1e-6
    )


def test_huber_refuses_a_delta_of_zero():
    with pytest.raises(ValueError, match=r"`delta` must be positive\. Received: delta=0"):
        losses.huber(Y_TRUE, Y_PRED, 0)


def test_half_squared_error_is_half_of_keras():
    loss = losses.HalfSquaredError()
    np.testing.assert_allclose(loss(Y_TRUE, Y_PRED), np.mean(ERROR**2) / 2, rtol=1e-6)
    keras_loss = keras.losses.MeanSquaredError()
    np.testing.assert_allclose(loss(Y_TRUE, Y_PRED), keras_loss(Y_TRUE, Y_PRED) / 2, rtol=1e-6)
    weights = np.array([2.0, 0.0], np.float32)
    np.testing.assert_allclose(
        loss(Y_TRUE, Y_PRED, sample_weight=weights),
        keras_loss(Y_TRUE, Y_PRED, sample_weight=weights) / 2,
        rtol=1e-6,
    )


def test_labels_without_their_axis_are_refused():
    with pytest.raises(ValueError, match=r"same shape\. Received: \(6,\) and \(6, 1\)"):
        losses.HalfSquaredError()(Y_TRUE.reshape(-1), Y_PRED.reshape(-1, 1))


def test_loss_comes_back_from_its_config():
    config = keras.losses.serialize(losses.HalfSquaredError(reduction="sum", name="mine"))
    again = keras.losses.deserialize(config)
    assert isinstance(again, losses.HalfSquaredError)
    np.testing.assert_allclose(again(Y_TRUE, Y_PRED), np.sum(np.mean(ERROR**2, -1)) / 2, rtol=1e-6)
    assert again.name == "mine"
