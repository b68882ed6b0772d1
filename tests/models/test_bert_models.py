"""BERT: the book's shapes and numbers of parameters, padding, saving, heads, parity by hand."""

import sys

import keras
import numpy as np
import pytest

from kerasd2l import models
from kerasd2l.testing import check_layer, check_model
from kerasd2l.testing.elsewhere import with_keras

SIZES = {
    "vocab_size": 19,
    "num_hiddens": 12,
    "ffn_num_hiddens": 16,
    "num_heads": 3,
    "num_layers": 2,
    "max_len": 11,
    "seed": 3,
}
FREE = {"tokens": (0, 1), "segments": (0, 1), "valid_lens": (0,), "pred_positions": (0, 1)}


def batch(steps=7, masks=3, vocab_size=19):
    draw = np.random.RandomState(0).randint
    lens = np.array([7, 5, 3, 7], "int32")
    return {
        "tokens": draw(0, vocab_size, (4, steps)).astype("int32"),
        "segments": draw(0, 2, (4, steps)).astype("int32"),
        "valid_lens": np.minimum(lens, steps),
        "pred_positions": draw(0, 3, (4, masks)).astype("int32"),
    }


def without_positions():
    return {name: array for name, array in batch().items() if name != "pred_positions"}


def test_the_books_shapes_and_parameters():
    model = models.BERTModel(10000, 768, 1024, 4, 2, 0.2)
    tokens = np.random.RandomState(0).randint(0, 10000, (2, 8))
    x = {
        "tokens": tokens,
        "segments": np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 1]]),
        "valid_lens": np.array([8, 8]),
        "pred_positions": np.array([[1, 5, 2], [6, 1, 5]]),
    }
    outputs = model(x)
    assert model.encode(x).shape == (2, 8, 768)
    assert outputs["mlm"].shape == (2, 3, 10000)
    assert outputs["nsp"].shape == (2, 2)
    assert model.count_params() == 25_203_986  # with the book's 1000 positions


def test_the_book_pretrains_five_million_parameters():
    model = models.BERTModel(20256, 128, 256, 2, 2, 0.2)
    model.build({name: array.shape for name, array in batch().items()})
    assert model.count_params() == 5_632_546


def test_base_and_large_have_the_published_sizes_and_counting_them_takes_no_memory(tmp_path):
    program = r"""
import re, keras
from kerasd2l import models

def peak():  # not ru_maxrss: that begins with the size of the process which started this one
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])

before = peak()
shapes = dict(tokens=(2, 8), segments=(2, 8), valid_lens=(2,), pred_positions=(2, 3))
with keras.StatelessScope(initialize_variables=False):
    for make in (models.bert_base, models.bert_large):
        model = make()
        model.build(shapes)
        encoder = model.encoder.count_params() + model.hidden.count_params()
        print(encoder, model.count_params())
print((peak() - before) // 1024)
"""
    script = tmp_path / "count.py"
    script.write_text(f"import sys\nsys.path[:] = {sys.path!r}\n{program}")
    code, said = with_keras()(str(script), "")
    assert code == 0, said
    base, large, megabytes = said.strip().splitlines()[-3:]
    # bert-base-uncased and bert-large-uncased as published: the encoder with its hidden layer, and
    # with both tasks
    assert base == "109482240 110106428"
    assert large == "335141888 336226108"
    assert int(megabytes) < 200  # the weights of large alone are 1300


@pytest.mark.parametrize(
    "options",
    [
        {"dropout_rate": 0.1},
        {"activation": "gelu", "embed_norm": True, "tied": True, "epsilon": 1e-12},
    ],
)
def test_bert_saves_and_trains(options):
    check_model(
        lambda: models.BERTModel(**SIZES, **options),
        batch(),
        free_axes=FREE,
        no_gradient=("W_k/bias",),
        fresh="tied" in options,
    )


HEADS = {
    "classifier": lambda **more: models.BERTClassifier(3, **SIZES, **more),
    "tagger": lambda **more: models.BERTTagger(4, **SIZES, **more),
    "span": lambda **more: models.BERTSpan(**SIZES, **more),
}


@pytest.mark.parametrize("head", HEADS)
def test_heads_save_and_train(head):
    check_model(
        HEADS[head],
        without_positions(),
        free_axes=FREE,
        no_gradient=("W_k/bias", "logits/bias") if head == "span" else ("W_k/bias",),
        fresh=head == "span",
    )


@pytest.mark.parametrize("head", HEADS)
def test_the_dtype_of_a_model_is_that_of_its_layers_but_the_logits(head, tmp_path):
    model = HEADS[head](dtype="bfloat16")
    model(without_positions())
    kinds = {weight.path.split("/", 1)[1].split("/")[0]: weight.dtype for weight in model.weights}
    assert kinds.pop("logits") == "float32"
    assert set(kinds.values()) == {"bfloat16"}
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [w.dtype for w in again.weights] == [w.dtype for w in model.weights]


