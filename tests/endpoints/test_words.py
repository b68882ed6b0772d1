"""The signatures of word vectors: a word in, its neighbours out; unknown words are said."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.data import Tokenizer
from kerasd2l.data.subwords import Subwords, fnv1a
from kerasd2l.endpoints import word_neighbours, words
from kerasd2l.models import CBOW, SkipGram
from kerasd2l.testing import check_endpoint

WORDS = ["<unk>", "is", "are", "was", "were", *(f"w{i}" for i in range(15))]
ASSETS = {"vocabulary": WORDS, "tokenizer": Tokenizer("word").to_assets()}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = SkipGram(len(WORDS), embed_size=5)
    model.build({"inputs": (None,), "outputs": (None, 3)})
    v = np.array(model.v)
    v[4] = v[3] - v[1] + v[2]
    model.v.assign(v)
    return model


def asked(endpoint, model, assets=ASSETS, **texts):
    function = endpoint.build(model, assets)
    outputs = function(**{name: tf.constant(text) for name, text in texts.items()})
    return {name: value.numpy() for name, value in outputs.items()}


@pytest.mark.parametrize("number", [0, 1])
def test_signatures_keep_their_promises(model, tmp_path, number):
    check_endpoint(word_neighbours(example=("is", "Was", "never"))[number], model, ASSETS, tmp_path)


def test_neighbours_are_the_words_of_the_largest_cosines(model):
    found = asked(word_neighbours()[0], model, word=["w3", " W3 ", "never", "", "w3 w4", "<unk>"])
    v = np.array(model.v)[1:]
    cosines = v @ v[7] / np.linalg.norm(v, axis=1) / np.linalg.norm(v[7])
    best = [i for i in np.argsort(-cosines) if i != 7][:10]
    for row in (0, 1):
        assert [w.decode() for w in found["neighbours"][row]] == [WORDS[1 + i] for i in best]
        np.testing.assert_allclose(found["similarities"][row], cosines[best], atol=1e-6)
    assert found["known"].tolist() == [True, True, False, False, False, False]
    assert set(found["neighbours"][2:].ravel()) == {b""} and not found["similarities"][2:].any()


def test_an_analogy_leaves_its_three_words_out_and_needs_all_of_them(model):
    found = asked(
        word_neighbours()[1], model, a=["is", "is", ""], b=["are", "no", ""], c=["was", "was", ""]
    )
    assert found["neighbours"][0, 0] == b"were"
    assert not {b"is", b"are", b"was"} & set(found["neighbours"][0])
    assert found["similarities"][0, 0] == pytest.approx(1, abs=1e-5)
    assert found["known"].tolist() == [True, False, False]
    assert set(found["neighbours"][1:].ravel()) == {b""}


def test_a_small_vocabulary_leaves_places_empty(model):
    small = SkipGram(3, embed_size=5)
    small.build({"inputs": (None,), "outputs": (None, 3)})
    assets = ASSETS | {"vocabulary": WORDS[:3]}
    found = asked(word_neighbours()[0], small, assets, word=["is", "never"])
    assert found["neighbours"].tolist() == [[b"are", *[b""] * 9], [b""] * 10]


HARD = ["where", "a", "été", "王様", "\U0001f600", "x" * 30, "no-word", "ﬀ"]


@pytest.mark.parametrize("parts", [Subwords(3, 6, 1000), Subwords(1, 2, 7), Subwords(4, 4, 100)])
def test_parts_of_words_in_the_graph_are_those_of_the_training(parts):
    table = parts.table(["<unk>", *HARD])
    in_graph = words._Parts(parts.to_assets(), len(HARD) + 1)
    found = tf.function(in_graph)(tf.range(1, len(HARD) + 1), tf.constant(HARD)).numpy()
    for row, expected in zip(found, table[1:], strict=True):
        assert [i for i in row if i] == [i for i in expected if i]
    hashed = words._fnv1a(tf.constant([*HARD, ""])).numpy().tolist()
    assert hashed == [fnv1a(word.encode()) for word in [*HARD, ""]]


def test_a_word_that_was_never_seen_has_the_neighbours_of_its_parts(tmp_path):
    parts = Subwords(3, 3, 500)
    assets = ASSETS | {
        "vocabulary": ["<unk>", "microchip", "chips", "banana", "bananas", "zebra"],
        "subwords": parts.to_assets(),
    }
    keras.utils.set_random_seed(1)
    model = CBOW(6, embed_size=64, num_extra=500)
    model.build({"inputs": (None, 4), "outputs": (None, 3)})
    endpoint = word_neighbours(example=("chips", "microchips", ""))[0]
    check_endpoint(endpoint, model, assets, tmp_path)
    found = asked(endpoint, model, assets, word=["microchips", "bananas", "", "y" * 9000])
    assert found["known"].tolist() == [False, True, False, False]
    assert found["neighbours"][0, 0] in (b"microchip", b"chips")
    assert found["neighbours"][1, 0] == b"banana"
    assert not found["similarities"][2].any()
