"""L.0 How floats are stored."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.scratch import floats

np = lazy("numpy")


def float_representation(*, numbers: tuple[float, ...] = (0.875, 6.36)) -> Demo:
    """Take numbers apart into the 32 bits of a float32, and show where whole numbers end.

    Section: "float-representation". One bit for the sign, eight for the exponent (plus 127), 23 for
    the fraction. Figures: the bits; the distance from one number to the next.
    Expected: 0.875 = 1.75 x 2^-1, 6.36 has the fraction 10010111000010100011111. Whole numbers are
    exact up to 2^24 = 16777216 (the lesson's 2^23 is where the steps become 1).
    Command: kerasd2l run float_representation --set numbers=0.1,-2,inf --out figures
    """
    if not 1 <= len(numbers) <= 12:
        raise ValueError(f"`numbers` must be 1 to 12 numbers. Received: {len(numbers)}.")
    return Demo(section="float-representation", run=lambda: _take_apart(numbers))


def _take_apart(numbers) -> DemoResult:
    values: dict[str, Any] = {}
    for number in numbers:
        parts = floats.Float32.of(number)
        sign, exponent, fraction = parts.bits.split()
        values[f"{number:g}"] = {
            "sign": int(sign),
            "exponent bits": exponent,
            "exponent": max(parts.exponent, 1) - floats.BIAS,
            "fraction bits": fraction,
            "stored as": parts.value,
        }
    limit = 1
    while float(np.float32(limit + 1)) == limit + 1:
        limit *= 2
    values["whole numbers are exact up to"] = limit
    values[f"{limit + 1} is stored as"] = int(np.float32(limit + 1))
    border = 1 << floats.FRACTION_BITS
    values["steps from one number to the next"] = {
        f"below {border}": float(np.float32(border) - np.nextafter(np.float32(border), 0)),
        f"from {border}": float(np.spacing(np.float32(border))),
        f"from {2 * border}": float(np.spacing(np.float32(2 * border))),
    }
    return DemoResult(values, {"bits": _draw_bits(numbers), "steps": _draw_steps()})


def _draw_bits(numbers):
    """Draw a row of 32 cells for each number: sign, exponent, fraction."""
    figure, panels = figures.new_figure(width=11, height=1.4 + 0.6 * len(numbers))
    axes = panels[0, 0]
    groups = {"sign": (0, 1, "#f4a582"), "exponent": (1, 9, "#92c5de"), "fraction": (9, 32, "#ddd")}
    for row, number in enumerate(numbers):
        bits = floats.Float32.of(number).bits.replace(" ", "")
        for name, (first, last, colour) in groups.items():
            left = np.arange(first, last)
            axes.barh([row] * len(left), 0.94, 0.8, left, color=colour, label=None if row else name)
        for i, bit in enumerate(bits):
            axes.text(i + 0.47, row, bit, ha="center", va="center", family="monospace")
    axes.set_yticks(range(len(numbers)), [f"{number:g}" for number in numbers])
    axes.set_xticks(np.array([0, 1, 8, 9, 31]) + 0.47, [31, 30, 23, 22, 0])
    axes.set(title="float32: sign, exponent, fraction", xlabel="number of the bit", ylabel="number")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    figure.legend(ncols=3, loc="outside lower center")
    return figure


def _draw_steps():
    """Draw the distance to the next number for three formats."""
    x = 2.0 ** np.arange(-8, 31)
    formats = {"float32": (23, np.inf), "float16": (10, 65504), "bfloat16": (7, np.inf)}
    return figures.lines(
        {name: x[x <= largest] for name, (_, largest) in formats.items()},
        {name: x[x <= largest] * 2.0**-bits for name, (bits, largest) in formats.items()},
        title="The larger the number, the wider the steps",
        xlabel="number",
        ylabel="distance to the next number",
        xscale="log",
        yscale="log",
    )
