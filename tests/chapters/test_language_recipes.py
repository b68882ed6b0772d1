"""The five language models as recipes: the book's numbers, exact states, perplexity."""

import json
import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from kerasd2l import finding, models
from kerasd2l.cli import main
from kerasd2l.data import DataError, Source
from kerasd2l.decoding import generate
from kerasd2l.export import load_model
from kerasd2l.run import Run
from kerasd2l.training import Preempted, RecipeError, make_strategy
from kerasd2l.training.checkpoint import Checkpoints
from kerasd2l.training.fit import fit

NAMES = ("rnn_lm", "gru_lm", "lstm_lm", "deep_lstm_lm", "bidirectional_lstm_lm")
SMALL = {"num_hiddens": 8, "batch_size": 4, "num_steps": 5, "max_tokens": 600, "epochs": 2}
SMALL |= {"held_out_tokens": 60}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_the_book(name):
    found = finding.load(name)
    assert (found.epochs, found.batch_size) == (500, 32)
    data = found.data(Source("builtin"))
    tokens = data.train.element_spec[0]["tokens"]
    assert tuple(tokens.shape) == (32, 35)
    # 10,000 characters: 8 batches, whatever the offset; the 5,000 that follow: 4
    assert data.size == {"train": 256, "test": 128}
    optimizer = found.optimizer()
    assert isinstance(optimizer, keras.optimizers.SGD) and optimizer.momentum == 0
    assert float(optimizer.learning_rate) == (2.0 if name == "deep_lstm_lm" else 1.0)
    assert optimizer.global_clipnorm == 1.0
    model = found.model(data)
    recurrent = [layer.layer for layer in model.layers if isinstance(layer, models.CarriedState)]
    assert len(recurrent) == (2 if name in ("deep_lstm_lm", "bidirectional_lstm_lm") else 1)
    wide = 512 if name == "bidirectional_lstm_lm" else 256
    assert all(layer.compute_output_shape((2, 3, 28))[0] == (2, 3, wide) for layer in recurrent)


def test_published_figures_are_of_the_published_numbers():
    def figure(name, **arguments):
        expected = finding.load(name, **arguments).expected
        return expected and expected.low

    assert [figure(name) for name in NAMES] == [1.3, 1.0, 1.1, 1.0, 1.1]
    by_hand = {"implementation": "scratch"}
    assert figure("rnn_lm", **by_hand) == 1.0
    assert figure("rnn_lm", **by_hand, partition="random") == 1.5
    assert figure("gru_lm", **by_hand) == 1.1 and figure("lstm_lm", **by_hand) == 1.3
    for other in ({"num_hiddens": 8}, {"corpus": "shakespeare"}, {"token": "word"}):
        assert figure("gru_lm", **other) is None and figure("rnn_lm", **other) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_hiddens": 0}, "`num_hiddens` must be positive"),
        ({"num_layers": -1}, "`num_layers` must be positive"),
        ({"clip_norm": 0.0}, "`clip_norm` must be positive"),
        ({"temperature": -1.0}, "`temperature` must be a finite number"),
        ({"num_tokens": -1}, r"`num_tokens` must be in 0\.\.10000"),
        ({"corpus": "bible"}, "`corpus` must be one of time_machine, shakespeare"),
    ],
)
@pytest.mark.parametrize("name", ["rnn_lm", "gru_lm"])
def test_arguments_out_of_range(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        finding.load(name, **arguments)


def train(folder, name, strategy=None, source=None, arguments=None, **options):
    """Train a small recipe; return summary and model."""
    found = finding.load(name, **{**SMALL, **(arguments or {})})
    held = []
    build = found.model
    object.__setattr__(found, "model", lambda data: held.append(build(data)) or held[-1])
    strategy = strategy or tf.distribute.get_strategy()
    run = Run(
        path=folder,
        recipe=found.name,
        arguments=found.arguments,
        seed=3,
        replicas=strategy.num_replicas_in_sync,
    )
    summary = fit(found, run, source or Source("builtin", seed=3), strategy=strategy, **options)
    return summary, held[-1]


def values(model):
    return {
        f"{i}:{weight.name}": tf.convert_to_tensor(weight.value).numpy()
        for i, weight in enumerate(model.weights)
    }


def assert_same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=tolerance, rtol=0, err_msg=key)


