import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import models, scratch, testing
from kerasd2l.training import make_strategy

SHAPES = [(7, 5), (4, 6, 3, 5)]


def example(shape):
    rng = np.random.default_rng(0)
    return (rng.normal(2, 3, shape).astype("float32"), rng.normal(0, 1, shape).astype("float32"))


def twins(shape):
    """The hand-made layer and Keras' own with the same four vectors."""
    rng = np.random.default_rng(1)
    values = [rng.uniform(0.5, 2, shape[-1]) for _ in range(4)]
    ours, theirs = (
        scratch.BatchNormScratch(),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
    )
    for layer in (ours, theirs):
        layer.build((None, *shape[1:]))
        layer.set_weights(values)
    return ours, theirs


def forward_and_gradients(layer, x, weight, training):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(y * weight)
    gradients = tape.gradient(loss, [x, *layer.trainable_weights])
    return [y, *gradients, *layer.non_trainable_weights]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_equals_keras(shape, training):
    x, weight = example(shape)
    ours, theirs = (forward_and_gradients(layer, x, weight, training) for layer in twins(shape))
    assert len(ours) == 6  # output; gradients of x, gamma, beta; moving mean and variance
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_formula(shape):
    x, _ = example(shape)
    axes = tuple(range(len(shape) - 1))
    ones, zeros = np.ones(5, "float32"), np.zeros(5, "float32")
    y, mean, var = scratch.batch_normalize(x, ones * 2, ones, zeros, ones)
    expected = 2 * (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5) + 1
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_allclose(mean, 0.1 * x.mean(axes), atol=1e-6)
    np.testing.assert_allclose(var, 0.9 + 0.1 * x.var(axes), rtol=1e-5)  # of the batch, over n
    same, mean, var = scratch.batch_normalize(x, ones, zeros, ones, 4 * ones, training=False)
    np.testing.assert_allclose(same, (x - 1) / np.sqrt(4 + 1e-5), atol=1e-5)
    np.testing.assert_array_equal([mean, var], [ones, 4 * ones])


def test_normalised_means_mean_0_and_variance_1():
    x, _ = example((64, 4, 4, 3))  # S1:2071 says it the wrong way round
    y = np.asarray(scratch.BatchNormScratch()(x, training=True))
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.var((0, 1, 2)), 1, atol=1e-4)


def test_defaults_are_the_book_s():
    layer = scratch.BatchNormScratch()
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)  # S1:2142


@pytest.mark.parametrize("shape", SHAPES)
def test_layer(shape):
    x, _ = example(shape)
    testing.check_layer(
        scratch.BatchNormScratch, {"momentum": 0.8, "epsilon": 1e-3}, x, free_axes=(0,)
    )


def test_two_replicas_share_the_statistics():
    x, weight = example((8, 5))
    strategy = make_strategy("mirrored", replicas=2)
    with strategy.scope():
        layer = scratch.BatchNormScratch()
        layer.build((None, 5))

    @tf.function
    def step(piece):
        def replica(piece):
            with tf.GradientTape() as tape:
                y = layer(piece[0], training=True)
                loss = tf.reduce_sum(y * piece[1])
            return y, tape.gradient(loss, [layer.gamma.value, piece[0]])[0]

        return strategy.run(replica, (piece,))

    pieces = [(x[:3], weight[:3]), (x[3:], weight[3:])]  # unequal ones
    value = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(map(tf.constant, pieces[context.replica_id_in_sync_group]))
    )
    y, gradient = step(value)
    alone = scratch.BatchNormScratch()
    with tf.GradientTape() as tape:
        expected = alone(x, training=True)
        loss = tf.reduce_sum(expected * weight)
    np.testing.assert_allclose(np.concatenate(y.values), expected, atol=1e-5)
    np.testing.assert_allclose(
        sum(gradient.values), tape.gradient(loss, alone.gamma.value), atol=1e-4
    )
    for mine, other in zip(layer.non_trainable_weights, alone.non_trainable_weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-6)


def test_lenet_by_hand_equals_lenet_with_keras_layer():
    concise = models.batch_norm_lenet(seed=0)
    by_hand = models.batch_norm_lenet(batch_norm=scratch.BatchNormScratch, seed=1)
    by_hand.set_weights(concise.get_weights())
    x = np.random.default_rng(0).random((6, 28, 28, 1), dtype=np.float32)
    for training in (True, False):
        results = []
        for model in (concise, by_hand):
            with tf.GradientTape() as tape:
                logits = model(x, training=training)
                loss = tf.reduce_mean(logits**2)
            gradients = tape.gradient(loss, model.trainable_weights)
            results.append([logits, *gradients, *model.non_trainable_weights])
        for mine, other in zip(*results, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"momentum": 1.5}, "`momentum` must be in"), ({"epsilon": 0}, "`epsilon` must be positive")],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        scratch.BatchNormScratch(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match="must have 2 or 4 axes"):
        scratch.BatchNormScratch()(np.zeros((2, 3, 4)))
    one = np.ones(4)
    with pytest.raises(ValueError, match="`X` must have 2 or 4 axes"):
        scratch.batch_normalize(np.zeros((2, 3, 4)), one, one, one, one)
