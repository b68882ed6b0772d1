import numpy as np
import pytest

from kerasd2l.data import DataError, Source, Tokenizer, sequences
from kerasd2l.data.sequences import lagged, random_batches, sequential_batches
from kerasd2l.testing import check_data


def arrays(dataset):
    return [(np.asarray(x), np.asarray(y)) for x, y in dataset]


def test_random_windows_do_not_overlap_and_predict_the_next_token():
    batches = random_batches(range(35), batch_size=2, num_steps=5)
    offsets, firsts = set(), set()
    for epoch in range(20):
        found = arrays(batches.order(epoch))
        assert [x.shape for x, _ in found] == [(2, 5)] * 3  # three batches, d2l-zh
        starts = sorted(int(row[0]) for x, _ in found for row in x)
        assert np.all(np.diff(starts) % 5 == 0) and len(set(starts)) == 6
        for x, y in found:
            assert np.all(np.diff(x) == 1) and np.all(y == x + 1) and x.dtype == np.int32
        offsets.add(starts[0] % 5)
        firsts.add(int(found[0][0][0, 0]))
    assert offsets == set(range(5))
    assert len(firsts) > 5


def test_sequential_rows_go_on_where_they_ended():
    batches = sequential_batches(range(100), batch_size=3, num_steps=4)
    offsets = set()
    for epoch in range(12):
        found = arrays(batches.order(epoch))
        assert len(found) == len(batches.dataset) == 8
        rows = np.concatenate([x for x, _ in found], axis=1)
        assert np.all(np.diff(rows) == 1) and rows.shape == (3, 32)
        assert len(set(np.diff(rows[:, 0]))) == 1 and rows[1, 0] > rows[0, -1]
        assert all(np.all(y == x + 1) for x, y in found)
        offsets.add(int(rows[0, 0]))
    assert offsets == {0, 1, 2, 3}


@pytest.mark.parametrize("cut", [random_batches, sequential_batches])
def test_an_epoch_repeats_itself_and_iterating_again_does_not(cut):
    one = cut(range(400), batch_size=2, num_steps=5, seed=3)
    two = cut(range(400), batch_size=2, num_steps=5, seed=3)

    def first(dataset): return [x.tolist() for x, _ in arrays(dataset)]  # fmt: skip

    for epoch in (0, 7):
        assert first(one.order(epoch)) == first(one.order(epoch)) == first(two.order(epoch))
    assert len({str(first(one.order(epoch))) for epoch in range(8)}) > 1
    assert len({str(first(one.dataset)) for _ in range(8)}) > 1
    whole = first(one.order(5))
    assert first(one.order(5).skip(4)) == whole[4:]
    assert int(one.dataset.cardinality()) == int(one.order(0).cardinality()) == len(whole)
    assert one.size == 2 * len(whole)


def test_evaluation_starts_at_the_first_token_and_marks_it():
    batches = sequential_batches(range(35), batch_size=2, num_steps=5, seed=None, mark_start=True)
    assert batches.order is None
    for _ in range(2):
        found = list(batches.dataset)
        assert [x["tokens"].numpy()[:, 0].tolist() for x, _ in found] == [
            [0, 17],
            [5, 22],
            [10, 27],
        ]
        assert [x["start"].numpy().tolist() for x, _ in found] == [[True] * 2] + [[False] * 2] * 2
        assert [x["row"].numpy().tolist() for x, _ in found] == [[0, 1]] * 3


def test_mark_start_is_set_in_the_first_batch_of_each_training_epoch_only():
    batches = sequential_batches(range(60), batch_size=2, num_steps=5, mark_start=True)
    for dataset in (batches.order(0), batches.order(3), batches.dataset):
        starts = [x["start"].numpy().tolist() for x, _ in dataset]
        assert starts == [[True, True]] + [[False, False]] * 4


def test_batches_have_static_shapes():
    for cut in (random_batches, sequential_batches):
        x, y = cut(range(50), batch_size=2, num_steps=5).dataset.element_spec
        assert tuple(x.shape) == tuple(y.shape) == (2, 5)


