"""Draws of costs within their ranges: the same ones for all results, so that two can be compared draw by draw."""

from __future__ import annotations

import math

from shootdown._values.platform import COST_NAMES, Cost

#: A cost lies within its range in 90 of 100 cases: so many standard deviations are one end.
END = 1.645
#: The part of a cost's variance that all costs of a machine share: it is faster or slower than others as a whole.
_SHARED = 0.3
#: Costs that were there first. Later ones are drawn apart, so that a time that has none of these keeps its interval.
_FIRST = COST_NAMES.index("user_ns") + 1
#: What the model leaves out, as a standard deviation of a time's logarithm: one factor that all times of a draw have.
#: With it 60 of the 69 times and rates to which costs were fitted lie within their intervals, and, whichever of their
#: sources is left out, 80 to 93 % of the rest; no other was looked at.
_LEFT_OUT = 0.25
#: What an interval holds: from the tenth part of the draws to the ninth.
TENTH, NINTH = 10, 90


def places(draws: int, seed: int) -> list[list[float]]:
    """Draw where each cost lies within its range, in standard deviations above what is likely.

    Args:
        draws: how many times.
        seed: the same one gives the same draws, so that two machines can be compared draw by draw.
    """
    import numpy as np

    random, later = np.random.default_rng(seed), np.random.default_rng((seed, 2))
    found = []
    for _ in range(draws):
        shared, own = random.standard_normal(), random.standard_normal(_FIRST)
        own = np.concatenate((own, later.standard_normal(len(COST_NAMES) - _FIRST)))
        found.append((math.sqrt(_SHARED) * shared + math.sqrt(1 - _SHARED) * own).tolist())
    return found


def factors(draws: int, seed: int) -> list[float]:
    """Draw by what each draw's times are multiplied, for what the model leaves out; a quotient of two has none of it.

    Args:
        draws, seed: as for `places`.
    """
    import numpy as np

    found: list[float] = np.exp(_LEFT_OUT * np.random.default_rng((seed, 1)).standard_normal(draws)).tolist()
    return found


def at(cost: Cost, place: float) -> float:
    """Return the value of a cost so many standard deviations above what is likely, in nanoseconds."""
    end = cost.high if place > 0 else cost.low
    if not cost.likely:
        return end * max(place, 0.0) / END
    if not end:
        return cost.likely * max(1 + place / END, 0.0)
    return float(cost.likely * (end / cost.likely) ** (abs(place) / END))
