import json

import numpy as np
import pytest

from kerasd2l.recipe import TensorSpec
from kerasd2l.serving.inputs import InputError, parse

PICTURE = {"image_bytes": TensorSpec((None,), "string")}
TEXT = {"text": TensorSpec((None,), "string")}
VECTOR = {"x": TensorSpec((None, 3))}
YEARS = {"years": TensorSpec((None,), "float32")}
IDS = {"ids": TensorSpec((None, None), "int32")}
PAIR = {"premise": TensorSpec((None,), "string"), "hypothesis": TensorSpec((None,), "string")}
HOUSE = {
    "area": TensorSpec((None,), "float32"),
    "street": TensorSpec((None,), "string"),
    "rooms": TensorSpec((None,), "int64"),
}


def test_files_are_read_to_the_last_zero(tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two"
    one.write_bytes(b"ends in\0\0")
    two.write_bytes(b"\xff")
    found = parse([str(one), str(two)], PICTURE)["image_bytes"]
    assert found.tolist() == [b"ends in\0\0", b"\xff"]


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "empty.png").touch()
    for word, message in {
        str(tmp_path / "none.png"): r"none\.png does not exist",
        str(tmp_path): "is a folder",
        str(tmp_path / "empty.png"): r"empty\.png is empty",
    }.items():
        with pytest.raises(InputError, match=message):
            parse([word], PICTURE)
    with pytest.raises(InputError, match=r"no input. Give one or more files"):
        parse([], PICTURE)


def test_texts_are_taken_as_they_are():
    found = parse(["x=1", "[not json", "./no.png", "ü"], TEXT)["text"]
    assert found.tolist() == [b"x=1", b"[not json", b"./no.png", "ü".encode()]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["1,2,3"], [[1, 2, 3]]),
        (["[1, 2, 3]"], [[1, 2, 3]]),
        (["[[1,2,3],[4,5,6]]"], [[1, 2, 3], [4, 5, 6]]),
        (["1,2,3", "-4, .5, 6e1"], [[1, 2, 3], [-4, 0.5, 60]]),
        (["1,,na"], [[1, np.nan, np.nan]]),
    ],
)
def test_numbers(words, wanted):
    found = parse(words, VECTOR)["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(wanted, "float32"))


def test_numbers_from_files(tmp_path):
    wanted = np.array([[1, 2, 3], [4, 5, 6]], "float32")
    (tmp_path / "a.json").write_text(json.dumps(wanted.tolist()))
    (tmp_path / "a.csv").write_text("1,2,3\n4,5,6\n\n")
    np.save(tmp_path / "a.npy", wanted.astype("float64"))
    for kind in ("json", "csv", "npy"):
        np.testing.assert_array_equal(parse([str(tmp_path / f"a.{kind}")], VECTOR)["x"], wanted)
    np.save(tmp_path / "evil.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("text")
    for name in ("evil", "text"):
        with pytest.raises(InputError, match=f"{name}.npy is no .npy file of numbers"):
            parse([str(tmp_path / f"{name}.npy")], VECTOR)
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        parse([str(tmp_path / "none.csv")], VECTOR)


def test_examples_of_rank_zero_and_whole_numbers():
    assert parse(["5"], YEARS)["years"].tolist() == [5.0]
    assert parse(["5", "6"], YEARS)["years"].tolist() == [5.0, 6.0]
    assert parse(["5,6"], YEARS)["years"].tolist() == [5.0, 6.0]
    ids = parse(["[[1,2,3,4]]"], IDS)["ids"]
    assert ids.dtype == np.int32 and ids.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(InputError, match=r"ids takes int32"):
        parse(["1.5,2"], IDS)
    with pytest.raises(InputError, match=r"different shape .*\(2,\).*\(3,\)"):
        parse(["1,2", "1,2,3"], IDS)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("1,2", r"has the shape \(1, 2\): x takes float32, 3 for each example"),
        ("1,two,3", "'two' is not a number"),
        ("[1,2", "is not JSON"),
        ("[[1,2,3],[4]]", "rows of different length"),
        ('["a","b","c"]', "cannot be used: x takes float32"),
        ("[[[1,2,3]]]", "has the shape"),
        ("shirt.png", "'shirt.png' is not a number"),
    ],
)
def test_numbers_that_do_not_fit_say_what_does(word, message):
    with pytest.raises(InputError, match=message):
        parse([word], VECTOR)


def test_several_inputs_by_name():
    found = parse(["hypothesis=b=c", "premise=a"], PAIR)
    assert {key: value.tolist() for key, value in found.items()} == {
        "premise": [b"a"],
        "hypothesis": [b"b=c"],
    }
    found = parse(["premise=a", "hypothesis=b", "premise=c", "hypothesis=d"], PAIR)
    assert found["premise"].tolist() == [b"a", b"c"]
    for words, message in {
        ("premise=a",): "no value for hypothesis",
        ("premise=a", "hypotesis=b"): "no input named 'hypotesis'. Did you mean hypothesis",
        ("a", "b"): "'a' is not name=value. Give premise=... hypothesis=...",
        ("premise=a", "premise=b", "hypothesis=c"): "different numbers of examples",
    }.items():
        with pytest.raises(InputError, match=message):
            parse(words, PAIR)


