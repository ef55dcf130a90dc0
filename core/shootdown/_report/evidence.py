"""Published measurements beside what the model says, as text and as Markdown."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from shootdown._evidence.judging import (
    EXACT,
    INEXPRESSIBLE,
    NO_CLAIM,
    OUTSIDE,
    VERDICTS,
    WITHIN,
    Row,
    deviation,
)
from shootdown._evidence.quantities import Range
from shootdown._report.text import Column, lay_out, paragraph, widths

_COLUMNS = (
    Column("claim", wraps=True),
    Column("published", right=True, wraps=True),
    Column("predicted", right=True, wraps=True),
    Column("verdict", wraps=True),
)
_FREE = "Free: no cost was fitted to these"
_FITTED = "Fitted: a cost follows from these, so that they can't confirm it"
_NONE = "No claims of a run"
#: A time that is off by so much, or less, is of the right size.
_TWICE = 2.0


@attrs.frozen
class _Part:
    """Some of the rows, under one heading."""

    heading: str
    rows: tuple[Row, ...]


def _parts(found: Sequence[Row]) -> list[_Part]:
    """Return the rows that were run apart: free, fitted; those of which nothing was run last."""
    run = [row for row in found if row.ranges]
    return [
        part
        for part in (
            _Part(_FREE, tuple(row for row in run if not row.claim.in_sample)),
            _Part(_FITTED, tuple(row for row in run if row.claim.in_sample)),
        )
        if part.rows
    ]


def summary(found: Sequence[Row]) -> dict[str, Any]:
    """Count verdicts, fitted and free apart, and how far off the free ones are."""
    kernel = [row for row in found if row.claim.subject == "kernel" and row.verdict != NO_CLAIM]
    expressible = sum(row.verdict != INEXPRESSIBLE for row in kernel)
    beside = [row for row in found if row.claim.subject in ("proposal", "undescribed")]
    run = [row for row in found if row.ranges and row.claim.measure != "fact"]
    free = [row for row in run if not row.claim.in_sample]
    shapes = [row for row in free if row.claim.measure in ("ratio", "curve", "count")]
    times = [row for row in free if row.claim.measure in ("time", "rate")]
    intervals = _intervals(free)
    timed = _intervals(row for row in free if row.claim.measure in ("time", "rate") or row.claim.unit)
    fitted = _intervals(row for row in run if row.claim.in_sample)
    return {
        "claims": len(found),
        "of_kernels": len(kernel),
        "of_kernels_expressible": expressible,
        "of_proposals_or_undescribed": len(beside),
        "free": _tally(free),
        "fitted": _tally(row for row in run if row.claim.in_sample),
        "free_counts_ratios_curves": len(shapes),
        "free_counts_ratios_curves_within_25_percent": sum(map(_close_after, shapes)),
        "free_times_and_rates": len(times),
        "free_times_and_rates_within_2x": sum(_off(row) <= _TWICE for row in times),
        "free_intervals": len(intervals),
        "free_intervals_that_hold": _holding(intervals),
        "free_intervals_of_times": len(timed),
        "free_intervals_of_times_that_hold": _holding(timed),
        "free_intervals_that_hold_by_source": _by_source(free),
        "free_intervals_median_width": _median([_width(one) for _, one in intervals]),
        "fitted_intervals": len(fitted),
        "fitted_intervals_that_hold": _holding(fitted),
        "fitted_intervals_that_hold_by_source": _by_source(row for row in run if row.claim.in_sample),
        "fitted_times_that_hold_without_a_source": _without_each(
            row for row in run if row.claim.in_sample and row.claim.unit and row.claim.measure != "ratio"
        ),
        "fitted_intervals_median_width": _median([_width(one) for _, one in fitted]),
    }


def _intervals(rows: Iterable[Row]) -> list[tuple[float, Range]]:
    """Return what was published beside each interval."""
    return [
        (point.published, one)
        for row in rows
        for point, one in zip(row.claim.points, row.ranges, strict=True)
        if one.low != one.high
    ]


def _holding(intervals: Iterable[tuple[float, Range]]) -> int:
    return sum(one.low <= value <= one.high for value, one in intervals)


def _by_source(rows: Iterable[Row]) -> float | None:
    """Return the share of the intervals that hold, each source counting once: the points of a curve miss together."""
    shares = [_holding(intervals) / len(intervals) for intervals in _sources_of(rows)]
    return round(statistics.mean(shares), 2) if shares else None


def _without_each(rows: Iterable[Row]) -> list[float]:
    """Return the least and the largest share of intervals that hold, over all sources of which one is left out."""
    found = _sources_of(rows)
    shares = []
    for left_out in range(len(found)):
        rest = [pair for number, pairs in enumerate(found) if number != left_out for pair in pairs]
        if rest:
            shares.append(round(_holding(rest) / len(rest), 2))
    return [min(shares), max(shares)] if shares else []


def _sources_of(rows: Iterable[Row]) -> list[list[tuple[float, Range]]]:
    """Return what was published beside each interval, by source."""
    found: defaultdict[str, list[tuple[float, Range]]] = defaultdict(list)
    for row in rows:
        found[row.claim.source.removeprefix("derived from ")] += _intervals([row])
    return [pairs for pairs in found.values() if pairs]


def _tally(rows: Iterable[Row]) -> dict[str, int]:
    counted = Counter(row.verdict for row in rows)
    return {name: counted[name] for name in VERDICTS if counted[name]}


def _close_after(row: Row) -> bool:
    """Whether all points are within 25 %, a curve's after one common factor."""
    if row.curve is not None:
        return row.curve.within_after == row.curve.points
    return row.verdict in (EXACT, WITHIN)


