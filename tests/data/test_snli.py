"""Pairs of sentences: SNLI's two formats, SICK, and pairs made of dates."""

import gzip
import json
import os

import numpy as np
import pytest

from kerasd2l.data import DataError, Source, Vocab, limits
from kerasd2l.data.sets import snli
from kerasd2l.data.sets.entailment_files import read_sick, read_snli, without_parentheses
from kerasd2l.testing import check_data

REAL = os.environ.get("KERASD2L_DATA")
HEADER = (
    "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
    "sentence2_parse\tsentence1\tsentence2\tcaptionID\tpairID\tlabel1"
)
ROWS = [
    ("neutral", "( ( Two dogs ) ( run . ) )", "( Dogs ( sleep . ) )"),
    ("-", "( A ( man . ) )", "( A ( boy . ) )"),
    ("entailment", "( It ( is n't ) )", "( It ( ( is not ) ) )"),
    ("contradiction", "( It ( is ) )", "( It ( ( is n't ) ) )"),
]


def plain(parse):
    return without_parentheses(parse).replace(" n't", "n't").replace(" .", ".")


def table(rows=ROWS):
    lines = ["\t".join([g, a, b, "(ROOT)", "(ROOT)", plain(a), plain(b), "1", "2", g])
             for g, a, b in rows]  # fmt: skip
    return "\n".join([HEADER, *lines]) + "\n"


def objects(rows=ROWS):
    names = HEADER.split("\t")
    return "\n".join(
        json.dumps(dict(zip(names, [g, a, b, "", "", plain(a), plain(b), "", "", g], strict=True)))
        for g, a, b in rows
    )


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.mark.parametrize("ending", [".txt", ".txt.gz", ".jsonl", ".jsonl.gz"])
def test_every_format_gives_the_same_pairs_without_those_nobody_agreed_on(tmp_path, ending):
    for split in ("train", "dev", "test"):
        content = objects() if "json" in ending else table()
        write(tmp_path / "snli" / "snli_1.0" / f"snli_1.0_{split}{ending}", content)
    source = Source("files", tmp_path)
    found = {split: list(pairs) for split, pairs in snli.pairs(source, parsed=True).items()}
    assert found["train"] == [
        ("Two dogs run .", "Dogs sleep .", 2),
        ("It is n't", "It is not", 0),
        ("It is", "It is n't", 1),
    ]
    assert set(found) == {"train", "valid", "test"}
    raw = list(snli.pairs(source)["test"])
    assert raw[1] == ("It isn't", "It is not", 0)
    path = tmp_path / "snli" / "snli_1.0" / f"snli_1.0_dev{ending}"
    assert list(read_snli(path)).count(None) == 1


def test_both_ways_to_cut_words_know_what_a_parse_knows(tmp_path):
    for split in ("train", "dev", "test"):
        write(tmp_path / "snli" / f"snli_1.0_{split}.txt", table())
    source = Source("files", tmp_path)
    clean = snli.load(source, min_freq=1, num_steps=5)
    book = snli.load(source, min_freq=1, num_steps=5, words="book")
    assert {"n't", ".", "dogs"} <= set(clean.assets["vocabulary"])
    assert {"n't", ".", "Dogs", "dogs"} <= set(book.assets["vocabulary"])
    x, y = next(iter(clean.test))
    said = Vocab.from_list(clean.assets["vocabulary"]).to_tokens(x["premise"].numpy())
    assert said[1] == ["it", "is", "n't", "<pad>"], "as wide as the longest one of the batch"
    assert x["premise_lengths"].numpy().tolist() == [4, 3, 2] and y.numpy().tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table([("maybe", "( a )", "( b )")]), "line 2: the label must be.*'maybe'"),
        (table([("neutral", "( ( ) )", "( b )")]), "line 2: an empty sentence"),
        (HEADER + "\nneutral\ta\n", "line 2: expected gold_label"),
        (HEADER + "\n" + "\t".join("a" * 30) + "\n", "line 2: 30 cells"),
        (HEADER + "\n", "no pair with a label"),
        ("", "is empty"),
        ("{\n", "line 1: no JSON object"),
        ("{}\n[1]\n", "line 1: expected gold_label"),
        ("{" + "[" * 5000, "line 1: no JSON object"),
        (HEADER.encode() + b"\nneutral\t\xff\n", "line 2: not UTF-8"),
        (HEADER + "\n" + "a" * (limits.PAIR_LINE_BYTES + 1), "line 2: longer than"),
    ],
)
def test_a_broken_line_is_named(tmp_path, content, message):
    for part in ("dev", "test"):
        write(tmp_path / "snli" / f"snli_1.0_{part}.part.txt", content)
    with pytest.raises(DataError, match=message):
        snli.load(Source("files", tmp_path), corpus="snli_parts", words="book")


