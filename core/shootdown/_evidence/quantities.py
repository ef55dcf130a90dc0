"""What a claim can measure of a run: counts, times, costs, and quotients of two of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from shootdown._questions.draws import at
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.platform import COST_NAMES, Costs
from shootdown._values.result import COUNTS, TIMING_DECIDES, Result

#: Times of a run, by the names that claims use.
TIMES = {"elapsed": "elapsed_ns", "system": "system_ns", "lost": "lost_ns", "user": "user_ns"}
TURNS = "turns"
#: Nanoseconds of one unit; for `cycles` the claim says `ghz`.
TIME_UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
RATE_UNITS = {"/s": 1e-9, "k/s": 1e-6, "M/s": 1e-3}
CYCLES = "cycles"

_TERM = re.compile(r"(?:(\d+(?:\.\d+)?)\s*\*?\s*)?([a-z_]+)")


@attrs.frozen
class Range:
    """A value with its range.

    Args:
        low, likely, high: in order.
        counted: it is made of counts alone.
    """

    low: float
    likely: float
    high: float
    counted: bool = False

    def over(self, other: Range) -> Range:
        """Divide end by end: both have the same costs, which are low or high together.

        Raises:
            ZeroDivisionError: what is likely of the other is zero.
        """
        if not other.likely:
            raise ZeroDivisionError
        quotients = [
            a / b if b else float("inf")
            for a, b in ((self.low, other.low), (self.likely, other.likely), (self.high, other.high))
        ]
        return Range(min(quotients), quotients[1], max(quotients), self.counted and other.counted)

    def less(self, other: Range) -> Range:
        """Subtract end by end, for the same reason."""
        differences = (self.low - other.low, self.likely - other.likely, self.high - other.high)
        return Range(min(differences), differences[1], max(differences), self.counted and other.counted)

    def times(self, factor: float) -> Range:
        """Multiply with a number above zero."""
        return Range(self.low * factor, self.likely * factor, self.high * factor, self.counted)


@attrs.frozen
class Quantity:
    """A sum of terms of one kind.

    Args:
        terms: a number of times a name.
        kind: `count`, `time` or `number`.
        of_costs: it needs no run.
    """

    terms: tuple[tuple[float, str], ...]
    kind: str
    of_costs: bool = False

    def of(self, result: Result | None, turns: int, costs: Costs) -> Range:
        """Return its value, times in nanoseconds."""
        parts = [_one(name, result, turns, costs).times(times) for times, name in self.terms]
        return Range(
            sum(part.low for part in parts),
            sum(part.likely for part in parts),
            sum(part.high for part in parts),
            self.kind != "time",
        )

    def drawn(self, values: Mapping[str, float], turns: int, costs: Costs, places: Sequence[float]) -> float:
        """Return its value in one draw, times in nanoseconds.

        Args:
            values: counts and times of the run; empty where costs alone are asked for.
            turns: that the program counts.
            costs: of the platform.
            places: where each cost lies within its range.
        """
        total = 0.0
        for times, name in self.terms:
            if not name:
                total += times
            elif name in COST_NAMES:
                total += times * at(getattr(costs, name), places[COST_NAMES.index(name)])
            else:
                total += times * (turns if name == TURNS else values[TIMES.get(name, name)])
        return total


ONE = Quantity(((1.0, ""),), "number", of_costs=True)


@attrs.frozen
class Quotient:
    """What a claim measures: one quantity, divided by another or by one."""

    of: Quantity
    per: Quantity = ONE

    @property
    def kind(self) -> str:
        """`time`, `rate` or `number`."""
        kinds = (self.of.kind == "time", self.per.kind == "time")
        return {(True, False): "time", (False, True): "rate"}.get(kinds, "number")

    @property
    def counted(self) -> bool:
        """Whether it is made of counts alone."""
        return "time" not in (self.of.kind, self.per.kind)

    @property
    def of_costs(self) -> bool:
        """Whether no run is needed."""
        return self.of.of_costs and self.per.of_costs

    def names(self) -> tuple[str, ...]:
        """Return the names in it."""
        return tuple(name for _, name in (*self.of.terms, *self.per.terms) if name)


def read_quantity(text: object) -> Quantity:
    """Read a quantity: a number, a name, or a sum such as `flush_ns + 8 page_flush_ns`.

    Raises:
        ShootdownError: it is none; the message lacks the place.
    """
    if isinstance(text, int | float) and not isinstance(text, bool) and text > 0:
        return Quantity(((float(text), ""),), "number", of_costs=True)
    if not isinstance(text, str):
        raise ShootdownError(f"{text!r:.40} is no quantity: a name, a number, or a sum of names")
    terms, kinds = [], set()
    for part in text.split("+"):
        found = _TERM.fullmatch(part.strip())
        if not found:
            raise ShootdownError(f"{text!r:.60} is no quantity: a name, a number, or a sum of names")
        terms.append((float(found[1] or 1), found[2]))
        kinds.add(_kind(found[2]))
    if len(kinds) > 1:
        raise ShootdownError(f"{text!r:.60} adds what can't be added: {' and '.join(sorted(kinds))}")
    (kind,) = kinds
    return Quantity(tuple(terms), "time" if kind == "cost" else kind, kind == "cost")


def _kind(name: str) -> str:
    if name in TIMES:
        return "time"
    if name in COST_NAMES:
        return "cost"
    if name in COUNTS or name == TURNS:
        return "count"
    known = (*TIMES, TURNS, *COUNTS, *COST_NAMES)
    raise ShootdownError(f"there is no quantity {name!r:.40}; {nearest(name, known)}")


def _one(name: str, result: Result | None, turns: int, costs: Costs) -> Range:
    if not name:
        return Range(1, 1, 1, True)
    if name in COST_NAMES:
        cost = getattr(costs, name)
        return Range(float(cost.low), float(cost.likely), float(cost.high))
    assert result is not None
    if name in TIMES:
        span = result.times[TIMES[name]]
        return Range(span.low, span.likely, span.high)
    if name == TURNS:
        return Range(turns, turns, turns, True)
    low, high = _timed_counts(result).get(name, (result.counts[name],) * 2)
    return Range(low, result.counts[name], high, True)


def _timed_counts(result: Result) -> Mapping[str, tuple[int, int]]:
    """Return the ranges of the counts that timing decides."""
    found = {}
    for remark in result.remarks:
        if remark.startswith(TIMING_DECIDES):
            for part in remark.removeprefix(TIMING_DECIDES).split(", "):
                name, low, _, high = part.split()
                found[name] = (int(low), int(high))
    return found
