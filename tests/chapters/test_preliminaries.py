"""Automatic differentiation: every value of the seed's section."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import load


@pytest.fixture(scope="module")
def found():
    return load("autograd").run().values


def test_values_of_the_seed(found):
    assert found["x"] == [0, 1, 2, 3]  # S1-course-notes.md:81
    assert found["y = x . x"] == 14  # S1:94
    assert found["gradient of x . x"] == [0, 2, 4, 6]  # S1:102
    assert found["it is 2 x"] == [True] * 4  # S1:108
    # S1:112 says [1, 5, 9, 13] for a gradient that is not zeroed, which is wrong for y = x . x
    assert found["the two added up"] == [1, 3, 5, 7]
    assert found["gradient of sum(x)"] == [1, 1, 1, 1]  # S1:118
    assert found["gradient of x * x"] == [0, 2, 4, 6]  # S1:129
    assert found["dz/dx is the constant u"] == [True] * 4  # S1:142
    assert found["dy/dx is 2 x"] == [True] * 4  # S1:150


def test_control_flow(found):
    flow = found["control flow"]
    assert flow["gradient"] == flow["d / a"] == flow["gradient in a graph"]  # S1:167
    for a, gradient in zip(flow["a"], flow["gradient"], strict=True):
        factor = 2
        while abs(factor * a) < 1000:
            factor *= 2
        assert gradient == (factor if a > 0 else 100 * factor)
    assert min(flow["a"]) < 0 < max(flow["a"])  # both branches


def test_forward_and_reverse_accumulation(found):
    sums = found["forward and reverse accumulation"]
    x, w = np.arange(1.0, 5), np.linspace(-1, 1, 4)
    expected = 2 * (x @ w - 2) * x
    for way in ("forward", "reverse", "ForwardAccumulator", "GradientTape"):
        assert sums[way] == pytest.approx(expected)
    assert sums["nodes visited forwards"] == 4 * sums["nodes visited backwards"]


def test_numeric_and_symbolic(found):
    numbers = found["numeric and symbolic"]
    assert numbers["automatic"] == numbers["symbolic 12 x^2 + 2 x"] == 12 * 1.5**2 + 2 * 1.5
    errors, steps = numbers["smallest numeric error"], numbers["best step h"]
    for kind in ("float32", "float64"):
        assert 0 < errors[f"central, {kind}"] < errors[f"one-sided, {kind}"]
        # the best step of the one-sided difference is near the root of the rounding
        epsilon = np.finfo(kind).eps
        assert 0.1 < steps[f"one-sided, {kind}"] / epsilon**0.5 < 10


def test_a_tape_that_is_not_persistent_answers_once():
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="non-persistent"):
        tape.gradient(y, x)
