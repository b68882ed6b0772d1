import gzip
import hashlib
import os

import numpy as np
import pytest

from kerasd2l.data import DataError, Source, Tokenizer, Vocab, text
from kerasd2l.data.sets import shakespeare, time_machine

REAL = os.environ.get("KERASD2L_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="needs the real files under $KERASD2L_DATA")


def test_help_texts_are_the_same_on_every_python():
    # the hash was taken on 3.10.13, 3.11.7, 3.12.1 and 3.13.0
    lines = time_machine.help_texts()
    assert len(lines) == 908
    digest = hashlib.sha1("\n".join(lines).encode(), usedforsecurity=False).hexdigest()
    assert digest == "967cb9e718df4b522a0787619145d92924e97997"


def test_builtin_corpus():
    ids, vocab = time_machine.corpus("builtin")
    assert (len(ids), len(vocab)) == (42892, 28)
    assert ids.min() == 1 and ids.dtype == np.int32
    data = time_machine.load("builtin", partition="sequential")
    assert data.size == {"train": 256, "test": 128}
    assert data.assets["vocabulary"] == vocab.tokens
    assert Tokenizer.from_assets(data.assets["tokenizer"]) == Tokenizer("char", text.LETTERS)


@pytest.mark.parametrize("folder", ["", "time_machine"])
def test_files_where_the_book_has_them_and_where_the_others_are(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "timemachine.txt").write_text("The Time\n\nMachine [1898]\n")
    source = Source("files", tmp_path)
    assert time_machine.lines(source) == ["The Time", "", "Machine [1898]"]
    ids, vocab = time_machine.corpus(source, "word")
    assert ids.tolist() == [1, 2, 3] and vocab.tokens[1:] == ["the", "time", "machine"]


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(DataError, match=r"time_machine lacks timemachine\.txt.*--data builtin"):
        time_machine.lines(Source("files", tmp_path))
    (tmp_path / "timemachine.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"timemachine\.txt is empty"):
        time_machine.lines(Source("files", tmp_path))


def test_download_is_verified(server, monkeypatch):
    monkeypatch.setattr(time_machine, "URL", server.url + "timemachine.txt")
    server.files["timemachine.txt"] = b"something else"
    with pytest.raises(DataError, match="wrong content"):
        time_machine.lines("download")
    content = b"The Time\nMachine"
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(time_machine, "SHA1", digest)
    server.files["timemachine.txt"] = content
    assert time_machine.lines("download") == ["The Time", "Machine"]


def test_shakespeare_keeps_capitals_and_line_ends(tmp_path):
    (tmp_path / "names").mkdir()
    play = "First Citizen:\nSpeak, speak.\n\n"
    (tmp_path / "names" / shakespeare.PACKED).write_bytes(gzip.compress((play * 20).encode()))
    source = Source("files", tmp_path)
    assert shakespeare.text(source) == play * 20
    data = shakespeare.load(source, batch_size=2, num_steps=10, held_out_tokens=21)
    vocab = Vocab.from_list(data.assets["vocabulary"])
    assert {"\n", "F", ","} <= set(vocab.tokens) and len(vocab) == 1 + len(set(play))
    x, _ = next(iter(data.test))
    assert "".join(vocab.to_tokens(x[0])) == (play * 20)[-21:][:10]
    assert len(shakespeare.text("builtin")) > 40_000


@needs_real
def test_real_time_machine_has_the_published_values():
    source = Source("files", REAL)
    lines = time_machine.lines(source)
    assert len(lines) == 3221
    tokenizer = Tokenizer("word", text.LETTERS)
    assert tokenizer.clean(lines[0]) == "the time machine by h g wells"
    assert (
        tokenizer.clean(lines[10])
        == "twinkled and his usually pale face was flushed and animated the"
    )
    tokens = [tokenizer(line) for line in lines]
    vocab = Vocab(tokens)
    assert vocab.tokens[:10] == "<unk> the i and of a to was in that".split()
    assert vocab[tokens[0]] == [1, 19, 50, 40, 2183, 2184, 400]
    ids, characters = time_machine.corpus(source)
    assert (len(ids), len(characters)) == (170580, 28)
    words = [word for line in tokens for word in line]
    assert vocab.token_freqs[:10] == [
        ("the", 2261), ("i", 1267), ("and", 1245), ("of", 1155), ("a", 816),
        ("to", 695), ("was", 552), ("in", 541), ("that", 443), ("my", 440),
    ]  # fmt: skip
    bigrams = Vocab(text.ngrams(words, 2)).token_freqs[:3]
    assert bigrams == [(("of", "the"), 309), (("in", "the"), 169), (("i", "had"), 130)]
    trigrams = Vocab(text.ngrams(words, 3)).token_freqs[:3]
    assert [(" ".join(words), count) for words, count in trigrams] == [
        ("the time traveller", 59), ("the time machine", 30), ("the medical man", 24),
    ]  # fmt: skip
    # the book's settings: 8 batches of 32 x 35 from the first 10000 characters
    assert len(time_machine.load(source).train) == 8


@needs_real
def test_real_shakespeare():
    whole = shakespeare.text(Source("files", REAL))
    assert len(whole) == 1115394 and len(set(whole)) == 65
    assert hashlib.sha256(whole.encode()).hexdigest() == shakespeare.SHA256
