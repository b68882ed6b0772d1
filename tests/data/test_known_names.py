"""With the assets of a run, classes and words keep their numbers, whatever data come after."""

import gzip

import numpy as np
import pytest

from kerasd2l.data import Source, shakespeare, tfds_sets, time_machine, translation
from kerasd2l.data.sets import kaggle_house, names
from kerasd2l.data.source import DataError


def first(dataset):
    return next(iter(dataset.as_numpy_iterator()))


def write_names(folder, countries):
    (folder / "names").mkdir(parents=True)
    rows = "".join(f"Anna{i},{country}\n" for i, country in enumerate(countries * 3))
    for name in names.FILES:
        (folder / "names" / name).write_bytes(gzip.compress(rows.encode()))
    return Source("files", folder)


def pinned(source, assets):
    return Source(source.kind, source.data_dir, assets=assets)


def test_names_of_fewer_countries_keep_their_numbers_and_new_ones_are_named(tmp_path):
    assets = names.load(write_names(tmp_path / "all", ["Chad", "Fiji", "Mali"])).assets
    few = write_names(tmp_path / "few", ["Mali", "Fiji"])
    loaded = names.load(pinned(few, assets))
    assert loaded.assets == assets
    assert set(first(loaded.test)[1].tolist()) == {1, 2}
    one = write_names(tmp_path / "one", ["Mali"])
    assert set(first(names.load(pinned(one, assets)).test)[1].tolist()) == {2}
    more = write_names(tmp_path / "more", ["Mali", "Peru"])
    with pytest.raises(DataError, match=r"has the class 'Peru', which the model was not trained"):
        names.load(pinned(more, assets))


@pytest.mark.parametrize("partition", ["sequential", "random"])
def test_another_text_is_read_with_the_letters_of_the_first(partition, tmp_path, caplog):
    """The letters' numbers go by frequency, which differs from text to text."""
    options = {"batch_size": 1, "num_steps": 5, "max_tokens": 40, "held_out_tokens": 20}
    options["partition"] = partition

    def source(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "timemachine.txt").write_text(text)
        return Source("files", tmp_path / name)

    assets = time_machine.load(source("one", "aab " * 50), **options).assets
    assert assets["vocabulary"][:2] == ["<unk>", "a"]
    other = source("two", "bba " * 50)
    loaded = time_machine.load(pinned(other, assets), **options)
    assert loaded.assets == assets
    word = np.array([assets["vocabulary"].index(c) for c in "bba"])
    assert not caplog.records
    x, _ = first(loaded.test)
    numbers = x.ravel().tolist()
    assert set(numbers) <= {assets["vocabulary"].index(c) for c in "ab "}
    assert any(numbers[i : i + 3] == word.tolist() for i in range(3))
    strange = source("three", "xyz " * 50)
    loaded = time_machine.load(pinned(strange, assets), **options)
    assert set(first(loaded.test)[0].ravel()) <= {0, assets["vocabulary"].index(" ")}  # 0: <unk>
    assert "tokens are not in the model's vocabulary" in caplog.text


def test_shakespeare_keeps_its_letters(tmp_path):
    for name, text in (("one", "Aab\n" * 30), ("two", "bbA\n" * 30)):
        (tmp_path / name / "shakespeare").mkdir(parents=True)
        (tmp_path / name / "shakespeare" / "input.txt").write_text(text)
    options = {"batch_size": 1, "num_steps": 3, "max_tokens": 40, "held_out_tokens": 20}
    assets = shakespeare.load(Source("files", tmp_path / "one"), **options).assets
    source = Source("files", tmp_path / "two", assets=assets)
    assert shakespeare.load(source, **options).assets == assets


def test_sentence_pairs_keep_the_words_of_both_languages(tmp_path):
    def source(name, lines, assets=None):
        (tmp_path / name / "fra-eng").mkdir(parents=True)
        (tmp_path / name / "fra-eng" / "fra.txt").write_text("".join(lines))
        return Source("files", tmp_path / name, assets=assets)

    options = {"corpus": "fra", "batch_size": 2, "num_steps": 4, "min_freq": 1, "num_examples": 4}
    one = source("one", ["go now\tva maintenant\n", "go\tva\n"] * 3)
    assets = translation.load(one, **options).assets
    two = source("two", ["now\tmaintenant\n", "stop\tstop\n"] * 3, assets)
    loaded = translation.load(two, **options)
    assert loaded.assets == assets
    rows = {tuple(row) for x, _, _ in loaded.train.as_numpy_iterator() for row in x["source"]}
    known = assets["source_vocabulary"].index("now")
    eos, pad = translation.EOS, translation.PAD
    assert rows == {(known, eos, pad, pad), (0, eos, pad, pad)}


def test_houses_are_scaled_as_those_of_the_training():
    assets = kaggle_house.load("builtin").assets
    shifted = {
        **assets,
        "numeric": {column: [mean + 10, std] for column, (mean, std) in assets["numeric"].items()},
    }
    before = kaggle_house.load("builtin").x
    after = kaggle_house.load(Source("builtin", assets=shifted))
    stds = np.array([std for _, std in assets["numeric"].values()], np.float32)
    missing = before[:, : len(stds)] == 0
    np.testing.assert_allclose(
        np.where(missing, 0, after.x[:, : len(stds)] - before[:, : len(stds)]),
        np.where(missing, 0, -10 / stds),
        atol=1e-4,
    )
    assert after.assets == shifted


def test_a_set_of_tfds_with_other_numbers_for_its_classes(tmp_path):
    from test_tfds_sets import builder_class

    for name, classes in (("OwnFirst", ("blue", "green", "red")), ("OwnSecond", ("red", "blue"))):
        builder_class(name, (8, 8, 3), names=classes)(data_dir=tmp_path).download_and_prepare()
    assets = tfds_sets.load(str(tmp_path / "own_first" / "1.0.0"), batch_size=4).assets
    second = str(tmp_path / "own_second" / "1.0.0")
    plain = tfds_sets.load(second, batch_size=4)
    known = tfds_sets.load(second, Source("tfds", assets=assets), batch_size=4)
    assert known.assets == assets
    number = np.array([2, 0])  # red, blue
    for (_, y), (_, now) in zip(plain.test, known.test, strict=True):
        np.testing.assert_array_equal(number[y.numpy()], now.numpy())
    with pytest.raises(DataError, match="has the class 'green', which the model was not trained"):
        tfds_sets.load(
            str(tmp_path / "own_first" / "1.0.0"), Source("tfds", assets=plain.assets), batch_size=4
        )
