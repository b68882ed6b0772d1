"""Vectors of words from files: right ones are read, wrong ones named by line; and what is near."""

import gzip
import zipfile

import numpy as np
import pytest

from kerasd2l.data import (
    DataError,
    Source,
    TokenEmbedding,
    get_analogy,
    get_similar_tokens,
    knn,
    limits,
)
from kerasd2l.tasks.text_classification import WordVectors

GLOVE = "the 0.1 -2e-3 3\ncat 1 2 3\n, 4 5 6\ncafé 7 8 9\n"
FASTTEXT = "4 3\n" + GLOVE.replace("\n", " \n")


def packed(path, content, kind, name="v.txt"):
    content = content if isinstance(content, bytes) else content.encode()
    if kind == "gz":
        path.write_bytes(gzip.compress(content))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("README", "nothing")
            file.writestr(name, content)
    else:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["plain", "gz", "zip"])
@pytest.mark.parametrize("text", [GLOVE, FASTTEXT, GLOVE.replace("\n", "\r\n")])
def test_glove_word2vec_and_fasttext_packed_or_not(tmp_path, kind, text):
    embedding = TokenEmbedding.read(packed(tmp_path / "v", text, kind))
    assert embedding.idx_to_token == ["<unk>", "the", "cat", ",", "café"]
    assert embedding.idx_to_vec.dtype == np.float32 and embedding.idx_to_vec.shape == (5, 3)
    assert not embedding["never seen"].any() and embedding.unknown_idx == 0
    np.testing.assert_allclose(embedding["the"], [0.1, -2e-3, 3], rtol=1e-6)
    np.testing.assert_allclose(embedding[["café", "?"]], [[7, 8, 9], [0, 0, 0]])
    assert embedding[[]].shape == (0, 3)
    assert len(TokenEmbedding.read(tmp_path / "v", max_words=2)) == 3


def test_a_vec_file_in_a_zip_and_the_books_names(tmp_path):
    folder = tmp_path / "vectors"
    folder.mkdir()
    packed(folder / "wiki.en.zip", FASTTEXT, "zip", "wiki.en.vec")
    assert len(TokenEmbedding.load("wiki.en", Source("files", tmp_path))) == 5
    with pytest.raises(DataError, match=r"lacks glove\.6B\.50d\.zip"):
        TokenEmbedding.load("glove.6b.50d", Source("files", tmp_path))
    with pytest.raises(DataError, match="no built-in stand-in"):
        TokenEmbedding.load("glove.6b.50d", "builtin")
    with pytest.raises(ValueError, match=r"`name` must be one of glove\.6b\.50d"):
        TokenEmbedding.load("glove", "builtin")


