"""Systolic arrays equal numpy; clocks and walks through memory measure something."""

import numpy as np
import pytest

from kerasd2l.scratch import Benchmark, best_seconds, memory_speed, systolic_matmul


@pytest.mark.parametrize(("n", "K", "m"), [(1, 1, 1), (3, 4, 2), (5, 1, 6), (4, 9, 4)])
def test_a_systolic_array_multiplies(n, K, m):
    random = np.random.default_rng(0)
    A, B = random.normal(size=(n, K)), random.normal(size=(K, m))
    run = systolic_matmul(A, B)
    np.testing.assert_allclose(run.product, A @ B, rtol=1e-12, atol=1e-12)
    assert run.ticks == K + n + m - 2 and run.cells == n * m
    assert run.busy.sum() == n * K * m  # every product once
    assert run.busy[0] == run.busy[-1] == 1  # the wave begins in one corner, ends in the other
    assert run.utilisation == pytest.approx(K / (K + n + m - 2))


def test_larger_matrices_are_cut_and_filled_up():
    random = np.random.default_rng(0)
    A, B = random.integers(-9, 9, (5, 7)), random.integers(-9, 9, (7, 6))
    run = systolic_matmul(A, B, size=4)
    np.testing.assert_array_equal(run.product, A @ B)
    assert run.ticks == 4 * (7 + 4 + 4 - 2) and run.cells == 16
    assert run.busy.sum() == 5 * 7 * 6  # zeros that fill up do not count


@pytest.mark.parametrize(
    ("shapes", "size", "message"),
    [
        (((2, 3), (4, 2)), None, r"Received: shapes \(2, 3\) and \(4, 2\)"),
        (((2, 0), (0, 2)), None, "none of them 0"),
        (((2, 3), (3, 2)), 0, "`size` must be at least 1. Received: size=0"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(shapes, size, message):
    with pytest.raises(ValueError, match=message):
        systolic_matmul(np.ones(shapes[0]), np.ones(shapes[1]), size)


def test_cache_sizes(tmp_path):
    for index, words in enumerate(
        [("Data", "1", "48K"), ("Instruction", "1", "32K"), ("Unified", "2", "1M"), ("Data", "3")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, word in zip(("type", "level", "size"), words, strict=False):
            (folder / name).write_text(word + "\n")
    assert memory_speed.cache_sizes(tmp_path) == {"L1": 49152, "L2": 2**20}
    assert memory_speed.cache_sizes(tmp_path / "nothing") == {}


def test_latencies_without_the_error_of_the_notes():
    table = memory_speed.LATENCIES
    assert table["L2 cache"] / table["L1 cache"] == pytest.approx(14)  # S1:2277
    assert table["main memory"] / table["L1 cache"] == pytest.approx(200)  # S1:2278


def test_measurements_have_a_time_for_each_size():
    assert all(t > 0 for t in memory_speed.row_and_column_seconds(64, repeats=1))
    strides = memory_speed.stride_seconds([4, 64], size=2**16, repeats=1)
    assert list(strides) == [4, 64] and min(strides.values()) > 0
    walk = memory_speed.walk_seconds([2**12, 2**14], steps=1000, repeats=1)
    assert list(walk) == [2**12, 2**14] and min(walk.values()) > 0


def test_the_walk_visits_every_line():
    """After as many steps as there are lines it is back at the start, and not before."""
    lines, start = 16, np.int32(0)
    following = memory_speed._round_trip(lines, np.random.default_rng(0))
    places = [int(memory_speed._walk(following, np.int32(n), start)) for n in range(lines + 1)]
    assert places[0] == places[-1] == 0 and len(set(places)) == lines
    assert all(place % 16 == 0 for place in places)  # 64 bytes apart


def test_benchmark():
    with Benchmark("a sum") as benchmark:
        sum(range(1000))
    assert benchmark.seconds > 0 and str(benchmark).startswith("a sum: 0.")
    calls = []
    assert best_seconds(lambda: calls.append(1), repeats=2, warm_up=3) >= 0
    assert len(calls) == 5
