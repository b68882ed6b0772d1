"""Pieces in the graph: those of Python, for any text; and what BERT's signatures say of words."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import endpoints
from kerasd2l.data import Vocab, bert_inputs
from kerasd2l.data.word_pieces import bert_words, reader
from kerasd2l.endpoints import TextTable
from kerasd2l.endpoints.bert_texts import BERTTexts
from kerasd2l.export.savedmodel import export
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

SIGNS = ["<unk>", *bert_inputs.RESERVED]
LETTERS = [*"aeiost\u00e9\u05d0\u05d1\U0001f600,.!?<>", "\u4e2d", "25"]
PIECES = ["##a", "##e", "##st", "##ion", "##\u05d1", "##\U0001f600", "stat", "##\u00e9", "mask"]
WORDS = [*SIGNS, *LETTERS, *PIECES, "[unused1]"]


def assets(**more):
    words = bert_words(WORDS, lower=True, accents=False).to_assets()
    return {"vocabulary": WORDS, "tokenizer": words, "max_len": 12, **more}


def strings(texts):
    return tf.constant([text.encode() for text in texts])


def random_texts(rng):
    for _ in range(150):
        pools = rng.sample(["aest", "\u00e9\u00c9\u0301 ", "\u05d0\u05d1", "\U0001f600", ".,<>"], 2)
        yield "".join(rng.choice(" ".join(pools)) for _ in range(rng.randint(0, 60)))


@pytest.mark.parametrize("lower", [True, False])
def test_graph_equals_python(lower):
    tokenizer = bert_words(WORDS, lower=lower, accents=not lower)
    read, table = reader(tokenizer, WORDS), TextTable(WORDS, tokenizer.to_assets())
    rng = random.Random(0)
    texts = [*random_texts(rng), "", "station", "\U0001f600" * 101, "a" * 100 + " " + "a" * 101]
    texts += [" ".join(random_texts(rng))[:20_000], "State " * 10_000, "<mask>[MASK]< mask >", "\0"]
    encode = tf.function(table.encode, input_signature=[tf.TensorSpec([None], tf.string)])
    vocab = Vocab.from_list(WORDS)
    expected = [vocab[read(text)] for text in texts]
    assert encode(strings(texts)).to_list() == expected
    assert {0, WORDS.index("##st"), WORDS.index("<mask>")} <= {i for row in expected for i in row}
    assert encode(tf.constant([], tf.string)).to_list() == []
    broken = tf.constant([b"s\xfftat\xc3a", b"\xff"])  # U+FFFD is dropped
    assert encode(broken).to_list() == [vocab[read("stata")], []]
    joined = [tokenizer.join(vocab.to_tokens(ids)) for ids in expected]
    assert [text.decode() for text in table.decode(encode(strings(texts))).numpy()] == joined


def test_a_table_with_pieces_is_whole_in_a_savedmodel(tmp_path):
    def build(model, assets):
        table = TextTable(assets["vocabulary"], assets["tokenizer"])

        def serve(text):
            ids, lengths = table.encode_padded(text)
            return {"ids": ids, "lengths": lengths, "echo": table.decode(ids, lengths=lengths)}

        return ServingFunction(serve, resources=table.resources)

    def example():
        return {"text": np.array(["\u00c9stat", ""], dtype=object)}

    signature = {"text": TensorSpec((None,), "string")}
    endpoint = Endpoint("serving_default", signature, build, example)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    folder = export(model, "tests/pieces", (endpoint,), assets(), tmp_path, name="pieces")
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answer = serve(text=strings(["\u00c9stat station.", "", "sx"]))
    read = reader(bert_words(WORDS, lower=True, accents=False), WORDS)
    expected = Vocab.from_list(WORDS)[read("\u00c9stat station.")]
    assert answer["ids"].numpy().tolist()[0] == expected
    assert answer["lengths"].numpy().tolist() == [len(expected), 0, 1]
    assert answer["echo"].numpy()[0] == b"<unk> station ."


@pytest.mark.parametrize("pair", [False, True])
def test_a_model_reads_pieces_and_counts_words(pair):
    texts = ["station ea.", "", "sea " * 9, "aaaaaaaaaaaaaa e", "xx station", "a" * 5]
    others = ["e", "station", "tea", "station station", "", "station " * 9]
    words = bert_words(WORDS, lower=True, accents=False)
    read, vocab = reader(words, WORDS), Vocab.from_list(WORDS)
    sides = [[read(text) for text in side] for side in (texts, others)]
    expected = bert_inputs.rows(vocab, sides[0], sides[1] if pair else None, 12)
    x, report, said = BERTTexts(assets())(strings(texts), strings(others) if pair else None)
    steps = x["tokens"].shape[1]
    for name, array in expected.items():
        np.testing.assert_array_equal(x[name], array[:, :steps] if array.ndim == 2 else array)
    begins = np.array([[not WORDS[i].startswith("##") for i in row] for row in x["tokens"].numpy()])
    np.testing.assert_array_equal(said.begins, begins)
    inside = np.arange(steps) < expected["valid_lens"][:, None]
    read_words = (begins & inside).sum(1) - (3 if pair else 2)
    given = [len(words(a)) + pair * len(words(b)) for a, b in zip(texts, others, strict=True)]
    assert report["words_left_out"].numpy().tolist() == (np.array(given) - read_words).tolist()
    known = (begins & inside & (expected["tokens"][:, :steps] > 4)).sum(1)
    assert report["words_known"].numpy().tolist() == known.tolist()
    assert said.words.to_list()[0][:4] == [b"<cls>", b"station", b"ea", b"."]
    assert [len(row) for row in said.words.to_list()] == (begins & inside).sum(1).tolist()


def test_tags_are_those_of_first_pieces_and_belong_to_whole_words():
    names = ["<pad>", "other", "x"]
    (endpoint,) = endpoints.bert_tagger(example=[""])

    def model(inputs, training):
        """The tag of a token is "x" if its number is even."""
        return tf.one_hot(1 + tf.cast(inputs["tokens"] % 2 == 0, tf.int32), 3) * 5.0

    serve = endpoint.build(model, assets(class_names=names))
    answer = serve(strings(["Station, \u00e9st a", "", "aaaaaaaaaaaaaa s t"]))
    firsts = [["stat", ",", "e", "a"], [], ["a"]]
    tags = [[names[2 - WORDS.index(piece) % 2].encode() for piece in row] for row in firsts]
    words = [[b"station", b",", b"est", b"a"], [], [b"aaaaaaaaaaaaaa"]]
    for i in range(3):
        filling = [b""] * (4 - len(words[i]))
        assert answer["words"].numpy()[i].tolist() == words[i] + filling
        assert answer["tags"].numpy()[i].tolist() == tags[i] + filling
        assert (
            (answer["probabilities"].numpy()[i] > 0.9) == [*map(bool, words[i] + filling)]
        ).all()
    assert answer["words_left_out"].numpy().tolist() == [0, 0, 2]


def test_an_answer_is_whole_words_of_the_text():
    (endpoint,) = endpoints.bert_answers(questions=[""], example=[""])

    text = "a station , sea ea"  # its pieces: a stat ##ion , s ##e ##a e ##a, from place 4 on
    stations = "station " * 10 + "sea"
    cases = [
        (6, 7, text, "station ,"),
        (5, 9, text, "station , sea"),
        (10, 10, text, "sea"),
        (11, 12, text, "ea"),
        (1, 4, text, "a"),  # the question is no answer
        (4, 23, stations, "station " * 9 + "station"),
        (22, 24, stations, "station sea"),
    ]
    places = {"start": [case[0] for case in cases], "end": [case[1] for case in cases]}

    def model(inputs, training):
        steps = tf.shape(inputs["tokens"])[1]
        return {name: 20 * tf.one_hot(some, steps) for name, some in places.items()}

    serve = endpoint.build(model, assets() | {"max_len": 40})
    answer = serve(strings(["e?"] * len(cases)), strings([case[2] for case in cases]))["answer"]
    assert [one.decode() for one in answer.numpy()] == [case[3] for case in cases]
    places = {"start": [4], "end": [24]}  # ten words at most, and these are eleven
    answer = serve(strings(["e?"]), strings([stations]))["answer"].numpy()[0].decode()
    assert len(answer.split()) <= 10


def test_a_mask_is_never_a_later_piece_or_an_unused_token():
    texts = BERTTexts(assets())
    words = {word for word, is_word in zip(WORDS, texts.is_word.numpy(), strict=True) if is_word}
    assert words == {*LETTERS, "stat", "mask"}
