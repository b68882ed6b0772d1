"""Attention by hand equals the layers, outputs and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers, scratch
from kerasd2l.testing import check_layer

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize("lens", [None, [2, 5], [[1, 2, 3], [5, 4, 1]]])
def test_softmax_and_dot_product_are_those_of_the_layers(lens):
    q, k, v = normal(2, 3, 8), normal(2, 5, 8), normal(2, 5, 4)
    lens = None if lens is None else np.array(lens)
    x = normal(2, 3, 5)
    np.testing.assert_allclose(
        scratch.masked_softmax_scratch(x, lens), layers.masked_softmax(x, lens), atol=1e-6
    )
    np.testing.assert_allclose(
        scratch.dot_product_attention_scratch(q, k, v, lens),
        layers.DotProductAttention()(q, k, v, valid_lens=lens),
        atol=1e-6,
    )


def test_transposing_back_gives_the_same():
    x = normal(2, 4, 100)
    heads = scratch.transpose_qkv(x, 5)
    assert heads.shape == (10, 4, 20)
    np.testing.assert_array_equal(heads[0], x[0, :, :20])
    np.testing.assert_array_equal(scratch.transpose_output(heads, 5), x)


@pytest.mark.parametrize("lens", [None, [3, 2]])
def test_heads_by_hand_equal_the_layer_with_its_weights(lens):
    inputs = [normal(2, 4, 6), normal(2, 5, 7), normal(2, 5, 8)]
    by_hand = scratch.MultiHeadAttentionScratch(12, 3)
    layer = layers.MultiHeadAttention(12, 3)
    lens = None if lens is None else np.array(lens)
    by_hand(inputs), layer(*inputs)
    layer.set_weights(by_hand.get_weights())
    gradients = []
    for call, weights in (
        (lambda: by_hand(inputs, valid_lens=lens), by_hand.trainable_variables),
        (lambda: layer(*inputs, valid_lens=lens), layer.trainable_variables),
    ):
        with tf.GradientTape() as tape:
            outputs = call()
            loss = tf.reduce_sum(outputs**2)
        gradients.append([outputs, *tape.gradient(loss, [w.value for w in weights])])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_layer_by_hand_keeps_its_promises():
    check_layer(
        scratch.MultiHeadAttentionScratch,
        {"num_hiddens": 12, "num_heads": 3},
        [normal(2, 4, 6), normal(2, 5, 7), normal(2, 5, 8)],
        free_axes=(),
    )


def test_splitting_and_joining_gives_the_same():
    x = normal(2, 4, 100)
    heads = scratch.split_heads(x, 5)
    assert heads.shape == (2, 5, 4, 20)
    np.testing.assert_array_equal(heads[1, 2], x[1, :, 40:60])
    np.testing.assert_array_equal(scratch.join_heads(heads), x)


@pytest.mark.parametrize("axes", [2, 3, 4, None])
def test_the_catalogues_attention_equals_the_layer_with_its_weights(axes):
    """S2's masks are 0 and 1, of one text, of each, or of each head as well."""
    inputs = [normal(2, 4, 12), normal(2, 5, 12), normal(2, 5, 12)]
    by_hand = scratch.CatalogueMultiHeadAttention(3, 12)
    layer = layers.MultiHeadAttention(12, 3, use_bias=True)
    by_hand(inputs), layer(*inputs)
    weights = [normal(*w.shape) for w in by_hand.weights]  # biases that are not 0
    by_hand.set_weights(weights), layer.set_weights(weights)
    mask = None
    if axes is not None:
        mask = RNG.integers(0, 2, {2: (4, 5), 3: (2, 4, 5), 4: (2, 3, 4, 5)}[axes])
        mask[..., 0] = 1  # a row of zeros gets equal weights by hand, none in the layer
    seen = None if mask is None else mask == 1
    gradients = []
    for call, variables in (
        (lambda: by_hand(inputs, attention_mask=mask), by_hand.trainable_variables),
        (lambda: layer(*inputs, attention_mask=seen), layer.trainable_variables),
    ):
        with tf.GradientTape() as tape:
            outputs = call()
            loss = tf.reduce_mean(outputs**2)
        gradients.append([outputs, *tape.gradient(loss, [w.value for w in variables])])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_the_catalogues_layer_keeps_its_promises():
    check_layer(
        scratch.CatalogueMultiHeadAttention,
        {"num_heads": 3, "num_hiddens": 12, "dropout_rate": 0.3, "seed": 5},
        [normal(2, 4, 12), normal(2, 5, 12), normal(2, 5, 12)],
        free_axes=(),
    )
