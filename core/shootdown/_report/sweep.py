"""What a sweep has found, in a few lines: the table itself is in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from shootdown._report.text import about, paragraph

if TYPE_CHECKING:
    from shootdown._batches.axes import Axis
    from shootdown._batches.points import Plan
    from shootdown._batches.sweep import Sweep

#: The measures that are told, with their words.
_TOLD = {
    "sync_ipis": "sync IPIs",
    "flush_ipis": "flush IPIs",
    "redundant_sync_ipis": "redundant sync IPIs",
    "interrupted_cpus": "CPUs interrupted",
}
_ELAPSED = "elapsed_ns"
#: Values of an axis that are named; of more, the first and the last.
_NAMED = 6
#: Reasons why points can't run that are named.
_REASONS = 3


def check_lines(plan: Plan, width: int) -> list[str]:
    """Say what a sweep would run."""
    return [*_head(plan, width), *_axes(plan, width)]


def lines(found: Sweep, width: int) -> list[str]:
    """Say what a sweep has found."""
    told = _Told(found._framed())
    plan = found.plan
    text = [*_head(plan, width), *_axes(plan, width), ""]
    for name, words in _TOLD.items():
        if name in told.ranges:
            low, high = told.ranges[name]
            text.append(f"{words}: {low:,}" if low == high else f"{words}: {low:,} to {high:,}")
    if _ELAPSED in told.ranges:
        low, high = told.ranges[_ELAPSED]
        text.append(f"elapsed (likely): {about(low)} to {about(high)}")
    if told.refused:
        many = sum(told.refused.values())
        are = "is" if many == 1 else "are"
        text.append(f"{many:,} of {_points(plan)} {are} not possible:")
        most = sorted(told.refused.items(), key=lambda one: (-one[1], one[0]))
        for reason, times in most[:_REASONS]:
            text += paragraph(f"{times:,}: {reason}", width, first="  ", rest="    ")
        if len(most) > _REASONS:
            text.append(f"  and {len(most) - _REASONS} other reasons")
    text += paragraph(f"{found.out} has a row for each point.", width)
    return text


def summary(plan: Plan, found: Sweep | None = None) -> dict[str, Any]:
    """Return what a sweep is, and what it has found, for JSON."""
    design = plan.points.design
    told = None if found is None else _Told(found._framed())
    return {
        "sweep": plan.name,
        "summary": plan.summary,
        "design": {"kind": design.kind, **({} if not design.points else {"seed": design.seed})},
        "points": len(plan.points),
        "axes": [
            {
                "name": axis.label,
                "values": None if axis.between is not None or axis.group == "costs" else list(axis.values),
                "from": None if axis.between is None else axis.between.low,
                "to": None if axis.between is None else axis.between.high,
                "of": axis.of or None,
            }
            for axis in plan.points.axes
            if axis.values != (None,)
        ],
        **(
            {}
            if told is None
            else {
                "done": told.points,
                "impossible": sum(told.refused.values()),
                "ranges": {name: list(ends) for name, ends in told.ranges.items()},
            }
        ),
    }


class _Told:
    """What rows have in common: how many there are, the least and the most of each measure, why some can't run."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.points = 0
        self.ranges: dict[str, tuple[float, float]] = {}
        self.refused: dict[str, int] = {}
        for row in rows:
            self.points += 1
            if not row["supported"]:
                reason = row["reason"].splitlines()[0]
                self.refused[reason] = self.refused.get(reason, 0) + 1
                continue
            times = {name: span["likely"] for name, span in row["times"].items()}
            for name, value in {**row["counts"], **times}.items():
                low, high = self.ranges.get(name, (value, value))
                self.ranges[name] = (min(low, value), max(high, value))


def _points(plan: Plan) -> str:
    many = len(plan.points)
    return f"{many:,} point{'s' if many != 1 else ''}"


def _head(plan: Plan, width: int) -> list[str]:
    design = plan.points.design
    how = "a grid" if not design.points else f"a Latin hypercube, seed {design.seed}"
    said = f": {plan.summary}" if plan.summary else ""
    return paragraph(f"{plan.name}{said}. {_points(plan)}, {how}.", width)


def _axes(plan: Plan, width: int) -> list[str]:
    text = []
    places = 0
    for axis in plan.points.axes:
        if axis.group == "costs":
            places += 1
        elif axis.varies:
            text += paragraph(f"{axis.label}: {_values(axis)}", width, first="  ", rest="    ")
    if places:
        grid = not plan.points.design.points
        how = "its low, likely and high" if grid else "drawn from its range"
        text.append(f"  costs: {places}, each {how} on its platform")
    return text


def _values(axis: Axis) -> str:
    of = f" (of {axis.of})" if axis.of else ""
    if axis.between is not None:
        log = ", logarithmic" if axis.between.log else ""
        return f"{axis.between.low} to {axis.between.high}{log}{of}"
    values = [str(value).lower() if isinstance(value, bool) else str(value) for value in axis.values]
    if len(values) > _NAMED:
        values = [*values[: _NAMED - 1], "...", values[-1]]
    return ", ".join(values) + of
