"""Losses of detection: formulas in numpy, and values of PyTorch and torchvision."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kerasd2l.detection_losses import (
    focal_loss,
    giou,
    giou_loss,
    sigmoid_focal_loss,
    smooth_l1,
)
from kerasd2l.losses import huber


@pytest.mark.parametrize("sigma", [10, 1, 0.5])
def test_smooth_l1_of_the_book(sigma):
    x = np.arange(-2, 2.01, 0.1, dtype="f")
    expected = np.where(np.abs(x) < 1 / sigma**2, (sigma * x) ** 2 / 2, np.abs(x) - 0.5 / sigma**2)
    np.testing.assert_allclose(smooth_l1(x, 0.0, 1 / sigma**2), expected, atol=1e-5)
    delta = 1 / sigma**2
    np.testing.assert_allclose(huber(x, 0.0, delta) / delta, expected, atol=1e-5)


def test_smooth_l1_without_a_parabola_is_l1():
    np.testing.assert_array_equal(smooth_l1([1.0, -2.0, 0.0], [0.0, 0.0, 0.0], 0), [1, 2, 0])
    with pytest.raises(ValueError, match="`beta` must be at least 0"):
        smooth_l1(0.0, 1.0, -1)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 5])
def test_focal_loss_of_the_book(gamma):
    p = np.arange(0.01, 1, 0.01)
    logits = np.log(np.stack([p, 1 - p], -1)).astype("f")
    expected = -((1 - p) ** gamma) * np.log(p)
    labels = np.zeros(len(p), int)
    np.testing.assert_allclose(focal_loss(labels, logits, gamma), expected, rtol=2e-4, atol=1e-6)
    one = np.log(p / (1 - p)).astype("f")
    ours = sigmoid_focal_loss(np.ones_like(p), one, alpha=None, gamma=gamma)
    np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=1e-6)


def test_sigmoid_focal_loss_of_torchvision():
    ours = sigmoid_focal_loss([1.0, 0.0, 1.0, 0.0], [2.0, 2.0, -3.0, -0.5])
    # torchvision 0.28, sigmoid_focal_loss(..., alpha=.25, gamma=2)
    expected = [0.00045089112, 1.2375586, 0.69157016, 0.050680127]
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_giou_by_hand():
    box = [0.0, 0.0, 2.0, 2.0]
    others = np.array(
        [box, [1, 0, 3, 2], [2, 0, 4, 2], [4, 0, 6, 2], [0.5, 0.5, 1.5, 1.5], [0, 3, 2, 5]], "f"
    )
    expected = [1, 1 / 3, 0, -1 / 3, 1 / 4, -1 / 5]
    np.testing.assert_allclose(giou(box, others), expected, atol=1e-6)
    np.testing.assert_allclose(giou_loss(others, box), 1 - np.array(expected), atol=1e-6)


def test_losses_of_odd_values_are_numbers_with_gradients():
    boxes = np.array(
        [[0, 0, 0, 0], [1, 1, 1, 3], [3, 3, 2, 2], [0, 0, 1e6, 1e6], [9, 9, 9, 9]], "f"
    )
    pairs = np.repeat(boxes, 5, 0), np.tile(boxes, (5, 1))
    logits = np.array([-200.0, -30, 0, 30, 200], "f")
    for loss, inputs in (
        (lambda x: giou_loss(pairs[0], x), pairs[1]),
        (lambda x: sigmoid_focal_loss(np.ones(5), x, gamma=0.5), logits),
        (lambda x: sigmoid_focal_loss(np.zeros(5), x, gamma=2.0), logits),
        (lambda x: focal_loss(np.ones(5, int), ops.stack([x, -x], -1), 0.5), logits),
        (lambda x: smooth_l1(0.0, x, 0.1), logits),
    ):
        x = tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(x)
        assert np.isfinite(value).all() and np.isfinite(tape.gradient(value, x)).all()


def test_a_focal_loss_without_focus_is_the_cross_entropy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(4, 5, 3)).astype("f"), rng.integers(0, 3, (4, 5))
    expected = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    np.testing.assert_allclose(focal_loss(labels, logits, 0), expected, rtol=1e-5)
