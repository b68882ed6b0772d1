"""A text in, a longer text out: `serving_default` and `generate` of a language model."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from kerasd2l import layers, models
from kerasd2l.cli import main
from kerasd2l.data import Tokenizer, Vocab, text
from kerasd2l.decoding import generate
from kerasd2l.endpoints import text_generator
from kerasd2l.export import export, verify
from kerasd2l.serving import InputError, load
from kerasd2l.testing.elsewhere import without_this_library

LETTERS = Tokenizer("char", text.LETTERS)
WORDS = Tokenizer("word", text.LETTERS)
RAW = Tokenizer("char", (), lower=False, strip=False)
LINES = ["the time traveller for so it will be convenient to speak of him", "was expounding"]


def language_model(vocab, units=16, kind="gru"):
    """Make a model that does not write one letter only."""
    keras.utils.set_random_seed(1)
    make = {"gru": layers.GRU, "lstm": layers.LSTM, "rnn": layers.SimpleRNN}
    both = {"return_sequences": True, "return_state": True}
    if kind == "bidirectional":
        recurrent = keras.layers.Bidirectional(layers.LSTM(units, **both))
    else:
        recurrent = make[kind](units, **both)
    model = models.language_model(len(vocab), recurrent)
    random = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(random.normal(size=weight.shape, scale=units**-0.5 * 3))
    return model


def exported(tokenizer, folder, elsewhere=False, num_tokens=12, **options):
    vocab = Vocab([tokenizer(line) for line in LINES])
    model = language_model(vocab, **options)
    assets = {"vocabulary": vocab.tokens, "tokenizer": tokenizer.to_assets()}
    endpoints = text_generator(models.step_by_step, num_tokens=num_tokens)
    path = export(model, "tests/writer", endpoints, assets, folder, name="writer")
    if elsewhere:  # all texts again in a process that has neither this library nor Keras
        found = verify(path, model, endpoints, assets, start=without_this_library())
        signatures = ("serving_default", "generate")
        assert set(found) == {
            f"{s}/{o}" for s in signatures for o in ("text", "characters_left_out")
        }
    return path, model, vocab


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return exported(LETTERS, tmp_path_factory.mktemp("writer"), elsewhere=True)


def ask(served, *prefixes, **settings):
    signature = "generate" if settings else "serving_default"
    arrays = {"prefix": np.array(prefixes, dtype=object), **settings}
    return [item.decode() for item in served.call(arrays, signature)["text"]]


@pytest.mark.parametrize(
    "kind",
    ["gru", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("lstm", "bidirectional"))],
)
def test_the_savedmodel_writes_what_the_keras_model_writes(tmp_path, kind):
    elsewhere = kind in ("lstm", "bidirectional")
    n = 5 if kind == "bidirectional" else 12  # that one reads all anew for every letter
    path, model, vocab = exported(LETTERS, tmp_path, elsewhere, n, kind=kind)
    served = load(path)
    prefixes = ("the time", "s", "was ex")
    for settings in ({}, {"temperature": 0.8, "seed": 11, "num_tokens": n}):
        found = ask(served, *prefixes, **settings)
        ids, lengths = text.pad_batch([vocab[list(prefix)] for prefix in prefixes], padding=0)
        written = generate(
            *models.step_by_step(model), ids, lengths=lengths, **{"num_tokens": n, **settings}
        )
        for prefix, one, tokens in zip(prefixes, found, np.asarray(written), strict=True):
            assert one == prefix + "".join(vocab.to_tokens(tokens))
        assert len(set(found[0][8:])) > 1
    content = (path / "saved_model.pb").read_bytes()
    assert b"cudnn" not in content.lower()


def test_seeds(writer):
    served = load(writer[0])
    one = ask(served, "the ", "the ", temperature=1.0, seed=2**40 + 1, num_tokens=30)
    assert one[0] != one[1]  # rows draw on their own
    assert one == ask(served, "the ", "the ", temperature=1.0, seed=2**40 + 1, num_tokens=30)
    assert one != ask(served, "the ", "the ", temperature=1.0, seed=1, num_tokens=30)
    assert one[:1] == ask(served, "the ", temperature=1.0, seed=2**40 + 1, num_tokens=30)
    assert ask(served, "the ", temperature=1.0, num_tokens=30, seed=-1)
    greedy = ask(served, "the ", num_tokens=30)
    assert greedy == ask(served, "the ", num_tokens=30, seed=9)


def test_prefixes_are_cleaned_but_keep_the_space_at_their_end(writer):
    served = load(writer[0])
    assert ask(served, "The TIME!")[0].startswith("the time ")
    assert ask(served, "THE [the", num_tokens=0) == ["the the"]
    assert ask(served, "the ", num_tokens=0) == ["the "]
    texts = ask(served, "the", "the time traveller for", "")
    assert texts == [ask(served, p)[0] for p in ("the", "the time traveller for", "")]
    assert [len(one) for one in texts] == [3 + 12, 22 + 12, 12]
    assert served.call({"prefix": np.array([], dtype=object)})["text"].shape == (0,)


def test_an_empty_prefix_goes_on_from_the_most_frequent_token(writer):
    served = load(writer[0])
    assert writer[2].tokens[1] == " "
    assert ask(served, "")[0] == ask(served, " ")[0].removeprefix(" ")


def test_unknown_characters_are_read_as_unknown_and_shown_as_they_came(tmp_path):
    path, model, vocab = exported(RAW, tmp_path)
    served = load(path)
    (found,) = ask(served, "the Zoë 木 ")
    ids = vocab[list("the Zoë 木 ")]
    assert ids.count(0) == 3
    written = generate(*models.step_by_step(model), [ids], num_tokens=12)
    assert found == "the Zoë 木 " + "".join(vocab.to_tokens(np.asarray(written)[0]))
    assert "<unk>" not in "".join(ask(served, "a", temperature=50.0, num_tokens=500))
    damaged = served.call({"prefix": np.array([b"th\xff\xfe"], dtype=object)})["text"][0]
    assert damaged.decode().startswith("th\ufffd\ufffd") and len(damaged.decode()) == 4 + 12


def test_words_are_joined_by_spaces(tmp_path):
    path, model, vocab = exported(WORDS, tmp_path)
    served = load(path)
    (found,) = ask(served, " The  time ")
    written = np.asarray(
        generate(*models.step_by_step(model), [vocab[["the", "time"]]], num_tokens=12)
    )[0]
    assert found == " ".join(["the", "time", *vocab.to_tokens(written)])
    assert ask(served, "the", num_tokens=0) == ["the"]
    assert not ask(served, "")[0].startswith(" ") and len(ask(served, "")[0].split()) == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_tokens": -1}, r"num_tokens must be in 0\.\.10000"),
        ({"num_tokens": 10_001}, r"num_tokens must be in 0\.\.10000"),
        ({"temperature": -0.1}, "temperature must be a finite number, at least 0"),
        ({"temperature": float("nan")}, "temperature must be a finite number, at least 0"),
        ({"temperature": float("inf")}, "temperature must be a finite number, at least 0"),
    ],
)
def test_settings_out_of_range(writer, settings, message):
    with pytest.raises(InputError, match=message):
        ask(load(writer[0]), "the", **settings)


@pytest.mark.parametrize("arguments", [{"num_tokens": -1}, {"temperature": float("nan")}])
def test_defaults_out_of_range(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        text_generator(models.step_by_step, **arguments)


def test_the_command_line_prints_text(writer):
    def predict(*words):
        done = CliRunner().invoke(main, ["predict", str(writer[0].parent), *words])
        return done.exit_code, done.stdout.strip(), done.stderr

    served = load(writer[0])
    assert predict("the time")[:2] == (0, f"text: {ask(served, 'the time')[0]}")
    settings = ("--input", "num_tokens=5", "--input", "temperature=1", "--input", "seed=3")
    wanted = ask(served, "the time", "he", num_tokens=5, temperature=1.0, seed=3)
    assert predict("the time", "he", *settings)[1].splitlines() == [
        f"the time: text {wanted[0]}",
        f"he: text {wanted[1]}",
    ]
    assert predict("the time", "--input", "top_k=1", "--input", "temperature=1")[1] == (
        f"text: {ask(served, 'the time')[0]}"
    )
    for setting, said in (
        ("top_k=-1", "Error: top_k must be 0 (all) or more"),
        ("top_p=0", "Error: top_p must be above 0, at most 1 (all)"),
        ("top_p=1.1", "Error: top_p must be above 0, at most 1 (all)"),
    ):
        code, _, errors = predict("the", "--input", setting)
        assert code == 1 and errors.strip() == said
    code, _, errors = predict("the", "--input", "num_tokens=-3")
    assert code == 1 and errors.strip() == "Error: num_tokens must be in 0..10000"


@pytest.mark.slow
def test_a_thousand_characters_a_second(tmp_path):
    path, _, _ = exported(LETTERS, tmp_path, kind="lstm", units=256)
    write = tf.saved_model.load(str(path)).signatures["generate"]
    settings = {
        "prefix": tf.constant(["the time traveller"]),
        "temperature": tf.constant(1.0),
        "seed": tf.constant(0, tf.int64),
        "top_k": tf.constant(0),
        "top_p": tf.constant(1.0),
    }
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        write(num_tokens=tf.constant(500), **settings)
        seconds.append(time.perf_counter() - start)
    assert 500 / min(seconds) > 1000
