"""Attention: the book's values, masks that hold, any number of keys, formulas in numpy."""

import numpy as np
import pytest
from keras import ops

from kerasd2l import layers
from kerasd2l.testing import check_layer

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


# masked_softmax


def test_weights_of_lengths_are_those_of_a_softmax_over_the_first_keys():
    x = normal(2, 3, 5)
    weights = np.array(layers.masked_softmax(x, [2, 4]))
    for row, size in enumerate((2, 4)):
        np.testing.assert_allclose(weights[row, :, :size], softmax(x[row, :, :size]), atol=1e-6)
        assert not weights[row, :, size:].any()
    weights = np.array(layers.masked_softmax(x, [[1, 2, 3], [4, 5, 0]]))
    assert (weights > 0).sum(-1).tolist() == [[1, 2, 3], [4, 5, 0]]
    mask = RNG.random((2, 3, 5)) < 0.5
    both = np.array(layers.masked_softmax(x, [2, 4], mask=mask)) > 0
    short = np.arange(5) < np.array([2, 4])[:, None, None]
    np.testing.assert_array_equal(both, short & mask)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_a_query_with_nothing_to_see_gets_zeros_and_never_nan(dtype, size):
    x = ops.cast(normal(2, 3, 5) * size, dtype)
    weights = ops.cast(layers.masked_softmax(x, [0, 5]), "float32")
    assert not np.array(weights[0]).any()
    np.testing.assert_allclose(np.array(weights[1]).sum(-1), 1, atol=1e-2)


def test_the_gradient_of_a_query_with_nothing_to_see_is_zero_and_not_nan():
    import tensorflow as tf

    x = tf.Variable(normal(2, 3, 5))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layers.masked_softmax(x, [0, 5]) ** 2)
    gradient = tape.gradient(loss, x).numpy()
    assert np.isfinite(gradient).all() and not gradient[0].any() and gradient[1].any()


def test_lengths_of_a_wrong_shape():
    with pytest.raises(ValueError, match=r"must be \(B,\) or \(B, Q\). Received: shape"):
        layers.masked_softmax(normal(2, 3, 5), np.ones((2, 3, 5), "int32"))


def test_lengths_of_scores_without_queries_are_refused_and_do_not_add_an_axis():
    with pytest.raises(ValueError, match="Received: scores of 2 axes"):
        layers.masked_softmax(normal(2, 5), [2, 0])


# Scoring functions


@pytest.mark.parametrize(
    "attention", [layers.AdditiveAttention(8, 0.1), layers.DotProductAttention(0.5)]
)
def test_the_books_example(attention):
    """Equal keys: the mean of the first 2 and of the first 6 values."""
    queries = normal(2, 1, 2 if isinstance(attention, layers.DotProductAttention) else 20)
    values = np.tile(np.arange(40, dtype="float32").reshape(1, 10, 4), (2, 1, 1))
    outputs, weights = attention(
        queries, np.ones((2, 10, 2), "float32"), values, valid_lens=[2, 6], return_weights=True
    )
    np.testing.assert_allclose(outputs, [[[2, 3, 4, 5]], [[10, 11, 12, 13]]], atol=1e-4)
    np.testing.assert_allclose(np.array(weights)[:, 0].sum(-1), 1, atol=1e-6)


def test_dot_product_attention_is_its_formula():
    q, k, v = normal(2, 3, 8), normal(2, 5, 8), normal(2, 5, 4)
    expected = softmax(q @ k.swapaxes(1, 2) / np.sqrt(8)) @ v
    np.testing.assert_allclose(layers.DotProductAttention()(q, k, v), expected, atol=1e-5)


@pytest.mark.parametrize("use_bias", [False, True])
def test_additive_attention_is_its_formula(use_bias):
    layer = layers.AdditiveAttention(6, use_bias=use_bias)
    q, k, v = normal(2, 3, 8), normal(2, 5, 7), normal(2, 5, 4)
    layer(q, k, v)
    for variable in layer.weights:
        variable.assign(normal(*variable.shape))
    bias = np.array(layer.W_q.bias) if use_bias else 0
    hidden = (q @ np.array(layer.W_q.kernel) + bias)[:, :, None]
    hidden = np.tanh(hidden + (k @ np.array(layer.W_k.kernel))[:, None])
    expected = softmax((hidden @ np.array(layer.w_v.kernel))[..., 0]) @ v
    np.testing.assert_allclose(layer(q, k, v), expected, atol=1e-5)


