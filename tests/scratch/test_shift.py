"""Corrections for distribution shift: exact where the truth is known, and useful."""

import numpy as np
import pytest

from kerasd2l import scratch

RANDOM = np.random.default_rng(0)


def test_covariate_weights_are_the_ratio_of_the_densities():
    """For N(0, 1) and N(0.8, 1) the ratio p(x) / q(x) is exp(0.8 x - 0.32)."""
    source, target = RANDOM.normal(0, 1, 20_000), RANDOM.normal(0.8, 1, 10_000)
    weights = scratch.covariate_shift_weights(source, target)
    inner = np.abs(source) < 2
    np.testing.assert_allclose(weights[inner], np.exp(0.8 * source - 0.32)[inner], rtol=0.15)
    assert weights.mean() == pytest.approx(1, abs=0.05)
    # so weighted source examples have the mean of the target
    assert np.average(source, weights=weights) == pytest.approx(0.8, abs=0.05)
    clipped = scratch.covariate_shift_weights(source, target, clip=2.0)
    np.testing.assert_allclose(clipped, np.minimum(weights, 2.0))


def test_without_shift_the_weights_are_one():
    weights = scratch.covariate_shift_weights(
        RANDOM.normal(size=(5000, 3)), RANDOM.normal(size=(5000, 3))
    )
    np.testing.assert_allclose(weights, 1, atol=0.25)


def test_confusion_matrix_columns_are_the_true_classes():
    confusion = scratch.confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1], 2)
    np.testing.assert_allclose(confusion, [[2 / 3, 0], [1 / 3, 1]])


def test_label_prior_is_recovered_from_predictions():
    confusion = np.array([[0.8, 0.1, 0.2], [0.1, 0.7, 0.1], [0.1, 0.2, 0.7]])
    truth = np.array([0.7, 0.2, 0.1])
    mu = confusion @ truth  # what such a model predicts there: 0.6, 0.22, 0.18
    predictions = np.repeat([0, 1, 2], np.rint(mu * 1000).astype(int))
    np.testing.assert_allclose(scratch.label_shift_prior(confusion, predictions), truth, atol=1e-9)


def test_noise_cannot_make_a_share_negative():
    confusion = np.array([[0.9, 0.2], [0.1, 0.8]])
    prior = scratch.label_shift_prior(confusion, np.zeros(50, int))
    np.testing.assert_allclose(prior, [1, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: scratch.covariate_shift_weights(np.ones((3, 2)), np.ones((3, 1))),
            "as many columns. Received: 2 and 1",
        ),
        (
            lambda: scratch.covariate_shift_weights(np.array([1.0, np.nan]), np.ones(2)),
            "`source` must be finite numbers",
        ),
        (lambda: scratch.confusion_matrix([0, 0], [0, 1], 2), r"Without any: \[1\]"),
        (
            lambda: scratch.label_shift_prior(np.full((2, 2), 0.5), [0, 1]),
            "the confusion matrix has no inverse",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
