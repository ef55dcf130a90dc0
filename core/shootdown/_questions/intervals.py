"""What 80 % of a time's draws lie within, from three runs and the ledger of the middle one.

A draw gives each cost a place within its range, as `draws.places` says. How often each cost is in a time is in the
ledger, so that a draw of the time is a sum. The runs with all costs low and all costs high say what such a sum leaves
out: CPUs that wait for one another, and races.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shootdown._questions.draws import END, factors, places
from shootdown._values.platform import COST_NAMES, Costs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Draws of each time: sums, so that many cost nothing. All results have the same ones.
DRAWS, SEED = 400, 1
#: A time that grows faster than this power of the sum is one that a race decides.
_STEEPEST = 3.0


def drawn_places() -> list[list[float]]:
    """Return the place of each cost in each of the draws that all results have."""
    return places(DRAWS, SEED)


def drawn_times(
    costs: Costs, numbers: npt.NDArray[np.float64], ends: Mapping[str, float]
) -> tuple[float, ...]:
    """Return a time in each of the draws, in nanoseconds.

    Args:
        costs: the platform's.
        numbers: how often each cost is in the time, and nanoseconds that none decides (`spent`).
        ends: the time of the runs with all costs `low`, `likely` and `high`, in nanoseconds.
    """
    import numpy as np

    exact = min(float(numbers[-1]), *ends.values())
    sums = _values(costs) @ numbers - numbers[-1]
    by_end = {which: float(_ends(costs)[which] @ numbers - numbers[-1]) for which in ends}
    likely = ends["likely"] - exact
    if likely <= 0 or by_end["likely"] <= 0:
        return (ends["likely"],) * DRAWS
    quotient = np.maximum(sums / by_end["likely"], 1e-9)
    below, above = (
        _power((ends[which] - exact) / likely, by_end[which] / by_end["likely"]) for which in ("low", "high")
    )
    found = likely * np.where(quotient < 1, quotient**below, quotient**above) * np.array(factors(DRAWS, SEED))
    return tuple(np.round(exact + found, 1).tolist())


def _power(time: float, total: float) -> float:
    """Return the power of a sum that a time grows with, both as quotients of what is likely."""
    if time <= 0 or total <= 0 or math.isclose(total, 1, rel_tol=1e-6):
        return 1.0
    return min(max(math.log(time) / math.log(total), 0.0), _STEEPEST)


@functools.lru_cache(maxsize=64)
def _ends(costs: Costs) -> Mapping[str, npt.NDArray[np.float64]]:
    """Return all costs at each end, and one nanosecond."""
    import numpy as np

    return {
        which: np.array([*(getattr(getattr(costs, name), which) for name in COST_NAMES), 1.0])
        for which in ("low", "likely", "high")
    }


@functools.lru_cache(maxsize=64)
def _values(costs: Costs) -> npt.NDArray[np.float64]:
    """Return all costs in each draw, and one nanosecond: what `draws.at` gives, shape (draws, costs + 1)."""
    import numpy as np

    where = np.array(drawn_places())
    ends = {which: values[:-1] for which, values in _ends(costs).items()}
    end = np.where(where > 0, ends["high"], ends["low"])
    likely = np.broadcast_to(ends["likely"], where.shape)
    grows = (end > 0) & (likely > 0)
    quotient = np.where(grows, end, 1.0) / np.where(grows, likely, 1.0)
    found = np.where(grows, likely * quotient ** (np.abs(where) / END), 0.0)
    falls = (likely > 0) & (end <= 0)
    found = np.where(falls, likely * np.maximum(1 + where / END, 0), found)
    found = np.where(likely <= 0, end * np.maximum(where, 0) / END, found)
    return np.column_stack((found, np.ones(len(found))))
