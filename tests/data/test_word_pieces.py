"""WordPiece, and the words before it: BERT's own examples, and its rules written out."""

import json
import random
import unicodedata

import numpy as np
import pytest

from kerasd2l import data
from kerasd2l.data import Tokenizer, bert_inputs
from kerasd2l.data.word_pieces import WordPieces, bert_words, reader

SIGNS = ["<unk>", *bert_inputs.RESERVED]
LETTERS = [chr(code) for code in range(0x21, 0x30000)]
UNCASED = bert_words([*SIGNS, *LETTERS], lower=True, accents=False)
CASED = bert_words([*SIGNS, *LETTERS], lower=False, accents=True)
# Words of the notes in pieces; "25", "," and most other words are whole.
PIECES = (
    "on 25 of wed ##nes ##day ##s ju ##ly kilo ##met ##ers which year how many 4 1 9 , . : ? ##9"
)


def words_by_the_rules(text, *, lower, accents):
    """What BERT's tokenizer does, character by character (without NFC)."""
    text = "".join(
        " " if c in "\t\n\r" or category(c)[0] == "Z" else c
        for c in text
        if c in "\t\n\r" or (category(c) not in ("Cc", "Cf", "Co") and c != "\ufffd")
    )
    text = "".join(f" {c} " if is_ideograph(ord(c)) else c for c in text)
    if not accents:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if category(c) != "Mn")
    text = "".join(f" {c} " if is_sign(c) else c for c in text)
    return (text.lower() if lower else text).split()


def category(character):
    return unicodedata.category(character)


def is_sign(character):
    symbol = character.isascii() and not character.isalnum() and character.isprintable()
    return (symbol and character != " ") or category(character)[0] == "P"


def is_ideograph(code):
    ranges = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F))
    ranges += ((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))
    return any(first <= code <= last for first, last in ranges)


def test_words_are_cut_as_in_the_tests_of_bert():
    """google-research/bert, tokenization_test.py."""
    known = "[UNK] [CLS] [SEP] want ##want ##ed wa un runn ##ing".split()
    cut = WordPieces(["<unk>", *known])
    assert cut("unwanted running".split()) == ["un", "##want", "##ed", "runn", "##ing"]
    assert cut("unwantedX running".split()) == ["<unk>", "runn", "##ing"]
    assert cut([]) == []
    assert cut.pieces("ed") == ["<unk>"]  # only as a piece that goes on


def test_the_longest_piece_is_taken_first_and_a_long_word_is_unknown():
    cut = WordPieces(["<unk>", "a", "ab", "##b", "##bc", "##c", "##a"])
    assert cut.pieces("abc") == ["ab", "##c"]  # not a ##bc
    assert cut.pieces("abbc") == ["ab", "##bc"]
    assert cut.pieces("a" * 100) == ["a", *["##a"] * 99]
    assert cut.pieces("a" * 101) == ["<unk>"]
    assert WordPieces(["<unk>"]).pieces("a") == ["<unk>"]


@pytest.mark.parametrize(
    ("text", "uncased", "cased"),
    [
        (" \tHeLLo!how  \n Are yoU?  ", "hello ! how are you ?", "HeLLo ! how Are yoU ?"),
        ("H\u00e9llo", "hello", "H\u00e9llo"),
        ("ah\u535a\u63a8zz", "ah \u535a \u63a8 zz", "ah \u535a \u63a8 zz"),
        ("a\u2260b", "a = b", "a\u2260b"),
        ("a\x00b\u200dc\ufffd\ue000d\u00a0e\u2028f\x0bg", "abcd e fg", "abcd e fg"),
        ("is <mask>[MASK]?", "is <mask> <mask> ?", "is <mask> <mask> ?"),
        ("< mask ><mask >", "< mask > < mask >", "< mask > < mask >"),
        ("\u0130I \u1e9e", "ii \u00df", "\u0130I \u1e9e"),
        ("", "", ""),
    ],
)
def test_words_before_the_pieces(text, uncased, cased):
    assert " ".join(UNCASED(text)) == uncased
    assert " ".join(CASED(text)) == cased


def test_words_are_those_of_berts_rules_for_any_text():
    rng = random.Random(0)
    alphabets = [range(0x20, 0x7F), range(0xA0, 0x250), range(0x370, 0x700), range(0x900, 0x980)]
    alphabets += [range(0x1E00, 0x2400), range(0x3000, 0x3100), range(0x4E00, 0x4E20)]
    alphabets += [range(0x1F600, 0x1F650), range(0xF8F0, 0xFAFF), range(0x2F800, 0x2F820)]
    for _ in range(1000):
        some = rng.sample(alphabets, 3)
        text = "".join(chr(rng.choice(rng.choice(some))) for _ in range(40))
        text = text.replace("\u03a3", "")  # the end of a word is another place there
        assert UNCASED(text) == words_by_the_rules(text, lower=True, accents=False), repr(text)
        assert CASED(text) == words_by_the_rules(text, lower=False, accents=True), repr(text)


def test_accents_go_only_from_letters_that_the_vocabulary_has_and_korean_falls_apart():
    some = bert_words([*SIGNS, "e", "\u1100", "##\u1161"], lower=True, accents=False)  # no "o"
    assert dict(some.characters)["\u00c9"] == "E"
    assert dict(some.characters)["\uac00"] == "\u1100\u1161"
    assert "\u00f6" not in dict(some.characters)
    assert some("\u00c9 \uac00 \u00f6") == ["e", "\u1100\u1161", "\u00f6"]


