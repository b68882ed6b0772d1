"""Positions and the blocks of a Transformer: formulas, masks, and steps that remember."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kerasd2l import layers
from kerasd2l.testing import check_layer

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


# Positions


@pytest.mark.parametrize("width", [1, 6, 7])
def test_waves_are_their_formula(width):
    waves = layers.positional_encoding(60, width)
    for i in (0, 1, 59):
        for j in range(width):
            angle = i / 10000 ** (2 * (j // 2) / width)
            wave = np.cos(angle) if j % 2 else np.sin(angle)
            assert waves[i, j] == pytest.approx(wave, abs=1e-6)


def test_a_shift_of_positions_is_a_rotation():
    """[sin, cos] at i + 5 is [sin, cos] at i, turned by an angle that does not depend on i."""
    width, shift = 32, 5
    waves = layers.positional_encoding(60, width).reshape(60, -1, 2)
    for j in range(width // 2):
        angle = shift / 10000 ** (2 * j / width)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        np.testing.assert_allclose(waves[:-shift, j] @ turn.T, waves[shift:, j], atol=1e-5)


@pytest.mark.parametrize("kind", [layers.PositionalEncoding, layers.PositionEmbedding])
def test_steps_at_an_offset_get_the_positions_of_the_whole(kind):
    layer = kind(max_len=9)
    x = normal(2, 9, 5)
    whole = np.array(layer(x))
    np.testing.assert_array_equal(layer(x[:, 4:7], offset=4), whole[:, 4:7])
    np.testing.assert_array_equal(layer(x[:, 4:7], offset=ops.convert_to_tensor(4)), whole[:, 4:7])
    apart = np.array(layer(x[:, :2], offset=np.array([1, 6], "int32")))
    table = whole - x
    np.testing.assert_allclose(apart[0] - x[0, :2], table[0, 1:3], atol=1e-6)
    np.testing.assert_allclose(apart[1] - x[1, :2], table[0, 6:8], atol=1e-6)


@pytest.mark.parametrize("kind", [layers.PositionalEncoding, layers.PositionEmbedding])
def test_a_sequence_that_is_too_long_is_told(kind):
    layer = kind(max_len=9)
    with pytest.raises(ValueError, match=r"positions for 9 steps \(`max_len`\), not for 10"):
        layer(normal(2, 10, 5))
    with pytest.raises(ValueError, match="not for 12"):
        layer(normal(2, 4, 5), offset=8)
    with pytest.raises(ValueError, match="`max_len` must be at least 1"):
        kind(max_len=0)


def test_position_layers_keep_their_promises():
    arguments = {"max_len": 20, "dropout_rate": 0.5, "seed": 3}
    check_layer(layers.PositionalEncoding, arguments, normal(2, 5, 7), mask="passes")
    check_layer(
        layers.PositionEmbedding,
        arguments | {"initializer": "glorot_uniform"},
        normal(2, 5, 7),
        mask="passes",
    )


# Parts


def test_the_norm_of_the_book():
    """LN of [[1, 2], [2, 3]] is [[-1, 1], [-1, 1]]."""
    x = np.array([[1, 2], [2, 3]], "float32")
    np.testing.assert_allclose(layers.AddNorm()(x, x * 0), [[-1, 1], [-1, 1]], atol=1e-4)
    a, b = normal(2, 3, 4), normal(2, 3, 4)
    np.testing.assert_allclose(layers.AddNorm(0.9)(a, b), layer_norm(a + b), atol=1e-5)


def test_the_network_is_the_same_for_each_step():
    outputs = np.array(layers.PositionWiseFFN(4, 8)(np.ones((2, 3, 4), "float32")))
    assert outputs.shape == (2, 3, 8)
    assert (outputs == outputs[:1, :1]).all()


def test_parts_keep_their_promises():
    inputs = (normal(2, 3, 4), normal(2, 3, 4))
    check_layer(layers.AddNorm, {"dropout_rate": 0.5, "epsilon": 1e-3, "seed": 3}, inputs)
    check_layer(
        layers.PositionWiseFFN,
        {
            "ffn_num_hiddens": 6,
            "num_outputs": 5,
            "activation": "gelu",
            "dropout_rate": 0.5,
            "seed": 3,
        },
        normal(2, 3, 4),
    )


# Blocks

SIZES = {"num_hiddens": 8, "ffn_num_hiddens": 12, "num_heads": 2}
ARGUMENTS = {**SIZES, "dropout_rate": 0.3, "use_bias": True, "norm": "pre", "activation": "gelu"}
ARGUMENTS |= {"epsilon": 1e-3}


def test_blocks_keep_their_promises():
    lens = {"valid_lens": np.array([2, 5], "int32")}
    check_layer(
        layers.TransformerEncoderBlock,
        ARGUMENTS | {"seed": 3},
        normal(2, 5, 8),
        call_arguments=lens,
        free_axes=(0, 1),
        no_gradient=("W_k/bias",),
    )
    check_layer(
        layers.TransformerDecoderBlock,
        ARGUMENTS | {"seed": 3},
        (normal(2, 5, 8), normal(2, 4, 6)),
        call_arguments={"enc_valid_lens": np.array([2, 4], "int32")},
        free_axes=(0, 1),
        no_gradient=("W_k/bias",),
    )


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_block_is_its_formula(norm):
    block = layers.TransformerEncoderBlock(**SIZES, norm=norm)
    x = normal(2, 5, 8)
    y = np.array(block(x))
    attend, network = (lambda x: np.array(block.attention(x))), (lambda x: np.array(block.ffn(x)))
    if norm == "post":
        middle = layer_norm(x + attend(x))
        expected = layer_norm(middle + network(middle))
    else:
        middle = x + attend(layer_norm(x))
        expected = middle + network(layer_norm(middle))
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_the_books_shapes_of_blocks_and_weights():
    block = layers.TransformerEncoderBlock(24, 48, 8, 0.5)
    outputs, weights = block(normal(2, 100, 24), valid_lens=[3, 2], return_weights=True)
    assert outputs.shape == (2, 100, 24) and weights.shape == (2, 8, 100, 100)
    block = layers.TransformerDecoderBlock(24, 48, 8, 0.5)
    x, own, cross = block(
        normal(2, 6, 24), normal(2, 10, 24), enc_valid_lens=[3, 2], return_weights=True
    )
    assert (x.shape, own.shape, cross.shape) == ((2, 6, 24), (2, 8, 6, 6), (2, 8, 6, 10))
    assert not np.triu(np.array(own), 1).any()
    assert not np.array(cross)[0, ..., 3:].any()


def test_padding_and_future_change_no_bit_of_what_a_decoder_says():
    block = layers.TransformerDecoderBlock(**SIZES)
    x, memory = normal(2, 6, 8), normal(2, 4, 8)
    y = np.array(block(x, memory, enc_valid_lens=[2, 2]))
    future, padding = x.copy(), memory.copy()
    future[:, 4:] -= 3
    padding[:, 2:] *= -5
    np.testing.assert_array_equal(
        np.array(block(future, memory, enc_valid_lens=[2, 2]))[:, :4], y[:, :4]
    )
    np.testing.assert_array_equal(block(x, padding, enc_valid_lens=[2, 2]), y)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("pieces", [[1] * 6, [3, 1, 2], [6]])
def test_steps_that_remember_equal_the_whole(pieces, norm):
    """Whatever the steps are cut into; rows may be reordered on the way."""
    encoder = layers.TransformerEncoderBlock(**SIZES, norm=norm)
    decoder = layers.TransformerDecoderBlock(**SIZES, norm=norm)
    x, enc, lens = normal(3, 6, 8), normal(3, 4, 8), np.array([4, 2, 1])
    whole = np.array(encoder(x, causal=True)), np.array(decoder(x, enc, enc_valid_lens=lens))
    caches = [encoder.new_cache(3, 7), decoder.new_cache(3, 7)]
    memory = decoder.cross_attention.project(enc)
    start, order = 0, np.array([2, 0, 1])
    rows = np.arange(3)
    for size in pieces:
        part = x[rows, start : start + size]
        a, caches[0] = encoder.step(part, caches[0])
        b, caches[1] = decoder.step(
            part, caches[1], [ops.take(m, rows, axis=0) for m in memory], lens[rows]
        )
        for piece, expected in zip((a, b), whole, strict=True):
            np.testing.assert_allclose(piece, expected[rows, start : start + size], atol=2e-6)
        start += size
        rows = rows[order]
        caches = [{k: ops.take(v, order, axis=0) for k, v in cache.items()} for cache in caches]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_leaves_the_cache_it_came_from_as_it_was(compiled):
    """A beam goes on from one state in several ways."""
    block = layers.TransformerEncoderBlock(**SIZES)
    x, other = normal(2, 4, 8), normal(2, 1, 8)
    whole = np.array(block(x, causal=True))

    def two_ways():
        _, cache = block.step(x[:, :3], block.new_cache(2, 6))
        wrong, _ = block.step(other, cache)
        return wrong, block.step(x[:, 3:], cache)[0]

    wrong, right = (tf.function(two_ways) if compiled else two_ways)()
    np.testing.assert_allclose(right, whole[:, 3:], atol=2e-6)
    assert np.abs(np.array(wrong) - np.array(right)).max() > 0.1


def test_blocks_that_cannot_be():
    with pytest.raises(ValueError, match=r"`norm` must be post or pre\. Received: norm='mid'"):
        layers.TransformerEncoderBlock(**SIZES, norm="mid")
    with pytest.raises(ValueError, match=r"must have its width.*num_hiddens=8"):
        layers.TransformerEncoderBlock(**SIZES)(normal(2, 3, 5))
