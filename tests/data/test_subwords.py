"""Parts of words: the book's merges of byte pairs, and fastText's n-grams and hashes."""

import random

import numpy as np
import pytest

from kerasd2l.data import bpe
from kerasd2l.data.subwords import Subwords, fnv1a, parts_of

FREQUENCIES = {"fast_": 4, "faster_": 3, "tall_": 5, "taller_": 4}


def test_ten_merges_are_the_books():
    """Section: subword-embedding, printed in the book."""
    pairs, symbols, tokens = bpe.learn_bpe(FREQUENCIES, 10)
    merges = "t a, ta l, tal l, f a, fa s, fas t, e r, er _, tall _, fast _"
    assert [" ".join(pair) for pair in pairs] == merges.split(", ")
    assert list(tokens) == ["fast_", "fast er_", "tall_", "tall er_"]
    assert list(tokens.values()) == list(FREQUENCIES.values())
    assert symbols[:28] == [*"abcdefghijklmnopqrstuvwxyz", "_", "[UNK]"]
    assert symbols[28:] == "ta tal tall fa fas fast er er_ tall_ fast_".split()
    assert bpe.segment_BPE(["tallest_", "fatter_"], symbols) == ["tall e s t _", "fa t t er_"]


def test_merging_ends_where_words_are_whole_and_knows_their_letters():
    pairs, symbols, tokens = bpe.learn_bpe({"né_": 1}, 99)
    assert len(pairs) == 2 and list(tokens) == ["né_"] and "é" in symbols
    assert bpe.segment_BPE(["né_", "ñé_", "", "nñ_"], symbols) == ["né_", "[UNK]", "", "n [UNK]"]
    with pytest.raises(ValueError, match="nothing is left to join"):
        bpe.get_max_freq_pair({"a": 3})


@pytest.mark.parametrize("seed", range(20))
def test_joined_symbols_are_whole_ones_and_words_stay_what_they_are(seed):
    """A replacement of text would join "a b" in "ba b"."""
    rng = random.Random(seed)
    words = {"".join(rng.choices("ab", k=rng.randint(1, 9))): rng.randint(1, 9) for _ in range(9)}
    pairs, symbols, tokens = bpe.learn_bpe(words, 6)
    assert ["".join(token.split()) for token in tokens] == list(words)
    for token in tokens:
        assert set(token.split()) <= set(symbols)
        assert not set(zip(token.split(), token.split()[1:], strict=False)) & set(pairs[-1:])
    assert bpe.merge_symbols(("a", "b"), {"ba b a b": 1}, []) == {"ba b ab": 1}


def test_hashes_are_those_of_fnv_and_signed_as_fasttexts():
    published = {b"": 0x811C9DC5, b"a": 0xE40C292C, b"foobar": 0xBF9CF968}
    assert {text: fnv1a(text) for text in published} == published
    signed = ((2166136261 ^ 0xFFFFFFC3) * 16777619) % 2**32
    assert fnv1a(b"\xc3") == signed


def test_ngrams_are_those_of_the_marked_word():
    assert Subwords(3, 4).ngrams("her") == ["<he", "her", "er>", "<her", "her>"]
    assert Subwords(1, 2).ngrams("ab") == ["a", "b", "<a", "ab", "b>"]
    assert Subwords(3, 6).ngrams("") == [] and Subwords(3, 3).ngrams("é") == ["<é>"]
    parts = Subwords(3, 3, buckets=10)
    table = parts.table(["<unk>", "where", "a"])
    assert table.dtype == np.int32 and table.shape == (3, 6)
    assert not table[0].any() and table[:, 0].tolist() == [0, 1, 2]
    expected = [3 + fnv1a(part.encode()) % 10 for part in parts.ngrams("where")]
    assert table[1, 1:].tolist() == expected and table[2, 2:].tolist() == [0] * 4
    assert parts_of({"subwords": parts.to_assets()}) == parts and parts_of({}) is None
    for wrong in ((0, 3, 9), (4, 3, 9), (3, 6, 0)):
        with pytest.raises(ValueError, match="`min_n` must be 1 to `max_n`"):
            Subwords(*wrong)