def _off(row: Row) -> float:
    return max(
        deviation(point.published, one.likely)
        for point, one in zip(row.claim.points, row.ranges, strict=True)
    )


def _width(one: Range) -> float:
    return one.high / one.low if one.low > 0 else math.inf


def _median(values: Sequence[float]) -> float | None:
    middle = statistics.median(values) if values else math.inf
    return round(middle, 2) if math.isfinite(middle) else None


def lines(found: Sequence[Row], width: int) -> list[str]:
    """Write the rows for a terminal."""
    written: list[str] = []
    for part in _parts(found):
        cells = [_cells(row) for row in part.rows]
        chosen = widths(_COLUMNS, cells, width) or [12, 16, 24, 18]
        written += ["", *paragraph(f"{part.heading}.", width), "", *lay_out(_COLUMNS, cells, chosen)]
    lacking = [row for row in found if row.verdict == INEXPRESSIBLE]
    if lacking:
        written += ["", "Not expressible:"]
        for row in lacking:
            written += paragraph(f"{row.claim.name}: {row.reason}", width, first="  ", rest="    ")
    outside = [row for row in found if row.verdict == NO_CLAIM]
    if outside:
        written += ["", f"{_NONE}:"]
        for row in outside:
            written += paragraph(f"{row.claim.name}: {row.reason}", width, first="  ", rest="    ")
    if len(found) == 1:
        written += _details(found[0], width)
    else:
        written += ["", *(line for text in _sums(found) for line in paragraph(text, width, rest="  "))]
    return written[1:] if written and not written[0] else written


def _details(row: Row, width: int) -> list[str]:
    """Write all that is known of the one claim that was asked for."""
    claim = row.claim
    written = ["", *paragraph(f"{claim.what} ({claim.machine}; {claim.source}).", width)]
    if row.curve is not None:
        cells = [
            [point.label, _number(point.published), _range(one), verdict]
            for point, one, verdict in zip(claim.points, row.ranges, row.verdicts, strict=True)
        ]
        columns = (
            Column("at", wraps=True),
            Column(f"published {claim.unit}", right=True),
            Column("predicted", right=True),
            Column("verdict"),
        )
        chosen = widths(columns, cells, width) or [12, 16, 24, 18]
        written += ["", *lay_out(columns, cells, chosen)]
    for heading, texts in (("assumed", claim.assumed), ("fitted to it", claim.used_by)):
        for text in texts:
            written += paragraph(f"{heading}: {text}", width, rest="  ")
    if row.reason and row.ranges:
        written += paragraph(f"{row.verdict}: {row.reason}", width, rest="  ")
    return written