@pytest.mark.parametrize("cut", [random_batches, sequential_batches])
def test_a_corpus_just_long_enough(cut):
    assert len(arrays(cut(range(15), batch_size=2, num_steps=5).dataset)) == 1
    with pytest.raises(
        ValueError, match=r"2 windows of 5 tokens need .* at least 15 .* Received: 14"
    ):
        cut(range(14), batch_size=2, num_steps=5)


@pytest.mark.parametrize("cut", [random_batches, sequential_batches])
def test_bad_arguments(cut):
    with pytest.raises(ValueError, match="batch_size=0"):
        cut(range(20), batch_size=0, num_steps=5)
    with pytest.raises(ValueError, match="num_steps=0"):
        cut(range(20), batch_size=2, num_steps=0)
    with pytest.raises(ValueError, match="one list of token numbers"):
        cut([[1, 2]], batch_size=1, num_steps=1)
    with pytest.raises(ValueError, match="one list of token numbers"):
        cut([0.5] * 20, batch_size=1, num_steps=1)


def test_language_model_data_splits_the_text():
    lines = ["abcdefghij"] * 20
    options = {"batch_size": 2, "num_steps": 5, "seed": 0, "max_tokens": 100}
    for partition in ("random", "sequential"):
        data = sequences.language_model_data(
            lines, Tokenizer(), held_out_tokens=61, partition=partition, **options
        )
        assert data.size["train"] == 18 and data.size["test"] == 12
        assert data.assets["vocabulary"] == ["<unk>", *"abcdefghij"]
        tokens = np.concatenate([np.asarray(x) for x, _ in data.test]).ravel()
        assert len(tokens) == 60 and set(tokens) == set(range(1, 11))
    assert data.features["tokens"].shape == (5,)
    # the first test batch starts at token 100, the 11th time at "a"
    assert np.asarray(next(iter(data.test))[0])[0].tolist() == [1, 2, 3, 4, 5]
    whole = sequences.language_model_data(lines, Tokenizer(), **(options | {"max_tokens": None}))
    assert whole.test is None and whole.size == {"train": 38}
    with pytest.raises(ValueError, match="only 100 of the text's 200 tokens follow"):
        sequences.language_model_data(lines, Tokenizer(), held_out_tokens=101, **options)
    with pytest.raises(ValueError, match="random windows have no past"):
        sequences.language_model_data(lines, Tokenizer(), mark_start=True, **options)
    with pytest.raises(ValueError, match="Received: 'odd'"):
        sequences.language_model_data(lines, Tokenizer(), partition="odd", **options)


def test_windows_in_order():
    x, y = sequences.windows(range(12), 5)
    assert x.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]] and np.all(y == x + 1)


def test_lagged():
    x, y = lagged(range(6), 4)
    assert x.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]] and y.tolist() == [[4], [5]]
    with pytest.raises(ValueError, match="num_lags=6"):
        lagged(range(6), 6)


def test_noisy_sine_has_the_noise_of_the_book():
    series = sequences.noisy_sine()
    noise = series - np.sin(0.01 * np.arange(1, 1001))
    assert series.shape == (1000,) and 0.18 < noise.std() < 0.22
    np.testing.assert_allclose(
        sequences.noisy_sine(3, noise=0), np.sin([0.01, 0.02, 0.03]), atol=1e-6
    )


def test_sine_data_is_600_examples_and_what_follows():
    data = check_data(lambda: sequences.load_sine("builtin"))
    assert data.size == {"train": 600, "test": 396}
    series = sequences.noisy_sine()
    x, y = next(iter(data.test))
    np.testing.assert_array_equal(x[0], series[600:604])
    assert float(y[0, 0]) == series[604]
    with pytest.raises(DataError, match="--data files"):
        sequences.load_sine(Source("files"))
    with pytest.raises(ValueError, match="num_train=996"):
        sequences.load_sine(num_train=996)
