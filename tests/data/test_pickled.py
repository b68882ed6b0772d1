import os
import pickle
import pickletools

import numpy as np
import pytest
from python2_pickle import batch, ubytes

from kerasd2l.data import DataError, pickled


def pixels(rows=4):
    return np.random.default_rng(0).integers(0, 256, (rows, 300), dtype=np.uint8)


def test_a_batch_of_python_2():
    x = pixels()
    read = pickled.read(batch(ubytes(x), [6, 9, 9, 4]), "data_batch_1")
    assert read[b"labels"] == [6, 9, 9, 4]
    assert read[b"batch_label"] == b"training batch 1 of 5"
    assert read[b"filenames"][3] == b"picture_3.png"
    np.testing.assert_array_equal(read[b"data"], x)


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_plain_data_of_every_protocol(protocol):
    value = {"a": [1, -2, 70000, 2**40], "b": (True, None, "ä", ()), "c": {"d": [[]]}, 3: [1.5]}
    assert pickled.read(pickle.dumps(value, protocol), "x") == value


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_that_python_3_wrote(protocol):
    x = pixels()
    read = pickled.read(pickle.dumps({"data": x, "again": [x, x]}, protocol), "x")
    np.testing.assert_array_equal(read["data"], x)
    assert read["again"][0] is read["again"][1]
    columns = np.asfortranarray(x)
    np.testing.assert_array_equal(pickled.read(pickle.dumps(columns, protocol), "x"), x)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("owned",)


def test_a_program_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in range(5):
        with pytest.raises(DataError, match=r"data_batch_1: expected plain data, received"):
            pickled.read(pickle.dumps({"data": Evil()}, protocol), "data_batch_1")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", r"the name os.system"),
        (b"cbuiltins\neval\n.", "the name builtins.eval"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "the name os.system"),
        (b"cnumpy\nndarray\n(K\x05tR.", "a call of ndarray"),
        (b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR.", "a call of dtype"),
        (b"cnumpy\nndarray\n.", "a bare name"),
        (b"cnumpy\nndarray\n}b.", "a state for a name"),
        (b"}(K\x01\x85K\x02u.", "a key that is neither text nor number"),
        (b"Pnumber\n.", "a persistent object"),
        (b"(ios\nsystem\n.", "the name os.system"),
    ],
)
def test_what_is_refused(content, message):
    with pytest.raises(DataError, match=message):
        pickled.read(content, "x")


def test_the_refused_programs_are_programs():
    """The bytes above are pickles that `pickle` would run, not noise."""
    for content in (b"cos\nsystem\n(S'true'\ntR.", b"\x80\x04\x8c\x02os\x8c\x06system\x93."):
        assert list(pickletools.genops(content))[-1][0].name == "STOP"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"}",
        b".",
        b"}(K\x01u.",
        b"(e.",
        b"h\x05.",
        b"\x86.",
        b"U\x05ab",
        b"\xff\xd8\xff\xe0 a picture",
        b"\x82\x01.",
        b"}(K\x01K\x02u}b.",
        b"}(](K\x01eK\x02u.",
        b"]q\x00(h\x00e.",  # a list that holds itself
    ],
)
def test_damaged(content):
    with pytest.raises(DataError, match="x is a damaged pickle"):
        pickled.read(content, "x")


def test_an_array_with_too_few_bytes():
    content = ubytes(pixels()).replace(b"M\x2c\x01\x86", b"M\x2d\x01\x86")
    with pytest.raises(DataError, match=r"1200 bytes for an array of shape \(4, 301\)"):
        pickled.read(b"\x80\x02" + content + b".", "x")


def test_lists_that_double_take_no_time():
    value = [1]
    for _ in range(60):
        value = [value, value]
    read = pickled.read(pickle.dumps(value, 2), "x")
    assert read[0] is read[1]
