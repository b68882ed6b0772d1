"""Softmax regression by hand: the book's toy numbers, the stable forms, the Keras twins."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import models, scratch
from kerasd2l.testing import check_model

Y_HAT = np.array([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]], np.float32)
LABELS = np.array([0, 2])
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.random((5, 28, 28, 1), dtype=np.float32)
CLASSES = np.array([0, 3, 9, 9, 1])


def test_toy_example_of_the_book():
    loss = scratch.cross_entropy(Y_HAT, LABELS)
    np.testing.assert_allclose(loss, [2.3026, 0.6931], atol=5e-5)
    np.testing.assert_allclose(loss, [-np.log(0.1), -np.log(0.5)], rtol=1e-6)
    assert scratch.accuracy(Y_HAT, LABELS) == 1.0  # a count: S1:472-477
    assert scratch.accuracy(Y_HAT, LABELS) / len(LABELS) == 0.5
    assert scratch.accuracy(np.array([0, 2, 1]), np.array([0, 1, 1])) == 2.0


def test_softmax_is_its_formula():
    X = RANDOM.normal(size=(4, 6)).astype(np.float32)
    expected = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)  # S1:459-462
    for function in (scratch.softmax, scratch.stable_softmax):
        np.testing.assert_allclose(function(X), expected, rtol=1e-5)
        np.testing.assert_allclose(np.sum(function(X), axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(scratch.log_softmax(X), np.log(expected), atol=1e-5)


def test_naive_softmax_overflows_where_the_stable_one_does_not():
    X = np.array([[100.0, 0.0, -100.0]], np.float32)
    assert np.isnan(np.asarray(scratch.softmax(X))[0, 0])  # inf / inf
    np.testing.assert_allclose(scratch.stable_softmax(X), [[1, 0, 0]], atol=1e-30)
    np.testing.assert_allclose(scratch.log_softmax(X), [[0, -100, -200]], rtol=1e-6)
    exponent = np.log(np.finfo(np.float32).max)
    assert np.isfinite(scratch.softmax(np.float32([[exponent - 1, 0]]))).all()
    assert not np.isfinite(scratch.softmax(np.float32([[exponent + 1, 0]]))).all()


def test_gradient_is_softmax_minus_truth():
    logits = tf.constant(RANDOM.normal(size=(5, 10)), tf.float32)
    gradients = []
    for loss in (
        scratch.CrossEntropyScratch(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(CLASSES, logits)
        gradients.append((float(value), tape.gradient(value, logits).numpy()))
    expected = (np.asarray(scratch.stable_softmax(logits)) - np.eye(10)[CLASSES]) / 5  # S1:381
    for value, gradient in gradients:
        assert value == pytest.approx(gradients[0][0], rel=1e-6)
        np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_loss_weighs_examples_and_survives_huge_logits():
    loss, twin = (
        scratch.CrossEntropyScratch(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    logits = RANDOM.normal(size=(5, 10)).astype(np.float32)
    weights = np.array([1, 0, 2, 0.5, 1], np.float32)
    assert float(loss(CLASSES, logits, sample_weight=weights)) == pytest.approx(
        float(twin(CLASSES, logits, sample_weight=weights)), rel=1e-5
    )
    assert float(loss(CLASSES[:, None], logits)) == pytest.approx(float(loss(CLASSES, logits)))
    assert float(loss([1], [[1e4, 0.0]])) == pytest.approx(1e4)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, scratch.CrossEntropyScratch)


def test_model_keeps_its_promises():
    check_model(
        lambda: scratch.SoftmaxRegressionScratch(7, 0.5, 3),
        PIXELS,
        parameters=784 * 7 + 7,
        fresh=False,
    )


def test_model_equals_its_twin():
    by_hand, concise = scratch.SoftmaxRegressionScratch(stddev=0.1), models.softmax_regression()
    by_hand.build((None, 28, 28, 1))
    by_hand.set_weights([by_hand.get_weights()[0], RANDOM.normal(size=10)])
    concise.set_weights(by_hand.get_weights())
    np.testing.assert_allclose(by_hand(PIXELS), concise(PIXELS), atol=1e-5)
    gradients = []
    for model, loss in (
        (by_hand, scratch.CrossEntropyScratch()),
        (concise, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ):
        with tf.GradientTape() as tape:
            value = loss(CLASSES, model(PIXELS))
        gradients.append(tape.gradient(value, [v.value for v in model.trainable_variables]))
    for mine, twin in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, twin, atol=1e-5)


def test_too_few_classes():
    with pytest.raises(ValueError, match=r"`num_classes` must be at least 2\. Received: .*=1"):
        scratch.SoftmaxRegressionScratch(1)
