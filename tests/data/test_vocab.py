import numpy as np
import pytest

from kerasd2l.data import DataError, Vocab, count_corpus
from kerasd2l.data.vocab import known_or_counted


def test_order_is_unknown_reserved_falling_frequency_then_first_seen():
    vocab = Vocab([["b", "c", "a"], ["a", "d", "c"]], reserved_tokens=["<pad>", "d"])
    assert vocab.tokens == ["<unk>", "<pad>", "d", "c", "a", "b"]
    assert vocab.token_freqs == [("c", 2), ("a", 2), ("b", 1), ("d", 1)]
    assert (len(vocab), vocab.unk) == (6, 0)
    assert "d" in vocab and "z" not in vocab


def test_min_freq_leaves_out_what_is_rarer_but_no_reserved_token():
    vocab = Vocab(list("aabbbc"), min_freq=2, reserved_tokens=["c"])
    assert vocab.tokens == ["<unk>", "c", "b", "a"]


def test_a_token_written_unk_in_the_text_is_the_unknown_token():
    assert Vocab(["<unk>", "a", "<unk>"]).tokens == ["<unk>", "a"]


def test_lookup_both_ways_keeps_nesting():
    vocab = Vocab(list("aab"))
    assert vocab["a"] == 1
    assert vocab[["b", "never seen"]] == [2, 0]
    assert vocab[[["a"], []]] == [[1], []]
    assert vocab.to_tokens([[1, 2], [0]]) == [["a", "b"], ["<unk>"]]
    assert vocab.to_tokens(np.array([[1], [2]], np.int32)) == [["a"], ["b"]]
    assert vocab.to_tokens(np.int64(2)) == "b"


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_number_outside_the_table_is_an_error(wrong):
    with pytest.raises(IndexError, match=rf"must be in 0\.\.2\. Received: {wrong}"):
        Vocab(list("ab")).to_tokens([wrong])


def test_saved_as_text_and_loaded_with_tokens_of_any_kind(tmp_path):
    vocab = Vocab(["\n", " ", '"', "é", "\u2028", "\n"])
    path = tmp_path / "vocabulary.json"
    vocab.save(path)
    assert "é" in path.read_text("utf8")
    assert Vocab.load(path).tokens == vocab.tokens == Vocab.from_list(vocab.tokens).tokens
    assert Vocab.load(path)["\n"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["a"]', "token 0 .* must be '<unk>'"),
        ('["<unk>", "a", "a"]', "Twice: 'a'"),
        ('["<unk>", 1]', "JSON list of texts"),
        ("{", "not a vocabulary"),
        (None, "not a vocabulary"),
    ],
)
def test_a_file_that_is_no_vocabulary(tmp_path, content, message):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=f"bad.json .*{message}"):
        Vocab.load(path)


def test_bad_arguments():
    with pytest.raises(ValueError, match="min_freq=-1"):
        Vocab([], min_freq=-1)
    with pytest.raises(ValueError, match="Twice: '<pad>'"):
        Vocab([], reserved_tokens=["<pad>", "<pad>"])


def test_count_corpus_takes_lines_tokens_and_ngrams():
    assert count_corpus([["a", "b"], ["a"], []]) == {"a": 2, "b": 1}
    assert count_corpus(["ab", "ab"]) == {"ab": 2}
    assert count_corpus([("a", "b"), ("a", "b")]) == {("a", "b"): 2}


def test_a_frequency_that_no_token_reaches_is_an_error():
    """It trained on the reserved tokens only, without a word."""
    with pytest.raises(ValueError, match=r"min_freq=4; the most frequent token comes 3 times"):
        known_or_counted(None, list("aaabb") + ["<pad>"] * 9, min_freq=4, reserved_tokens=["<pad>"])
    assert known_or_counted(None, [], min_freq=4).tokens == ["<unk>"]
    assert known_or_counted(None, ["<pad>"], min_freq=4, reserved_tokens=["<pad>"]).tokens == [
        "<unk>",
        "<pad>",
    ]


@pytest.mark.parametrize(("text", "told"), [("aaabcde", True), ("aaabbcd", False), ("ab", False)])
def test_a_table_that_lacks_most_of_the_text_is_told_of(text, told, caplog):
    known_or_counted(
        None, [*text, *["<pad>"] * 99], min_freq=len(text) // 3, reserved_tokens=["<pad>"]
    )
    assert bool(caplog.records) == told
    if told:
        assert "min_freq=2 keeps 1 of 5 tokens, 43 % of the running text" in caplog.text
