"""What BERT reads: signs, pairs of sentences, masked words; notes and sentences to fine-tune on."""

import functools
import time

import numpy as np
import pytest

from kerasd2l import data
from kerasd2l.data import DataError, Source, bert_inputs, wikitext
from kerasd2l.data.bert_inputs import CLS, MASK, PAD, SEP
from kerasd2l.testing import check_data


@pytest.fixture(scope="module")
def small():
    return wikitext.load("builtin", batch_size=64, max_len=32, min_freq=2)


def arrays(batch):
    x, y, weights = batch
    named = {**x, **y, "weights": weights["mlm"]}
    return {name: array.numpy() for name, array in named.items()}


def test_signs_and_segments_are_the_books():
    tokens, segments = data.get_tokens_and_segments(["a", "crane"], ["he", "left"])
    assert tokens == ["<cls>", "a", "crane", "<sep>", "he", "left", "<sep>"]
    assert segments == [0, 0, 0, 0, 1, 1, 1]
    assert data.get_tokens_and_segments([]) == (["<cls>", "<sep>"], [0, 0])


def test_the_longer_text_loses_its_last_words_first_as_in_the_book():
    for first in range(9):
        for second in range(9):
            for room in range(2, 12):
                p, q = list(range(first)), list(range(second))
                while len(p) + len(q) > room:
                    (p if len(p) > len(q) else q).pop()
                assert bert_inputs.shared_lengths(first, second, room) == (len(p), len(q))


def test_a_batch_of_pairs_in_numbers_is_laid_out_as_pairs_of_words_are():
    words = [[f"w{i}" for i in range(n)] for n in range(9)]
    vocab = data.Vocab(words, reserved_tokens=bert_inputs.RESERVED)
    pairs = [(a, b) for a in words for b in words]
    for max_len in (5, 6, 9, 30):
        expected = bert_inputs.rows(vocab, *zip(*pairs, strict=True), max_len)
        texts = zip(*pairs, strict=True)
        sides = [data.text.pad_batch([vocab[one] for one in side], PAD, 8) for side in texts]
        joined = {k: v.numpy() for k, v in bert_inputs.join(*sides, max_len).items()}
        steps = joined["tokens"].shape[1]
        assert steps == expected["valid_lens"].max()
        for name in ("tokens", "segments"):
            np.testing.assert_array_equal(joined[name], expected[name][:, :steps], name)
        np.testing.assert_array_equal(joined["valid_lens"], expected["valid_lens"])


def test_the_builtin_data_keep_their_promises(small):
    check_data(
        lambda: wikitext.load("builtin", batch_size=64, max_len=32, min_freq=2), augmented=True
    )
    assert small.assets["vocabulary"][:5] == ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>"]
    assert wikitext.load("builtin", max_pairs=40).size["train"] == 40


def test_rows_are_two_sentences_between_signs_and_every_label_stood_where_it_says(small):
    pairs = wikitext.sentence_pairs(
        wikitext.paragraphs("builtin"), data.Vocab.from_list(small.assets["vocabulary"]), 32, seed=0
    )
    whole = {row.tobytes() for row in pairs["tokens"]}
    found = arrays(next(iter(small.epoch(0))))
    for i in range(64):
        row, length = found["tokens"][i].copy(), found["valid_lens"][i]
        (end, last) = np.flatnonzero(row == SEP)
        assert row[0] == CLS
        assert last == length - 1
        assert (row[length:] == PAD).all()
        places = np.arange(32)
        assert (found["segments"][i] == ((places > end) & (places < length))).all()
        real = found["mlm"][i] != PAD
        count = max(1, round(0.15 * length))
        assert real.sum() == count
        assert (real == (np.arange(5) < count)).all()
        positions = found["pred_positions"][i]
        assert (np.diff(positions[real]) > 0).all()
        assert (positions[~real] == 0).all()
        assert not np.isin(row[positions[real]], [CLS, SEP, PAD]).any()
        row[positions[real]] = found["mlm"][i][real]
        assert row.tobytes() in whole  # nothing else was changed
    real = found["mlm"] != PAD
    np.testing.assert_allclose(found["weights"], real * (real.size / real.sum()), rtol=1e-6)


