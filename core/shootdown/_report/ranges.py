"""Remarks on how sure times are: intervals of draws, and the costs that make ranges wide."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._questions.ranges import Drawn, Width
from shootdown._report.text import about, estimate

#: How many costs are named, and the least part of the widest one that is worth a name.
_MOST, _LEAST = 5, 0.05


def of_draws(found: Drawn) -> str:
    """Return a remark on draws of costs."""
    return (
        f"80 % of {found.draws} draws of all costs: elapsed {estimate(found.elapsed)}, "
        f"system {estimate(found.system)}, with the middle before the brackets; costs share a factor of the "
        "machine and have a rest of their own"
    )


def of_widths(found: Sequence[Width]) -> str:
    """Return a remark on the costs that make the range of the elapsed time wide, the widest first."""
    widest = found[0].high - found[0].low
    named = [one for one in found[:_MOST] if one.high - one.low > _LEAST * widest]
    if widest <= 0:
        return "no cost alone changes the elapsed time"
    told = "; ".join(f"{one.cost} {about(one.low)} to {about(one.high)}" for one in named)
    return f"what each cost alone, from its low to its high end, makes of the elapsed time: {told}"