def test_of_several_members_the_one_that_is_asked_for(tmp_path):
    with zipfile.ZipFile(tmp_path / "v", "w") as file:
        for name, text in (
            ("__MACOSX/._glove.2d.txt", "no"),
            ("README.txt", "no"),
            ("glove.2d.txt", "a 1 2\n"),
            ("glove.3d.txt", "a 1 2 3\n"),
        ):
            file.writestr(name, text)
    assert TokenEmbedding.read(tmp_path / "v").idx_to_vec.shape == (2, 2)
    assert TokenEmbedding.read(tmp_path / "v", member="3d").idx_to_vec.shape == (2, 3)
    with pytest.raises(DataError, match="has no file of the kind"):
        TokenEmbedding.read(tmp_path / "v", member="300d")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1 2\nb 1\n", r"line 2: expected a word and 2 numbers, received 1 numbers behind 'b'"),
        ("a 1 2\nb 1 2 3\n", r"line 2: expected a word and 2 numbers, received 3"),
        ("a 1 2\nb c 1 2\n", r"line 2: expected a number, received 'c'"),
        ("a 1 2\nb 1 x\n", r"line 2: expected a number, received 'x'"),
        ("a 1 2\nb 1 2 x\n", r"line 2: expected a number, received 'x'"),
        ("a 1 2\nb 1 1_0\n", r"line 2: expected"),
        ("a 1 2\nb 1 nan\n", r"line 2: a number of 'b' is not finite"),
        ("a 1 2\nb 1e39 1\n", r"line 2: a number of 'b' is not finite"),
        ("a 1 2\nb 1 2\na 3 4\n", r"line 3: the word 'a' was there before"),
        ("a 1 2\nb 1 2\nc 3 4", r"line 3: the last line has no end"),
        ("a 1 2\n\nc 3 4\n", r"line 2: expected a word and 2 numbers"),
        ("a 1 2\n 3 4\n", r"line 2: expected a word"),
        ("3 2\na 1 2\nb 1 2\n", r"line 1 says 3 words, there are 2"),
        ("1 2\na 1 2\nb 1 2\n", r"line 1 says 1 words, there are 2"),
        ("2 3\na 1 2\n", r"line 2: expected a word and 3 numbers, received 2"),
        ("<unk> 1 2\na 1 2\n<unk> 1 2\n", r"line 3: the word '<unk>' was there before"),
        ("a\nb\n", r"line 1: expected a word and its numbers"),
        ("", r"has no word vectors"),
        ("5 3\n", r"line 1 says 5 words, there are 0"),
        (b"a 1 2\n\xff 1 2\n", r"line 2: the word is not UTF-8"),
        (b"a " + b"1" * 70_000 + b"\n", r"line 1: longer than 65536 bytes"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "zip"])
def test_a_wrong_line_is_named(tmp_path, content, message, kind):
    with pytest.raises(DataError, match=message):
        TokenEmbedding.read(packed(tmp_path / "v", content, kind))


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_a_packed_file_cut_anywhere_gives_no_vectors(tmp_path, kind):
    rng = np.random.default_rng(0)
    text = "".join(f"w{i} {rng.normal():.5f} {rng.normal():.5f}\n" for i in range(500))
    whole = packed(tmp_path / "whole", text, kind).read_bytes()
    for cut in range(10, len(whole), 97):
        (tmp_path / "v").write_bytes(whole[:cut])
        with pytest.raises(DataError):
            TokenEmbedding.read(tmp_path / "v")
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 255
    (tmp_path / "v").write_bytes(broken)
    with pytest.raises(DataError):
        TokenEmbedding.read(tmp_path / "v")


def test_a_plain_file_cut_at_any_byte_is_found_out_if_it_says_its_size(tmp_path):
    for cut in range(len(FASTTEXT.encode()) - 1):
        with pytest.raises(DataError):
            TokenEmbedding.read(packed(tmp_path / "v", FASTTEXT.encode()[:cut], "plain"))


def test_too_many_numbers_are_refused_and_a_lie_takes_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "VECTOR_NUMBERS", 3000)
    lines = "".join(f"w{i} 1 2 3\n" for i in range(1500))
    path = packed(tmp_path / "v", lines, "plain")
    with pytest.raises(DataError, match=r"line 1000: more than 3000 numbers"):
        TokenEmbedding.read(path)
    assert len(TokenEmbedding.read(path, max_words=900)) == 901
    with pytest.raises(DataError, match="line 1 says 999999999 words"):
        TokenEmbedding.read(packed(tmp_path / "v", "999999999 999\n", "plain"))


def test_the_vector_of_unk_in_a_file_is_that_of_unknown_words(tmp_path):
    embedding = TokenEmbedding.read(packed(tmp_path / "v", "a 1 2\n<unk> 5 6\n", "plain"))
    assert embedding.idx_to_token == ["<unk>", "a"]
    assert embedding["?"].tolist() == [5, 6]


def test_what_is_saved_is_read_again(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1200, 7)).astype(np.float32)
    vectors[0] = 0
    before = TokenEmbedding(["<unk>", *(f"w{i}" for i in range(1199))], vectors)
    before.save(tmp_path / "v.txt")
    after = TokenEmbedding.read(tmp_path / "v.txt")
    assert after.idx_to_token == before.idx_to_token
    np.testing.assert_array_equal(after.idx_to_vec, before.idx_to_vec)
    with pytest.raises(ValueError, match="`vectors` must have a row for each word"):
        TokenEmbedding(["<unk>"], vectors)
    with pytest.raises(ValueError, match="`tokens` must be distinct"):
        TokenEmbedding(["<unk>", "a", "a"], vectors[:3])