INPUTS = (normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 6))


def test_scoring_layers_keep_their_promises():
    check_layer(
        layers.DotProductAttention,
        {"dropout_rate": 0.5, "seed": 3},
        INPUTS,
        call_arguments={"valid_lens": np.array([2, 5], "int32")},
    )
    check_layer(
        layers.AdditiveAttention,
        {"num_hiddens": 8, "dropout_rate": 0.5, "use_bias": True, "seed": 3},
        INPUTS,
        call_arguments={"valid_lens": np.array([2, 5], "int32")},
    )


# Heads


def by_hand(layer, q, k, v, keep=True):
    """Multi-head attention in numpy, head by head."""

    def dense(d, x):
        return x @ np.array(d.kernel) + (np.array(d.bias) if d.use_bias else 0)

    q, k, v = dense(layer.W_q, q), dense(layer.W_k, k), dense(layer.W_v, v)
    size = layer.num_hiddens // layer.num_heads
    heads = []
    for i in range(layer.num_heads):
        part = slice(i * size, (i + 1) * size)
        scores = q[..., part] @ k[..., part].swapaxes(1, 2) / np.sqrt(size)
        scores = np.where(keep, scores, -1e9)
        heads.append(softmax(scores) @ v[..., part])
    return dense(layer.W_o, np.concatenate(heads, -1))


@pytest.mark.parametrize("use_bias", [False, True])
def test_multi_head_attention_is_one_attention_a_head(use_bias):
    layer = layers.MultiHeadAttention(12, 3, use_bias=use_bias, seed=1)
    q, k, v = normal(2, 4, 5), normal(2, 6, 7), normal(2, 6, 9)
    layer(q, k, v)
    for variable in layer.weights:
        variable.assign(normal(*variable.shape))
    lens = np.array([3, 2])
    keep = np.arange(6) < lens[:, None, None]
    expected = by_hand(layer, q, k, v, keep)
    np.testing.assert_allclose(layer(q, k, v, valid_lens=lens), expected, atol=2e-5)
    outputs, weights = layer(q, k, v, valid_lens=lens, return_weights=True)
    np.testing.assert_allclose(outputs, expected, atol=2e-5)
    assert weights.shape == (2, 3, 4, 6)
    np.testing.assert_allclose(np.array(weights).sum(-1), 1, atol=1e-5)


def test_the_backends_own_attention_gives_the_same(monkeypatch):
    """What runs on a GPU, with a query that may see nothing."""
    layer = layers.MultiHeadAttention(12, 3, seed=1)
    x = normal(2, 4, 5)
    masks = [
        {"valid_lens": np.array([3, 2])},
        {"valid_lens": np.array([0, 4])},
        {"causal": True},
        {"attention_mask": RNG.random((2, 4, 4)) < 0.4, "causal": True},
        {},
    ]
    here = [np.array(layer(x, **mask)) for mask in masks]
    module = __import__("kerasd2l.layers.multi_head_attention", fromlist=["on_tensorflow_cpu"])
    monkeypatch.setattr(module, "on_tensorflow_cpu", lambda: False)
    for mask, expected in zip(masks, here, strict=True):
        np.testing.assert_allclose(layer(x, **mask), expected, atol=1e-5)


def test_no_future_and_no_padding_changes_a_bit():
    layer = layers.MultiHeadAttention(12, 3, seed=1)
    x = normal(2, 6, 12)
    other = x.copy()
    other[:, 4:] += 7
    causal = [np.array(layer(one, causal=True)) for one in (x, other)]
    np.testing.assert_array_equal(causal[0][:, :4], causal[1][:, :4])
    assert (causal[0][:, 4:] != causal[1][:, 4:]).any()
    padded = [np.array(layer(x, one, valid_lens=[4, 4])) for one in (x, other)]
    np.testing.assert_array_equal(*padded)


