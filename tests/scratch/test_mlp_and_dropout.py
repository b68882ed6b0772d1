"""The perceptrons with hidden layers by hand: equal to their Keras twins, dropout included."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import models, scratch
from kerasd2l.testing import check_model

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.random((6, 28, 28, 1), dtype=np.float32)
CLASSES = np.array([0, 3, 9, 9, 1, 5])


def same_outputs_and_gradients(by_hand, concise, training=False):
    concise.set_weights([w + 0.05 * RANDOM.normal(size=w.shape) for w in concise.get_weights()])
    by_hand.set_weights(concise.get_weights())
    results = []
    for model, loss in (
        (by_hand, scratch.CrossEntropyScratch()),
        (concise, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ):
        with tf.GradientTape() as tape:
            logits = model(PIXELS, training=training)
            value = loss(CLASSES, logits)
        gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
        results.append([logits, *gradients])
    for mine, twin in zip(*results, strict=True):
        np.testing.assert_allclose(mine, twin, atol=1e-5)
        assert np.abs(twin).max() > 1e-4
    return results[0][0]


def test_relu():
    np.testing.assert_array_equal(scratch.relu(np.array([-2.0, 0.0, 3.0])), [0, 0, 3])


@pytest.mark.parametrize("hidden_units", [(256,), (32, 16)])
def test_mlp_equals_its_twin(hidden_units):
    by_hand = scratch.MLPScratch(hidden_units=hidden_units)
    by_hand.build((None, 28, 28, 1))
    same_outputs_and_gradients(by_hand, models.mlp(hidden_units=hidden_units))


def test_dropout_mlp_equals_its_twin_without_and_with_dropout():
    by_hand = scratch.DropoutMLPScratch(hidden_units=(64, 32), seed=7)
    by_hand.build((None, 28, 28, 1))
    concise = models.dropout_mlp(hidden_units=(64, 32), seed=7)
    calm = same_outputs_and_gradients(by_hand, concise)
    # the same seeds draw the same masks, so even the training pass is the same
    noisy = same_outputs_and_gradients(by_hand, concise, training=True)
    assert np.abs(np.asarray(calm) - np.asarray(noisy)).max() > 1e-3


def test_models_keep_their_promises():
    check_model(
        lambda: scratch.MLPScratch(7, (8, 4), 0.5, 3),
        PIXELS,
        parameters=784 * 8 + 8 + 8 * 4 + 4 + 4 * 7 + 7,
        fresh=False,
    )
    check_model(
        lambda: scratch.DropoutMLPScratch(7, (8, 4), (0.1, 0.3), 0.5, 3), PIXELS, fresh=False
    )


def test_sizes_of_the_book():
    model = scratch.DropoutMLPScratch()
    model.build((None, 28, 28, 1))
    shapes = [tuple(w.shape) for w in model.get_weights()]
    assert shapes == [(784, 256), (256,), (256, 256), (256,), (256, 10), (10,)]  # S1:977
    assert model.dropout_rates == (0.2, 0.5)  # S1:978, S3:58


def test_dropout_layer():
    X = np.arange(16, dtype=np.float32).reshape(2, 8)
    np.testing.assert_array_equal(scratch.dropout_layer(X, 0), X)
    np.testing.assert_array_equal(scratch.dropout_layer(X, 1), np.zeros((2, 8)))
    half = np.asarray(scratch.dropout_layer(X + 1, 0.5, seed=0))
    kept = half != 0
    np.testing.assert_allclose(half[kept], 2 * (X + 1)[kept])
    assert 0 < kept.sum() < 16
    twin = keras.layers.Dropout(0.5, seed=3)(X, training=True)
    mine = scratch.dropout_layer(X, 0.5, keras.random.SeedGenerator(3))
    np.testing.assert_array_equal(mine, twin)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropout_keeps_the_share_and_the_mean(rate):
    """A mask of normal instead of uniform numbers (S1:970) would keep 0.421, 0.309 and 0.184."""
    ones = np.ones(40_000, np.float32)
    result = np.asarray(scratch.dropout_layer(ones, rate, seed=1))
    error = np.sqrt(rate * (1 - rate) / len(ones))  # standard deviation of the share
    assert np.mean(result != 0) == pytest.approx(1 - rate, abs=5 * error)
    assert np.mean(result) == pytest.approx(1, abs=5 * error / (1 - rate))


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_dropout_rate_out_of_range(rate):
    with pytest.raises(ValueError, match=rf"`dropout` must be in \[0, 1\]\. Received: .*={rate}"):
        scratch.dropout_layer(np.ones(3), rate)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: scratch.MLPScratch(1), "`num_classes` must be at least 2"),
        (lambda: scratch.MLPScratch(hidden_units=(0,)), "`hidden_units` must be positive"),
        (lambda: scratch.DropoutMLPScratch(dropout_rates=(0.5,)), "one rate for each hidden layer"),
        (lambda: scratch.DropoutMLPScratch(dropout_rates=(0.5, 1.5)), r"must be in \[0, 1\)"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
