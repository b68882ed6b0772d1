"""scratch.logistic_regression: equal to a Dense layer with Keras' binary cross-entropy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.models import logistic_regression
from kerasd2l.scratch import LogisticRegressionScratch
from kerasd2l.scratch.logistic_regression import cross_entropy, sigmoid
from kerasd2l.testing import check_model

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = np.random.default_rng(1).integers(0, 2, (12, 1)).astype("float32")


def twins():
    """Return the model by hand and the Keras model, with the same weights."""
    concise = logistic_regression(3, seed=4)
    by_hand = LogisticRegressionScratch(3)
    kernel, bias = concise.get_weights()
    by_hand.w.assign(np.concatenate([bias[:, None], kernel]))  # x_0 = 1: S4-lessons.md:95
    return by_hand, concise


def test_outputs_and_gradients_equal_the_keras_twin():
    by_hand, concise = twins()
    np.testing.assert_allclose(by_hand(X), concise(X), atol=1e-5)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        cost = loss(Y, concise(X))
    kernel, bias = tape.gradient(cost, concise.trainable_weights)
    expected = np.concatenate([bias.numpy()[:, None], kernel])
    np.testing.assert_allclose(by_hand.gradient(X, Y), expected, atol=1e-5)
    with tf.GradientTape() as tape:
        own = tf.reduce_mean(cross_entropy(by_hand(X), Y))
    np.testing.assert_allclose(own, cost, atol=1e-5)
    np.testing.assert_allclose(tape.gradient(own, by_hand.w), expected, atol=1e-5)


def test_gradient_is_the_formula():
    by_hand, _ = twins()  # S4-lessons.md:94: 1/N sum (y_hat - y) x
    ones = np.concatenate([np.ones((12, 1)), X], 1)
    y_hat = 1 / (1 + np.exp(-ones @ by_hand.w.numpy()))
    expected = sum((y_hat[n] - Y[n]) * ones[n] for n in range(12)) / 12
    np.testing.assert_allclose(by_hand.gradient(X, Y)[:, 0], expected, atol=1e-6)


def test_steps_equal_those_of_sgd():
    by_hand, concise = twins()
    concise.compile(
        optimizer=keras.optimizers.SGD(0.3), loss=keras.losses.BinaryCrossentropy(from_logits=True)
    )
    for _ in range(5):
        own, theirs = by_hand.descend(X, Y, 0.3), concise.train_on_batch(X, Y)
        assert float(own) == pytest.approx(float(theirs), abs=1e-5)
    kernel, bias = concise.get_weights()
    np.testing.assert_allclose(by_hand.w[:, 0], [*bias, *kernel[:, 0]], atol=1e-5)


def test_sigmoid_and_loss_are_the_lessons():
    z = np.linspace(-6, 6, 25).astype("float64")
    np.testing.assert_allclose(sigmoid(z), 1 / (1 + np.exp(-z)), rtol=1e-12)
    for y in (0.0, 1.0):  # S4-lessons.md:88
        y_hat = 1 / (1 + np.exp(-z))
        expected = -y * np.log(y_hat) - (1 - y) * np.log(1 - y_hat)
        np.testing.assert_allclose(cross_entropy(z, y), expected, rtol=1e-6)
    far = np.array([-1e4, 1e4], "float32")
    np.testing.assert_array_equal(sigmoid(far), [0, 1])
    np.testing.assert_array_equal(cross_entropy(far, np.array([1.0, 1.0], "f")), [1e4, 0])


def test_model_can_be_saved_and_served():
    check_model(lambda: LogisticRegressionScratch(3), X, parameters=4)


def test_bad_sizes():
    with pytest.raises(ValueError, match=r"`num_features` must be positive. Received: 0"):
        LogisticRegressionScratch(0)
    with pytest.raises(ValueError, match=r"must have 3 features. Received: .*2"):
        LogisticRegressionScratch(3)(X[:, :2])