def test_80_of_100_chosen_words_are_masked_10_replaced_10_left():
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 1000, (4000, 64)).astype("int32")
    tokens[:, 0], tokens[:, 30], tokens[:, 63] = CLS, SEP, SEP
    x = {"tokens": tokens, "segments": tokens * 0, "valid_lens": np.full(4000, 64, "int32")}
    masked, labels, count = bert_inputs.mask(x, [1, 2], vocab_size=1000, num_preds=10)
    assert (count.numpy() == 10).all()
    there = np.take_along_axis(masked["tokens"].numpy(), masked["pred_positions"].numpy(), 1)
    same, hidden = there == labels.numpy(), there == MASK
    assert abs(hidden.mean() - 0.8) < 0.01
    assert abs(same.mean() - 0.1) < 0.01
    other = there[~same & ~hidden]
    assert other.min() >= 5
    assert other.max() <= 999
    places = np.bincount(masked["pred_positions"].numpy().ravel(), minlength=64)
    assert (places[[0, 30, 63]] == 0).all()
    chosen = places[np.setdiff1d(np.arange(64), [0, 30, 63])]
    assert chosen.min() > 0.85 * chosen.mean()  # every word has the same chance


def test_masks_are_new_in_each_epoch_and_the_same_for_the_same_seed_and_epoch(small):
    again = wikitext.load("builtin", batch_size=64, max_len=32, min_freq=2)
    other = wikitext.load(Source("builtin", seed=1), batch_size=64, max_len=32, min_freq=2)

    def epoch(loaded, number):
        return [arrays(batch) for batch in loaded.epoch(number)]

    def same(some, others):
        return all(
            np.array_equal(one[key], two[key])
            for one, two in zip(some, others, strict=True)
            for key in one
        )

    assert same(epoch(small, 3), epoch(again, 3))
    resumed = [arrays(batch) for batch in again.epoch(3).skip(2)]
    assert same(epoch(small, 3)[2:], resumed)
    assert not same(epoch(small, 3), epoch(small, 4))
    assert not same(epoch(small, 3), epoch(other, 3))
    tests = [[arrays(batch) for batch in loaded.test] for loaded in (small, again, other)]
    assert same(tests[0], tests[1])
    assert same(tests[0], tests[2])  # all seeds are scored on the same masks


def test_half_of_the_second_sentences_follow_and_no_other_one_is_of_the_same_paragraph():
    paragraphs = [[f"p{i} s{j}" for j in range(4)] for i in range(300)]
    vocab = data.Vocab(
        [s.split() for p in paragraphs for s in p], reserved_tokens=bert_inputs.RESERVED
    )
    pairs = wikitext.sentence_pairs(paragraphs, vocab, 8, seed=0)
    assert len(pairs["nsp"]) == 900
    assert 0.45 < pairs["nsp"].mean() < 0.55
    for row, follows in zip(pairs["tokens"], pairs["nsp"], strict=True):
        p, s, q, t = (vocab.to_tokens(int(row[i])) for i in (1, 2, 4, 5))
        if follows:
            assert p == q
            assert int(t[1:]) == int(s[1:]) + 1
        else:
            assert p != q


