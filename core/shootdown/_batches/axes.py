"""What a sweep varies: each axis has values to choose from, or a range to draw from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from shootdown._batches.reading import known, whole_number
from shootdown._programs.reading import Source
from shootdown._values.platform import Cost

#: The keys of a range.
RANGE = ("from", "to", "step", "points", "log")
#: The most values of an axis.
MOST_VALUES = 100_000
#: The places of a cost within its platform's range, in a grid.
COST_ENDS = ("low", "likely", "high")
#: Digits of a number that is drawn: more would only make a table wider.
_DIGITS = 6

Plain = str | int | float | bool


@attrs.frozen
class Between:
    """A range of numbers that is drawn from.

    Args:
        low, high: its ends, both of them in it; whole numbers if both are.
        log: drawn so that each factor is as likely as another, not each difference.
    """

    low: int | float
    high: int | float
    log: bool = False

    def at(self, share: float) -> int | float:
        """Return the number that a share, from 0 up to 1, stands for."""
        low, high = self.low, self.high
        if isinstance(low, int) and isinstance(high, int):
            if self.log:
                drawn = math.exp(math.log(low - 0.5) + share * (math.log(high + 0.5) - math.log(low - 0.5)))
                return min(max(round(drawn), low), high)
            return min(low + int(share * (high - low + 1)), high)
        value = low * (high / low) ** share if self.log else low + share * (high - low)
        return float(f"{value:.{_DIGITS}g}")


@attrs.frozen
class Axis:
    """One thing that varies, or does not.

    Args:
        group: `program`, `machine`, `kernel`, `cpus`, `patch`, `parameters`, `set` or `costs`.
        name: of the parameter, what-if or cost; else empty.
        values: to choose from; of a range what a grid takes.
        between: what is drawn from, if it is a range.
        of: the program that alone has this axis; all have it if empty.
        keys: where it stands in the file.
    """

    group: str
    name: str
    values: tuple[Any, ...]
    between: Between | None = None
    of: str = ""
    keys: tuple[str, ...] = ()

    @property
    def varies(self) -> bool:
        """Whether there is more than one value."""
        return self.between is not None or len(self.values) > 1

    @property
    def label(self) -> str:
        """What it is called in a table: `kernel`, `parameters.tables`."""
        return f"{self.group}.{self.name}" if self.name else self.group

    def drawn(self, share: float) -> Any:
        """Return the value that a share, from 0 up to 1, stands for."""
        if self.group == "costs":
            return round(share, _DIGITS)
        if self.between is not None:
            return self.between.at(share)
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]


def read_axis(
    source: Source, value: object, group: str, name: str, keys: Sequence[str], *, grid: bool, of: str = ""
) -> Axis:
    """Read the values of a parameter or what-if: one, a list, or a range.

    Args:
        source: the file.
        value: as the file has it.
        group, name: of the axis.
        keys: where it stands.
        grid: all values are taken, and a range has steps.
        of: the program that alone has it.

    Raises:
        ShootdownError: it is something else.
    """
    where = tuple(keys)
    if isinstance(value, Mapping):
        values, between = _range(source, value, where, grid)
        return Axis(group, name, values, between, of, where)
    given = value if isinstance(value, list) else [value]
    if not given:
        raise source.wrong("its list of values is empty", *where)
    if not all(isinstance(one, str | int | float) for one in given):
        raise source.wrong("it is a value, a list of values, or a range { from = 1, to = 8 }", *where)
    seen: list[object] = []
    for one in given:
        if (type(one), one) in seen:
            raise source.wrong(f"{one!r:.40} stands there twice", *where)
        if one != one or one in (math.inf, -math.inf):
            raise source.wrong(f"{one!r:.40} is no number", *where)
        seen.append((type(one), one))
    if len(given) > MOST_VALUES:
        raise source.wrong(f"it has {len(given):,} values; {MOST_VALUES:,} at most", *where)
    return Axis(group, name, tuple(given), None, of, where)


def _range(
    source: Source, table: Mapping[str, Any], keys: tuple[str, ...], grid: bool
) -> tuple[tuple[int | float, ...], Between | None]:
    """Return the values of a range in a grid, and what is drawn from where it has no steps."""
    known(source, table, RANGE, *keys)
    ends = []
    for end in ("from", "to"):
        number = table.get(end)
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise source.wrong(f"a range has `{end}`, a number: {{ from = 1, to = 8 }}", *keys, end)
        ends.append(number)
    low, high = ends
    if not low < high:
        raise source.wrong(f"`from` is less than `to`, not {low!r} and {high!r}", *keys)
    log = table.get("log", False)
    if not isinstance(log, bool):
        raise source.wrong("it is true or false", *keys, "log")
    if log and low <= 0:
        raise source.wrong("a logarithmic range begins above 0", *keys, "log")
    if "step" in table and ("points" in table or log):
        raise source.wrong("`step` stands without `points` and `log`", *keys, "step")
    whole = isinstance(low, int) and isinstance(high, int)
    if "step" in table:
        step = table["step"]
        if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step <= high - low:
            raise source.wrong(f"it is a number above 0, {high - low!r} at most", *keys, "step")
        many = math.floor((high - low) / step + 1e-9) + 1
        _few(source, many, keys)
        values = tuple(low + number * step for number in range(many))
        return tuple(one if isinstance(one, int) else float(f"{one:.12g}") for one in values), None
    if "points" in table:
        many = whole_number(source, table["points"], 2, MOST_VALUES, *keys, "points")
        shares = [number / (many - 1) for number in range(many)]
        spread = [low * (high / low) ** one if log else low + one * (high - low) for one in shares]
        spread[-1] = high
        found = [round(one) if whole else float(f"{one:.{_DIGITS}g}") for one in spread]
        return tuple(dict.fromkeys(found)), None
    if not grid:
        return (), Between(low, high, log)
    if not whole or log:
        raise source.wrong("in a grid, such a range has `points`, or `step`", *keys)
    assert isinstance(low, int)
    assert isinstance(high, int)
    _few(source, high - low + 1, keys)
    return tuple(range(low, high + 1)), None


def _few(source: Source, many: int, keys: tuple[str, ...]) -> None:
    if many > MOST_VALUES:
        raise source.wrong(f"it has {many:,} values; {MOST_VALUES:,} at most", *keys)


def cost_at(cost: Cost, place: str | float) -> float:
    """Return a cost at a place of its platform's range.

    Args:
        cost: the platform's.
        place: `low`, `likely`, `high`, or a share of the way from the low to the high end: of the factor between
            them, or of the difference where the low end is 0.
    """
    if isinstance(place, str):
        return float(getattr(cost, place))
    grows = cost.low > 0
    value = cost.low * (cost.high / cost.low) ** place if grows else cost.low + place * (cost.high - cost.low)
    return float(f"{value:.{_DIGITS}g}")