def test_nearest_words_are_those_of_the_largest_cosines():
    """Section: similarity-analogy."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 5)).astype(np.float32)
    vectors[0] = 0
    embedding = TokenEmbedding(["<unk>", *(f"w{i}" for i in range(1, 50))], vectors)
    norms = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors[7] / np.maximum(norms * norms[7], 1e-9)
    best = np.argsort(-cosines)
    ids, found = knn(vectors, vectors[7], 6)
    assert ids.tolist() == best[:6].tolist()
    np.testing.assert_allclose(found, cosines[best[:6]], rtol=1e-5)
    near = get_similar_tokens("w7", 5, embedding)
    assert [word for word, _ in near] == [f"w{i}" for i in best[1:6]]
    assert len(get_similar_tokens("w7", 100, embedding)) == 49
    with pytest.raises(KeyError, match="no vector of 'never'"):
        get_similar_tokens("never", 1, embedding)


def test_an_analogy_may_be_one_of_its_words_unless_they_are_excluded():
    words = {"man": [1, 0.2, 0], "woman": [1, 0, 0.2], "son": [5, 3, 0], "daughter": [5, 2.8, 0.3]}
    embedding = TokenEmbedding(["<unk>", *words], [[0, 0, 0], *words.values()])
    assert get_analogy("man", "woman", "son", embedding) == "daughter"
    assert get_analogy("man", "man", "son", embedding) == "son"  # as the book: its own word
    assert get_analogy("man", "man", "son", embedding, exclude=True) == "daughter"
    with pytest.raises(KeyError, match="no vector of 'king'"):
        get_analogy("man", "king", "son", embedding)


def test_real_samples_of_vectors(real_data):
    for name, width in (("glove.6B.100d.sample.txt.gz", 100), ("glove.6B.300d.sample.txt.gz", 300)):
        embedding = TokenEmbedding.read(real_data / "vectors" / name)
        assert embedding.idx_to_vec.shape == (101, width)
        assert get_similar_tokens("he", 3, embedding)[0][0] in ("his", "she")


VOCABULARY = ["<unk>", "<pad>", "the", "café", "rare"]


@pytest.mark.parametrize("header", ["", "4 2\n"])
@pytest.mark.parametrize("kind", ["plain", "gz", "zip"])
def test_a_vocabulary_gets_its_own_vectors_and_zeros_for_what_the_file_lacks(
    tmp_path, header, kind
):
    text = f"{header}café 0.5 -2\nother 9 9\nthe 1 2e-1\nthe 7 7\n"
    path = packed(tmp_path / "v.txt", text, kind)
    assert len(TokenEmbedding.read(path, only=VOCABULARY)) == 3  # no more is kept
    arguments = WordVectors(vectors=str(path)).arguments(VOCABULARY)
    assert arguments["vectors"].dtype == np.float32
    expected = [[0, 0], [0, 0], [1, 0.2], [0.5, -2], [0, 0]]
    np.testing.assert_allclose(arguments["vectors"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("other 1 2\nanother 1\n", "line 2: expected a word and 2 numbers, received 1"),
        ("other 1 x\nthe 1 2\n", "line 1: expected a number, received 'x'"),
        ("the 1 2\nother 1 nan\n", "line 2: a number of 'other' is not finite"),
        ("other 1 2\n", "no word vectors of any of the 4 words asked for"),
        ("2 2\nthe 1 2\n", "line 1 says 2 words, there are 1"),
    ],
)
def test_words_that_are_not_kept_are_checked_as_well(tmp_path, content, message):
    path = packed(tmp_path / "v.txt", content, "plain")
    with pytest.raises(DataError, match=message):
        WordVectors(vectors=str(path)).arguments(VOCABULARY)
