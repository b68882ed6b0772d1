"""Transformers and attention decoders: the book's shapes, masks, writing with a memory, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kerasd2l import decoding, models
from kerasd2l.testing import check_layer, check_model

RNG = np.random.default_rng(0)
SIZES = {"num_hiddens": 12, "num_layers": 2, "ffn_num_hiddens": 16, "num_heads": 3}


def batch(source_steps=7, target_steps=6):
    draw = np.random.RandomState(0).randint
    return {
        "source": draw(4, 11, (4, source_steps)).astype("int32"),
        "source_lengths": np.minimum([7, 3, 1, 5], source_steps).astype("int32"),
        "decoder_input": draw(4, 13, (4, target_steps)).astype("int32"),
    }


def small(kind, **arguments):
    if kind == "transformer":
        return models.transformer(11, 13, **SIZES, seed=3, **arguments)
    return models.bahdanau(11, 13, embed_size=5, num_hiddens=6, seed=3, cell=kind, **arguments)


KINDS = ["transformer", "gru", "lstm"]


def test_the_books_shapes():
    tokens = np.ones((2, 100), "int32")
    encoder = models.TransformerEncoder(200, 24, 2, 48, 8, dropout_rate=0.5)
    assert encoder(tokens, valid_lens=np.array([3, 2])).shape == (2, 100, 24)
    weights = encoder.attention_weights(tokens[:, :10], np.array([3, 2]))
    assert [w.shape for w in weights] == [(2, 8, 10, 10)] * 2
    decoder = models.Seq2SeqAttentionDecoder(10, 8, 16, 2)
    tokens = np.zeros((4, 7), "int32")
    state = decoder.init_state(models.Seq2SeqEncoder(10, 8, 16, 2)(tokens))
    logits, state = decoder(tokens, state)
    assert logits.shape == (4, 7, 10)
    assert state["keys"].shape == (4, 7, 16)
    assert [one.shape for (one,) in state["layers"]] == [(4, 16)] * 2


@pytest.mark.parametrize(
    "kind", [k if k == "transformer" else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_models_save_and_train(kind):
    free = (0, 1) if kind == "transformer" else (0,)  # the steps of the others are written out
    check_model(
        lambda: small(kind),
        batch(4, 3),
        free_axes={"source": (0, 1), "source_lengths": (0,), "decoder_input": free},
    )


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("kind", [*KINDS[:2], pytest.param(KINDS[2], marks=pytest.mark.slow)])
def test_writing_token_by_token_says_what_the_whole_says(kind, norm):
    """Every token at its own position: the book's writing gives all of them position 0."""
    model = small(kind, **({"norm": norm} if kind == "transformer" else {}))
    x = batch()
    whole = np.array(model(x))
    state = model.begin(x["source"], x["source_lengths"], max_steps=9)
    for t in range(6):
        logits, state = model.decode(x["decoder_input"][:, t : t + 1], state)
        np.testing.assert_allclose(logits[:, 0], whole[:, t], atol=3e-6)


