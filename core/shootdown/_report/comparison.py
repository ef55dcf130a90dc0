"""The table of a comparison: a row for each combination, what was interrupted, remarks as footnotes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from shootdown._report import flat
from shootdown._report.first_of_all import first_of_all
from shootdown._report.interrupted import who_was_interrupted
from shootdown._report.naming import grouped, identity, name_of, named, sizes_vary, title
from shootdown._report.row_times import AGAINST, against, firsts, lost, times_of
from shootdown._report.text import SOFT_HYPHEN, Column, estimate, exact, lay_out, paragraph, widths
from shootdown._values.result import ALL_COUNTS, Result

#: Counts that a table shows unless all rows have 0, with their headings.
_COUNTS = {
    "unshared_tables": "tables un\u00adshared",
    "flush_ipis": "flush IPIs",
    "transition_ipis": "tran\u00adsition IPIs",
    "sync_broadcasts": "sync broad\u00adcasts",
    "sync_ipis": "sync IPIs",
    "redundant_sync_ipis": "of these redun\u00addant",
    "hypercalls": "hyper\u00adcalls",
    "broadcast_invalidations": "broad\u00adcast invali\u00addations",
    "interrupted_cpus": "CPUs inter\u00adrupted",
    "stale_entries_left": "stale entries",
    "kernel_warnings": "kernel warn\u00adings",
    "barrier_ipis": "bar\u00adrier IPIs",
    "kernel_flushes": "kernel flushes",
    "preemptions": "pre\u00ademptions",
    "migrations": "migra\u00adtions",
}

#: Counts that it shows where there is room, the most telling first.
_MORE = {
    "flush_requests": "flushes asked",
    "full_flushes": "full flushes",
    "page_invalidations": "pages flushed",
    "lazy_switches": "lazy mms left",
    "completion_waits": "comple\u00adtion waits",
}


#: All headings, by count.
HEADINGS = _COUNTS | _MORE

#: The first to be left out where the table is too wide.
_EXPENDABLE = ("unshared_tables", "hypercalls", "flush_ipis", "interrupted_cpus", "broadcast_invalidations")

_LEGEND = {
    "sync_broadcasts": "sync broadcast: tlb_remove_table_sync_one() interrupts other CPUs and waits, so that no "
    "lockless walk (GUP-fast) is left in a table.",
    "redundant_sync_ipis": "redundant: the interrupted CPU could not be walking the table, or takes a flush IPI for "
    "the same unsharing.",
    "transition_ipis": "transition IPI: a CPU moves to the global ASID that INVLPGB needs.",
    "stale_entries_left": "stale entries: TLB and walk-cache entries that hardware can still use and that lead into "
    "a table given up.",
    "barrier_ipis": "barrier IPI: membarrier() lets a CPU execute a memory barrier; nothing is flushed.",
    "kernel_flushes": "kernel flush: flush_tlb_kernel_range(), whose IPIs are among the flush IPIs.",
    "kernel_warnings": "kernel warnings: fully_unshared_tables was still set in tlb_finish_mmu().",
}


#: Columns of text where lines don't wrap.
_NO_WIDTH = 100_000


@attrs.frozen
class _Shape:
    """How compact a table is: times beside or below each other, headings hyphenated, counts left out.

    `against` is whether each row's time has a column that compares it with the first row's; without it that stands
    below the times, if they are below each other.
    """

    stacked: bool
    hyphenate: bool
    without: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    against: bool = False


def comparison(
    rows: Sequence[Result],
    width: int,
    *,
    defaults: Mapping[str, Any] | None = None,
    shown_always: Sequence[str] = (),
) -> list[str]:
    """Write a comparison as lines of text.

    Args:
        rows: all of one workload, in their order.
        width: columns of text that there are.
        defaults: of the workload's parameters; those that have them are left out where there are many.
        shown_always: counts that get a column even if all rows have 0.
    """
    if not rows:
        return []
    supported = [row for row in rows if row.supported]
    lines = [*title(rows, width, defaults or {}), *first_of_all(rows, width)]
    notes = _Footnotes()
    shape, columns, cells = _fitting(rows, width, shown_always, notes)
    chosen = widths(
        columns, [row for row in cells if not isinstance(row, str)], width, hyphenate=shape.hyphenate
    )
    if chosen is None:  # too narrow for any table: one fact a line
        return [*lines, *_cards(rows, width)]
    if supported:
        lines += lay_out(columns, cells, chosen, hyphenate=shape.hyphenate)
        lines += ["", *_legend(rows, columns, shape, width)]
    else:  # only texts
        lines += "\n".join(map(str, cells)).split("\n")
    lines += notes.lines(width)
    lines += who_was_interrupted(rows, width)
    return lines


def table_lines(rows: Sequence[Result], width: int) -> list[str]:
    """Write the table of a comparison alone, or one fact a line where none fits."""
    shape, columns, cells = _fitting(rows, width, (), _Footnotes())
    texts = [row for row in cells if not isinstance(row, str)]
    chosen = widths(columns, texts, width, hyphenate=shape.hyphenate)
    if chosen is None:
        return _cards(rows, width)
    if not any(row.supported for row in rows):
        return "\n".join(map(str, cells)).split("\n")
    return lay_out(columns, cells, chosen, hyphenate=shape.hyphenate)


@attrs.frozen
class Parts:
    """A comparison in parts, for pages.

    Args:
        title: what the rows have in common.
        answer: what tells most, or empty.
        headings: of the columns.
        cells: a row of cells each, or a text across all columns.
        right: numbers of the columns whose cells are numbers.
        legend: what the columns mean.
        notes: the remarks, with the numbers that cells name.
    """

    title: str
    answer: str
    headings: Sequence[str]
    cells: Sequence[Sequence[str] | str]
    right: frozenset[int]
    legend: Sequence[str]
    notes: Sequence[str]


def parts(
    rows: Sequence[Result], *, defaults: Mapping[str, Any] | None = None, shown_always: Sequence[str] = ()
) -> Parts:
    """Return a comparison in parts.

    Args:
        rows, defaults, shown_always: as for `comparison`.
    """
    notes = _Footnotes()
    marks = [notes.marks(row) for row in rows]
    columns, cells = _table(rows, marks, _Shape(False, False, against=True), shown_always, _NO_WIDTH)
    legend = (
        _legend(rows, columns, _Shape(False, False), _NO_WIDTH) if any(row.supported for row in rows) else ()
    )
    return Parts(
        title=title(rows, _NO_WIDTH, defaults or {})[0],
        answer="".join(first_of_all(rows, _NO_WIDTH)),
        headings=[column.heading.replace(SOFT_HYPHEN, "") for column in columns],
        cells=cells,
        right=frozenset(n for n, column in enumerate(columns) if column.right),
        legend=legend,
        notes=notes.lines(_NO_WIDTH),
    )


def markdown(
    rows: Sequence[Result], *, defaults: Mapping[str, Any] | None = None, shown_always: Sequence[str] = ()
) -> list[str]:
    """Write a comparison as a Markdown table with what the rows have in common above it and remarks below.

    Args:
        rows, defaults, shown_always: as for `comparison`.
    """
    if not rows:
        return []
    found = parts(rows, defaults=defaults, shown_always=shown_always)
    lines = [found.title, "", *([found.answer, ""] if found.answer else [])]
    empty = [""] * (len(found.headings) - 1)
    lines += flat.markdown(
        found.headings, [[cell, *empty] if isinstance(cell, str) else cell for cell in found.cells]
    )
    if found.legend:
        lines += ["", *(f"- {line}" for line in found.legend)]
    return [*lines, *(f"- {remark}" for remark in found.notes)]


class _Footnotes:
    """Number remarks as they come; a remark that several rows have is written once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def marks(self, row: Result) -> str:
        """Return the numbers of a row's remarks, as they stand in its first cell."""
        numbers = [self._numbers.setdefault(remark, len(self._numbers) + 1) for remark in row.remarks]
        return f" [{','.join(map(str, sorted(numbers)))}]" if numbers else ""

    def lines(self, width: int) -> list[str]:
        """Write all of them."""
        found = []
        for remark, number in self._numbers.items():
            found += paragraph(_readable(remark), width, first=f"[{number}] ")
        return found


