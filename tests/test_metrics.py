import keras
import numpy as np
import pytest

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