@pytest.mark.slow
def test_a_training_that_was_stopped_in_an_epoch_ends_as_one_that_was_not(tmp_path):
    """With the states of two layers; test_recipes.py resumes every recipe."""
    _, whole = train(tmp_path / "whole", "deep_lstm_lm")
    asked = iter([False, True])
    with pytest.raises(Preempted):
        train(tmp_path / "parts", "deep_lstm_lm", should_stop=lambda: next(asked))
    checkpoint = Checkpoints(tmp_path / "parts" / "checkpoints").newest()
    assert checkpoint.position["step_in_epoch"] == 11  # of 29
    states = [v for k, v in checkpoint.arrays.items() if "training_state" in k]
    assert states and all(np.abs(state).min() > 0 for state in states)  # it has the states
    _, resumed = train(tmp_path / "parts", "deep_lstm_lm", resume=True)
    assert_same(values(resumed), values(whole), 1e-6)


@pytest.mark.slow
def test_replicas_keep_the_states_of_their_rows_also_when_they_resume(tmp_path):
    summary, alone = train(tmp_path / "one", "gru_lm")
    strategy = make_strategy("mirrored", replicas=2)
    shared_summary, shared = train(tmp_path / "two", "gru_lm", strategy)
    assert_same(values(shared), values(alone), 2e-6)  # weights and states
    for key, value in summary["metrics"].items():
        assert shared_summary["metrics"][key] == pytest.approx(value, rel=1e-5)
    asked = iter([False, True])
    with pytest.raises(Preempted):
        train(tmp_path / "parts", "gru_lm", strategy, should_stop=lambda: next(asked))
    _, resumed = train(tmp_path / "parts", "gru_lm", strategy, resume=True)
    assert_same(values(resumed), values(shared), 1e-6)


def test_the_state_goes_on_in_training_and_evaluation_only_where_the_text_does(tmp_path):
    _, carried = train(tmp_path / "sequential", "gru_lm")
    assert any("training_state" in key for key in values(carried))
    summary, fresh = train(tmp_path / "random", "gru_lm", arguments={"partition": "random"})
    assert not any("state" in key for key in values(fresh))
    assert math.isfinite(summary["metrics"]["test_perplexity"])


@pytest.mark.parametrize(
    ("implementation", "name"),
    [
        ("concise", "rnn_lm"),
        ("scratch", "lstm_lm"),
        pytest.param("concise", "lstm_lm", marks=pytest.mark.slow),
        pytest.param("scratch", "rnn_lm", marks=pytest.mark.slow),
    ],
)
def test_perplexity_is_that_of_the_mean_loss_and_falls(tmp_path, name, implementation):
    arguments = {"implementation": implementation, "num_hiddens": 32, "learning_rate": 1.0}
    arguments |= {"max_tokens": 2000, "batch_size": 8, "num_steps": 10, "epochs": 10}
    arguments |= {"held_out_tokens": 400}
    if name == "lstm_lm" and implementation == "scratch":
        arguments |= {"learning_rate": 4.0}  # it begins with weights near 0 and gates half open
    summary, _ = train(tmp_path / "run", name, arguments=arguments)
    figures = summary["metrics"]
    for split in ("train", "test"):
        wanted = math.exp(figures[f"{split}_loss"])
        assert figures[f"{split}_perplexity"] == pytest.approx(wanted, rel=1e-4)
    assert figures["train_perplexity"] < 14  # 17 is what the letters' frequencies alone give