def _readable(remark: str) -> str:
    """Return a remark on timing with separators in its numbers."""
    if not remark.startswith("timing decides"):
        return remark
    words = [exact(int(word)) if word.isdecimal() else word for word in remark.replace(",", " ,").split(" ")]
    return " ".join(words).replace(" ,", ",")


def _fitting(
    rows: Sequence[Result], width: int, always: Sequence[str], notes: _Footnotes
) -> tuple[_Shape, list[Column], list[Sequence[str] | str]]:
    """Choose the first shape of the table that fits the width, then add columns for which there is room."""
    marks = [notes.marks(row) for row in rows]

    def attempt(
        shape: _Shape, *, shrink: bool = True
    ) -> tuple[bool, list[Column], list[Sequence[str] | str]]:
        columns, cells = _table(rows, marks, shape, always, width)
        texts = [row for row in cells if not isinstance(row, str)]
        chosen = widths(columns, texts, width, hyphenate=shape.hyphenate, shrink=shrink)
        return chosen is not None, columns, cells

    shapes = [_Shape(False, False), _Shape(True, False), _Shape(True, True)]
    shapes += [_Shape(True, True, _EXPENDABLE[: n + 1]) for n in range(len(_EXPENDABLE))]
    for shape in shapes:
        fits, columns, cells = attempt(shape)
        if not fits:
            continue
        beside = attrs.evolve(shape, against=True)
        fits, wider_columns, wider_cells = attempt(beside, shrink=not shape.stacked)
        if fits:
            shape, columns, cells = beside, wider_columns, wider_cells
        for name in () if shape.hyphenate else _MORE:
            bigger = attrs.evolve(shape, more=(*shape.more, name))
            more_fits, more_columns, more_cells = attempt(bigger, shrink=False)
            if more_fits:
                shape, columns, cells = bigger, more_columns, more_cells
        return shape, columns, cells
    return shape, columns, cells


