"""scratch.chain_rule: gradients by hand against GradientTape, numbers, and slopes."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.scratch import chain_rule

MODELS = [(chain_rule.proportional, 1), (chain_rule.linear, 2), (chain_rule.quadratic, 3)]


@pytest.mark.parametrize(("backward", "count"), MODELS)
def test_equals_the_tape(backward, count):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 20))
    parameters = [tf.Variable(value) for value in random.normal(size=count)]
    with tf.GradientTape() as tape:
        loss, by_hand = backward(x, y, *parameters)
        total = tf.reduce_sum(loss)
    assert len(by_hand) == count
    for gradient, expected in zip(by_hand.values(), tape.gradient(total, parameters), strict=True):
        np.testing.assert_allclose(np.sum(gradient), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("backward", "parameters", "loss", "gradient"),
    [  # x = 2, y = 4, all parameters 1, with the formulas of S4-lessons.md:58-70
        (chain_rule.proportional, [1], (2 - 4) ** 2, {"w": 2 * -2 * 2}),
        (chain_rule.linear, [1, 1], (3 - 4) ** 2, {"w": 2 * -1 * 2, "b": 2 * -1}),
        (
            chain_rule.quadratic,
            [1, 1, 1],
            (7 - 4) ** 2,
            {"w_1": 2 * 3 * 4, "w_2": 2 * 3 * 2, "b": 2 * 3},
        ),
    ],
)
def test_numbers(backward, parameters, loss, gradient):
    assert backward(2, 4, *parameters) == (loss, gradient)
