"""The chapter on attention: what its demos show, and that its translators learn."""

import numpy as np
import pytest

from kerasd2l import finding
from kerasd2l.chapters.attention_mechanisms import nadaraya_watson as kernels
from kerasd2l.models import NWKernelRegression
from kerasd2l.testing import check_model


def shown(name, **arguments):
    return finding.load(name, **arguments).run()


def test_sharper_cues_leave_less_to_other_keys():
    """Section: attention-cues."""
    values = shown("attention_cues", num_keys=10).values
    weights = [values[f"weight of the own key, c = {c}"] for c in (0, 2, 100)]
    np.testing.assert_allclose(weights, [0.1, np.e**2 / (np.e**2 + 9), 1], atol=1e-6)


def test_keys_that_are_all_alike_give_the_means_that_the_book_prints():
    values = np.arange(20.0).reshape(2, 10)  # ten weights of 0.1
    answers = NWKernelRegression(seed=0)([np.ones(2), np.zeros((2, 10)), values])
    np.testing.assert_allclose(answers, [4.5, 14.5], rtol=1e-6)


@pytest.mark.slow
def test_kernel_regression_is_a_weighted_mean_and_its_width_is_learned():
    """Section: nadaraya-watson."""
    result = shown("nadaraya_watson")
    assert result.values["learned w"] > 1
    losses = result.values["loss of the epochs"]
    assert len(losses) == 5 and losses[-1] < losses[0]
    error = {key: value for key, value in result.values.items() if "error" in key}
    assert error["mean squared error, constant"] == pytest.approx(
        error["mean squared error, mean"], abs=1e-6
    )
    assert min(error.values()) < error["mean squared error, mean"] / 2
    model = NWKernelRegression(seed=0)
    queries, keys, values = (
        np.float32(part) for part in ([1.0, 0.5], [[0, 1, 3]] * 2, [[5, 6, 7]] * 2)
    )
    model([queries, keys, values])
    model.w.assign(2.0)
    weights = np.exp(-(((queries[:, None] - keys) * 2) ** 2) / 2)
    expected = (weights / weights.sum(-1, keepdims=True) * values).sum(-1)
    np.testing.assert_allclose(model([queries, keys, values]), expected, atol=1e-5)
    check_model(NWKernelRegression, [queries, keys, values], parameters=1)


def test_kernels_outside_their_width_are_zero_but_no_row_is_empty():
    distances = np.array([[0.0, 0.5, 2.0], [3.0, 4.0, 5.0]])
    for name in ("boxcar", "Epanechnikov"):
        weights = kernels._normed(kernels.KERNELS[name](distances))
        np.testing.assert_allclose(weights.sum(-1), 1)
        assert weights[0, 2] == 0
        np.testing.assert_allclose(weights[1], 1 / 3)


def test_scoring_functions_have_the_values_of_the_book():
    """Section: attention-scoring-functions."""
    result = shown("attention_scoring_functions")
    for name in ("additive", "dot product"):
        np.testing.assert_allclose(result.values[name], [[2, 3, 4, 5], [10, 11, 12, 13]], atol=1e-3)
    assert not any(result.values["weights of a query that may see nothing"])
    scaled, raw = (line.get_ydata() for line in result.figures["scaling"].axes[0].lines)
    assert max(scaled) < 0.5 < 0.9 < raw[-1]


def test_heads_by_hand_are_shown_beside_the_layer():
    """Section: multihead-attention."""
    values = shown("multihead_attention").values
    assert values["output"] == [2, 4, 100]
    assert values["weights to learn"] == 40_000
    assert values["largest difference to the layer by hand"] < 1e-5
    with pytest.raises(ValueError, match="`num_heads` must divide `num_hiddens`"):
        finding.load("multihead_attention", num_heads=7)


@pytest.mark.slow
def test_positions_turn_and_lengths_cost():
    """Section: self-attention-and-positional-encoding."""
    result = shown("positional_encoding")
    assert result.values["P[i + 5] against P[i] turned"] < 1e-5
    assert [result.values[f"{i} in binary"] for i in (0, 5, 7)] == ["000", "101", "111"]
    cost = shown("attention_complexity", width=16, repeats=2)
    assert len(cost.figures["time"].axes[0].lines) == 4
