"""Pairs of sentences about journeys: what one says of a day follows from the other, or does not.

The built-in stand-in for SNLI: names of days, months, quarters and countries are CLDR's, through
Babel, whose release decides what they are.
"""

from __future__ import annotations

import numpy as np

from kerasd2l._lazy import lazy

babel = lazy("babel")

ENTAILMENT, CONTRADICTION, NEUTRAL = 0, 1, 2
_COUNTRIES = "CL PE NO SE FI IT ES PT GR PL EG KE IN JP VN CA MX BR IS IE".split()


def pairs(size: int = 4000) -> dict[str, list[tuple[str, str, int]]]:
    """Make the pairs, a third of each label; every fifth premise is for the test.

    "The journey to Chile begins on Monday, 3 May." entails "It begins in the 2nd quarter.", denies
    "It begins after June." and says nothing of "It begins in the evening." or "It ends in May."
    """
    rng = np.random.RandomState(0)  # numpy's frozen stream
    locale = babel.Locale("en")
    months = [locale.months["format"]["wide"][i] for i in range(1, 13)]
    days = [locale.days["format"]["wide"][i] for i in range(7)]
    quarters = [locale.quarters["format"]["wide"][i] for i in range(1, 5)]
    countries = [locale.territories[code] for code in _COUNTRIES]
    found: dict[tuple[str, str], tuple[int, bool]] = {}
    premises: set[str] = set()
    while len(found) < size:
        country, day, month = (rng.randint(n) for n in (len(countries), 7, 12))
        premise = (
            f"The journey to {countries[country]} begins on {days[day]}, "
            f"{rng.randint(1, 29)} {months[month]}."
        )
        if premise in premises:
            continue
        is_test = len(premises) % 5 == 0
        premises.add(premise)
        other_month = (month + rng.randint(1, 12)) % 12
        before = "before" if other_month > month else "after"
        not_before = "after" if other_month > month else "before"
        other_quarter = (month // 3 + rng.randint(1, 4)) % 4
        other_day, other_country = (day + rng.randint(1, 7)) % 7, countries[country - 1]
        told = {
            ENTAILMENT: (
                f"It begins in {months[month]}.",
                f"It begins in the {quarters[month // 3]}.",
                f"It begins {before} {months[other_month]}.",
                f"It begins on a {days[day]}.",
                f"It goes to {countries[country]}.",
            ),
            CONTRADICTION: (
                f"It begins in {months[other_month]}.",
                f"It begins in the {quarters[other_quarter]}.",
                f"It begins {not_before} {months[other_month]}.",
                f"It begins on a {days[other_day]}.",
                f"It goes to {other_country}.",
            ),
            NEUTRAL: (
                f"It ends in {months[other_month]}.",
                f"It ends on a {days[other_day]}.",
                "It begins in the evening.",
                "It begins in the morning.",
                f"It ends in the {quarters[other_quarter]}.",
            ),
        }
        for label, hypotheses in told.items():
            found[premise, hypotheses[rng.randint(len(hypotheses))]] = label, is_test
    rows = [(*pair, label, is_test) for pair, (label, is_test) in found.items()]
    return {
        "train": [row[:3] for row in rows if not row[3]],
        "test": [row[:3] for row in rows if row[3]],
    }