def test_the_number_of_weights_does_not_depend_on_the_heads():
    for heads in (8, 16):
        layer = layers.MultiHeadAttention(64, heads, use_bias=True)
        layer.build((None, None, 64))
        assert layer.count_params() == 16640


def test_heads_that_do_not_divide_the_width():
    with pytest.raises(ValueError, match=r"num_hiddens=100, num_heads=3. Try num_heads=2 or 4"):
        layers.MultiHeadAttention(100, 3)
    with pytest.raises(ValueError, match="`num_heads` must be at least 1"):
        layers.MultiHeadAttention(100, 0)


@pytest.mark.parametrize("extra", [{}, {"causal": True}, {"return_weights": True}])
def test_multi_head_attention_keeps_its_promises(extra):
    arguments = {"num_hiddens": 8, "num_heads": 2, "dropout_rate": 0.5, "use_bias": True, "seed": 3}
    lens = {"valid_lens": np.array([2, 5], "int32")}
    check_layer(
        layers.MultiHeadAttention,
        arguments,
        INPUTS,
        call_arguments=extra if "causal" in extra else lens | extra,
        free_axes=(0, 1),
        no_gradient=("W_k/bias",),  # it adds the same to all scores of a query
    )


# Linformer


def test_linformer_is_attention_to_mixtures():
    layer = layers.LinformerAttention(12, 3, max_len=9, num_mixtures=4, seed=1)
    x = normal(2, 6, 12)
    layer(x)
    for variable in layer.weights:
        variable.assign(normal(*variable.shape))
    k = np.array(x @ np.array(layer.attention.W_k.kernel))
    v = np.array(x @ np.array(layer.attention.W_v.kernel))
    mixed = [
        np.einsum("ks,bsd->bkd", np.array(mix)[:, :6], part)
        for mix, part in ((layer.mix_keys, k), (layer.mix_values, v))
    ]
    q = x @ np.array(layer.attention.W_q.kernel)
    heads = [
        softmax(q[..., i : i + 4] @ mixed[0][..., i : i + 4].swapaxes(1, 2) / 2)
        @ mixed[1][..., i : i + 4]
        for i in (0, 4, 8)
    ]
    expected = np.concatenate(heads, -1) @ np.array(layer.attention.W_o.kernel)
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)


def test_linformer_leaves_padding_out_and_its_weights_grow_with_the_length_only():
    layer = layers.LinformerAttention(12, 3, max_len=9, num_mixtures=4)
    x = normal(2, 6, 12)
    other = x.copy()
    other[:, 4:] = 5
    lens = np.array([4, 3])
    y = [np.array(layer(one, valid_lens=lens)) for one in (x, other)]
    np.testing.assert_array_equal(y[0][:, :4], y[1][:, :4])
    assert layer.count_params() == 4 * 12 * 12 + 2 * 4 * 9
    with pytest.raises(ValueError, match=r"mixtures of 9 steps \(`max_len`\), not of 10"):
        layer(normal(2, 10, 12))


def test_linformer_keeps_its_promises():
    arguments = {"num_hiddens": 8, "num_heads": 2, "max_len": 9, "num_mixtures": 3}
    check_layer(
        layers.LinformerAttention,
        arguments | {"dropout_rate": 0.5, "use_bias": True, "seed": 3},
        normal(2, 5, 4),
        call_arguments={"valid_lens": np.array([2, 5], "int32")},
        no_gradient=("W_k/bias",),
    )


def test_a_batch_of_no_examples_passes_through():
    weights = layers.masked_softmax(np.zeros((0, 3, 4), "float32"), np.zeros(0, "int32"))
    assert weights.shape == (0, 3, 4)
    x = np.zeros((0, 3, 8), "float32")
    assert layers.MultiHeadAttention(8, 2)(x, valid_lens=np.zeros(0, "int32")).shape == (0, 3, 8)


def test_softmax_of_a_single_key_is_one_without_a_word(recwarn):
    keep = np.array([[[True]], [[False]]])
    found = layers.masked_softmax(np.full((2, 1, 1), 7.0, "float32"), mask=keep)
    assert np.asarray(found).ravel().tolist() == [1.0, 0.0]
    assert np.asarray(layers.masked_softmax(np.zeros((1, 1, 1)))).item() == 1.0
    assert not recwarn.list
