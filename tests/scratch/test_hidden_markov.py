import numpy as np
import pytest

from kerasd2l import finding
from kerasd2l.scratch import best_path_by_enumeration, viterbi


def draw(rng, states, kinds):
    return (
        rng.dirichlet(np.ones(states)),
        rng.dirichlet(np.ones(states), states),
        rng.dirichlet(np.ones(kinds), states),
    )


def test_viterbi_finds_what_exhaustive_search_finds():
    rng = np.random.default_rng(0)
    for states, kinds, length in ((2, 3, 1), (2, 2, 8), (3, 4, 6), (4, 2, 5)):
        model = draw(rng, states, kinds)
        observations = rng.integers(0, kinds, length).tolist()
        path, score = viterbi(*model, observations)
        expected, expected_score = best_path_by_enumeration(*model, observations)
        assert path == expected
        assert score == pytest.approx(expected_score, abs=1e-12)


def test_score_is_the_product_of_the_probabilities_on_the_path():
    model = [0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]]
    path, score = viterbi(*model, [0, 1, 2])
    assert path == [0, 0, 1]
    assert np.exp(score) == pytest.approx(0.6 * 0.5 * 0.7 * 0.4 * 0.3 * 0.6)


def test_impossible_steps_are_never_taken_and_long_sequences_do_not_underflow():
    circle = [1.0, 0.0], [[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]
    path, score = viterbi(*circle, [0] * 3000)
    assert path == [0, 1] * 1500
    assert score == pytest.approx(3000 * np.log(0.5))
    certain = [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(ValueError, match="no path of states"):
        viterbi(*certain, [0, 1])


def test_bad_input():
    good = [0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], [[1.0], [1.0]]
    for observations in ([], [1], [-1]):
        with pytest.raises(ValueError, match=r"numbers in 0\.\.0"):
            viterbi(*good, observations)
    with pytest.raises(ValueError, match="`initial` must be probabilities"):
        viterbi([0.5, 0.6], good[1], good[2], [0])
    with pytest.raises(ValueError, match="must have the same S"):
        viterbi(good[0], [[1.0]], good[2], [0])


def test_demo_shows_where_greedy_search_loses():
    values = finding.load("hidden_states").run().values
    assert values["most probable course"] == ["fever", "healthy", "healthy"]
    assert values["most probable course"] == values["found by trying all"]
    assert values["its probability"] == pytest.approx(0.4 * 0.6 * 0.4 * 0.4 * 0.7 * 0.5)
    assert values["probability of the greedy course"] == pytest.approx(
        0.4 * 0.6 * 0.6 * 0.3 * 0.4 * 0.5
    )
    with pytest.raises(ValueError, match=r"Received: .*'tired'"):
        finding.load("hidden_states", symptoms="tired")
