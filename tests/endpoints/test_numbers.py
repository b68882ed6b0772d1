"""The signature of regressors: numbers in, one number out, and no NaN."""

import numpy as np
import pytest

from kerasd2l import models
from kerasd2l.data.sets import synthetic
from kerasd2l.endpoints import regressor
from kerasd2l.export import export
from kerasd2l.serving import InputError, load
from kerasd2l.testing import check_endpoint


@pytest.fixture(scope="module")
def model():
    made = models.linear_regression(2)
    made.set_weights([np.array([[2.0], [-3.4]]), np.array([4.2])])
    return made


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("regressor")
    return load(export(model, "linear_networks/x", (regressor((2,)),), {}, folder, name="x"))


def test_endpoint_keeps_its_promises(model, tmp_path):
    outputs = check_endpoint(regressor((2,)), model, {}, tmp_path)
    assert outputs["prediction"].shape == (3,)


def test_a_polynomial_takes_a_single_number(tmp_path):
    model = models.linear_regression(4, use_bias=False)
    model.set_weights([np.array([[5.0], [1.2], [-3.4], [5.6]])])
    endpoint = regressor(
        (), input_name="x", transform=lambda x: synthetic.polynomial_features(x, 4)
    )
    check_endpoint(endpoint, model, {}, tmp_path / "checked")
    served = load(export(model, "a/b", (endpoint,), {}, tmp_path / "s", name="p"))
    answer = served.predict(["2", "-1"])["prediction"]
    by_hand = [5 + 1.2 * x - 3.4 * x**2 / 2 + 5.6 * x**3 / 6 for x in (2, -1)]
    np.testing.assert_allclose(answer, by_hand, rtol=1e-5)


def test_numbers_from_the_command_line(served):
    np.testing.assert_allclose(served.predict(["1,2", "0,0"])["prediction"], [-0.6, 4.2], rtol=1e-5)


@pytest.mark.parametrize("word", ["1,nan", "inf,0", "1,"])
def test_numbers_that_are_none_are_refused(served, word):
    with pytest.raises(InputError, match="features must be finite numbers"):
        served.predict([word])


def test_too_few_numbers(served):
    with pytest.raises(InputError, match="features takes float32, 2 for each example"):
        served.predict(["1"])
