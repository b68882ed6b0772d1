"""Weight decay by hand: the penalty is the decay, the bias is free, ball and penalty agree."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import losses, models, scratch
from kerasd2l.data.sets.synthetic import linear_examples
from kerasd2l.testing import check_model

X, Y = linear_examples([0.01] * 20, 0.05, 40)
RANDOM = np.random.default_rng(0)
W, B = RANDOM.normal(size=(20, 1)).astype(np.float32), np.array([0.7], np.float32)


def decaying_sgd(learning_rate, weight_decay):
    optimizer = keras.optimizers.SGD(learning_rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def test_penalty_and_its_gradient():
    w = tf.Variable(W)
    with tf.GradientTape() as tape:
        penalty = scratch.l2_penalty(w)
    assert float(penalty) == pytest.approx(float(np.sum(W.astype(float) ** 2) / 2), rel=1e-6)
    np.testing.assert_allclose(tape.gradient(penalty, w), W, rtol=1e-6)


@pytest.mark.parametrize("lambd", [0.0, 3.0])
def test_a_step_is_decay_and_gradient(lambd):
    """w <- (1 - lr lambda) w - lr g and b <- b - lr g, for the penalty and for SGD's decay."""
    error = X @ W + B - Y  # (n, 1)
    lr = 0.003
    expected_w = (1 - lr * lambd) * W - lr * X.T @ error / len(X)
    expected_b = B - lr * error.mean()
    by_hand = scratch.WeightDecayScratch(lambd)
    concise = models.linear_regression(20)
    by_hand.build((None, 20))
    by_hand.compile(optimizer=scratch.SGDScratch(lr), loss=losses.HalfSquaredError())
    concise.compile(optimizer=decaying_sgd(lr, lambd), loss=losses.HalfSquaredError())
    for model in (by_hand, concise):
        model.set_weights([W, B])
        model.train_on_batch(X, Y)
        w, b = model.get_weights()
        np.testing.assert_allclose(w, expected_w, atol=1e-6)
        np.testing.assert_allclose(b, expected_b, atol=1e-6)


def test_keras_l2_would_decay_twice_as_strongly():
    """The trap of the book's TensorFlow code: l2(lambda) has no 1/2, its gradient is 2 lambda w."""
    w = tf.Variable(W)
    with tf.GradientTape() as tape:
        penalty = keras.regularizers.L2(3.0)(w)
    np.testing.assert_allclose(tape.gradient(penalty, w), 2 * 3.0 * W, rtol=1e-5)


def test_model_keeps_its_promises_and_equals_its_twin():
    check_model(lambda: scratch.WeightDecayScratch(2.0, 0.5, 3), X, parameters=21, fresh=False)
    by_hand, concise = scratch.WeightDecayScratch(3.0), models.linear_regression(20)
    by_hand.build((None, 20))
    by_hand.set_weights([W, B])
    concise.set_weights([W, B])
    np.testing.assert_allclose(by_hand(X, training=True), concise(X), atol=1e-5)
    gradients = []
    for model, penalty in (
        (by_hand, lambda: by_hand.losses[0]),
        (concise, lambda: keras.regularizers.L2(3.0 / 2)(concise.layers[-1].kernel)),
    ):
        with tf.GradientTape() as tape:
            value = losses.HalfSquaredError()(Y, model(X, training=True)) + penalty()
        gradients.append(tape.gradient(value, [v.value for v in model.trainable_variables]))
    for mine, twin in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, twin, rtol=1e-5, atol=1e-5)


def test_penalty_counts_in_training_only():
    model = scratch.WeightDecayScratch(3.0)
    model(X, training=False)
    assert model.losses == []
    model(X, training=True)
    assert len(model.losses) == 1


@pytest.mark.parametrize("lambd", [0.0, 3.0])
def test_loop_ends_with_the_norms_of_the_book(lambd):
    x, y = linear_examples([0.01] * 200, 0.05, 120)  # S1:865-866
    found = scratch.train_weight_decay((x[:20], y[:20]), (x[20:], y[20:]), lambd)
    # 400 steps shrink what 20 examples cannot see by (1 - 0.003 lambda)^400; |w| starts near 14.1
    if lambd:
        assert 0.3 < found.norm < 0.6  # d2l-zh: 0.3557 (PyTorch), 0.5016 (TensorFlow)
        assert found.test_losses[-1] < 0.5
    else:
        assert 11 < found.norm < 15  # d2l-zh: 12.963
        assert found.test_losses[-1] > 10
        assert found.train_losses[-1] < 1e-3 < found.test_losses[-1]
    assert found.norm == pytest.approx(np.sqrt(np.sum(found.w**2)))  # not half its square
    assert len(found.train_losses) == len(found.test_losses) == 100
    expected = np.mean((x[20:] @ found.w + found.b - y[20:, 0]) ** 2) / 2
    assert found.test_losses[-1] == pytest.approx(expected, rel=1e-3)


def test_ridge_is_where_the_penalised_gradient_vanishes():
    w, b = scratch.ridge(X, Y, 0.5)
    error = X @ w + b - Y[:, 0]
    np.testing.assert_allclose(X.T @ error / len(X) + 0.5 * w, 0, atol=1e-6)
    assert error.mean() == pytest.approx(0, abs=1e-6)  # b is not penalised


@pytest.mark.parametrize("lambd", [0.05, 0.7])
def test_constraint_and_penalty_have_the_same_solution(lambd):
    x, y = linear_examples([2.0, 1.0], 0.5, 50, noise=0.5, seed=1)
    w, b = scratch.ridge(x, y, lambd)
    radius = np.linalg.norm(w)
    found, offset = scratch.constrained(x, y, radius)
    np.testing.assert_allclose([*found, offset], [*w, b], atol=1e-5)
    # a radius that does not bind changes nothing
    free, _ = scratch.constrained(x, y, 100.0)
    np.testing.assert_allclose(free, scratch.closed_form(x, y)[0], atol=1e-5)


def test_projection():
    np.testing.assert_allclose(scratch.project(np.array([3.0, 4.0]), 1.0), [0.6, 0.8])
    np.testing.assert_array_equal(scratch.project(np.array([0.3, 0.4]), 1.0), [0.3, 0.4])


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"`weight_decay` must not be negative\. Received: .*=-1"):
        scratch.WeightDecayScratch(-1)
    with pytest.raises(ValueError, match="`radius` must be positive"):
        scratch.constrained(X, Y, 0)
