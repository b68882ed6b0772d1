"""scratch.floats: bits against the machine's own."""

import math

import numpy as np
import pytest

from kerasd2l.scratch import Float32


@pytest.mark.parametrize(
    ("number", "bits"),
    [
        (0.875, "0 01111110 11000000000000000000000"),  # S4-lessons.md:24, exponent 127 - 1
        (6.36, "0 10000001 10010111000010100011111"),  # S4-lessons.md:25, exponent 127 + 2
        (-1.0, "1 01111111 00000000000000000000000"),
        (0.0, "0 00000000 00000000000000000000000"),
        (-0.0, "1 00000000 00000000000000000000000"),
        (math.inf, "0 11111111 00000000000000000000000"),
        (1e300, "0 11111111 00000000000000000000000"),  # too large: infinity
        (2.0**-149, "0 00000000 00000000000000000000001"),  # the smallest subnormal number
        (16777217, "0 10010111 00000000000000000000000"),  # rounded to 2^24
    ],
)
def test_bits(number, bits):
    assert Float32.of(number).bits == bits


def test_formula_gives_back_every_number():
    words = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32)
    words[:200] &= 0x807FFFFF  # subnormal ones, too
    for number in words.view(np.float32):
        value = Float32.of(number).value
        assert math.isnan(value) if np.isnan(number) else value == number
    assert math.copysign(1, Float32.of(-0.0).value) == -1
    assert Float32.of(math.inf).value == math.inf
    assert math.isnan(Float32.of(math.nan).value)