@pytest.mark.parametrize(
    "kind", [k if k == "transformer" else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_a_beam_finds_what_a_search_without_memory_finds(kind):
    """The hypotheses of a beam are reordered on the way, and their memories with them."""
    model, x = small(kind), batch()
    model(x)
    for variable in model.trainable_variables:  # clear preferences
        variable.assign(RNG.normal(size=variable.shape) * 0.7)

    def step(token, state):
        logits, state = model.decode(token[:, None], state)
        return logits[:, 0], state

    state = model.begin(x["source"], x["source_lengths"], max_steps=5)
    best = decoding.beam_search(step, state, max_steps=5, beam_size=4)
    ids, lengths = np.array(best["ids"]), np.array(best["lengths"])
    for place in range(4):  # what follows the end of a hypothesis changes nothing before it
        begun = np.concatenate([np.full((4, 1), 2), ids[:, place, :-1]], axis=1)
        log_probs = np.array(ops.log_softmax(model({**x, "decoder_input": begun.astype("int32")})))
        for row in range(4):
            length = int(lengths[row, place])
            total = log_probs[row, np.arange(length), ids[row, place, :length]].sum()
            assert total == pytest.approx(float(best["log_probs"][row, place]), abs=1e-4)


def test_layers_keep_their_promises():
    arguments = dict(
        vocab_size=11,
        num_hiddens=8,
        num_layers=2,
        ffn_num_hiddens=10,
        num_heads=2,
        dropout_rate=0.3,
        use_bias=True,
        norm="pre",
        max_len=50,
        seed=4,
    )
    check_layer(
        models.TransformerEncoder,
        arguments,
        RNG.integers(0, 11, (2, 5)),
        call_arguments={"valid_lens": np.array([5, 2], "int32")},
        free_axes=(0, 1),
        no_gradient=("W_k/bias",),
    )


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError, match="`num_layers` must be at least 1"):
        models.transformer(5, 5, num_layers=0)
    with pytest.raises(ValueError, match="must be divisible by `num_heads`"):
        models.transformer(5, 5, num_hiddens=10, num_heads=3)
    model = models.transformer(5, 5, max_len=4)
    tokens = np.zeros((1, 5), "int32")
    with pytest.raises(ValueError, match=r"positions for 4 steps \(`max_len`\), not for 5"):
        model({"source": tokens, "decoder_input": tokens})
    encoder, decoder = models.Seq2SeqEncoder(5, 4, 6, 1), models.Seq2SeqAttentionDecoder(5, 4, 6, 2)
    with pytest.raises(ValueError, match=r"same number of layers. Received: 1 and 2"):
        decoder.init_state(encoder(tokens))


# The decoder-only one


def gpt(**arguments):
    options = {"num_hiddens": 12, "num_layers": 2, "num_heads": 3, "max_len": 20, "seed": 1}
    return models.GPT(11, **options | arguments)


def test_gpt_saves_and_trains():
    tokens = RNG.integers(0, 11, (3, 7))
    blocks = 2 * (4 * 12 * 12 + 4 * 12 + 2 * 12 * 48 + 48 + 12 + 4 * 12)
    check_model(
        gpt,
        tokens.astype("int32"),
        parameters=11 * 12 + 20 * 12 + blocks + 24,
        free_axes=(0, 1),
        no_gradient=("W_k/bias",),
    )


def test_gpt_computes_in_its_own_dtype():
    model = gpt(dtype="bfloat16")
    logits = model(RNG.integers(0, 11, (3, 7)))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert {weight.dtype for weight in model.weights} == {"bfloat16"}
    assert {layer.compute_dtype for layer in (model, *model.layers)} == {"bfloat16"}


def test_gpt_sees_no_future_and_writes_with_its_memory_what_it_writes_without():
    model = gpt()
    model(np.zeros((1, 1), "int32"))
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape) * 0.5)
    tokens = RNG.integers(1, 11, (2, 8)).astype("int32")
    other = tokens.copy()
    other[:, 5:] = 1
    np.testing.assert_array_equal(np.array(model(tokens))[:, :5], np.array(model(other))[:, :5])
    prefix = tokens[:, :4]
    written = np.array(decoding.generate(*models.step_by_step(model), prefix, num_tokens=9))
    text = prefix
    for _t in range(9):
        logits = np.array(model(text))[:, -1]
        logits[:, 0] = -np.inf  # <unk> is never written
        text = np.concatenate([text, logits.argmax(-1)[:, None].astype("int32")], axis=1)
    np.testing.assert_array_equal(written, text[:, 4:])

    @tf.function(jit_compile=True)
    def compiled(prefix):
        return decoding.generate(*models.step_by_step(model), prefix, num_tokens=9)

    np.testing.assert_array_equal(compiled(prefix), written)


def test_gpt_writes_beyond_its_positions_from_the_last_half_of_them():
    model = gpt(max_len=8)
    model(np.zeros((1, 1), "int32"))
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape) * 0.5)
    prefix = RNG.integers(1, 11, (2, 3)).astype("int32")
    written = np.array(decoding.generate(*models.step_by_step(model), prefix, num_tokens=20))
    text, begin = prefix, 0
    for _ in range(20):
        if text.shape[1] - begin > 8:
            begin = text.shape[1] - 5  # the last four, and the one to read now
        logits = np.array(model(text[:, begin:]))[:, -1]
        logits[:, 0] = -np.inf
        text = np.concatenate([text, logits.argmax(-1)[:, None].astype("int32")], axis=1)
    np.testing.assert_array_equal(written, text[:, 3:])


def test_gpt_with_too_many_tokens_is_told():
    with pytest.raises(ValueError, match="positions for 20 steps"):
        gpt()(np.zeros((1, 21), "int32"))
    assert isinstance(gpt(), keras.Model)
