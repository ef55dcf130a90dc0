"""A calibration of this machine, and a check of it, as text and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from shootdown._calibrate.calibrating import Calibration, Checked
from shootdown._calibrate.refill import Refill, reach
from shootdown._report.text import Column, estimate, exact, lay_out, paragraph, share, widths
from shootdown._values.platform import Cost
from shootdown._values.result import Span

#: Batches that have to count, as a part of all, for a machine that nobody else uses.
_QUIET = 0.8


def busy(found: Calibration) -> bool:
    """Whether other programs ran meanwhile."""
    kept, tried = found.kept
    return kept < _QUIET * tried


def lines(found: Calibration, width: int) -> Iterator[str]:
    """Write what was measured, and which costs follow."""
    cells = [
        [
            one.name,
            estimate(Span(one.measured.low, one.measured.likely, one.measured.high)),
            f"x{one.off:.2f}",
        ]
        for one in found.points
    ]
    yield from _table(
        (Column("measured", wraps=True), Column("a turn"), Column("costs say", right=True)), cells, width
    )
    yield ""
    cells = [[name, _cost(getattr(found.costs.costs, name))] for name in found.costs.measured]
    yield from _table((Column("cost"), Column("likely (low-high)")), cells, width)
    yield from paragraph("All other costs are those of the platform that this machine is like.", width)
    for page in sorted({one.page for one in found.refills}):
        yield ""
        yield from paragraph(_refills([one for one in found.refills if one.page == page]), width)
    kept, tried = found.kept
    if busy(found):
        yield ""
        yield from paragraph(
            f"This machine is busy: {share(tried - kept, tried)} of the batches do not count, as other programs took a "
            "CPU while they ran.",
            width,
        )
    if found.not_possible:
        yield ""
        yield "Not measured:"
        for text in found.not_possible:
            yield from paragraph(text, width, first="  ", rest="    ")


def _refills(found: Sequence[Refill]) -> str:
    steps = ", ".join(f"{exact(one.pages)}: {one.ns:.1f}" for one in found)
    reached = reach(list(found))
    told = f" Up to {exact(reached)} pages are read without waiting for walks." if reached else ""
    return (
        f"What a read of a page of {found[0].page >> 10} KiB takes longer than one of the next line, in ns, by how "
        f"many pages are read again and again: {steps}.{told}"
    )


def of_check(found: Sequence[Checked], width: int) -> Iterator[str]:
    """Write predicted beside measured times."""
    cells = [
        [
            one.name,
            estimate(one.predicted),
            estimate(Span(one.measured.low, one.measured.likely, one.measured.high)),
            f"{100 * one.error:.0f} %",
        ]
        for one in found
    ]
    columns = (
        Column("no cost was fitted to", wraps=True),
        Column("predicted"),
        Column("measured"),
        Column("off", right=True),
    )
    yield from _table(columns, cells, width)
    if found:
        inside = sum(one.predicted.low <= one.measured.likely <= one.predicted.high for one in found)
        yield ""
        error = f"{100 * median_error(found):.0f} %"
        yield f"Median error {error}; {inside} of {len(found)} lie inside the predicted interval."
    else:
        yield "Nothing could be measured: other programs took the CPUs all the while."


def median_error(found: Sequence[Checked]) -> float:
    """Return the median of the errors, as a part of what was measured."""
    return statistics.median(one.error for one in found)


def to_dict(found: Calibration) -> dict[str, Any]:
    """Return a calibration for JSON; times are in nanoseconds."""
    return {
        "measured": [
            {"name": one.name, **_times(one.measured), "costs_say": round(one.off * one.measured.likely, 1)}
            for one in found.points
        ],
        "costs": {name: _ends(getattr(found.costs.costs, name)) for name in found.costs.measured},
        "refill": [{"page": one.page, "pages": one.pages, "ns": one.ns} for one in found.refills],
        "not_possible": list(found.not_possible),
        "busy": busy(found),
    }


def checks_to_dict(found: Sequence[Checked]) -> dict[str, Any]:
    """Return a check for JSON; times are in nanoseconds."""
    return {
        "check": [
            {
                "name": one.name,
                "predicted": one.predicted.to_dict(),
                "measured": _times(one.measured),
                "error": round(one.error, 4),
            }
            for one in found
        ],
        "median_error": round(median_error(found), 4) if found else None,
    }


def _times(one: Any) -> dict[str, float]:
    return {end: round(getattr(one, end), 1) for end in ("low", "likely", "high")}


def _ends(cost: Cost) -> dict[str, Any]:
    return {"low": cost.low, "likely": cost.likely, "high": cost.high, "source": cost.source}


def _cost(cost: Cost) -> str:
    return estimate(Span(cost.low, cost.likely, cost.high))


def _table(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    chosen = widths(columns, cells, width)
    if chosen:
        yield from lay_out(columns, cells, chosen)
    else:
        yield from ("  ".join(row) for row in cells)