def test_layers_keep_their_arguments():
    x = np.random.RandomState(0).normal(size=(3, 5, 12)).astype("float32")
    places = np.array([[0, 3], [1, 4], [2, 2]], "int32")
    arguments = {"vocab_size": 17, "num_hiddens": 12, "activation": "gelu", "tied": True, "seed": 2}
    arguments |= {"epsilon": 1e-3}
    table = np.random.RandomState(1).normal(size=(17, 12)).astype("float32")
    check_layer(
        models.MaskLM,
        arguments,
        x,
        call_arguments={"pred_positions": places, "table": table},
        free_axes={"table": ()},
        mixed_precision="float32",
    )
    check_layer(models.NextSentencePrediction, {"seed": 4}, x[:, 0], mixed_precision=False)
    encoder = {**SIZES, "dropout_rate": 0.2, "activation": "gelu", "embed_norm": True}
    encoder |= {"epsilon": 1e-3}
    check_layer(
        models.BERTEncoder,
        encoder,
        batch()["tokens"],
        call_arguments={"valid_lens": batch()["valid_lens"]},
        free_axes=(0, 1),
        no_gradient=("W_k/bias",),
    )


def test_the_positions_are_trained_and_order_matters():
    model = models.BERTModel(**SIZES)
    x = batch()
    x["valid_lens"][:] = 7
    model(x)
    trained = {weight.path for weight in model.trainable_weights}
    assert model.encoder.positions.embeddings.path in trained
    turned = {**x, "tokens": x["tokens"][:, ::-1].copy(), "segments": x["segments"][:, ::-1].copy()}
    there = np.asarray(model.encode(turned))[:, ::-1]
    assert np.abs(there - np.asarray(model.encode(x))).max() > 0.1


def test_masked_words_are_read_at_their_positions():
    layer = models.MaskLM(6, 4, seed=0)
    x = np.random.RandomState(0).normal(size=(2, 5, 3)).astype("float32")
    found = np.asarray(layer(x, np.array([[4, 0], [2, 2]], "int32")))
    kernel, bias, gamma, beta, out, out_bias = layer.get_weights()
    hidden = np.maximum(x[[[0, 0], [1, 1]], [[4, 0], [2, 2]]] @ kernel + bias, 0)
    centred = hidden - hidden.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta
    np.testing.assert_allclose(found, normed @ out + out_bias, atol=1e-5)


def test_every_norm_of_a_bert_has_its_epsilon():
    """Under a wrong one a checkpoint of elsewhere computes something else, a little."""
    heads = [make(embed_norm=True, epsilon=0.25) for make in HEADS.values()]
    for model in (models.BERTModel(**SIZES, embed_norm=True, epsilon=0.25), *heads):
        layers = list(model._flatten_layers())
        norms = [one for one in layers if isinstance(one, keras.layers.LayerNormalization)]
        assert len(norms) == 5 + isinstance(model, models.BERTModel)
        assert {one.epsilon for one in norms} == {0.25}


def test_tied_words_are_scored_by_their_embedding():
    model = models.BERTModel(**SIZES, tied=True)
    x = batch()
    assert model(x)["mlm"].shape == (4, 3, 19)
    encoded, first = model.encode(x), np.zeros((4, 1), "int32")
    before = np.asarray(model.words(encoded, first))[..., 5]
    table = model.encoder.token_embedding.embeddings
    table.assign(np.asarray(table.value) * (np.arange(19) != 5)[:, None])
    after = np.asarray(model.words(encoded, first))[..., 5]
    np.testing.assert_allclose(after, 0, atol=1e-6)  # the bias begins at zero
    assert np.abs(before).max() > 0.01


def test_an_answer_lies_in_the_second_text():
    x = without_positions()
    x["segments"] = np.array([[0, 0, 1, 1, 1, 1, 1]] * 4, "int32")
    outputs = models.BERTSpan(**SIZES)(x)
    for row, length in enumerate(x["valid_lens"]):
        there = np.asarray(outputs["start"])[row] > -1e8
        assert there.tolist() == [2 <= i < length - 1 for i in range(7)]


def test_a_head_begins_with_the_weights_of_a_pretrained_model_and_refuses_other_sizes():
    bert = models.BERTModel(**{**SIZES, "seed": 8})
    x = batch()
    bert(x)
    for make in HEADS.values():
        head = make()
        head(without_positions())
        head.start_from(bert)
        for mine, theirs in zip(head.encoder.weights, bert.encoder.weights, strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    other = models.BERTModel(**{**SIZES, "num_hiddens": 6})
    other(x)
    with pytest.raises(ValueError, match=r"other sizes.*num_hiddens': 6"):
        head.start_from(other)


def test_too_many_tokens_or_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="positions for 11 steps"):
        models.BERTModel(**SIZES).encode(batch(steps=12))
    with pytest.raises(ValueError, match="divisible by"):
        models.BERTModel(19, 10, 16, 3, 1)
    with pytest.raises(ValueError, match="`num_outputs` must be at least 1"):
        models.BERTTagger(0, **SIZES)
