"""Sections 8.1-8.3 and 9.5: what their demos and the recipe find."""

import os

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import finding
from kerasd2l.data import DataError, Source, sequences
from kerasd2l.testing import check_model
from kerasd2l.training import train

REAL = os.environ.get("KERASD2L_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="needs the real files under $KERASD2L_DATA")


def test_sequence_mlp_reaches_the_published_loss():
    loaded = finding.load("sequence_mlp")
    data = loaded.data(Source("builtin"))
    tf.keras.utils.set_random_seed(0)
    model = loaded.model(data)
    model.compile(optimizer=loaded.optimizer(), loss=loaded.loss())
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)  # the book's, really used
    history = train(model, data, epochs=loaded.epochs)
    # d2l-zh, PyTorch: 0.0768, 0.0563, 0.0538, 0.0563, 0.0517; below the noise nothing can be
    assert 0.045 < history[-1]["train_loss"] < 0.06
    assert 0.04 < history[-1]["test_loss"] < 0.06


def test_sequence_mlp_model():
    from kerasd2l.models import sequence_mlp

    check_model(
        lambda: sequence_mlp(seed=0), sequences.lagged(sequences.noisy_sine(8), 4)[0], parameters=61
    )
    with pytest.raises(ValueError, match="num_lags=0"):
        sequence_mlp(0)


@pytest.fixture(scope="module")
def forecasts():
    loaded = finding.load("sequence_mlp", horizon=6)
    tf.keras.utils.set_random_seed(1)
    model = loaded.model(loaded.data(Source("builtin")))
    return model, {e.name: tf.function(e.build(model, {})) for e in loaded.endpoints}


def test_forecast_feeds_on_itself(forecasts):
    model, endpoints = forecasts
    history = sequences.lagged(sequences.noisy_sine(20), 4)[0][:3]
    expected, last = [], history
    for _ in range(6):
        value = model.predict_on_batch(last)
        expected.append(value[:, 0])
        last = np.concatenate([last[:, 1:], value], axis=1)
    expected = np.stack(expected, axis=1)
    fixed = endpoints["serving_default"](history=tf.constant(history))["predictions"]
    np.testing.assert_allclose(fixed, expected, atol=1e-5)
    free = endpoints["forecast"](history=tf.constant(history), steps=tf.constant(2))["predictions"]
    np.testing.assert_allclose(free, expected[:, :2], atol=1e-5)


@pytest.mark.parametrize("steps", [0, -1, 10_001])
def test_forecast_refuses_other_numbers_of_steps(forecasts, steps):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"steps must be in 1\.\.10000"):
        forecasts[1]["forecast"](history=tf.zeros((1, 4)), steps=tf.constant(steps))


def test_forecast_refuses_nan(forecasts):
    with pytest.raises(tf.errors.InvalidArgumentError, match="history must be finite"):
        forecasts[1]["serving_default"](history=tf.constant([[0.0, np.nan, 0.0, 0.0]]))


def test_bad_arguments():
    for name, arguments, message in (
        ("sequence_mlp", {"horizon": 0}, "horizon=0"),
        ("sequence_mlp", {"num_lags": 0}, "num_lags=0"),
        ("sequence_predictions", {"steps": "0,4"}, "steps=\\(0, 4\\)"),
        ("ngram_statistics", {"count": 0}, "count=0"),
        ("translation_lengths", {"num_steps": 1}, "num_steps=1"),
        ("partitioning", {"length": 14}, "`length` must be at least 15 .* Received: length=14"),
        ("partitioning", {"batch_size": 0}, "batch_size=0"),
        ("partitioning", {"seed": -1}, "seed=-1"),
    ):
        with pytest.raises(ValueError, match=message):
            finding.load(name, **arguments)


def test_errors_grow_with_the_steps_ahead_and_fed_predictions_become_constant():
    result = finding.load("sequence_predictions").run()
    errors = list(
        result.values["root mean squared distance from sin(0.01 t), by steps ahead"].items()
    )
    assert [k for k, _ in errors] == [1, 4, 16, 64]
    assert errors == sorted(errors, key=lambda pair: pair[1])
    assert result.values["spread of the last 200 values fed with themselves"] < 0.1
    assert result.values["spread of the last 200 true values"] > 0.4
    axes = result.figures["steps_ahead"].axes[0]
    assert [line.get_label() for line in axes.lines] == [f"{k} steps ahead" for k in (1, 4, 16, 64)]


def test_partitioning_shows_the_books_three_batches():
    values = finding.load("partitioning").run().values
    for way in ("random", "sequential"):
        assert values[f"{way}: batches"] == 3 and values[f"{way}: Y = X + 1"]
    assert values["sequential: tokens from a row's window to its next one"] == [5]


def test_texts_of_few_words(tmp_path, monkeypatch):
    assert finding.load("partitioning", length=15).run().values["random: batches"] == 1
    (tmp_path / "timemachine.txt").write_text("The Time Machine\nby H. G. Wells\n")
    monkeypatch.setenv("KERASD2L_DATA", str(tmp_path))
    values = finding.load("text_preprocessing", source="files").run().values
    assert values["line 0"] == "the time machine" and "line 10" not in values
    values = finding.load("ngram_statistics", source="files").run().values
    assert values["words"] == 7 and "Zipf exponent of unigrams" not in values
    (tmp_path / "timemachine.txt").write_text("1234\n")
    with pytest.raises(DataError, match="none of the letters A-Z"):
        finding.load("text_preprocessing", source="files").run()


@needs_real
def test_real_counts():
    source = "files"
    values = finding.load("text_preprocessing", source=source).run().values
    assert values["line 0 in numbers"] == [1, 19, 50, 40, 2183, 2184, 400]
    assert (values["characters"], values["characters in the vocabulary"]) == (170580, 28)
    values = finding.load("ngram_statistics", source=source, count=3).run().values
    assert values["unigrams"] == {"the": 2261, "i": 1267, "and": 1245}
    assert values["bigrams"] == {"of the": 309, "in the": 169, "i had": 130}
    assert values["trigrams"] == {
        "the time traveller": 59, "the time machine": 30, "the medical man": 24,
    }  # fmt: skip
    assert 0.9 < values["Zipf exponent of unigrams"] < 1.2
    values = finding.load("translation_lengths", source=source).run().values
    assert values["pairs"] == 29000
