import gzip

import numpy as np
import pytest

from kerasd2l.data import DataError, load_vectors

TOKENS = ["<unk>", "<pad>", "the", "caf\u00e9", "rare"]


@pytest.mark.parametrize("header", ["", "3 2\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_each_word_gets_its_own_vector_and_unknown_ones_zeros(tmp_path, header, packed):
    raw = f"{header}caf\u00e9 0.5 -2\nother 9 9\nthe 1 2e-1\nthe 7 7\n".encode()
    (tmp_path / "v.txt").write_bytes(gzip.compress(raw) if packed else raw)
    table = load_vectors(tmp_path / "v.txt", TOKENS)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, [[0, 0], [0, 0], [1, 0.2], [0.5, -2], [0, 0]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("the 1 2\ncaf\u00e9 1\n", "line 2: expected a word and 2 numbers, received 1"),
        ("the 1 x\n", "line 1: not a vector"),
        ("the 1 nan\n", "line 1: not a vector"),
        ("the 1 1e39\n", "line 1: not a vector"),
        ("a 1 2\n", "no vector for any of the 5 words"),
        ("", "no vector for any"),
        ("a 1 2\n\nthe 1 2\n", "line 2"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "v.txt").write_text(content, "utf8")
    with pytest.raises(DataError, match=message):
        load_vectors(tmp_path / "v.txt", TOKENS)
