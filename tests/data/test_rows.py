"""Of several workers each reads its own examples only, and all have the batches of one."""

import numpy as np
import pytest
import tensorflow as tf
from test_image_folder import animals, encoded, write

from kerasd2l.data import Source, decoded, pipeline
from kerasd2l.data.augmentation import (
    Augmentation,
    ColorJitter,
    RandomHorizontalFlip,
    RandomResizedCrop,
)
from kerasd2l.data.sets import image_folder
from kerasd2l.recipe import TensorSpec
from kerasd2l.training.replicas import share

SIZE, BATCH = 37, 8


class Worker:
    """A strategy of `workers` workers with a replica each, as worker `number` sees it."""

    def __init__(self, number, workers):
        self.context = tf.distribute.InputContext(workers, number, workers)

    def distribute_datasets_from_function(self, function):
        return function(self.context)


def pieces(data, split, number, workers, *, epoch=None):
    """Return what worker `number` gets of an epoch, or of an evaluation."""
    rows = data.rows_of(split)
    shared = share(
        Worker(number, workers),
        rows.batches(epoch or 0),
        training=epoch is not None,
        load=rows.load,
    )
    assert int(shared.cardinality()) == tf.data.INFINITE_CARDINALITY
    batches = int(getattr(data, split).cardinality())
    return [tf.nest.map_structure(np.asarray, piece) for _, piece in shared.take(batches)]


def joined(parts):
    """Put the workers' pieces of each batch together."""
    return [
        tf.nest.map_structure(lambda *rows: np.concatenate(rows), *batch)
        for batch in zip(*parts, strict=True)
    ]


def assert_same(batches, others):
    for one, other in zip(batches, others, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


class Pictures:
    """Pictures that are decoded when they are asked for, and counted."""

    def __init__(self, augment=None):
        self.read = []
        store = decoded.Decoded(self._read, str, memory=0)
        specs = [tf.TensorSpec((9, 7, 3), tf.uint8)]

        def transform(places, labels):
            (x,), _ = store.batch(places, specs)
            return pipeline.scale_images(x), labels

        arrays = (np.arange(SIZE), np.arange(SIZE, dtype=np.int32))
        how = {"batch_size": BATCH, "transform": transform, "by_rows": True}
        self.data = pipeline.make_data(
            pipeline.from_arrays(arrays, seed=3, **how),
            test=pipeline.from_arrays(arrays, **how),
            features={"pixels": TensorSpec((9, 7, 3))},
            assets={},
        )
        if augment:
            self.data = pipeline.augmented(self.data, augment, 3)

    def _read(self, place):
        self.read.append(place)
        return (np.random.default_rng(place).integers(0, 256, (9, 7, 3), np.uint8),)


CHANGES = Augmentation([RandomResizedCrop((9, 7)), RandomHorizontalFlip(), ColorJitter(0.5)])


@pytest.mark.parametrize(
    ("workers", "augment"),
    [
        pytest.param(2, None, marks=pytest.mark.slow),
        (3, None),
        (2, CHANGES),
        pytest.param(3, CHANGES, marks=pytest.mark.slow),
    ],
    ids=["2", "3", "2-changed", "3-changed"],
)
def test_workers_together_have_the_batches_of_one_and_read_each_example_once(workers, augment):
    """37 examples in batches of 8: the last has 5, which neither 2 nor 3 divide."""
    own = [Pictures(augment) for _ in range(workers)]
    for epoch in (0, 1):
        for pictures in own:
            pictures.read.clear()
        parts = [pieces(p.data, "train", i, workers, epoch=epoch) for i, p in enumerate(own)]
        assert_same(joined(parts), Pictures(augment).data.epoch(epoch))
        assert sorted(place for p in own for place in p.read) == list(range(SIZE))
        assert max(len(p.read) for p in own) <= -(-SIZE // workers) + 5  # one more in each batch


def test_an_evaluation_may_leave_a_worker_nothing_of_the_last_batch():
    own = [Pictures() for _ in range(6)]
    parts = [pieces(p.data, "test", i, 6) for i, p in enumerate(own)]
    assert 0 in [len(part[-1][1]) for part in parts]
    assert_same(joined(parts), Pictures().data.test)


def test_rows_of_other_data_are_not_used():
    import dataclasses

    data = Pictures().data
    assert data.rows_of("train") and data.rows_of("test")
    assert dataclasses.replace(data, order=None).rows_of("train") is None
    assert dataclasses.replace(data, test=data.test.take(1)).rows_of("test") is None
    other = pipeline.augmented(data, lambda x, y, seed: (x, y), 0)  # may look at the whole batch
    assert other.rows_of("train") is None and other.rows_of("test")


def test_a_folder_of_pictures_that_is_larger_than_the_memory(tmp_path):
    """Proof by the file system: a worker opens its own files, no other."""
    write(tmp_path, {f"train/{k}": v for k, v in animals(9).items()})
    write(tmp_path, {f"test/{kind}/1.png": encoded() for kind in ("cat", "dog")})
    own = [
        image_folder.load(Source("files", tmp_path), resize=16, batch_size=4, memory=0)
        for _ in range(2)
    ]
    parts, opened = [], []
    for number, data in enumerate(own):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(image_folder.Reader, "decode", noting(opened, number))
            parts.append(pieces(data, "train", number, 2, epoch=1))
    assert_same(joined(parts), own[0].epoch(1))
    names = [name for _, name in opened]
    assert len(names) == len(set(names)) == own[0].size["train"]
    assert {number for number, _ in opened} == {0, 1}


def noting(opened, number):
    decode = image_folder.Reader.decode

    def decode_and_note(self, path):
        opened.append((number, str(path)))
        return decode(self, path)

    return decode_and_note


def test_a_set_that_fits_in_memory_is_decoded_once_by_all(tmp_path):
    write(tmp_path, animals())
    data = image_folder.load(Source("files", tmp_path), resize=16)
    assert data.rows_of("train") is None
