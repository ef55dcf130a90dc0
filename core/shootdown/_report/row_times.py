"""The times of a comparison's rows: which columns there are, and each row's against the first."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._report.naming import grouped
from shootdown._values.result import Result

#: The times, with their headings.
_TIMES = {"elapsed_ns": "elapsed", "system_ns": "system", "lost_ns": "others lost"}
#: The heading of the column that compares times.
AGAINST = "elapsed against the first"


def times_of(rows: Sequence[Result]) -> dict[str, str]:
    """Return the times that a table shows, with their headings.

    What others lost is there only if anybody lost something; where elapsed and system time are the same in every row,
    they share a column.
    """
    shown = {
        name: heading
        for name, heading in _TIMES.items()
        if name != "lost_ns" or any(lost(row) for row in rows)
    }
    if all(row.times["elapsed_ns"] == row.times["system_ns"] for row in rows):
        del shown["system_ns"]
        shown["elapsed_ns"] = "elapsed = system"
    return shown


def firsts(rows: Sequence[Result]) -> dict[tuple[str, str], Result]:
    """Return the first row of each platform, with which the others are compared; none where no row has another."""
    found: dict[tuple[str, str], Result] = {}
    for row in rows:
        found.setdefault((row.arch, row.platform), row)
    if not grouped(rows) and rows:  # one table without headings: all against the first of all
        found = dict.fromkeys(found, rows[0])
    return found if len(rows) > len({id(first) for first in found.values()}) else {}


def against(row: Result, first: Result) -> str:
    """Write how many times the first row's time another row takes, by the likely costs."""
    if row is first:
        return "first"
    one, other = first.times["elapsed_ns"].likely, row.times["elapsed_ns"].likely
    if one <= 0:
        return ""
    many = other / one
    return f"x{many:,.0f}" if many >= 10 else f"x{many:.2g}" if many >= 0.1 else f"x{many:.1g}"


def lost(row: Result) -> bool:
    """Whether CPUs other than a call's sender lost time."""
    return "lost_ns" in row.times and row.times["lost_ns"].high > 0
