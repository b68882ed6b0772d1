"""scratch.descent: the numbers of the lessons, from formulas and from a loop of three lines."""

import numpy as np
import pytest

from kerasd2l.scratch import descent

X, Y = np.transpose(descent.POINTS)


def test_points():
    assert descent.POINTS == ((1, 2), (2, 4), (3, 6))  # S4-lessons.md:31


def test_exhaustive_search():
    weights, costs, best = descent.exhaustive_search(X, Y)  # S4-lessons.md:34: w < 4.1 step 0.1
    assert len(weights) == 41
    np.testing.assert_allclose(weights, [i / 10 for i in range(41)], atol=1e-12)
    assert best == pytest.approx(2.0)
    # mean of (x (w - 2))^2: 14 / 3 (w - 2)^2; S4-lessons.md:33-34, derived in the inventory, L.2
    np.testing.assert_allclose(costs, 14 / 3 * (weights - 2) ** 2, atol=1e-12)
    expected = [18.6667, 4.6667, 0, 4.6667, 18.6667]
    np.testing.assert_allclose(descent.cost([0, 1, 2, 3, 4], X, Y), expected, atol=1e-4)


@pytest.mark.parametrize(("stop", "step"), [(4.1, 0.0), (4.1, -0.1), (-1.0, 0.1)])
def test_nothing_to_search(stop, step):
    with pytest.raises(ValueError, match=r"`step` must be positive.*Received: start=0"):
        descent.exhaustive_search(X, Y, stop=stop, step=step)


def test_cost_gradient_is_the_slope_of_the_cost():
    for w in (-1.0, 0.5, 3.0):
        slope = (descent.cost(w + 1e-6, X, Y) - descent.cost(w - 1e-6, X, Y)) / 2e-6
        assert descent.cost_gradient(w, X, Y) == pytest.approx(slope, rel=1e-6)


def test_gradient_descent():
    way = descent.gradient_descent(X, Y)  # S4-lessons.md:43: w = 1, step 0.01, 100 times
    assert way.shape == (101, 1)
    # the error shrinks by 1 - 0.01 * 2 * 14 / 3 with every step
    np.testing.assert_allclose(way[:, 0], 2 - (1 - 0.28 / 3) ** np.arange(101), rtol=1e-12)
    assert way[1, 0] == pytest.approx(1.093333, abs=1e-6)
    assert way[100, 0] == pytest.approx(1.9999444, abs=1e-7)


def test_stochastic_gradient_descent():
    way = descent.gradient_descent(X, Y, batch_size=1)  # S4-lessons.md:48
    w = 1.0
    for epoch in range(1, 101):
        for i, (x, y) in enumerate(descent.POINTS):
            w -= 0.01 * 2 * x * (x * w - y)
            assert way[epoch, i] == pytest.approx(w, abs=1e-15)
    assert way[1, -1] == pytest.approx(1.260688, abs=1e-6)
    assert abs(way[100, -1] - 2) < 1e-13


def test_mini_batches_lie_between():
    way = descent.gradient_descent(X, Y, batch_size=2, epochs=1)
    first = 1 - 0.01 * np.mean([2 * 1 * (1 - 2), 2 * 2 * (2 - 4)])
    assert way[1].tolist() == pytest.approx([first, first - 0.01 * 6 * (3 * first - 6)])


@pytest.mark.parametrize("batch_size", [0, 4])
def test_batch_size(batch_size):
    with pytest.raises(ValueError, match=rf"`batch_size` must be 1-3. Received: .*{batch_size}"):
        descent.gradient_descent(X, Y, batch_size=batch_size)