def test_a_long_file_is_not_read_to_its_end(tmp_path, monkeypatch):
    path = tmp_path / "pairs.txt"
    write(path, table())
    monkeypatch.setattr(limits, "LINES", 3)
    with pytest.raises(DataError, match="at most 3 lines"):
        list(read_snli(path))


def test_sick_is_split_by_blocks_of_neighbours(tmp_path):
    header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"
    rows = [f"{i}\tA {i}\tB {i}\t3.0\tNEUTRAL" for i in range(1, 101)]
    write(tmp_path / "snli" / "SICK.txt", "\r\n".join([header, *rows]))
    found = snli.pairs(Source("files", tmp_path), corpus="sick")
    held = [int(premise[2:]) for premise, _, _ in found["test"]]
    assert held == [*range(1, 11), *range(51, 61)]
    assert len(list(found["train"])) == 80
    write(tmp_path / "snli" / "SICK.txt", header + "\nx\ta\tb\t3\tNEUTRAL\n")
    with pytest.raises(DataError, match="line 2: expected pair_ID"):
        list(read_sick(tmp_path / "snli" / "SICK.txt", "train"))


def test_without_files_the_ways_to_get_them_are_named(tmp_path):
    for corpus, name in (("snli", "snli_1.0_train"), ("snli_parts", "dev.part"), ("sick", "SICK")):
        with pytest.raises(DataError, match=rf"{name}.*--data builtin"):
            snli.pairs(Source("files", tmp_path), corpus=corpus)
    with pytest.raises(ValueError, match="snli, snli_parts or sick"):
        snli.pairs("builtin", corpus="mnli")


def test_builtin_pairs_have_three_labels_and_no_premise_on_both_sides(no_real_data):
    found = {split: list(pairs) for split, pairs in snli.pairs("builtin").items()}
    counts = np.bincount([label for *_, label in found["train"]])
    assert len(counts) == 3 and counts.max() - counts.min() < 10
    premises = [{premise for premise, *_ in found[split]} for split in ("train", "test")]
    assert not premises[0] & premises[1]
    # batches of another order are not equally wide: augmented
    check_data(lambda: snli.load("builtin", batch_size=64), augmented=True)


@pytest.mark.skipif(not REAL, reason="needs KERASD2L_DATA")
def test_real_parts_and_sick():
    parts = snli.pairs(Source("files", REAL), corpus="snli_parts")
    found = {split: list(pairs) for split, pairs in parts.items()}
    assert {split: len(pairs) for split, pairs in found.items()} == {"train": 1273, "test": 1254}
    for split, part in (("train", "dev"), ("test", "test")):
        folder = Source("files", REAL).data_dir / "snli"
        lines = [read_snli(folder / f"snli_1.0_{part}.part.{end}") for end in ("txt", "jsonl.gz")]
        assert list(lines[0]) == list(lines[1]), split
    sick = {split: list(p) for split, p in snli.pairs(Source("files", REAL), corpus="sick").items()}
    assert sum(map(len, sick.values())) == 9927
