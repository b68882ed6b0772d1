"""Drawing tokens: limits to the most probable ones, whatever the model is."""

import numpy as np
import pytest
from keras import ops

from kerasd2l import decoding

PROBABILITIES = np.array([0.02, 0.4, 0.05, 0.3, 0.2, 0.03], "float32")  # token 0 is never written


def begin(rows, places):
    return {"none": ops.zeros((rows, 1))}


def step(t, token, state):
    rows = ops.shape(token)[0]
    logits = ops.log(ops.convert_to_tensor(PROBABILITIES))
    return ops.broadcast_to(logits, (rows, len(PROBABILITIES))), state


def drawn(**settings):
    """Return how often each token is drawn, of 4000."""
    prefix = np.ones((40, 1), "int32")
    tokens = decoding.generate(begin, step, prefix, num_tokens=100, **settings)
    return np.bincount(np.array(tokens).ravel(), minlength=6) / 4000


def shares(tokens, temperature=1.0):
    weights = np.zeros(6)
    weights[tokens] = PROBABILITIES[tokens] ** (1 / temperature)
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"top_k": 2}, [1, 3]),
        ({"top_k": 1}, [1]),
        ({"top_k": 99}, [1, 2, 3, 4, 5]),
        ({"top_p": 0.7}, [1, 3]),  # 0.408, 0.714 of what may be written
        ({"top_p": 0.72}, [1, 3, 4]),
        ({"top_p": 1e-9}, [1]),
        ({"top_k": 3, "top_p": 0.5}, [1, 3]),
        ({"top_k": 2, "top_p": 0.99}, [1, 3]),
    ],
)
def test_only_the_most_probable_tokens_are_drawn_as_often_as_they_are_probable(settings, tokens):
    np.testing.assert_allclose(drawn(temperature=1.0, **settings), shares(tokens), atol=0.04)


def test_limits_are_those_of_the_tempered_probabilities():
    found = drawn(temperature=0.5, top_p=0.8)  # squared: 0.55, 0.31, 0.14
    np.testing.assert_allclose(found, shares([1, 3], 0.5), atol=0.04)


def test_limits_may_be_tensors_and_change_nothing_where_they_limit_nothing():
    plain = drawn(temperature=1.0, seed=3)
    limits = {"top_k": ops.convert_to_tensor(0), "top_p": ops.convert_to_tensor(1.0)}
    np.testing.assert_array_equal(drawn(temperature=1.0, seed=3, **limits), plain)
    greedy = drawn(temperature=0.0, top_k=ops.convert_to_tensor(3))
    np.testing.assert_array_equal(greedy, [0, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("settings", [{"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_limits_that_cannot_be(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        drawn(temperature=1.0, **settings)