def test_wikitext_is_read_as_the_book_reads_it(tmp_path):
    folder = tmp_path / "wikitext-2"
    folder.mkdir()
    text = (
        " \n = Heading = \n \n One two . Three FOUR . five \n Single sentence . \n A b . C d . \n"
    )
    (folder / "wiki.train.tokens").write_text(text, encoding="utf8")
    (folder / "valid.txt").write_text(text, encoding="utf8")
    source = Source("files", data_dir=tmp_path)
    expected = [["one two", "three four", "five"], ["a b", "c d ."]]
    assert wikitext.paragraphs(source) == expected
    assert wikitext.paragraphs(source, split="valid") == expected
    with pytest.raises(DataError, match=r"lacks wiki.test.tokens \(or test.txt\).*train, valid"):
        wikitext.paragraphs(source, split="test")
    with pytest.raises(DataError, match=r"lacks wiki\.train\.tokens"):
        wikitext.paragraphs(Source("files", data_dir=tmp_path / "none"))
    (folder / "valid.txt").write_text("no sentence here\n", encoding="utf8")
    with pytest.raises(DataError, match=r"valid.txt has 0 paragraphs"):
        wikitext.paragraphs(source, split="valid")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"max_len": 4}, "`max_len` must be at least 5"),
        ({"max_pairs": 0}, "`max_pairs` must be at least 1"),
        ({"train": "valid", "test": "valid"}, "two splits"),
        ({"min_freq": 10**6}, "`min_freq` leaves no token"),
        ({"max_len": 6}, "Use a larger max_len"),
    ],
)
def test_bad_numbers_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        wikitext.load("builtin", **numbers)


def test_the_real_files_have_the_books_paragraphs(real_data):
    source = Source("files", data_dir=real_data)
    for split, count in (("valid", 1673), ("test", 1847)):
        path = real_data / "wikitext-2" / f"{split}.txt"
        lines = path.read_text(encoding="utf8").split("\n")
        # the book counts a line of one sentence, too: its last full stop makes a second part
        book = [p.strip().lower().split(" . ") for p in lines if len(p.split(" . ")) >= 2]
        assert len(book) == count
        assert wikitext.paragraphs(source, split=split) == [p for p in book if len(p) >= 2]


@pytest.mark.slow
def test_a_million_words_are_ready_in_less_than_ten_seconds(real_data, tmp_path):
    real = real_data / "wikitext-2"
    (tmp_path / "wikitext-2").mkdir()
    some = [(real / f"{name}.txt").read_text(encoding="utf8") for name in ("valid", "test")]
    whole = "".join((some * 3)[:5])  # 1.1 million words
    (tmp_path / "wikitext-2" / "train.txt").write_text(whole, encoding="utf8")
    (tmp_path / "wikitext-2" / "valid.txt").write_text(some[0], encoding="utf8")
    began = time.process_time()  # seconds of this process, whoever else is on the machine
    loaded = wikitext.load(Source("files", data_dir=tmp_path))
    assert time.process_time() - began < 10
    assert loaded.size["train"] > 20_000


# Fine-tuning


def test_the_tasks_of_notes_and_sentences_keep_their_promises():
    for task in ("pair", "tokens", "span"):
        load = functools.partial(data.facts.load, task=task, examples=60, batch_size=8)
        check_data(load, augmented=task == "tokens")  # weights depend on the batch
    for texts in ("notes", "help"):
        check_data(functools.partial(data.acceptability.load, texts=texts, examples=60))
    # batches of another order are not equally wide: augmented
    check_data(lambda: data.snli.load_for_bert("builtin", batch_size=64), augmented=True)


def test_bert_reads_the_same_pairs_of_sentences_with_the_words_of_its_pretraining():
    known = ["<unk>", *bert_inputs.RESERVED, "journey", "begins", "in", "it"]
    loaded = data.snli.load_for_bert("builtin", batch_size=8, vocabulary=known)
    assert loaded.assets["vocabulary"] == known
    x, y = next(iter(loaded.test))
    expected = list(data.snli.pairs("builtin")["test"])[:8]
    assert y.numpy().tolist() == [label for *_, label in expected]
    cut = bert_inputs.TOKENIZER
    sides = ([cut(pair[side]) for pair in expected] for side in (0, 1))
    rows = bert_inputs.rows(data.Vocab.from_list(known), *sides, x["tokens"].shape[1])
    for name, array in x.items():
        np.testing.assert_array_equal(array.numpy(), rows[name], name)


def words_of(loaded, row):
    return [loaded.assets["vocabulary"][i] for i in row if i != PAD]


