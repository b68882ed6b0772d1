"""scratch.datasets: the loader by hand gives what tf.data gives, and fit takes it."""

import keras
import numpy as np
import pytest

from kerasd2l.data import pipeline
from kerasd2l.scratch import ArrayDataset, DataLoader, Dataset

X, Y = np.arange(22.0).reshape(11, 2), np.arange(11)


class Squares(Dataset):
    """A data set of one's own: computed, not stored."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return np.float32([index]), np.float32([index**2])


def test_a_dataset_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Dataset()


def test_own_dataset():
    batches = list(map(DataLoader(Squares(), batch_size=2).__getitem__, range(3)))
    assert [y.ravel().tolist() for _, y in batches] == [[0, 1], [4, 9], [16]]


@pytest.mark.parametrize("seed", [None, 3])
def test_same_batches_as_tf_data(seed):
    loader = DataLoader(ArrayDataset(X, Y), batch_size=4, seed=seed)
    twin = pipeline.from_arrays((X, Y), batch_size=4, seed=seed)
    for epoch in range(3):
        loader.on_epoch_begin()
        expected = list(twin.order(epoch) if twin.order else twin.dataset)
        assert len(loader) == len(expected) == 3
        for i, (x, y) in enumerate(expected):
            np.testing.assert_array_equal(loader[i][0], x)
            np.testing.assert_array_equal(loader[i][1], y)


def test_fit_sees_every_example_once_per_epoch_in_the_orders_of_the_seed():
    class Recorder(DataLoader):
        seen = ()

        def __getitem__(self, index):
            batch = super().__getitem__(index)
            if self.epoch >= 0:  # not what Keras looks at before
                self.seen += (tuple(batch[1].tolist()),)
            return batch

    loader = Recorder(ArrayDataset(X, Y), batch_size=4, seed=5)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    model.fit(loader, epochs=2, shuffle=False, verbose=0)
    orders = [np.random.default_rng([5, epoch]).permutation(11) for epoch in (0, 1)]
    expected = [tuple(order[i : i + 4].tolist()) for order in orders for i in (0, 4, 8)]
    assert list(loader.seen) == expected


def test_bad_input():
    with pytest.raises(ValueError, match=r"the same length. Received: \[11, 10\]"):
        ArrayDataset(X, Y[:10])
    with pytest.raises(ValueError, match=r"the same length. Received: \[\]"):
        ArrayDataset()
    with pytest.raises(ValueError, match=r"`batch_size` must be at least 1. Received: .*0"):
        DataLoader(Squares(), batch_size=0)
    with pytest.raises(IndexError, match="example 11 of 11"):
        ArrayDataset(X, Y)[11]
    with pytest.raises(IndexError, match="batch 3 of 3"):
        DataLoader(Squares(), batch_size=2)[3]
