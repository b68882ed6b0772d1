"""Normalisations against numpy, and the two experiments of S2."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.layers import InstanceNorm, SwitchableNorm
from kerasd2l.testing import check_layer
from kerasd2l.training import make_strategy


def _standard(x, axes, epsilon=1e-5):
    x = np.asarray(x, np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def test_batch_norm_over_the_range_of_s2():
    # S2:138-143: (32, 16, 128, 128) channels first, no gamma and beta.
    x = np.arange(32 * 16 * 128 * 128, dtype="float32").reshape(32, 16, 128, 128)
    x, n = x.transpose(0, 2, 3, 1), 32 * 128 * 128
    # TensorFlow on a CPU adds the 524,288 numbers one by one: in float32 their mean is off by 5e-4
    # of its size, where PyTorch's is exact to 1e-7. In float64 the seed's figures come out.
    for dtype, off in (("float32", 2e-3), ("float64", 1e-6)):
        layer = keras.layers.BatchNormalization(
            center=False, scale=False, epsilon=1e-5, dtype=dtype
        )
        y = np.asarray(layer(x.astype(dtype), training=True))[..., 0].astype(np.float64)
        assert abs(y.mean()) < off
        assert y.std(ddof=1) == pytest.approx(np.sqrt(n / (n - 1)), abs=off)  # 1.0000010


def test_layer_norm_over_the_range_of_s2():
    # S2:158-162: (32, 100, 2048), token 0 of example 0.
    x = np.arange(32 * 100 * 2048, dtype="float32").reshape(32, 100, 2048)
    layer = keras.layers.LayerNormalization(center=False, scale=False, epsilon=1e-5)
    y = np.asarray(layer(x))[0, 0].astype(np.float64)
    assert abs(y.mean()) < 1e-6
    assert y.std(ddof=1) == pytest.approx(np.sqrt(2048 / 2047), abs=1e-6)  # 1.0002443


@pytest.mark.parametrize("shape", [(2, 11, 3), (2, 5, 4, 3), (2, 3, 4, 2, 3)])
def test_instance_norm_of_every_rank(shape):
    x = np.random.default_rng(0).normal(2.0, 3.0, shape).astype("f")
    axes = tuple(range(1, len(shape) - 1))
    out = check_layer(
        InstanceNorm, {"epsilon": 1e-2, "center": True, "scale": True}, x, free_axes=(0, *axes)
    )
    np.testing.assert_allclose(out, _standard(x, axes, 1e-2), atol=1e-5)
    np.testing.assert_allclose(InstanceNorm()(x), _standard(x, axes), atol=1e-5)


def test_instance_norm_is_group_norm_with_one_channel_a_group():
    x = np.random.default_rng(1).normal(size=(2, 5, 4, 3)).astype("f")
    ours, theirs = (
        InstanceNorm(center=True, scale=True),
        keras.layers.GroupNormalization(-1, epsilon=1e-5),
    )
    for layer in (ours, theirs):
        layer.build(x.shape)
        layer.set_weights([np.array([1, 2, 3], "f"), np.array([-1, 0, 1], "f")])
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


def test_instance_norm_ignores_contrast_and_neighbours():
    x = np.random.default_rng(2).normal(size=(2, 6, 6, 3)).astype("f")
    changed = np.stack([x[0], 5 * x[1] + 7])
    np.testing.assert_allclose(InstanceNorm()(changed), InstanceNorm()(x), atol=1e-4)


def _switchable(x, w, v, batch=None, epsilon=1e-5):
    """The definition: statistics over (H, W), (H, W, C) and (B, H, W), mixed by softmax."""
    x = np.asarray(x, np.float64)
    w, v = (np.exp(m) / np.exp(m).sum() for m in (w, v))
    sets = [(1, 2), (1, 2, 3), (0, 1, 2)]
    means = [x.mean(axes, keepdims=True) for axes in sets]
    variances = [x.var(axes, keepdims=True) for axes in sets]
    if batch is not None:
        means[2], variances[2] = batch
    mean = sum(a * m for a, m in zip(w, means, strict=True))
    variance = sum(a * m for a, m in zip(v, variances, strict=True))
    return (x - mean) / np.sqrt(variance + epsilon)


MIXTURES = [np.array([0.5, -1.0, 2.0]), np.array([-0.3, 0.0, 0.7])]


def test_switchable_norm_mixes_three_statistics():
    x = np.random.default_rng(3).normal(2.0, 3.0, (4, 5, 6, 3)).astype("f")
    layer = SwitchableNorm()
    layer.build(x.shape)
    layer.mean_mixture.assign(MIXTURES[0])
    layer.variance_mixture.assign(MIXTURES[1])
    np.testing.assert_allclose(layer(x, training=True), _switchable(x, *MIXTURES), atol=1e-5)
    # One step of the moving averages, momentum 0.9, from 0 and 1.
    mean, variance = 0.1 * x.mean((0, 1, 2)), 0.9 + 0.1 * x.var((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4)
    expected = _switchable(x, *MIXTURES, batch=(mean, variance))
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


@pytest.mark.parametrize("only", [0, 1, 2])
def test_switchable_norm_can_become_each_of_the_three(only):
    x = np.random.default_rng(4).normal(2.0, 3.0, (4, 5, 6, 3)).astype("f")
    layer = SwitchableNorm()
    layer.build(x.shape)
    choice = np.full(3, -50.0)
    choice[only] = 50.0
    layer.mean_mixture.assign(choice)
    layer.variance_mixture.assign(choice)
    axes = [(1, 2), (1, 2, 3), (0, 1, 2)][only]
    np.testing.assert_allclose(layer(x, training=True), _standard(x, axes), atol=1e-5)


def test_switchable_norm_checks():
    x = np.random.default_rng(5).normal(size=(2, 5, 4, 3)).astype("f")
    arguments = {"momentum": 0.8, "epsilon": 1e-2, "center": True, "scale": True}

    def make(momentum, epsilon, center, scale):
        return SwitchableNorm(momentum, epsilon, center, scale)

    check_layer(make, arguments, x, free_axes=(0, 1, 2))
    config = SwitchableNorm(0.8, 1e-2, center=False, scale=False).get_config()
    assert [config[k] for k in arguments] == [0.8, 1e-2, False, False]


def test_switchable_norm_sees_the_whole_batch_on_two_replicas():
    x = np.random.default_rng(6).normal(size=(4, 3, 3, 2)).astype("f")
    strategy = make_strategy("mirrored", replicas=2)
    with strategy.scope():
        layer = SwitchableNorm(synchronized=True)
        layer.build(x.shape)
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(x[2 * context.replica_id_in_sync_group :][:2])
    )
    parts = tf.function(lambda: strategy.run(lambda h: layer(h, training=True), (halves,)))()
    out = np.concatenate([np.asarray(p) for p in strategy.experimental_local_results(parts)])
    np.testing.assert_allclose(out, _switchable(x, np.ones(3), np.ones(3)), atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean((0, 1, 2)), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InstanceNorm(epsilon=0.0), "`epsilon` must be positive"),
        (lambda: InstanceNorm()(np.ones((2, 3))), "more than one position"),
        (lambda: InstanceNorm()(np.ones((2, 1, 1, 3))), "more than one position"),
        (lambda: SwitchableNorm(momentum=1.0), r"`momentum` must be in \[0, 1\)"),
        (lambda: SwitchableNorm(epsilon=-1.0), "`epsilon` must be positive"),
        (lambda: SwitchableNorm(axis=1), "channels last"),
        (lambda: SwitchableNorm(renorm=True), "no renormalisation"),
        (lambda: SwitchableNorm()(np.ones((2, 3))), "at least one axis of positions"),
    ],
)
def test_bad_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()
