import gzip
import hashlib
import io
import os
import zipfile

import numpy as np
import pytest

from kerasd2l.data import DataError, Source, Vocab
from kerasd2l.data.sets import translation
from kerasd2l.testing import check_data
from kerasd2l.training import make_strategy

REAL = os.environ.get("KERASD2L_DATA")
FRA = [
    ("Go.", "Va !"), ("Hi.", "Salut !"), ("Run!", "Cours\u202f!"), ("Run!", "Courez\u202f!"),
    ("Who?", "Qui ?"), ("Wow!", "Ça alors\u202f!"),
]  # fmt: skip


@pytest.fixture
def fra(tmp_path):
    (tmp_path / "fra-eng").mkdir()

    def write(content):
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "fra-eng" / "fra.txt").write_bytes(content)
        return Source("files", tmp_path)

    return write


def tabbed(pairs):
    return "".join(f"{english}\t{french}\n" for english, french in pairs)


@pytest.fixture
def multi30k(tmp_path):
    (tmp_path / "multi30k").mkdir()

    def write(**sides):
        for split in ("train", "val", "test_2016_flickr"):
            for language in ("en", "fr"):
                lines = sides.get(f"{split}_{language}", ["a b ."] * 3)
                content = lines if isinstance(lines, bytes) else "\n".join([*lines, ""]).encode()
                (tmp_path / "multi30k" / f"{split}.{language}.gz").write_bytes(
                    gzip.compress(content)
                )
        return Source("files", tmp_path)

    return write


def test_the_first_pairs_are_the_books(fra):
    pairs = translation.pairs(fra(tabbed(FRA)), corpus="fra")["train"]
    english, french = translation.tokenize_pairs(pairs)
    # printed in d2l-zh
    assert english == [
        ["go", "."],
        ["hi", "."],
        ["run", "!"],
        ["run", "!"],
        ["who", "?"],
        ["wow", "!"],
    ]
    assert [" ".join(line) for line in french] == [
        "va !", "salut !", "cours !", "courez !", "qui ?", "ça alors !",
    ]  # fmt: skip


def test_exactly_num_examples_pairs_and_a_test_set_with_other_english(fra):
    source = fra(tabbed(FRA) + "Run!\tFile !\tCC-BY 2.0 (France)\n")
    splits = translation.pairs(source, corpus="fra", num_examples=3, num_test=2)
    assert splits["train"] == FRA[:3]  # not num_examples + 1
    assert splits["test"] == FRA[4:6]  # the second "Run!" would be known
    assert "test" not in translation.pairs(source, corpus="fra")
    assert translation.load(source, corpus="fra", num_examples=3).size == {"train": 3, "test": 2}


def test_arrays_as_the_book_builds_them(fra):
    data = translation.load(fra(tabbed(FRA)), corpus="fra", batch_size=6, num_steps=4, min_freq=1)
    source, target = (
        Vocab.from_list(data.assets[f"{side}_vocabulary"]) for side in ("source", "target")
    )
    for vocab in (source, target):
        assert vocab[["<unk>", "<pad>", "<bos>", "<eos>"]] == [0, 1, 2, 3]
    x, y, _ = next(iter(data.epoch(0)))
    order = np.random.default_rng([0, 0]).permutation(6)
    place = int(np.flatnonzero(order == 5)[0])
    assert x["source"][place].numpy().tolist() == [*source[["wow", "!"]], 3, 1]
    assert y[place].numpy().tolist() == [*target[["ça", "alors", "!"]], 3]
    assert x["decoder_input"][place].numpy().tolist() == [2, *target[["ça", "alors", "!"]]]
    assert int(x["source_lengths"][place]) == 3
    cut = translation.load(fra(tabbed(FRA)), corpus="fra", num_steps=2, min_freq=1)
    _, y, _ = next(iter(cut.epoch(0)))
    assert y.shape == (6, 2) and 3 not in y.numpy()


@pytest.mark.parametrize("batch_size", [6, 4])
def test_weights_make_keras_mean_the_mean_over_real_tokens(fra, batch_size):
    options = {"corpus": "fra", "batch_size": batch_size, "num_steps": 5}
    for _, y, w in translation.load(fra(tabbed(FRA)), **options).epoch(0):
        real = y.numpy() != 1
        np.testing.assert_allclose(w, real * (real.size / real.sum()), rtol=1e-6)
    for _, y, w in translation.load(fra(tabbed(FRA)), weights="steps", **options).epoch(0):
        np.testing.assert_array_equal(w, (y.numpy() != 1).astype("float32"))
    assert len(translation.load(fra(tabbed(FRA)), weights=None, **options).train.element_spec) == 2


def test_longer_sentences_can_be_dropped_from_the_training_set_before_counting(fra):
    pairs = [("a b c d", "w"), ("a b", "w x"), ("a", "v w x y z"), ("a b c", "w x y")]
    source = fra(tabbed(pairs))
    options = {"corpus": "fra", "num_steps": 4, "min_freq": 1}
    data = translation.load(source, longer="drop", num_examples=2, **options)
    assert data.size == {"train": 2}
    assert "d" not in data.assets["source_vocabulary"]
    with pytest.raises(ValueError, match="no pair has at most 1 words"):
        translation.load(source, longer="drop", corpus="fra", num_steps=2, num_examples=1)


