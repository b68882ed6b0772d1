"""Reviews and word tables: what is read of folders and archives, and what is refused."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest

from kerasd2l.data import DataError, Source, Tokenizer, Vocab, limits, words
from kerasd2l.data.sets import imdb
from kerasd2l.testing import check_data

REAL = os.environ.get("KERASD2L_DATA")
TREE = {
    "train/pos/3_9.txt": "So good!<br />It's great, isn't it?",
    "train/pos/12_8.txt": "Good.",
    "train/neg/1_2.txt": "Bad bad bad.",
    "test/pos/0_7.txt": "Good",
    "test/neg/0_1.txt": "Never seen words",
}


@pytest.fixture(params=["folder", ".tar.gz", ".tar", ".zip"])
def packed(request, tmp_path):
    """Write reviews as a folder or an archive; return a function that does so."""

    def write(tree=TREE, root="aclImdb/"):
        place = tmp_path / "sentiment"
        place.mkdir(exist_ok=True)
        contents = {root + n: t if isinstance(t, bytes) else t.encode() for n, t in tree.items()}
        if request.param == "folder":
            for name, content in contents.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(content)
        elif request.param == ".zip":
            with zipfile.ZipFile(place / "aclImdb.zip", "w") as file:
                for name, content in contents.items():
                    file.writestr(name, content)
        else:
            mode = "w:gz" if request.param == ".tar.gz" else "w"
            with tarfile.open(place / f"aclImdb{request.param}", mode) as file:
                for name, content in contents.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    file.addfile(info, io.BytesIO(content))
        return Source("files", tmp_path)

    return write


def test_a_folder_and_every_archive_give_the_same_reviews(packed):
    hidden = {"train/pos/._3_9.txt": b"\xff", "train/unsup/5_0.txt": "none", "README": "read me"}
    found = imdb.reviews(packed(TREE | hidden))
    assert found["train"] == [
        ("Good.", 1),
        ("So good!<br />It's great, isn't it?", 1),
        ("Bad bad bad.", 0),
    ]
    assert found["test"] == [("Good", 1), ("Never seen words", 0)]


def test_reviews_become_padded_words_with_a_padding_of_their_own(packed):
    data = imdb.load(packed(), num_steps=6, min_freq=1, batch_size=8)
    vocab = data.assets["vocabulary"]
    assert vocab[:2] == ["<unk>", "<pad>"]
    assert "seen" not in vocab, "words of the test set are not known"
    x, y = next(iter(data.test))
    said = Vocab.from_list(vocab).to_tokens(x["tokens"].numpy())
    assert said == [["good"] + ["<pad>"] * 5, ["<unk>"] * 3 + ["<pad>"] * 3]
    assert x["lengths"].numpy().tolist() == [1, 3] and y.numpy().tolist() == [1, 0]
    x, y = next(iter(data.epoch(0)))
    longest = x["tokens"].numpy()[np.argmax(x["lengths"])]
    assert Vocab.from_list(vocab).to_tokens(longest) == ["so", "good", "!", "it", "'s", "great"]
    book = imdb.load(packed(), num_steps=6, min_freq=1, batch_size=8, words="book")
    assert {"So", "good!<br", "/>It's"} <= set(book.assets["vocabulary"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train/pos/9_9.txt": b"a\xff"}, r"train/pos/9_9.txt: not UTF-8"),
        ({"train/neg/9_1.txt": b" \n"}, r"train/neg/9_1.txt: an empty review"),
        ({"test/neg/0_1.txt": None}, r"no reviews test/neg/\*.txt"),
    ],
)
def test_a_broken_review_is_named(packed, change, message):
    tree = {name: text for name, text in (TREE | change).items() if text is not None}
    with pytest.raises(DataError, match=message):
        imdb.reviews(packed(tree))


def test_too_much_is_refused_before_it_fills_the_memory(packed, monkeypatch):
    monkeypatch.setattr(limits, "REVIEW_CHARACTERS", 20)
    with pytest.raises(DataError, match="20 characters"):
        imdb.reviews(packed())
    monkeypatch.setattr(limits, "DIFFERENT_WORDS", 3)
    table = words.WordTable(Tokenizer("word"), 5)
    with pytest.raises(DataError, match="more than 3 different words"):
        table.encode("a b c d")


def test_without_files_the_ways_to_get_them_are_named(tmp_path):
    with pytest.raises(DataError, match=r"lacks aclImdb_v1.tar.gz.*--data builtin"):
        imdb.reviews(Source("files", tmp_path))
    with pytest.raises(DataError, match=r"mine.zip"):
        imdb.reviews(Source("files", tmp_path), file="mine.zip")
    with pytest.raises(ValueError, match="clean or book"):
        imdb.load("builtin", words="all")


def test_builtin_reviews_are_right_about_themselves(no_real_data):
    found = imdb.reviews("builtin")
    texts = [{text for text, _ in found[split]} for split in ("train", "test")]
    assert not texts[0] & texts[1]
    for text, label in found["test"]:
        good = 0
        for sentence in text.split("."):
            said = sentence.split()
            if said:
                denied = "not" in said or "never" in said
                good += 1 if (said[-1] in imdb._PRAISE) != denied else -1
        assert (good > 0) == label, text
    check_data(lambda: imdb.load("builtin", batch_size=64, num_steps=20))


@pytest.mark.skipif(not REAL, reason="needs KERASD2L_DATA")
def test_real_sample():
    found = imdb.reviews(Source("files", REAL), file="aclImdb_small.tar.gz")
    assert {s: (len(r), sum(label for _, label in r)) for s, r in found.items()} == {
        "train": (2000, 1000),
        "test": (1000, 500),
    }
    assert len(imdb.reviews(Source("files", REAL), file="aclImdb_tiny.zip")["test"]) == 20