def test_assets_are_plain_and_those_of_whole_words_are_what_they_were():
    for tokenizer in (UNCASED, CASED, bert_inputs.TOKENIZER):
        assets = json.loads(json.dumps(tokenizer.to_assets()))
        assert Tokenizer.from_assets(assets) == tokenizer
    old = {"level": "word", "replacements": [["a", "b"]], "lower": True, "strip": True}
    assert Tokenizer.from_assets(old).to_assets() == old
    assert not UNCASED.pieces
    assert bert_words([*SIGNS, "##s"], lower=True, accents=False).to_assets()["pieces"] is True


def test_pieces_lose_their_marks_where_they_are_joined():
    assert Tokenizer("word", pieces=True).join(["play", "##ing", ",", "##s"]) == "playing ,s"
    assert Tokenizer("word").join(["play", "##ing"]) == "play ##ing"


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="`pieces` are parts of words"):
        Tokenizer("char", pieces=True)
    with pytest.raises(ValueError, match="needs the `vocabulary` of its pieces"):
        reader(Tokenizer("word", pieces=True), None)


# Data sets that a model with pieces is fine-tuned on


def known():
    """A vocabulary and a tokenizer as a converted BERT has them."""
    tokens = [*SIGNS, *PIECES.split()]
    return {"vocabulary": tokens, "tokenizer": bert_words(tokens, lower=True, accents=False)}


def in_words(loaded, row):
    """Return (place of the first piece, word) of all words of a row."""
    words = []
    for place, token in enumerate(row.tolist()):
        piece = loaded.assets["vocabulary"][token]
        if piece.startswith("##"):
            words[-1][1] += piece[2:]
        elif piece != "<pad>":
            words.append([place, piece])
    return words


def test_a_tag_stands_at_the_first_piece_of_its_word():
    loaded = data.facts.load(task="tokens", examples=300, **known())
    assert loaded.assets["tokenizer"]["pieces"] is True
    x, y, weights = next(iter(loaded.test))
    whole = data.facts.load(task="tokens", examples=300)
    expected = next(iter(whole.test))[1].numpy()
    seen = set()
    for row, tags, others in zip(x["tokens"].numpy(), y.numpy(), expected, strict=True):
        words = in_words(loaded, row)
        if words[-1][1] != "<sep>" or (others == 0).sum() < 2:
            continue
        places = [place for place, _ in words]
        assert tags[places].tolist() == others[: len(places)].tolist()
        assert (np.delete(tags, places) == 0).all()
        names = [loaded.assets["class_names"][tag] for tag in tags[places]]
        seen |= {(word, name) for (_, word), name in zip(words, names, strict=True)}
    assert {("wednesday", "weekday"), ("july", "month"), ("kilometers", "unit")} <= seen
    real = y.numpy() != 0
    np.testing.assert_allclose(weights.numpy(), real * (real.size / real.sum()), rtol=1e-6)


def test_an_answer_is_from_a_first_piece_to_a_last_one():
    loaded = data.facts.load(task="span", examples=300, max_len=48, batch_size=270, **known())
    x, y = next(iter(loaded.train))
    answers = set()
    for i, row in enumerate(x["tokens"].numpy()):
        pieces = [loaded.assets["vocabulary"][token] for token in row]
        start, end = (int(y[name][i]) for name in ("start", "end"))
        assert not pieces[start].startswith("##")
        assert not pieces[end + 1].startswith("##")
        answers.add(Tokenizer("word", pieces=True).join(pieces[start : end + 1]))
    assert {"wednesday", "july", "4 kilometers"} <= answers
    with pytest.raises(ValueError, match="`max_len` is too small for the answers"):
        data.facts.load(task="span", examples=300, max_len=20, **known())


def test_pairs_of_sentences_are_read_in_pieces_and_a_run_keeps_its_own():
    tokens = [*SIGNS, "the", "jour", "##ney", "##s", "begin"]
    words = bert_words(tokens, lower=True, accents=False)
    loaded = data.snli.load_for_bert("builtin", vocabulary=tokens, tokenizer=words, batch_size=8)
    x, _ = next(iter(loaded.test))
    expected = list(data.snli.pairs("builtin")["test"])[:8]
    read = reader(words, tokens)
    sides = ([read(pair[side]) for pair in expected] for side in (0, 1))
    rows = bert_inputs.rows(data.Vocab.from_list(tokens), *sides, x["tokens"].shape[1])
    for name, array in x.items():
        np.testing.assert_array_equal(array.numpy(), rows[name], name)
    assert (x["tokens"].numpy() == tokens.index("##ney")).any()


def test_a_run_that_goes_on_keeps_its_words_and_pieces():
    loaded = data.acceptability.load(examples=60, **known())
    source = data.Source("builtin", assets=loaded.assets)
    again = data.acceptability.load(source, examples=60)
    assert again.assets == loaded.assets
    for one, other in zip(loaded.test, again.test, strict=True):
        np.testing.assert_array_equal(one[0]["tokens"], other[0]["tokens"])