def test_several_inputs_as_json(tmp_path):
    wanted = {"premise": [b"a", b"c"], "hypothesis": [b"b", b"d"]}
    columns = json.dumps({"premise": ["a", "c"], "hypothesis": ["b", "d"]})
    rows = json.dumps([{"premise": "a", "hypothesis": "b"}, {"hypothesis": "d", "premise": "c"}])
    (tmp_path / "rows.json").write_text(rows)
    for word in (columns, rows, str(tmp_path / "rows.json")):
        assert {key: value.tolist() for key, value in parse([word], PAIR).items()} == wanted
    one = parse(['{"premise": "a", "hypothesis": "b"}'], PAIR)
    assert one["premise"].tolist() == [b"a"]
    for word, message in {
        '{"premise": "a"}': "no value for hypothesis",
        '{"premise": "a", "hypothesis": 3}': "is not text: hypothesis takes string",
        "[1]": "is no JSON object",
        "{": "is not JSON",
    }.items():
        with pytest.raises(InputError, match=message):
            parse([word], PAIR)


def test_a_table_is_a_batch(tmp_path):
    table = tmp_path / "houses.csv"
    table.write_text('Id,rooms,area,street\n1,3,70.5,"Main, 1"\n2,4,NA,\n')
    found = parse([str(table)], HOUSE)
    np.testing.assert_array_equal(found["area"], np.array([70.5, np.nan], "float32"))
    assert found["street"].tolist() == [b"Main, 1", b""]
    assert found["rooms"].tolist() == [3, 4] and found["rooms"].dtype == np.int64
    table.write_text("rooms,area\n3,70\n")
    with pytest.raises(InputError, match=r"houses\.csv has no value for street"):
        parse([str(table)], HOUSE)
    table.write_text("rooms,area,street\n")
    with pytest.raises(InputError, match=r"no rows"):
        parse([str(table)], HOUSE)
    table.write_text("rooms,area,street\n,70,x\n")
    with pytest.raises(InputError, match=r"'' is not a number"):
        parse([str(table)], HOUSE)


MISSING = ("", "  ", "NA", " na\t", "NaN", "nan ", "null", " NULL", "Null")


@pytest.mark.parametrize("word", MISSING)
def test_every_spelling_of_missing_is_missing_for_numbers(tmp_path, word):
    table = tmp_path / "houses.csv"
    table.write_text(f"rooms,area,street\n1,{word},x\n")
    assert np.isnan(parse([str(table)], HOUSE)["area"]).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,2,x\n2,3\n", r"line 3: expected 3 cells, as in the header\. Received: 2\."),
        ("1,2,x\n\n2,3,x\n3", r"line 5: expected 3 cells.*Received: 1\."),
        ("1,2,x,y\n", r"line 2: expected 3 cells.*Received: 4\."),
        ('1,2,"a\nb"\n2,3\n', r"line 4: expected 3 cells"),
        ("1,2," + "x" * 200_000 + "\n", r"line 2: field larger than field limit"),
        ("1,2" + ",x" * 20_000 + "\n", r"line 2: more than 10000 cells"),
    ],
)
def test_a_row_that_does_not_fit_its_header_is_no_answer(tmp_path, rows, message):
    table = tmp_path / "houses.csv"
    table.write_text("rooms,area,street\n" + rows)
    with pytest.raises(InputError, match=message):
        parse([str(table)], HOUSE)


def test_a_cell_may_hold_a_line_end_and_a_column_stands_there_once(tmp_path):
    table = tmp_path / "houses.csv"
    table.write_text('rooms,area,street\n1,2,"a\nb"\n')
    assert parse([str(table)], HOUSE)["street"].tolist() == [b"a\nb"]
    table.write_text("rooms,area,street,area\n1,2,x,3\n")
    with pytest.raises(InputError, match="has the column area twice"):
        parse([str(table)], HOUSE)


@pytest.mark.parametrize(
    "word",
    [
        "1e300,0,0",
        "1e400,0,0",
        "9" * 5000 + ",0,0",
        "[1e300,0,0]",
        "[1e400,0,0]",
        f"[{'9' * 400},0,0]",
        f"[{'9' * 400},0.5,0]",
    ],
)
def test_a_number_too_large_for_the_signature_is_refused(word):
    with pytest.raises(InputError, match=r"holds|is not a number|is not JSON|cannot be used|takes"):
        parse([word], VECTOR)


@pytest.mark.parametrize("word", ["4294967296,1", "[4294967296,1]", "1e20,1", "-1e300,1"])
def test_a_whole_number_never_becomes_another_one(word):
    with pytest.raises(InputError, match=r"no int32 holds"):
        parse([word], IDS)


def test_files_are_read_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("kerasd2l.serving.reading.MOST_TEXT", 100)
    (tmp_path / "a.csv").write_text("1,2,3\n" * 100)
    with pytest.raises(InputError, match="too large: at most 100 bytes"):
        parse([str(tmp_path / "a.csv")], VECTOR)
    (tmp_path / "deep.json").write_text("[" * 90)
    with pytest.raises(InputError, match="is not JSON"):
        parse([str(tmp_path / "deep.json")], VECTOR)
    (tmp_path / "huge.npy").write_bytes(npy_header(shape="(100000000000000,)"))
    with pytest.raises(InputError, match=r"huge\.npy is no \.npy file"):
        parse([str(tmp_path / "huge.npy")], VECTOR)


def npy_header(shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(100)
