"""The perceptron: its rule, its convergence, and the bound on its mistakes."""

import numpy as np
import pytest

from kerasd2l import scratch


def separable(seed, gap, size=60):
    random = np.random.default_rng(seed)
    w, b = np.array([0.6, 0.8]), 0.2
    X = random.uniform(-1, 1, (size * 20, 2))
    X = X[np.abs(X @ w + b) >= gap][:size]
    return X, np.sign(X @ w + b), w, b


def test_update_rule_by_hand():
    # (1, 0) is wrong at the start: w = (1, 0), b = 1. Then (-2, 0), y = -1: -2 + 1 < 0, right.
    X, y = np.array([[1.0, 0.0], [-2.0, 0.0]]), np.array([1, -1])
    found = scratch.train_perceptron(X, y)
    np.testing.assert_array_equal(found.w, [1, 0])
    assert (found.b, found.updates, found.converged) == (1.0, 1, True)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gap", [0.02, 0.1, 0.4])
def test_converges_within_the_bound(seed, gap):
    X, y, w, b = separable(seed, gap)
    found = scratch.train_perceptron(X, y)
    assert found.converged
    np.testing.assert_array_equal(found(X), y)
    rho = np.min(y * (X @ w + b)) / np.sqrt(w @ w + b * b)
    bound = (np.max(np.sum(X**2, axis=1)) + 1) / rho**2  # S1:651, for a separating solution
    assert scratch.margin(X, y, w, b) == pytest.approx(rho)
    assert scratch.convergence_bound(X, y, w, b) == pytest.approx(bound)
    assert 0 < found.updates <= bound


def test_the_bound_belongs_to_a_solution_that_separates():
    X, y, w, b = separable(0, 0.1)
    with pytest.raises(ValueError, match=r"must separate the data. Received a margin of -"):
        scratch.convergence_bound(X, y, -w, b)


def test_xor_never_converges():
    X, y = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]), np.array([1, -1, 1, -1])
    found = scratch.train_perceptron(X, y, max_passes=200)
    assert not found.converged
    assert found.updates >= 200


def test_labels_must_be_signs():
    with pytest.raises(ValueError, match=r"`y` must be \+1 or -1\. Received: \[0, 1\]"):
        scratch.train_perceptron(np.eye(2), np.array([0, 1]))