def _table(
    rows: Sequence[Result], marks: Sequence[str], shape: _Shape, always: Sequence[str], width: int
) -> tuple[list[Column], list[Sequence[str] | str]]:
    supported = [row for row in rows if row.supported]
    names = [name for name, _, _ in identity(rows)]
    headings = {name: text for name, text in _COUNTS.items() if name not in shape.without}
    headings |= {name: _MORE[name] for name in shape.more}
    counts = [
        name
        for name in headings
        if supported and (name in always or any(row.counts.get(name, 0) for row in supported))
    ]
    columns = [Column(heading, wraps=wraps) for _, heading, wraps in identity(rows)]
    columns += [Column(headings[name], right=True) for name in counts]
    compared = firsts(supported) if shape.against or shape.stacked else {}
    if supported:
        times = times_of(supported)
        over = _beside_or_below(list(times.values()), [AGAINST] if compared else [], shape, " / ")
        columns += [Column(heading, right=True) for heading in over]
    cells: list[Sequence[str] | str] = []
    group = None
    refused: list[tuple[str, object]] = []  # consecutive rows that are not supported for the same reason
    for row, mark in zip(rows, marks, strict=True):
        if grouped(rows) and (row.arch, row.platform) != group:
            group = (row.arch, row.platform)
            size = "" if sizes_vary(rows) else f", {exact(row.cpus)} CPUs"
            cells.append(f"{row.arch} {row.platform}{size}")
        if not row.supported:
            who = "  ".join(named(row, name) for name in names) + mark
            if refused and refused[-1][1] == (group, row.reason):
                cells.pop()
                who = f"{refused[-1][0]}, {who}"
            refused.append((who, (group, row.reason)))
            cells.append("\n".join(paragraph(_refusal(row), width, first=f"{who}  ", rest="    ")))
            continue
        refused.clear()
        own = [name_of(row, name) for name in names]
        own[0] += mark
        own += [_count(row, name, short=shape.hyphenate) for name in counts]
        spans = [estimate(row.times[name]) for name in times]
        relation = [against(row, compared[row.arch, row.platform])] if compared else []
        cells.append([*own, *_beside_or_below(spans, relation, shape, "\n")])
    return columns, cells