def test_a_claim_follows_if_the_note_names_it():
    loaded = data.facts.load(task="pair", examples=300)
    x, y = next(iter(loaded.train))[:2]
    seen = set()
    for row, label in zip(x["tokens"].numpy(), y.numpy(), strict=True):
        note, claim = " ".join(words_of(loaded, row)[1:-1]).split(" <sep> ")
        number, unit = claim.removesuffix(" .").split(" ", 1)
        expected = "neutral" if f" {unit} " not in f" {note} " else "contradiction"
        expected = "entailment" if f" {number} {unit} " in f" {note} " else expected
        assert loaded.assets["class_names"][label] == expected
        seen.add(expected)
    assert len(seen) == 3


def test_tags_belong_to_their_words():
    loaded = data.facts.load(task="tokens", examples=300)
    x, y, weights = next(iter(loaded.train))
    names = np.array(loaded.assets["class_names"])
    for row, tags in zip(x["tokens"].numpy(), y.numpy(), strict=True):
        words = words_of(loaded, row)
        tagged = dict(zip(words[1:-1], names[tags[1 : len(words) - 1]], strict=True))
        assert tags[0] == 0
        assert (tags[len(words) - 1 :] == 0).all()
        assert tagged["."] == tagged["on"] == "other"
        assert sum(tag == "year" for tag in tagged.values()) == 1
        (year,) = (word for word, tag in tagged.items() if tag == "year")
        assert 1950 <= int(year) < 2051
    real = y.numpy() != 0
    np.testing.assert_allclose(weights.numpy(), real * (real.size / real.sum()), rtol=1e-6)


def test_answers_are_where_the_labels_say():
    loaded = data.facts.load(task="span", examples=300)
    x, y = next(iter(loaded.train))[:2]
    for i, row in enumerate(x["tokens"].numpy()):
        words = words_of(loaded, row)
        answer = words[y["start"][i].numpy() : y["end"][i].numpy() + 1]
        asked = words[1 : words.index("?")]
        if asked[:2] == ["how", "many"]:
            assert answer[0].isdigit()
            assert answer[-1] == asked[2]
        elif asked[1] in ("day", "year"):
            assert len(answer) == 1
            assert answer[0].isdigit()
        else:
            assert len(answer) == 1
            assert answer[0].isalpha()
    with pytest.raises(ValueError, match="`max_len` is too small for the answers"):
        data.facts.load(task="span", max_len=12)


def test_both_forms_of_a_sentence_are_in_one_split():
    made = data.acceptability.sentences(46)
    splits = [[], []]
    for i, (words, _, label) in enumerate(made):
        splits[i % 10 == 9].append((tuple(sorted(words)), label))
    train, test = ({words for words, _ in split} for split in splits)
    assert not train & test
    for split in splits:
        assert sorted(w for w, label in split if label) == sorted(w for w, k in split if not k)


def test_half_of_the_notes_have_two_words_of_different_kinds_in_each_others_place():
    made = data.acceptability.notes(2000)
    notes = data.facts.notes(2000)
    assert 950 < sum(label for *_, label in made) < 1050
    can_be_said = {note.words for note in notes}
    for (words, _, label), note in zip(made, notes, strict=True):
        places = [i for i, word in enumerate(words) if word != note.words[i]]
        assert (tuple(words) in can_be_said) == bool(label), words
        assert len(places) == (0 if label else 2)
        tags = [note.tags[i] for i in places]
        assert (len(set(tags)) == len(tags) and not set(tags) <= {"day", "year", "number"}) or label
    with pytest.raises(ValueError, match="`texts` must be notes or help"):
        data.acceptability.load(texts="tweets")
    with pytest.raises(ValueError, match="`examples` must be at least 20"):
        data.acceptability.load(examples=5)


def test_a_pretrained_vocabulary_keeps_its_numbers():
    known = ["<unk>", *bert_inputs.RESERVED, "25", "kilometers"]
    loaded = data.facts.load(task="tokens", examples=40, vocabulary=known)
    assert loaded.assets["vocabulary"] == known
    with pytest.raises(DataError, match="--data builtin"):
        data.facts.load("files")
    with pytest.raises(ValueError, match="`examples` must be at least 20"):
        data.facts.load(examples=3)
    with pytest.raises(ValueError, match="`task` must be"):
        data.facts.load(task="words")