def _sums(found: Sequence[Row]) -> list[str]:
    """Say in a few sentences how good the model is."""
    facts = summary(found)
    texts = []
    if facts["of_kernels"]:
        texts.append(
            f"{facts['of_kernels_expressible']} of {facts['of_kernels']} claims on released kernels and described "
            f"programs can be run; {facts['of_proposals_or_undescribed']} more are on patches that were never "
            "merged, or on programs that nobody described."
        )
    for name in ("free", "fitted"):
        if facts[name]:
            parts = ", ".join(f"{number} {verdict}" for verdict, number in facts[name].items())
            texts.append(f"{name.capitalize()}: {parts}.")
    if facts["free_counts_ratios_curves"]:
        texts.append(
            f"Free counts, ratios and curves: {facts['free_counts_ratios_curves_within_25_percent']} of "
            f"{facts['free_counts_ratios_curves']} within 25 %, curves after one common factor."
        )
    if facts["free_times_and_rates"]:
        texts.append(
            f"Free times and rates: {facts['free_times_and_rates_within_2x']} of {facts['free_times_and_rates']} "
            "within a factor of two."
        )
    if facts["free_intervals"]:
        held = f"{facts['free_intervals_that_hold']} of {facts['free_intervals']}"
        timed = f"{facts['free_intervals_of_times_that_hold']} of {facts['free_intervals_of_times']}"
        width = _widest(facts["free_intervals_median_width"])
        texts.append(
            f"Free intervals, which are to hold four of five: {held} hold what was published, of times and rates "
            f"{timed}; their median width is {width}{_sources(facts['free_intervals_that_hold_by_source'])}."
        )
    if facts["fitted_intervals"]:
        held = f"{facts['fitted_intervals_that_hold']} of {facts['fitted_intervals']}"
        width = _widest(facts["fitted_intervals_median_width"])
        by_source = _sources(facts["fitted_intervals_that_hold_by_source"])
        texts.append(
            f"Fitted intervals: {held} hold what was published; their median width is {width}{by_source}."
        )
    if facts["fitted_times_that_hold_without_a_source"]:
        low, high = facts["fitted_times_that_hold_without_a_source"]
        texts.append(
            "The intervals' term for what the model leaves out was taken from fitted times and rates: whichever source "
            f"of them is left out, {low:.0%} to {high:.0%} of the rest hold."
        )
    return texts


def _sources(share: float | None) -> str:
    return "" if share is None else f"; with each source counting once, {share:.0%} hold"


def _widest(width: float | None) -> str:
    return "unbounded" if width is None else f"{width:g}x"


def _cells(row: Row) -> list[str]:
    claim = row.claim
    unit = f" {claim.unit}" if claim.unit else ""
    if claim.measure == "fact":
        found = " ".join(f"{one.likely:g}" for one in row.ranges)
        return [claim.name, " ".join(f"{one:g}" for one in claim.values), found, row.verdict]
    if row.curve is None:
        return [
            claim.name,
            f"{_number(claim.values[0])}{unit}",
            f"{_range(row.ranges[0])}",
            row.verdict,
        ]
    first, last = row.ranges[0], row.ranges[-1]
    return [
        claim.name,
        f"{_number(claim.values[0])} to {_number(claim.values[-1])}{unit}",
        f"{_number(first.likely)} to {_number(last.likely)}",
        f"{row.verdict}: {_compared(row)}",
    ]


def _compared(row: Row) -> str:
    curve = row.curve
    assert curve is not None
    return (
        f"{curve.within} of {curve.points} within 25 %, x{_number(curve.largest)} at most; "
        f"times {_number(curve.factor)}: {curve.within_after} of {curve.points}, x{_number(curve.largest_after)}"
    )


def _range(one: Range) -> str:
    likely = _number(one.likely)
    return likely if one.low == one.high else f"{likely} ({_number(one.low)}-{_number(one.high)})"


def _number(value: float) -> str:
    """Write a number with three digits or all before its point, counts in full."""
    if not math.isfinite(value):
        return "infinite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 6)}f}"


_HEADINGS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("claim", lambda row: row.claim.name),
    ("what", lambda row: row.claim.what),
    ("published", lambda row: _cells(row)[1]),
    ("predicted", lambda row: _cells(row)[2]),
    ("verdict", lambda row: _cells(row)[3]),
)


def markdown(found: Sequence[Row]) -> list[str]:
    """Write the tables of the page."""
    written = [*(f"* {text}" for text in _sums(found)), ""]
    for part in _parts(found):
        written += [f"## {part.heading}", "", *_table([name for name, _ in _HEADINGS])]
        written += [_line([cell(row) for _, cell in _HEADINGS]) for row in part.rows]
        written.append("")
    for heading, verdict in (("Not expressible", INEXPRESSIBLE), (_NONE, NO_CLAIM)):
        rows = [row for row in found if row.verdict == verdict]
        if rows:
            written += [f"## {heading}", "", *_table(["claim", "what", "why"])]
            written += [_line([row.claim.name, row.claim.what, row.reason]) for row in rows]
            written.append("")
    written += ["## Where they come from, and what was assumed", ""]
    for row in found:
        claim = row.claim
        said = [f"{claim.source}; {claim.machine}"]
        if claim.assumed and row.ranges:
            said.append("assumed: " + "; ".join(claim.assumed))
        if claim.used_by:
            said.append("fitted to it: " + ", ".join(f"`{one}`" for one in claim.used_by))
        if row.reason and row.ranges and row.verdict == OUTSIDE:
            said.append(row.reason)
        written.append(
            f"* **{claim.name}**: " + ". ".join(f"{one[:1].upper()}{one[1:]}" for one in said) + "."
        )
    return written


def _table(headings: Sequence[str]) -> list[str]:
    return [_line(headings), _line(["---"] * len(headings))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
