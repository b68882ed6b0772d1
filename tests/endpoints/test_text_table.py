import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.data import Source, Tokenizer, Vocab, text
from kerasd2l.data.sets import time_machine, translation
from kerasd2l.endpoints import TextTable
from kerasd2l.export import verify
from kerasd2l.export.savedmodel import export
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

REAL = os.environ.get("KERASD2L_DATA")
RAW = Tokenizer("char", (), lower=False, strip=False)
HARD = [
    "", " ", "The Time-Machine!!", "\tVa\u202f!\xa0 Ça,  alors?\n", "É\u0301À Œuvre ΑΣ İI ẞ",
    "\U0001f600 a\u2028b\x0b c\x85", ".,!?", "a" * 500,
]  # fmt: skip


def decoded(strings):
    return [item.decode() for item in strings.numpy()]


def check(tokenizer, lines):
    """The graph cleans, cuts and numbers as Python does."""
    tokens = [tokenizer(line) for line in lines]
    vocab = Vocab(tokens, min_freq=2)
    table = TextTable(vocab.tokens, tokenizer.to_assets())
    texts = tf.constant(lines)
    assert decoded(tf.function(table.clean)(texts)) == [tokenizer.clean(line) for line in lines]
    ids = tf.function(table.encode)(texts)
    assert ids.dtype == tf.int32
    assert ids.to_list() == [vocab[line] for line in tokens]
    joined = [tokenizer.join(vocab.to_tokens(vocab[line])) for line in tokens]
    assert decoded(tf.function(table.decode)(ids)) == joined


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("rules", [(), text.LETTERS, text.PUNCTUATION])
@pytest.mark.parametrize("strip", [True, False])
def test_graph_equals_python_on_hard_lines(level, rules, strip):
    check(Tokenizer(level, rules, strip=strip), HARD)
    check(Tokenizer(level, rules, lower=False, strip=strip), HARD)


def test_graph_equals_python_on_the_builtin_texts():
    check(Tokenizer("char", text.LETTERS), time_machine.help_texts())
    check(Tokenizer("word", text.LETTERS), time_machine.help_texts())
    for side in zip(*translation.builtin()["train"], strict=True):
        check(translation.TOKENIZER, list(side))


@pytest.mark.skipif(not REAL, reason="needs the real files under $KERASD2L_DATA")
def test_graph_equals_python_on_the_real_texts():
    source = Source("files", REAL)
    check(Tokenizer("char", text.LETTERS), time_machine.lines(source))
    check(Tokenizer("word", text.LETTERS), time_machine.lines(source))
    for side in zip(*translation.pairs(source)["valid"], strict=True):
        check(translation.TOKENIZER, list(side))


def test_lower_case_of_every_letter_up_to_unicode_13():
    letters = [chr(code) for code in range(1, 0x2C2F)]
    table = TextTable(["<unk>"], Tokenizer("char", strip=False).to_assets())
    assert decoded(table.clean(tf.constant(letters))) == [letter.lower() for letter in letters]


def test_bytes_that_are_not_utf8_are_unknown():
    table = TextTable(["<unk>", "a", "b"], RAW.to_assets())
    assert table.encode(tf.constant([b"a\xffb", b"\xc3"])).to_list() == [[1, 0, 2], [0]]


def test_a_prefix_may_keep_its_last_space():
    table = TextTable(["<unk>", " ", "a"], Tokenizer("char", text.LETTERS).to_assets())
    assert table.encode(["a "]).to_list() == [[2]]
    assert table.encode(["a "], strip=False).to_list() == [[2, 1]]


def test_padded_numbers_are_those_of_the_training_data():
    pairs = translation.builtin()["train"][:50]
    lines, _ = translation.tokenize_pairs(pairs)
    vocab = Vocab(lines, reserved_tokens=translation.RESERVED)
    table = TextTable(vocab.tokens, translation.TOKENIZER.to_assets())
    for length in (3, 12):
        expected, lengths = translation.build_array(lines, vocab, length)
        found = tf.function(table.encode_padded)(
            tf.constant([english for english, _ in pairs]), padding=1, end=3, length=length
        )
        np.testing.assert_array_equal(found[0], expected)
        np.testing.assert_array_equal(found[1], lengths)
        assert found[0].shape[1] == length


def test_padding_without_a_length_and_of_nothing():
    table = TextTable(["<unk>", "a"], RAW.to_assets())
    ids, lengths = table.encode_padded(["aa", "", "a"], padding=7)
    assert ids.numpy().tolist() == [[1, 1], [7, 7], [1, 7]] and lengths.numpy().tolist() == [
        2,
        0,
        1,
    ]
    ids, lengths = table.encode_padded(tf.constant([], tf.string))
    assert ids.shape == (0, 1) and lengths.shape == (0,)


def test_decode_stops_before_the_end_or_at_a_length():
    table = TextTable(["<unk>", "<eos>", "a", "b"], Tokenizer("word").to_assets())
    ids = [[2, 3, 1, 2], [1, 2, 2, 2], [2, 2, 2, 0]]
    assert decoded(table.decode(ids, end=1)) == ["a b", "", "a a a <unk>"]
    assert decoded(table.decode(ids, lengths=[1, 0, 4])) == ["a", "", "a a a <unk>"]


def test_assets_that_are_not_there():
    with pytest.raises(ValueError, match="a tokenizer without level"):
        TextTable(["<unk>"], {"replacements": [], "lower": True, "strip": True})
    with pytest.raises(ValueError, match="no tokens"):
        TextTable([], RAW.to_assets())


def test_table_is_tracked_and_works_where_neither_keras_nor_this_library_is(tmp_path):
    tokenizer = Tokenizer("char", text.LETTERS)
    assets = {"vocabulary": ["<unk>", *"abc "], "tokenizer": tokenizer.to_assets()}
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

    def build(model, assets):
        table = TextTable(assets["vocabulary"], assets["tokenizer"])

        def serve(text):
            ids, lengths = table.encode_padded(text)
            echo = table.decode(ids, lengths=lengths)
            return {"ids": ids, "echo": echo, "score": model(tf.cast(ids[:, :1], tf.float32))}

        return ServingFunction(serve, resources=table.resources)

    endpoints = (
        Endpoint(
            "serving_default",
            {"text": TensorSpec((None,), "string")},
            build,
            lambda: {"text": np.array(["Cab,", "", "b a1"], dtype=object)},
        ),
    )
    folder = export(model, "tests/text", endpoints, assets, tmp_path, name="text")
    differences = verify(folder, model, endpoints, assets)
    assert set(differences) == {f"serving_default/{key}" for key in ("ids", "echo", "score")}
    loaded = tf.saved_model.load(str(folder)).signatures["serving_default"]
    assert loaded(text=tf.constant(["Abz"]))["ids"].numpy().tolist() == [[1, 2, 0]]


def test_importing_loads_no_tensorflow():
    code = "import sys, kerasd2l.endpoints.text; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
