import numpy as np
import pytest

from kerasd2l.layers import SidesMultipleOf
from kerasd2l.testing import check_layer


def test_pictures_of_the_right_size_pass_as_they_are():
    x = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype("float32")
    y = check_layer(SidesMultipleOf, {"divisor": 4}, x)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("size", [(8, 13), (9, 12), (1, 1)])
def test_other_sizes_are_refused(size):
    near = {(8, 13): "8 x 12", (9, 12): "8 x 12", (1, 1): "4 x 4"}[size]
    with pytest.raises(ValueError, match=rf"multiples of 4. Received: .* Resize or crop to {near}"):
        SidesMultipleOf(4)(np.zeros((1, *size, 3), "float32"))


def test_divisor_is_a_whole_number():
    with pytest.raises(ValueError, match="`divisor` must be a whole number"):
        SidesMultipleOf(0)
