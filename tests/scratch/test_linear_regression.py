"""Linear regression by hand: the pieces by their formulas, the model equal to its Keras twin."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import losses, models, scratch
from kerasd2l.data.sets.synthetic import linear_examples
from kerasd2l.testing import check_model

TRUE_W, TRUE_B = np.array([2, -3.4]), 4.2  # S1:247-248
X, Y = linear_examples(TRUE_W, TRUE_B, 1000)


def loss_and_gradients(model, loss, x, y, training=False):
    with tf.GradientTape() as tape:
        value = loss(y, model(x, training=training)) + sum(model.losses)
    return value, tape.gradient(value, [v.value for v in model.trainable_variables])


def test_data_iter_gives_every_example_once_in_a_new_order():
    batches = list(scratch.data_iter(300, X, Y, seed=1))
    assert [len(x) for x, _ in batches] == [300, 300, 300, 100]
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert not np.array_equal(x, X)
    np.testing.assert_array_equal(np.sort(y, axis=0), np.sort(Y, axis=0))
    np.testing.assert_allclose(x @ TRUE_W + TRUE_B, y[:, 0], atol=0.05)  # pairs stay together
    with pytest.raises(ValueError, match=r"`batch_size` must be at least 1\. Received: .*=0"):
        next(scratch.data_iter(0, X, Y))


def test_pieces():
    w, b = np.array([[2.0], [1.0]]), np.array([0.5])
    np.testing.assert_allclose(scratch.linreg(np.array([[1.0, 3.0]]), w, b), [[5.5]])
    # labels of another shape must not broadcast to a matrix
    loss = scratch.squared_loss(tf.constant([[1.0], [4.0]]), tf.constant([3.0, 3.0]))
    np.testing.assert_allclose(loss, [[2.0], [0.5]])
    parameter = tf.Variable([1.0, 2.0])
    scratch.sgd([parameter], [tf.constant([10.0, -10.0])], lr=0.1, batch_size=5)
    np.testing.assert_allclose(parameter, [0.8, 2.2], rtol=1e-6)


def test_closed_form_is_the_formula():
    w, b = scratch.closed_form(X, Y)
    ones = np.column_stack([X.astype(float), np.ones(len(X))])
    expected = np.linalg.inv(ones.T @ ones) @ ones.T @ Y[:, 0]  # S1:203
    np.testing.assert_allclose([*w, b], expected, rtol=1e-10)
    np.testing.assert_allclose([*w, b], [*TRUE_W, TRUE_B], atol=2e-3)
    gradient = ones.T @ (ones @ [*w, b] - Y[:, 0]) / len(X)
    np.testing.assert_allclose(gradient, 0, atol=1e-10)
    with pytest.raises(ValueError, match=r"same length. Received: 1000 and 999"):
        scratch.closed_form(X, Y[:-1])


def test_loop_finds_the_truth():
    w, b, epoch_losses = scratch.train_linear_regression(X, Y)
    np.testing.assert_allclose([*w, b], [*TRUE_W, TRUE_B], atol=3e-3)
    # the first epoch leaves what lr 0.03 has not removed yet; the last one half the noise: 0.01^2/2
    assert 0.02 < epoch_losses[0] < 0.08  # d2l-zh: 0.0428, 0.0455
    assert epoch_losses[2] == pytest.approx(0.01**2 / 2, rel=0.15)  # d2l-zh: 0.000051, 0.000050


def test_least_squares_loop_minimises_the_mean_square():
    w, train_curve, test_curve = scratch.train_least_squares(
        (X[:700], Y[:700]), (X[700:], Y[700:]), num_epochs=5
    )
    # without a bias the best fit has the offset of the closed form's residual left over
    best = np.linalg.lstsq(X[:700], Y[:700, 0], rcond=None)[0]
    np.testing.assert_allclose(w, best, atol=0.3)
    assert len(train_curve) == len(test_curve) == 5
    assert train_curve[-1] == pytest.approx(np.mean((X[:700] @ w - Y[:700, 0]) ** 2), rel=1e-4)
    assert test_curve[-1] == pytest.approx(np.mean((X[700:] @ w - Y[700:, 0]) ** 2), rel=1e-4)


def test_model_keeps_its_promises():
    made = check_model(lambda: scratch.LinearRegressionScratch(0.5, 3), X[:4], parameters=3)
    assert made.shape == (4, 1)


def test_model_equals_its_twin():
    by_hand, concise = scratch.LinearRegressionScratch(stddev=1.0), models.linear_regression(2)
    by_hand.build((None, 2))
    by_hand.set_weights([by_hand.get_weights()[0], np.array([0.3])])
    concise.set_weights(by_hand.get_weights())
    x, y = X[:50], Y[:50]
    np.testing.assert_allclose(by_hand(x), concise(x), atol=1e-5)
    half, whole = losses.HalfSquaredError(), keras.losses.MeanSquaredError()
    value, gradients = loss_and_gradients(by_hand, half, x, y)
    twin_value, twin_gradients = loss_and_gradients(concise, whole, x, y)
    assert float(value) == pytest.approx(float(twin_value) / 2, rel=1e-5)
    for mine, twin in zip(gradients, twin_gradients, strict=True):
        np.testing.assert_allclose(mine, twin / 2, atol=1e-5)  # the book's loss has a factor 1/2


def test_optimizer_equals_its_twin():
    models_ = []
    for optimizer in (scratch.SGDScratch(0.03), keras.optimizers.SGD(0.03)):
        model = models.linear_regression(2, seed=5)
        model.compile(optimizer=optimizer, loss="mean_squared_error")
        for start in range(0, 100, 10):
            model.train_on_batch(X[start : start + 10], Y[start : start + 10])
        models_.append(model)
    for mine, twin in zip(*(model.get_weights() for model in models_), strict=True):
        np.testing.assert_allclose(mine, twin, atol=1e-6)
        assert np.abs(mine).max() > 0.5  # it did learn


def test_optimizer_comes_back_from_its_config():
    again = keras.optimizers.deserialize(keras.optimizers.serialize(scratch.SGDScratch(0.25)))
    assert isinstance(again, scratch.SGDScratch)
    assert float(again.learning_rate) == 0.25


def test_negative_deviation():
    with pytest.raises(ValueError, match=r"`stddev` must not be negative\. Received: stddev=-1"):
        scratch.LinearRegressionScratch(stddev=-1)
