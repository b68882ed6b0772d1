"""The 32 bits of a float32: one for the sign, eight for the exponent, 23 for the fraction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BIAS = 127  # of the exponent
FRACTION_BITS = 23


@dataclass(frozen=True)
class Float32:
    """A float32 taken apart.

    (-1)^sign 1.fraction 2^(exponent - 127). Section: "float-representation".

    Args:
        sign: 0 or 1.
        exponent: int 0-255 as stored. 0: the leading 1 is missing (zero and subnormal numbers);
            255: infinity, or NaN if there is a fraction.
        fraction: int below 2^23, the digits after the binary point.

    Example:
        >>> Float32.of(0.875).bits
        '0 01111110 11000000000000000000000'
    """

    sign: int
    exponent: int
    fraction: int

    @classmethod
    def of(cls, number: float) -> Float32:
        """Take the float32 nearest to `number` apart."""
        with np.errstate(over="ignore"):
            word = int(np.float32(number).view(np.uint32))
        rest = word & ((1 << 31) - 1)
        return cls(word >> 31, rest >> FRACTION_BITS, rest & ((1 << FRACTION_BITS) - 1))

    @property
    def bits(self) -> str:
        """The bits as text: sign, exponent, fraction."""
        return f"{self.sign} {self.exponent:08b} {self.fraction:023b}"

    @property
    def value(self) -> float:
        """The number, put together again by the formula."""
        sign = -1.0 if self.sign else 1.0
        if self.exponent == 255:
            return sign * float("nan" if self.fraction else "inf")
        subnormal = self.exponent == 0
        significand = (0 if subnormal else 1) + self.fraction / (1 << FRACTION_BITS)
        return sign * significand * 2.0 ** (max(self.exponent, 1) - BIAS)