@pytest.mark.slow
def test_a_bidirectional_model_copies_the_answer_and_cannot_write(tmp_path):
    arguments = {"num_hiddens": 32, "num_layers": 1, "learning_rate": 4.0, "max_tokens": 2000}
    arguments |= {"batch_size": 8, "num_steps": 10, "epochs": 20}
    arguments |= {"held_out_tokens": 400}
    summary, model = train(tmp_path / "run", "bidirectional_lstm_lm", arguments=arguments)
    figures = summary["metrics"]
    # on text that it has never seen, too: no model of language can do that
    assert figures["test_perplexity"] < 2
    data = finding.load("bidirectional_lstm_lm", **SMALL).data(Source("builtin"))
    saved = load_model(tmp_path / "run" / "model.keras")
    ids = np.array([[5, 3, 8, 1, 2]])
    np.testing.assert_array_equal(
        generate(*models.step_by_step(saved), ids, num_tokens=3),
        generate(*models.step_by_step(model), ids, num_tokens=3),
    )
    assert len(data.assets["vocabulary"]) == 28


def test_texts_that_are_too_short_say_so(tmp_path):
    with pytest.raises(RecipeError, match=r"need a corpus of at least .* tokens. Received: 20"):
        train(tmp_path / "short", "gru_lm", arguments={"max_tokens": 20})
    with pytest.raises(RecipeError, match="`held_out_tokens` is 900000, but only"):
        train(tmp_path / "held", "gru_lm", arguments={"held_out_tokens": 900_000})
    assert not (tmp_path / "short").exists()


def test_texts_that_are_missing_or_not_utf8_are_named(tmp_path):
    source = Source("files", data_dir=tmp_path)
    with pytest.raises(DataError, match=r"timemachine\.txt"):
        train(tmp_path / "run", "gru_lm", source=source)
    (tmp_path / "timemachine.txt").write_bytes(b"The Time Machine\nby H\xe9 Wells\n")
    with pytest.raises(DataError, match=r"timemachine\.txt, line 2: not UTF-8 \(byte 0xe9\)"):
        train(tmp_path / "run", "gru_lm", source=source)


@pytest.mark.slow
def test_from_the_command_line_to_a_text(tmp_path):
    def call(*words):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        return done.stdout

    settings = [f"--set={key}={value}" for key, value in SMALL.items()]
    folders = ["--out", str(tmp_path / "run"), "--savedmodels", str(tmp_path / "served")]
    words = ["--data", "builtin", "--export", "--json", "--set=token=word", "--set=temperature=1"]
    summary = json.loads(call("train", "lstm_lm", *settings, *words, *folders))
    assert summary["savedmodel"] == str(tmp_path / "served" / "lstm_lm" / "1")
    text = call("predict", str(tmp_path / "served" / "lstm_lm"), "the time traveller")
    assert text.startswith("text: the time traveller ") and len(text.split()) == 1 + 3 + 50
    text = call("predict", summary["savedmodel"], "the", "--input", "num_tokens=3")
    assert len(text.split()) == 1 + 1 + 3


@pytest.mark.slow
@pytest.mark.skipif("KERASD2L_DATA" not in os.environ, reason="needs the real text")
def test_gru_lm_learns_the_time_machine(tmp_path):
    arguments = {"max_tokens": 10_000, "batch_size": 32, "num_steps": 35, "num_hiddens": 256}
    arguments["held_out_tokens"] = 5_000
    source = Source("files", data_dir=os.environ["KERASD2L_DATA"])
    summary, _ = train(
        tmp_path / "run", "gru_lm", source=source, arguments=arguments | {"epochs": 60}
    )
    assert summary["metrics"]["train_perplexity"] < 9


@pytest.mark.slow
@pytest.mark.multiworker
def test_two_workers_train_what_one_trains(tmp_path):
    settings = [f"--set={key}={value}" for key, value in SMALL.items() if key != "epochs"]
    common = ["--data=builtin", "--seed=3", "--epochs=2", *settings]
    kerasd2l = [sys.executable, "-m", "kerasd2l.cli"]
    alone = ["train", "gru_lm", *common, "--out", str(tmp_path / "one")]
    subprocess.run([*kerasd2l, *alone], check=True, capture_output=True, timeout=300)
    both = ["launch", "--workers", "2", "--", "train", "gru_lm", "--strategy", "multi_worker"]
    both += [*common, "--out", str(tmp_path / "two")]
    subprocess.run([*kerasd2l, *both], check=True, capture_output=True, timeout=300)
    one, two = (load_model(tmp_path / name / "model.keras") for name in ("one", "two"))
    assert_same(values(two), values(one), 2e-6)
