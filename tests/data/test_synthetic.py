"""Generated regression data: the sizes of the seeds, the truth behind it, and no files."""

import math

import numpy as np
import pytest

from kerasd2l.data import DataError
from kerasd2l.data.sets import synthetic
from kerasd2l.testing import check_data

LOADERS = (synthetic.linear, synthetic.polynomial, synthetic.high_dimensional)


def arrays(dataset):
    parts = [(np.asarray(x), np.asarray(y)) for x, y in dataset]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


@pytest.mark.parametrize("load", LOADERS)
def test_data_is_what_it_says(load):
    check_data(lambda: load("builtin"))


def test_linear_data_has_the_weights_of_the_seed():
    x, y = synthetic.linear_examples([2, -3.4], 4.2, 1000)  # S1:247-248, and 1000 examples
    assert x.shape == (1000, 2) and y.shape == (1000, 1)
    noise = y[:, 0] - (x @ [2, -3.4] + 4.2)
    assert abs(noise.mean()) < 0.001
    assert noise.std() == pytest.approx(0.01, rel=0.1)  # S1:243
    assert x.std() == pytest.approx(1, rel=0.05)
    loaded = synthetic.linear("builtin")
    assert loaded.size == {"train": 1000, "test": 1000}
    assert loaded.assets == {"true_weights": [2.0, -3.4], "true_bias": 4.2}


def test_batches_of_ten_keep_the_last_short_one():
    batches = [len(x) for x, _ in synthetic.linear("builtin", batch_size=300).train]
    assert batches == [300, 300, 300, 100]


def test_polynomial_features_are_powers_over_factorials():
    x = np.array([-1.5, 0.0, 2.0], np.float32)
    expected = [[value**i / math.factorial(i) for i in range(20)] for value in x.tolist()]
    np.testing.assert_allclose(synthetic.polynomial_features(x, 20), expected, rtol=1e-5)


def test_polynomial_data_has_the_weights_of_the_seed():
    loaded = synthetic.polynomial("builtin", num_features=20)
    assert loaded.assets["true_weights"] == [5.0, 1.2, -3.4, 5.6] + [0.0] * 16  # S1:785
    assert loaded.size == {"train": 100, "test": 100}  # S1:783
    x, y = arrays(loaded.train)
    assert x.shape == (100, 20)
    noise = y[:, 0] - x[:, :4].astype(float) @ [5, 1.2, -3.4, 5.6]
    assert noise.std() == pytest.approx(0.1, rel=0.3)  # S1:794


def test_fewer_features_are_the_first_columns_of_the_same_points():
    few, many = (arrays(synthetic.polynomial("builtin", num_features=n).test) for n in (2, 20))
    np.testing.assert_array_equal(few[0], many[0][:, :2])
    np.testing.assert_array_equal(few[1], many[1])


def test_high_dimensional_data_has_the_numbers_of_the_seed():
    loaded = synthetic.high_dimensional()
    assert loaded.size == {"train": 20, "test": 100}  # S1:865
    x, y = arrays(loaded.train)
    assert x.shape == (20, 200) and y.shape == (20, 1)  # S1:865
    assert len(next(iter(loaded.train))[0]) == 5  # S1:865
    assert loaded.assets["true_weights"] == [0.01] * 200 and loaded.assets["true_bias"] == 0.05
    noise = y[:, 0] - (x.sum(axis=1) * 0.01 + 0.05)  # S1:866
    assert 0.003 < noise.std() < 0.03


@pytest.mark.parametrize("load", LOADERS)
def test_seeds(load):
    first, same, other = (arrays(load("builtin", data_seed=seed).test) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0], same[0])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("kind", ["files", "download"])
def test_there_are_no_files(load, kind):
    with pytest.raises(DataError, match=rf"is generated.*--data {kind}\. Use --data builtin"):
        load(kind)


@pytest.mark.parametrize("size", [0, 21])
def test_number_of_powers_out_of_range(size):
    with pytest.raises(ValueError, match=f"must be 1-20. Received: num_features={size}"):
        synthetic.polynomial("builtin", num_features=size)
