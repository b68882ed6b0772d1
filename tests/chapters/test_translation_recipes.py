"""The translators' recipes, and the demos of encoder, search and scores."""

import gzip
import json

import numpy as np
import pytest

from kerasd2l import load, training
from kerasd2l.chapters.recurrent_modern import seq2seq
from kerasd2l.data import DataError, Source
from kerasd2l.export import export

SMALL = {"num_examples": 256, "num_hiddens": 32, "num_layers": 1, "num_steps": 8}


def trained(found, epochs=1, strategy=None, limit=None):
    """Train a recipe on the built-in pairs; return model, data and history."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    strategy = strategy or tf.distribute.get_strategy()
    loaded = found.data(Source("builtin", seed=1))
    with strategy.scope():
        model = found.model(loaded)
        model.compile(found.optimizer(), found.loss(), metrics=found.metrics())
    history = training.train(model, loaded, epochs=epochs, strategy=strategy, limit_steps=limit)
    return model, loaded, history


def test_the_loss_is_the_mean_over_real_tokens_or_the_books():
    import keras

    found = {}
    for divide_by in ("tokens", "steps"):
        recipe = load("seq2seq_gru", **SMALL, divide_by=divide_by, dropout_rate=0.0, batch_size=64)
        keras.utils.set_random_seed(3)
        loaded = recipe.data(Source("builtin", seed=1))
        model = recipe.model(loaded)
        model.compile(recipe.optimizer(), recipe.loss(), run_eagerly=True)  # nothing to trace
        x, y, weights = next(iter(loaded.train))
        found[divide_by] = model.evaluate(x, y, sample_weight=weights, verbose=0)
        losses = keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True)
        y, losses = np.asarray(y), np.asarray(losses)
    real = y != 1
    assert found["tokens"] == pytest.approx(losses[real].mean(), rel=1e-5)
    assert found["steps"] == pytest.approx(losses[real].sum() / y.size, rel=1e-5)


def test_training_learns():
    _, _, history = trained(
        load("seq2seq_gru", **SMALL, learning_rate=0.02, batch_size=32), epochs=4
    )
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert history[-1]["test_perplexity"] == pytest.approx(np.exp(history[-1]["test_loss"]), 0.02)


@pytest.mark.slow  # every recipe's two replicas are checked by test_recipes.py
def test_two_replicas_are_as_one_when_sentences_differ_in_length():
    found = load("seq2seq_gru", **SMALL, dropout_rate=0.0, clip_norm=0.5, batch_size=24)
    one, _, first = trained(found, limit=4)
    strategy = training.make_strategy("mirrored", replicas=2)
    two, _, second = trained(found, strategy=strategy, limit=4)
    assert second[0]["train_loss"] == pytest.approx(first[0]["train_loss"], abs=1e-5)
    for variable, other in zip(one.trainable_variables, two.trainable_variables, strict=True):
        np.testing.assert_allclose(
            np.asarray(variable), np.asarray(other), atol=1e-4, err_msg=variable.path
        )


def write(folder, **files):
    folder.mkdir(parents=True)
    text = "A dog .\n" * 40
    for split in ("train", "val", "test_2016_flickr"):
        for language in ("en", "fr"):
            content = files.get(f"{split}_{language}", text.encode())
            (folder / f"{split}.{language}.gz").write_bytes(gzip.compress(content))
    return folder.parent


def test_files_of_different_length_or_in_another_encoding(tmp_path):
    read = load("seq2seq_gru").data
    odd = write(tmp_path / "odd" / "multi30k", train_fr=b"Un chien .\n" * 39)
    with pytest.raises(DataError, match=r"train.en.gz has 40 lines, .*train.fr.gz has 39"):
        read(Source("files", data_dir=odd))
    latin = write(tmp_path / "latin" / "multi30k", train_fr="Une fée .\n".encode("latin1") * 40)
    with pytest.raises(DataError, match=r"train.fr.gz, line 1: not UTF-8 .*Save the file in UTF-8"):
        read(Source("files", data_dir=latin))
    hole = write(tmp_path / "hole" / "multi30k", val_en=b"A dog .\n\n" * 20)
    with pytest.raises(DataError, match=r"val.en.gz, line 2: an empty line"):
        read(Source("files", data_dir=hole))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beam_size": 0}, "`beam_size` must be 1 to 100. Received: beam_size=0"),
        ({"length_exponent": -1.0}, "`length_exponent` must be a number of at least 0"),
        ({"clip_norm": 0.0}, "`clip_norm` must be positive"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load("seq2seq_gru", **arguments)
    with pytest.raises(ValueError, match=message):
        load("seq2seq_lstm", **arguments)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_shapes_of_encoder_and_decoder(cell):
    values = load("encoder_decoder", cell=cell).run().values
    assert values["outputs of the encoder (B, S, H)"] == [4, 7, 16]  # the book's, batch first
    assert values["hidden states of the encoder (layers, B, H)"] == [2, 4, 16]
    assert values["logits of the decoder (B, T, V)"] == [4, 7, 10]
    assert values["states in each layer"] == {"gru": 1, "lstm": 2}[cell]
    assert values["change of the logits by longer padding"] < 1e-6
    assert values["change if decoded step by step"] < 1e-6
    assert values["change if the padding were read as words"] > 1e-3


def test_searches_of_the_books_example():
    found = load("search_strategies", beam_size=3).run()
    values = found.values
    assert values["greedy: found"] == "A B C <eos>"
    assert values["greedy: probability"] == pytest.approx(0.048)  # d2l, "beam-search"
    for name in ("beam of 3", "all sequences"):
        assert values[f"{name}: found"] == "A C B <eos>"
        assert values[f"{name}: probability"] == pytest.approx(0.054)  # there, too
        assert values[f"{name}: score"] == pytest.approx(np.log(0.054) / 4**0.75, rel=1e-5)
    assert values["most probable without reward for length"] in ("<eos>", "A <eos>")
    assert values["its probability"] == pytest.approx(0.1, rel=1e-5)
    assert list(found.figures) == ["search"]
    with pytest.raises(ValueError, match="`beam_size` must be at least 1"):
        load("search_strategies", beam_size=0)
    with pytest.raises(ValueError, match="`length_exponent` must be a number of at least 0"):
        load("search_strategies", length_exponent=float("nan"))


def test_scores_of_the_books_translation():
    values = load("bleu_scores").run().values
    # precisions 4/5 and 3/4 (d2l, "seq2seq"), one word too few
    assert values["A B B C D"]["k = 2"] == pytest.approx(
        np.exp(1 - 6 / 5) * (4 / 5) ** 0.5 * (3 / 4) ** 0.25
    )
    assert values["A B B C D"]["k = 4"] == 0 and values["X Y Z"]["k = 1"] == 0
    assert values["A B C D E F"]["k = 4"] == 1


@pytest.mark.slow
def test_report_of_a_saved_translator(tmp_path):
    found = load("seq2seq_gru", **{**SMALL, "num_examples": None}, learning_rate=0.02)
    model, loaded, _ = trained(found, epochs=2)
    path = export(model, "x/y", found.endpoints, loaded.assets, tmp_path, name="small")
    result = load("translation_report", model=str(path.parent), count=40, beam_size=3).run()
    values = result.values
    assert values["sentences"] == 40
    for name in ("greedy", "beam 3"):
        assert 0 <= values[f"{name}: right to the letter"] < 1
        assert 0 < values[f"{name}: mean of the book's BLEU, k = 2"] < 1
    groups = [value for key, value in values.items() if key.startswith("sentences of ")]
    assert sum(group.pop("number") for group in groups) == 40
    assert all(set(group) == {"greedy", "beam 3"} for group in groups)
    table = [value for value in values.values() if isinstance(value, dict)][len(groups) :]
    assert len(table) == 10
    assert all(set(row) == {"reference", "greedy", "beam 3"} for row in table)
    assert any(row["reference"].lower() != row["greedy"] for row in table)
    assert list(result.figures) == ["lengths"]
    json.dumps(dict(values))  # plain data


def test_corpus_bleu_is_sacrebleus(monkeypatch):
    references = ["Deux chiens jouent.", "Un homme, assis !"]
    monkeypatch.setattr(seq2seq.importlib.util, "find_spec", lambda name: None)
    summary = seq2seq._score(["deux chiens jouent .", "rien"], references)
    assert summary["sacreBLEU"] == "not computed: pip install sacrebleu"
    assert summary["right to the letter"] == 0.5
    monkeypatch.undo()
    pytest.importorskip("sacrebleu")
    summary = seq2seq._score(["deux chiens jouent .", "un homme , assis !"], references)
    assert summary["sacreBLEU"] == pytest.approx(100) and "tok:13a" in summary["signature"]
    summary = seq2seq._score(["deux chiens jouent .", "rien du tout"], references)
    assert 0 < summary["sacreBLEU"] < 100


def test_scores_by_length_are_those_of_the_sentences_of_that_length(monkeypatch):
    monkeypatch.setattr(seq2seq.importlib.util, "find_spec", lambda name: None)
    texts = ["a", "a b", "a b c", "a b c d", "a b c d e f g h"]
    good, bad = list(texts), ["x", "x", "a b c", "x", "x"]
    scores = seq2seq._by_length(texts, {"good": good, "bad": bad}, texts, (2, 4, 6))
    assert scores == {  # no sentence has 5 or 6 words
        "1-2": {"number": 2, "good": 1, "bad": 0},
        "3-4": {"number": 2, "good": 1, "bad": 0.5},
        "over 6": {"number": 1, "good": 1, "bad": 0},
    }
    axes = seq2seq._draw(scores, ["good", "bad"]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == list(scores)
    assert axes.lines[1].get_ydata().tolist() == [0, 0.5, 0]
    monkeypatch.undo()
    pytest.importorskip("sacrebleu")
    scores = seq2seq._by_length(texts, {"good": good, "bad": bad}, texts, (2, 4))
    assert scores["over 4"]["good"] == pytest.approx(100) and scores["over 4"]["bad"] == 0


def test_several_translators_are_compared_on_what_none_was_trained_on(monkeypatch):
    pairs = [(f"{i} days of the week", f"{i} jours de la semaine") for i in range(6)]
    splits = {"one": pairs[:4], "other": pairs[2:]}
    monkeypatch.setattr(seq2seq, "_test_pairs", lambda source, arguments: splits[arguments["who"]])

    def translator(who, word):
        def translate(texts, k, exponent):
            return [text.replace("days of the", word).replace("week", "semaine") for text in texts]

        return seq2seq._Translator(translate, {"who": who})

    both = {"one": translator("one", "jours de la"), "other": translator("other", "rien")}
    searches = {"greedy": (1, 0.0), "beam 2": (2, 0.75)}
    found = seq2seq._report(both, "builtin", 1000, searches, (4, 8), timed=False).values
    assert found["sentences"] == 2
    for search in searches:
        assert found[f"one, {search}: right to the letter"] == 1
        assert found[f"other, {search}: right to the letter"] == 0
    assert found["1. 2 days of the week"]["other, greedy"] == "2 rien semaine"
    groups = found["sentences of 5-8 words"]
    assert groups["number"] == 2 and groups["one, beam 2"] > groups["other, beam 2"]
    splits["other"] = pairs[4:]
    with pytest.raises(DataError, match="share no pairs"):
        seq2seq._report(both, "builtin", 1000, searches, (4, 8), timed=False)


def test_report_tests_with_pairs_that_were_not_trained_on(tmp_path, monkeypatch):
    lines = [f"It is {hour} o'clock.\tIl est {hour} heures.\n" for hour in range(20)]
    (tmp_path / "fra-eng").mkdir()
    (tmp_path / "fra-eng" / "fra.txt").write_text("".join(lines), "utf8")
    monkeypatch.setenv("KERASD2L_DATA", str(tmp_path))
    arguments = {"corpus": "fra", "num_examples": 15, "longer": "cut", "num_steps": 8}
    found = seq2seq._test_pairs("files", arguments)
    assert [english for english, _ in found] == [f"It is {hour} o'clock." for hour in range(15, 20)]
    with pytest.raises(DataError, match=r"no pairs to test with: .* trained on all 20 pairs"):
        seq2seq._test_pairs("files", arguments | {"num_examples": None})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0),
        ("epochs", 0),
        ("beam_size", 101),
        ("length_exponent", float("nan")),
        ("lengths", (8, 4)),
        ("lengths", ()),
        ("model", ("a", "b", "a")),
    ],
)
def test_report_refuses(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        load("translation_report", **{name: value})