def test_builtin_pairs_can_be_learned():
    splits = translation.builtin()
    assert splits == translation.builtin()
    train, test = splits["train"], splits["test"]
    assert not set(train) & set(test) and len(set(train)) == len(train) > 4000
    assert 0.09 < len(test) / (len(train) + len(test)) < 0.11
    sides = translation.tokenize_pairs(train), translation.tokenize_pairs(test)
    for known, new in zip(*sides, strict=True):
        vocab = Vocab(known, min_freq=5)
        assert all(0 not in vocab[line] for line in new), "a word of the test is not learned"
        assert max(map(len, known)) <= 9
    assert ("March 1987", "mars 1987") in train + test
    data = check_data(
        lambda: translation.load("builtin", batch_size=64, num_examples=None, weights=None)
    )
    assert data.size == {"train": len(train), "test": len(test)}


def test_multi30k_files(multi30k):
    source = multi30k(train_en=["One dog.", "Two."], train_fr=["Un chien.", "Deux."])
    data = translation.load(source, batch_size=2, num_steps=5, min_freq=1)
    assert data.size == {"train": 2, "valid": 3, "test": 3}
    assert data.assets["source_vocabulary"][4:] == [".", "one", "dog", "two"]


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({"train_fr": ["x"] * 4}, r"train\.en\.gz has 3 lines, .*train\.fr\.gz has 4"),
        ({"val_en": ["x", " ", "x"]}, r"val\.en\.gz, line 2: an empty line"),
        ({"test_2016_flickr_fr": b"x\nx\n\xe9t\xe9\n"}, r"flickr\.fr\.gz, line 3: not UTF-8"),
        ({"train_en": b"", "train_fr": b""}, r"train\.en\.gz is empty"),
    ],
)
def test_wrong_multi30k_files_are_named(multi30k, sides, message):
    with pytest.raises(DataError, match=message):
        translation.load(multi30k(**sides))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Go.\tVa !\nHi. Salut !\n", r"fra\.txt, line 2: expected a sentence, a tab"),
        ("Go.\t \n", r"fra\.txt, line 1: expected a sentence, a tab"),
        ("Go.\tVa !\n\nHi.\tSalut !\n", r"fra\.txt, line 2: an empty line"),
        (b"Go.\tVa\xff !\n", r"fra\.txt, line 1: not UTF-8"),
        ("", r"fra\.txt is empty"),
    ],
)
def test_a_wrong_fra_file_is_named_with_its_line(fra, content, message):
    with pytest.raises(DataError, match=message):
        translation.load(fra(content), corpus="fra")


def test_download_of_the_books_archive(server, monkeypatch):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("fra-eng/_about.txt", "about")
        archive.writestr("fra-eng/fra.txt", tabbed(FRA))
    server.files["fra-eng.zip"] = file.getvalue()
    digest = hashlib.sha1(file.getvalue(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(translation, "FRA_URL", server.url + "fra-eng.zip")
    monkeypatch.setattr(translation, "FRA_SHA1", digest)
    for _ in range(2):
        assert translation.pairs("download", corpus="fra")["train"] == FRA
    assert len(server.requests) == 1


def test_bad_arguments(fra):
    source = fra(tabbed(FRA))
    for options, message in (
        ({"corpus": "spa"}, "corpus='spa'"),
        ({"longer": "keep"}, "longer='keep'"),
        ({"weights": "words"}, "'words'"),
        ({"num_steps": 1}, "num_steps=1"),
        ({"num_examples": 0}, "num_examples=0"),
    ):
        with pytest.raises(ValueError, match=message):
            translation.load(source, **({"corpus": "fra"} | options))


@pytest.mark.skipif(not REAL, reason="needs the real files under $KERASD2L_DATA")
def test_real_multi30k():
    data = translation.load(Source("files", REAL), num_steps=20)
    assert data.size == {"train": 600, "valid": 1014, "test": 1000}
    splits = translation.pairs(Source("files", REAL))
    assert {split: len(pairs) for split, pairs in splits.items()} == {
        "train": 29000, "valid": 1014, "test": 1000,
    }  # fmt: skip
    assert splits["train"][0] == (
        "Two young, White males are outside near many bushes.",
        "Deux jeunes hommes blancs sont dehors près de buissons.",
    )


def test_replicas_that_share_a_batch_agree_on_the_mean_over_real_tokens():
    import keras
    import tensorflow as tf

    from kerasd2l.training import train

    data = translation.load("builtin", batch_size=6, num_steps=8, num_examples=24)

    def trained(strategy):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            words = keras.Input((None,), dtype="int32", name="decoder_input")
            others = [
                keras.Input((None,), dtype="int32", name="source"),
                keras.Input((), dtype="int32", name="source_lengths"),
            ]
            size = len(data.assets["target_vocabulary"])
            logits = keras.layers.Embedding(size, size, name="table")(words)
            inputs = {tensor.name: tensor for tensor in (words, *others)}
            model = keras.Model(inputs, logits)
            model.compile(
                keras.optimizers.SGD(5.0),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            )
        history = train(model, data, epochs=2, strategy=strategy, limit_steps=4)
        return model.get_weights()[0], history[-1]

    one, figures = trained(tf.distribute.get_strategy())
    two, shared = trained(make_strategy("mirrored", replicas=2))
    np.testing.assert_allclose(two, one, atol=1e-5)
    for name in ("train_loss", "test_loss"):
        assert shared[name] == pytest.approx(figures[name], rel=1e-5)
