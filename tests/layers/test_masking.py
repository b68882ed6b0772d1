"""Which places of a padded batch are real."""

import numpy as np
import pytest

from kerasd2l.layers import sequence_mask


def test_sequence_mask_has_the_values_of_the_book():
    assert np.array(sequence_mask([[1, 2, 3], [4, 5, 6]], [1, 2])).tolist() == [
        [1, 0, 0],
        [4, 5, 0],
    ]
    ones = np.ones((2, 3, 4), "float32")  # the book's second example: whole vectors become -1
    masked = np.array(sequence_mask(ones, np.array([1, 2]), value=-1))
    assert masked.dtype == np.float32 and masked.shape == ones.shape
    steps = masked.all(axis=2), masked[:, :, 0].tolist()
    assert steps[0].all() and steps[1] == [[1, -1, -1], [1, 1, -1]]
    np.testing.assert_array_equal(ones, 1)  # not in place


def test_lengths_of_nothing_and_of_everything():
    x = np.arange(6.0).reshape(2, 3)
    assert np.array(sequence_mask(x, [0, 9], value=7.0)).tolist() == [[7, 7, 7], [3, 4, 5]]


@pytest.mark.parametrize(
    ("inputs", "lengths"), [([1, 2], [1, 2]), ([[1], [2]], [1]), ([[1]], [[1]])]
)
def test_shapes_that_do_not_fit(inputs, lengths):
    with pytest.raises(ValueError, match=r"must be \(B, T, ...\) and `valid_lens` \(B,\)"):
        sequence_mask(inputs, lengths)
