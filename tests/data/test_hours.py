"""data.hours: four points for training, four for test."""

import numpy as np
import pytest

from kerasd2l.data import DataError
from kerasd2l.data.sets import hours
from kerasd2l.testing import check_data


def test_points():
    data = check_data(lambda: hours.load("builtin"))
    assert data.size == {"train": 4, "test": 4}
    ((x, y),) = data.train
    assert x.numpy().ravel().tolist() == [1, 2, 3, 4]  # the lesson's points, inventory L.6
    assert y.numpy().ravel().tolist() == [0, 0, 1, 1]
    ((x, y),) = data.test
    np.testing.assert_array_equal(y, x.numpy() > 2.5)


def test_an_epoch_of_several_passes():
    data = check_data(lambda: hours.load(batch_size=2, passes=3))
    batches = [x.numpy().ravel().tolist() for x, _ in data.epoch(7)]
    assert batches == [[1, 2], [3, 4]] * 3


def test_bad_input():
    with pytest.raises(DataError, match=r"neither files nor a download. Received: --data files"):
        hours.load("files")
    with pytest.raises(ValueError, match=r"`batch_size` must be 1, 2 or 4.*batch_size=3"):
        hours.load(batch_size=3)
    with pytest.raises(ValueError, match="passes=0"):
        hours.load(passes=0)
