import keras
import numpy as np
import pytest

from kerasd2l import metrics
from kerasd2l.metrics import LogRMSE


def test_log_rmse_is_the_formula_over_all_batches():
    rng = np.random.default_rng(0)
    y_true = rng.uniform(1e4, 1e6, (7, 1))
    y_pred = y_true * np.exp(rng.normal(size=(7, 1)))
    y_pred[0] = -3.0  # counts as 1
    metric = LogRMSE()
    metric.update_state(y_true[:4], y_pred[:4])
    metric.update_state(y_true[4:], y_pred[4:])
    expected = np.sqrt(np.mean((np.log(np.maximum(y_pred, 1)) - np.log(y_true)) ** 2))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_log_rmse_weighs_examples():
    metric = LogRMSE()
    metric.update_state([[np.e], [1.0]], [[1.0], [1.0]], sample_weight=[3.0, 1.0])
    assert float(metric.result()) == pytest.approx(np.sqrt(3 / 4), rel=1e-6)


def test_log_rmse_does_not_hide_nan():
    metric = LogRMSE()
    metric.update_state([[1.0]], [[np.nan]])
    assert np.isnan(float(metric.result()))


def test_log_rmse_survives_its_configuration():
    metric = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(LogRMSE(name="error"))
    )
    assert type(metric) is LogRMSE and metric.name == "error"


def test_metrics_of_tokens_are_means_over_all_real_tokens_however_they_are_batched():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, (6, 7))
    logits = rng.normal(size=(6, 7, 5)).astype("float32")
    weights = rng.integers(0, 3, (6, 7)).astype("float32")
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -np.take_along_axis(logs, labels[..., None], -1)[..., 0]
    right = logits.argmax(-1) == labels
    real = labels != 2
    for given, kept in ((None, real * 1.0), (weights, real * weights)):
        for make, values in (
            (metrics.TokenCrossEntropy, losses),
            (metrics.TokenAccuracy, right),
        ):
            metric = make(ignore_id=2)
            logits[~real] = np.nan  # what stands in the padding is nobody's business
            for rows in (slice(0, 1), slice(1, 6)):
                some = None if given is None else given[rows]
                metric.update_state(labels[rows], logits[rows], sample_weight=some)
            expected = (np.where(kept > 0, values, 0) * kept).sum() / kept.sum()
            assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
            again = make.from_config(metric.get_config())
            assert again.get_config() == metric.get_config()
            assert float(again.result()) == 0