def _beside_or_below(times: list[str], relation: list[str], shape: _Shape, joint: str) -> list[str]:
    """Share the times of a row, and how they relate to the first row's, out among its cells."""
    if shape.against or not shape.stacked:
        return [*([joint.join(times)] if shape.stacked else times), *relation]
    return [joint.join([*times, *filter(None, relation)])]


def _refusal(row: Result) -> str:
    """Return why a row has no counts."""
    reason = row.reason or ""
    return reason if reason.startswith("not applicable") else f"not supported: {reason}"


def _count(row: Result, name: str, *, short: bool) -> str:
    value = row.counts.get(name, 0)
    if name == "interrupted_cpus" and not short:
        return f"{exact(value)} of {exact(row.cpus)}"
    return exact(value)


def _certainty(rows: Sequence[Result]) -> str:
    """Return which counts are exact, and which timing decides."""
    timed = {name for row in rows for name in row.decided_by_timing}
    if not timed:
        return "Counts are exact."
    names = [
        name.replace("_", " ").replace("ipis", "IPIs").replace("cpus", "CPUs")
        for name in ALL_COUNTS
        if name in timed
    ]
    return (
        "Counts are exact, except where a remark says that timing decides: these are what the likely costs give "
        f"({', '.join(names)})."
    )


def _system(rows: Sequence[Result]) -> str:
    """Return what system time and lost time are, if anybody lost something."""
    if not any(lost(row) for row in rows):
        return ""
    return (
        " System includes handlers on CPUs that are hit; others lost: those handlers, and what broadcasts take from "
        "every other CPU."
    )


def _legend(rows: Sequence[Result], columns: Sequence[Column], shape: _Shape, width: int) -> list[str]:
    shown = {column.heading for column in columns}
    supported = [row for row in rows if row.supported]
    order = f", {' above '.join(times_of(supported).values())}" if shape.stacked and supported else ""
    lines = paragraph(
        f"{_certainty(rows)} Times (~) are estimates: likely (80 % interval){order}.{_system(rows)}", width
    )
    for name, text in _LEGEND.items():
        if _COUNTS.get(name) in shown:
            lines += paragraph(text, width, rest="  ")
    if shape.without:
        names = ", ".join(shape.without)
        lines += paragraph(f"No room for: {names} (a wider terminal or --json).", width, rest="  ")
    return lines


def _cards(rows: Sequence[Result], width: int) -> list[str]:
    """Write a comparison for a terminal in which no table fits: a line for each fact."""
    lines: list[str] = []
    facts: Callable[[Result], list[str]] = lambda row: [  # noqa: E731 - one use, one place
        *(f"{name} {exact(row.counts[name])}" for name in _COUNTS if row.counts.get(name)),
        f"elapsed {estimate(row.times['elapsed_ns'])}",
        f"system {estimate(row.times['system_ns'])}",
        *([f"others lost {estimate(row.times['lost_ns'])}"] if lost(row) else []),
    ]
    for row in rows:
        lines.append(f"{row.arch} {row.platform} {row.kernel} {row.cpus} CPUs")
        told = facts(row) if row.supported else [_refusal(row)]
        told += row.remarks
        for fact in told:
            lines += paragraph(fact, max(width, 20), first="  ", rest="    ")
    return lines
