import gzip
import os

import numpy as np
import pytest

from kerasd2l.data import DataError, Source, Tokenizer, Vocab
from kerasd2l.data.sets import names
from kerasd2l.testing import check_data

REAL = os.environ.get("KERASD2L_DATA")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "names").mkdir()

    def write(train, test='"Li","Chinese"\n'):
        for name, content in zip(names.FILES, (train, test), strict=True):
            packed = gzip.compress(content if isinstance(content, bytes) else content.encode())
            (tmp_path / "names" / name).write_bytes(packed)
        return Source("files", tmp_path)

    return write


def test_names_are_ascii_codes_padded_with_zero(folder):
    source = folder('"Li","Chinese"\nO\'Neal,Irish\n"Mül王er, A","German"\n')
    data = names.load(source, batch_size=3)
    assert data.assets["class_names"] == ["Chinese", "German", "Irish"]
    assert data.features["characters"].shape == (9,)
    x, y = next(iter(data.epoch(0)))
    rows = {int(label): row for label, row in zip(y, x["characters"].numpy(), strict=True)}
    lengths = dict(zip(y.numpy().tolist(), x["lengths"].numpy().tolist(), strict=True))
    assert rows[0].tolist() == [*b"Li"] + [0] * 7
    assert rows[1].tolist() == [*b"Mul", 0, *b"er, A"]
    assert lengths == {0: 2, 1: 9, 2: 6}
    short = names.load(source, max_length=3)
    x, _ = next(iter(short.test))
    assert x["characters"].shape == (1, 3)


def test_the_vocabulary_in_the_assets_gives_the_same_numbers(folder):
    data = names.load("builtin", batch_size=64)
    vocab = Vocab.from_list(data.assets["vocabulary"])
    tokenizer = Tokenizer.from_assets(data.assets["tokenizer"])
    assert len(vocab) == 128
    for name in ("O'Neal", "Lié", "van der Berg", "王"):
        assert vocab[tokenizer(name)] == names.encode(name)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("François", b"Francois"),
        ("Mu\u0308ller", b"Muller"),  # the accent as a character of its own
        ("Łukasz Đorđević", b"Lukasz Dordevic"),
        ("Groß", b"Gross"),
        ("O\u2019Neal", b"O'Neal"),
        ("Øst", b"Ost"),
        ("Nguyễn", b"Nguyen"),
        ("王小", b"\0\0"),
    ],
)
def test_accents_are_left_away(name, plain):
    assert bytes(names.encode(name)) == plain


def test_builtin_is_eighteen_languages_that_share_no_name():
    train, test = names.builtin()
    assert {language for _, language in train} == {language for _, language in test}
    assert len({language for _, language in train}) == 18
    together = [name for name, _ in train + test]
    assert len(set(together)) == len(together) > 5000
    assert all(name.isascii() and 2 <= len(name) <= 24 for name in together)
    assert 0.18 < len(test) / len(together) < 0.23
    assert names.builtin()[0] == train
    data = check_data(lambda: names.load("builtin", batch_size=256))
    assert len(data.assets["class_names"]) == 18


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Li,Chinese\nMo\n", r"names_train\.csv\.gz, line 2: expected name,country"),
        ("Li,Chinese\nMo,A,B\n", r"line 2: expected name,country, received \['Mo', 'A', 'B'\]"),
        ("Li,Chinese\n\nMo,Chinese\n", "line 2: expected name,country"),
        ("Li,Chinese\n ,Chinese\n", "line 2: name and country must not be empty"),
        ('Li,Chinese\n"Mo,Chinese\n', "line 2: "),
        (b"Li,Chinese\nM\xfcller,German\n", r"line 2: not UTF-8 \(byte 0xfc\)"),
        ("", "has no names"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(folder, content, message):
    with pytest.raises(DataError, match=message):
        names.load(folder(content))


def test_a_country_that_only_the_test_has(folder):
    with pytest.raises(DataError, match=r"countries that .* has not: Chinese"):
        names.load(folder("Mo,Irish\n"))


def test_one_country_is_nothing_to_tell_apart(tmp_path, monkeypatch):
    rows = [("Mo", "Irish"), ("Ed", "Irish")]
    monkeypatch.setattr(names, "builtin", lambda: (rows, rows))
    with pytest.raises(DataError, match="at least two countries, received Irish"):
        names.load("builtin")
    with pytest.raises(ValueError, match=r"`max_length` must be at least 1. Received: max_l"):
        names.load("builtin", max_length=0)


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match=r"lacks names_train\.csv\.gz, names_test\.csv\.gz"):
        names.load(Source("files", tmp_path))
    with pytest.raises(DataError, match="there is no download"):
        names.load("download")


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="needs the real files under $KERASD2L_DATA")
def test_real_names():
    data = names.load(Source("files", REAL), batch_size=7000)
    assert data.size == {"train": 13374, "test": 6700}
    assert len(data.assets["class_names"]) == 18 and data.features["characters"].shape == (19,)
    x, y = next(iter(data.test))
    counts = dict(zip(data.assets["class_names"], np.bincount(y), strict=True))
    assert (counts["Russian"], counts["English"], counts["Portuguese"]) == (3136, 1223, 25)
    assert bytes(x["characters"][0].numpy()[:3].astype(np.uint8)) == b"Abl"
    assert int(x["lengths"].numpy().max()) == 18
