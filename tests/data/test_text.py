import gzip
import json
import re

import numpy as np
import pytest

from kerasd2l.data import DataError, Tokenizer, tokenize, truncate_pad
from kerasd2l.data.sequences import corpus_ids
from kerasd2l.data.text import LETTERS, PUNCTUATION, ngrams, pad_batch, read_lines


def test_letters_only():
    tokenizer = Tokenizer("char", LETTERS)
    assert tokenizer.clean("  The Time-Machine, 1895: \u212a!") == "the time machine"
    assert tokenizer(" a1b ") == ["a", " ", "b"]


def test_sentences_for_translation_as_the_book_cleans_them():
    # d2l-zh: "Go.\tVa !" with a no-break space becomes "go .\tva !"
    clean = Tokenizer("word", PUNCTUATION).clean
    assert clean("Go.") == "go ."
    assert clean("Va\u202f!") == clean("Va\xa0!") == clean("Va !") == "va !"
    assert clean("Wow!! Ça  alors,c'est l'été.") == "wow ! ! ça alors ,c'est l'été ."
    assert Tokenizer("word", PUNCTUATION)(" \xa0 ") == []


@pytest.mark.parametrize(
    "pattern", ["é", "éü", "[éü]", "[éü]+", "é+", "é]", "[^é]", "é|a", "[é-ü]", "é?", "é*", r"[\[]"]
)
def test_a_rule_is_what_python_makes_of_it_whatever_the_text(pattern):
    clean = Tokenizer("char", ((pattern, "<é>"), ("é", "e")), lower=False, strip=False).clean
    for text in ("", "a[b]", "é", "éüa", "aé]ü", "ë"):
        assert clean(text) == re.sub("é", "e", re.sub(pattern, "<é>", text))


def test_without_rules_nothing_is_lost():
    tokenizer = Tokenizer("char", (), lower=False, strip=False)
    text = " A\n\u00e9\U0001f600 "
    assert "".join(tokenizer(text)) == text
    assert len(tokenizer(text)) == 6


def test_tokenizer_survives_json():
    tokenizer = Tokenizer("word", PUNCTUATION, lower=False)
    assert Tokenizer.from_assets(json.loads(json.dumps(tokenizer.to_assets()))) == tokenizer


def test_join():
    assert Tokenizer("char").join(["a", " ", "b"]) == "a b"
    assert Tokenizer("word").join(["a", "b"]) == "a b"


def test_tokenizer_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"`level` must be char or word. Received: level='line'"):
        Tokenizer("line")
    with pytest.raises(ValueError, match="bad pattern"):
        Tokenizer("char", (("[", ""),))


def test_tokenize_and_ngrams():
    assert tokenize(["a b", ""]) == [["a", "b"], []]
    assert tokenize(["a b"], "char") == [["a", " ", "b"]]
    assert ngrams(list("abcd"), 3) == [("a", "b", "c"), ("b", "c", "d")]
    assert ngrams(["a"], 2) == []
    with pytest.raises(ValueError, match="n=0"):
        ngrams(["a"], 0)


def test_truncate_pad_and_pad_batch():
    assert truncate_pad([47, 4], 10, 1) == [47, 4] + [1] * 8  # as printed in d2l-zh
    assert truncate_pad([1, 2, 3], 2, 0) == [1, 2]
    ids, lengths = pad_batch([[5], [], [1, 2, 3]], 9, 2)
    assert ids.tolist() == [[5, 9], [9, 9], [1, 2]]
    assert lengths.tolist() == [1, 0, 2]
    assert (ids.dtype, lengths.dtype) == (np.int32, np.int32)
    ids, lengths = pad_batch([], 0)
    assert (ids.shape, lengths.shape) == ((0, 1), (0,))
    with pytest.raises(ValueError, match="num_steps=0"):
        pad_batch([[1]], 0, 0)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_lines(tmp_path, pack):
    path = tmp_path / "text"
    path.write_bytes(pack("\ufeffone\r\ntw\u2028o\n\nfour".encode()))
    assert read_lines(path) == ["one", "tw\u2028o", "", "four"]
    path.write_bytes(pack(b"one\n"))
    assert read_lines(path) == ["one"]
    path.write_bytes(pack(b""))
    assert read_lines(path) == []


def test_read_lines_names_file_and_line(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("gut\nschön\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt, line 2: not UTF-8 \(byte 0xf6\)"):
        read_lines(path)
    path.write_bytes(gzip.compress(b"x" * 1000)[:-9])
    with pytest.raises(DataError, match=r"latin\.txt is not whole gzip data: truncated or damaged"):
        read_lines(path)
    path.write_bytes(b"123456")
    with pytest.raises(DataError, match="longer than 5 bytes"):
        read_lines(path, max_bytes=5)
    with pytest.raises(DataError, match="cannot read"):
        read_lines(tmp_path / "none")


def test_equal_tokens_are_one_object_so_that_a_long_text_takes_little_memory():
    for level in ("char", "word"):
        tokens = Tokenizer(level)("\u738b \u738b \u738b")
        assert len({id(token) for token in tokens}) == len(set(tokens)) < len(tokens)


def test_a_text_that_is_too_long_is_not_cut_into_tokens():
    with pytest.raises(DataError, match=r"the text has 12000001 characters, at most 12000000"):
        corpus_ids(["a" * 12_000_000, "b"], Tokenizer())


def test_a_text_of_too_many_lines_is_refused(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a\n" * 10)
    assert len(read_lines(path, max_lines=10)) == 10
    with pytest.raises(DataError, match="has more than 9 lines"):
        read_lines(path, max_lines=9)
