"""The table of a comparison: a row for each combination, what was interrupted, remarks as footnotes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._report import flat
from shootdown._report.text import Column, cpu_list, estimate, exact, lay_out, paragraph, widths
from shootdown._values.result import COUNTS, Result

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
}

#: Counts that it shows where there is room, the most telling first.
_MORE = {
    "flush_requests": "flushes asked",
    "full_flushes": "full flushes",
    "page_invalidations": "pages flushed",
    "lazy_switches": "lazy mms left",
    "completion_waits": "comple\u00adtion waits",
}

#: Counts of interrupts.
_IPIS = ("flush_ipis", "sync_ipis", "transition_ipis")

#: All headings, by count.
HEADINGS = _COUNTS | _MORE

#: The times, with their headings.
_TIMES = {"elapsed_ns": "elapsed", "system_ns": "system", "lost_ns": "others lost"}

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
    "kernel_warnings": "kernel warnings: fully_unshared_tables was still set in tlb_finish_mmu().",
}

#: With more rows than this, it isn't listed which CPUs each interrupted.
_MOST_ROWS_TOLD = 16
_NAMED_CPUS = 4

#: Columns of text where lines don't wrap.
_NO_WIDTH = 100_000

#: How many parameters of a workload are named even if they have their defaults: the first ones.
_ALWAYS_NAMED = 3


@attrs.frozen
class _Shape:
    """How compact a table is: times beside or below each other, headings hyphenated, counts left out."""

    stacked: bool
    hyphenate: bool
    without: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


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
    lines = [*title(rows, width, defaults or {}), *_first_of_all(rows, width)]
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
    lines += _who(rows, width)
    return lines


def markdown(
    rows: Sequence[Result], *, defaults: Mapping[str, Any] | None = None, shown_always: Sequence[str] = ()
) -> list[str]:
    """Write a comparison as a Markdown table with what the rows have in common above it and remarks below.

    Args:
        rows, defaults, shown_always: as for `comparison`.
    """
    if not rows:
        return []
    notes = _Footnotes()
    marks = [notes.marks(row) for row in rows]
    columns, cells = _table(rows, marks, _Shape(False, False), shown_always, _NO_WIDTH)
    lines = [*title(rows, _NO_WIDTH, defaults or {}), *_first_of_all(rows, _NO_WIDTH)]
    empty = [""] * (len(columns) - 1)
    lines += flat.markdown(
        [column.heading for column in columns],
        [[cell, *empty] if isinstance(cell, str) else cell for cell in cells],
    )
    if any(row.supported for row in rows):
        lines += ["", *(f"- {line}" for line in _legend(rows, columns, _Shape(False, False), _NO_WIDTH))]
    return [*lines, *(f"- {remark}" for remark in notes.lines(_NO_WIDTH))]


def label(row: Result, rows: Sequence[Result]) -> str:
    """Name a row by what differs from the others."""
    parts = [str(getattr(row, name)) for name in ("arch", "platform") if _varies(rows, name)]
    cpus = f" with {exact(row.cpus)} CPUs" if _sizes_vary(rows) else ""
    values = "".join(f" {name}={_value(row, name)}" for name in _varying(rows))
    return " ".join((*parts, row.kernel)) + values + cpus


def _varies(rows: Sequence[Result], name: str) -> bool:
    return len({getattr(row, name) for row in rows}) > 1


def _varying(rows: Sequence[Result]) -> list[str]:
    """Return the parameters of which rows have several values."""
    return [name for name in rows[0].parameters if len({row.parameters.get(name) for row in rows}) > 1]


def _value(row: Result, name: str) -> str:
    """Return a row's own value of a parameter: how many there were, where fewer were possible than asked for."""
    value = row.applied.get(name, row.parameters.get(name))
    return (
        str(value).lower()
        if isinstance(value, bool)
        else exact(value)
        if isinstance(value, int)
        else str(value)
    )


def _sizes_vary(rows: Sequence[Result]) -> bool:
    """Whether one platform comes with several numbers of CPUs."""
    return len({(row.arch, row.platform, row.cpus) for row in rows}) > len(
        {(row.arch, row.platform) for row in rows}
    )


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


def title(rows: Sequence[Result], width: int, defaults: Mapping[str, Any]) -> list[str]:
    """Return the lines above the table, which say what all rows have in common, and a blank one."""
    first, varying = rows[0], _varying(rows)
    parameters = " ".join(
        f"{name}={_parameter(rows, name, value)}"
        for i, (name, value) in enumerate(first.parameters.items())
        if name not in varying and (i < _ALWAYS_NAMED or name not in defaults or defaults[name] != value)
    )
    parts = [f"{first.workload}: {parameters}" if parameters else first.workload]
    if len({(row.arch, row.platform) for row in rows}) == 1:
        parts.append(f"on {first.arch} {first.platform}")
    if len({row.cpus for row in rows}) == 1:
        parts.append(f"with {exact(first.cpus)} CPU{'' if first.cpus == 1 else 's'}")
    if first.set:
        parts.append("set " + " ".join(f"{name}={value}" for name, value in first.set.items()))
    return [*paragraph(", ".join(parts), width), ""]


def _first_of_all(rows: Sequence[Result], width: int) -> list[str]:
    """Return what tells most, above a table: which row sends the most IPIs, and how many times those of another.

    Rows of one platform, size and set of parameters are compared, those with the largest ratio. Where timing decides,
    the ratio is a range; nothing is said where rows are equal, or their ranges overlap.
    """
    groups: dict[Any, list[Result]] = {}
    for row in rows:
        if row.supported:
            values = tuple((name, _value(row, name)) for name in _varying(rows))
            groups.setdefault((row.arch, row.platform, row.cpus, values), []).append(row)
    found: tuple[float, str] | None = None
    for group in groups.values():
        told = _most_and_least({row.kernel: _ipis(row) for row in group})
        if told is None or (found is not None and told[0] <= found[0]):
            continue
        where = ""
        if len(groups) > 1:
            row = group[0]
            named = "".join(f" {name}={_value(row, name)}" for name in _varying(rows))
            size = f" with {exact(row.cpus)} CPUs" if _sizes_vary(rows) else ""
            where = f"On {row.arch} {row.platform}{named}{size}: "
        found = (told[0], f"{where}{told[1]}.")
    return [] if found is None else [*paragraph(found[1], width), ""]


def _ipis(row: Result) -> tuple[int, int]:
    """Return how many IPIs a row sends, the fewest and the most."""
    ranges = row.ranges
    spans = [ranges.get(name, (row.counts.get(name, 0),) * 2) for name in _IPIS]
    return sum(low for low, _ in spans), sum(high for _, high in spans)


def _most_and_least(sent: Mapping[str, tuple[int, int]]) -> tuple[float, str] | None:
    """Compare the kernel that sends most with the one that sends least: the ratio and a sentence; None if neither is.

    Args:
        sent: by kernel, the fewest and the most IPIs.
    """
    most = max(sent, key=lambda kernel: sent[kernel])
    some = [kernel for kernel in sent if sent[kernel][0] > 0 and sent[kernel][1] < sent[most][0]]
    none = [kernel for kernel in sent if not sent[kernel][1]]
    if not sent[most][0] or not (some or none):
        return None
    ratio, told = 0.0, f"{most} sends {_span(sent[most])} IPIs"
    if some:
        least = min(some, key=lambda kernel: sent[kernel])
        ratio = sent[most][0] / sent[least][1]
        low, high = _times_over(ratio), _times_over(sent[most][1] / sent[least][0])
        many = low if low == high else f"{low} to {high}"
        numbers = f"{_span(sent[most])} and {_span(sent[least])}"
        told = f"{most} sends {many} times the IPIs of {least} ({numbers})"
    if none:
        told += f"; {', '.join(none)} send{'s' if len(none) == 1 else ''} none"
    return ratio, told


def _times_over(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _span(span: tuple[int, int]) -> str:
    return exact(span[0]) if span[0] == span[1] else f"{exact(span[0])} to {exact(span[1])}"


def _parameter(rows: Sequence[Result], name: str, value: Any) -> str:
    """Return what was asked for, and how many there were if in all rows fewer were possible."""
    if isinstance(value, bool):
        return str(value).lower()
    applied = {row.applied.get(name, value) for row in rows if row.supported}
    if len(applied) != 1 or applied == {value}:
        return str(value)
    return f"{applied.pop()} (of {value} asked for)"


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
    names = [name for name, _, _ in _identity(rows)]
    headings = {name: text for name, text in _COUNTS.items() if name not in shape.without}
    headings |= {name: _MORE[name] for name in shape.more}
    counts = [
        name
        for name in headings
        if supported and (name in always or any(row.counts.get(name, 0) for row in supported))
    ]
    columns = [Column(heading, wraps=wraps) for _, heading, wraps in _identity(rows)]
    columns += [Column(headings[name], right=True) for name in counts]
    if supported:
        times = _times(supported)
        headings_of = [" / ".join(times.values())] if shape.stacked else list(times.values())
        columns += [Column(heading, right=True) for heading in headings_of]
    cells: list[Sequence[str] | str] = []
    group = None
    refused: list[tuple[str, object]] = []  # consecutive rows that are not supported for the same reason
    for row, mark in zip(rows, marks, strict=True):
        if _grouped(rows) and (row.arch, row.platform) != group:
            group = (row.arch, row.platform)
            size = "" if _sizes_vary(rows) else f", {exact(row.cpus)} CPUs"
            cells.append(f"{row.arch} {row.platform}{size}")
        if not row.supported:
            who = "  ".join(_named(row, name) for name in names) + mark
            if refused and refused[-1][1] == (group, row.reason):
                cells.pop()
                who = f"{refused[-1][0]}, {who}"
            refused.append((who, (group, row.reason)))
            cells.append("\n".join(paragraph(_refusal(row), width, first=f"{who}  ", rest="    ")))
            continue
        refused.clear()
        own = [_name_of(row, name) for name in names]
        own[0] += mark
        own += [_count(row, name, short=shape.hyphenate) for name in counts]
        spans = [estimate(row.times[name]) for name in times]
        cells.append([*own, "\n".join(spans)] if shape.stacked else [*own, *spans])
    return columns, cells


def _times(rows: Sequence[Result]) -> dict[str, str]:
    """Return the times that a table shows, with their headings: what others lost only if anybody lost something."""
    return {
        name: heading
        for name, heading in _TIMES.items()
        if name != "lost_ns" or any(_lost(row) for row in rows)
    }


def _lost(row: Result) -> bool:
    """Whether CPUs other than a call's sender lost time."""
    return "lost_ns" in row.times and row.times["lost_ns"].high > 0


def _refusal(row: Result) -> str:
    """Return why a row has no counts."""
    reason = row.reason or ""
    return reason if reason.startswith("not applicable") else f"not supported: {reason}"


def _grouped(rows: Sequence[Result]) -> bool:
    """Whether rows stand under a heading for each platform: it and something else varies."""
    platforms = {(row.arch, row.platform) for row in rows}
    return len(platforms) > 1 and len(platforms) < len(rows)


def _identity(rows: Sequence[Result]) -> Iterator[tuple[str, str, bool]]:
    """Yield the columns that name a row: attribute, heading, whether it wraps."""
    grouped = _grouped(rows)
    if not grouped:
        if _varies(rows, "arch"):
            yield "arch", "arch", False
        if _varies(rows, "platform"):
            yield "platform", "platform", True
    yield "kernel", "kernel", True
    for name in _varying(rows):
        yield name, name, False
    if _sizes_vary(rows) or (not grouped and _varies(rows, "cpus")):
        yield "cpus", "CPUs", False


def _name_of(row: Result, name: str) -> str:
    """Return a cell that names a row: an attribute, or a parameter."""
    if name == "cpus":
        return exact(row.cpus)
    return _value(row, name) if name in row.parameters else str(getattr(row, name))


def _named(row: Result, name: str) -> str:
    """Return what names a row where no heading says what it is."""
    return f"{name}={_value(row, name)}" if name in row.parameters else _name_of(row, name)


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
        for name in COUNTS
        if name in timed
    ]
    return (
        "Counts are exact, except where a remark says that timing decides: these are what the likely costs give "
        f"({', '.join(names)})."
    )


def _system(rows: Sequence[Result]) -> str:
    """Return what system time and lost time are, if anybody lost something."""
    if not any(_lost(row) for row in rows):
        return ""
    return (
        " System includes handlers on CPUs that are hit; others lost: those handlers, and what broadcasts take from "
        "every other CPU."
    )


def _legend(rows: Sequence[Result], columns: Sequence[Column], shape: _Shape, width: int) -> list[str]:
    shown = {column.heading for column in columns}
    supported = [row for row in rows if row.supported]
    order = f", {' above '.join(_times(supported).values())}" if shape.stacked and supported else ""
    lines = paragraph(
        f"{_certainty(rows)} Times (~) are estimates: likely (low-high){order}.{_system(rows)}", width
    )
    for name, text in _LEGEND.items():
        if _COUNTS.get(name) in shown:
            lines += paragraph(text, width, rest="  ")
    if shape.without:
        names = ", ".join(shape.without)
        lines += paragraph(f"No room for: {names} (a wider terminal or --json).", width, rest="  ")
    return lines


def _who(rows: Sequence[Result], width: int) -> list[str]:
    """Return for each row which CPUs were interrupted, and how evenly."""
    told = [row for row in rows if row.supported and any(row.interrupts)]
    if not told or len(told) > _MOST_ROWS_TOLD:
        return []
    alike: dict[str, list[str]] = {}
    for row in told:
        alike.setdefault(interrupted(row.interrupts), []).append(label(row, rows))
    lines = ["", "Who was interrupted:"]
    for text, names in alike.items():
        lines += paragraph(f"{', '.join(names)}: {text}", width, first="- ")
    return lines


def interrupted(interrupts: Sequence[int]) -> str:
    """Return which CPUs were interrupted, how often, and which most often.

    Args:
        interrupts: how many IPIs each CPU took, by its number.
    """
    taken = {cpu: times for cpu, times in enumerate(interrupts) if times}
    if not taken:
        return "nobody"
    least, most = min(taken.values()), max(taken.values())
    text = f"CPU{'s' if len(taken) > 1 else ''} {cpu_list(taken)}"
    if least == most:
        each = " each" if len(taken) > 1 else ""
        return f"{text}, {'once' if most == 1 else f'{exact(most)} times'}{each}"
    ranked = sorted(taken, key=lambda cpu: (-taken[cpu], cpu))
    named = ", ".join(
        f"CPU {cpu} ({exact(taken[cpu])})" for cpu in ranked[: _NAMED_CPUS if most >= 2 * least else 1]
    )
    return f"{text}, {exact(least)} to {exact(most)} times each; most often {named}"


def _cards(rows: Sequence[Result], width: int) -> list[str]:
    """Write a comparison for a terminal in which no table fits: a line for each fact."""
    lines: list[str] = []
    facts: Callable[[Result], list[str]] = lambda row: [  # noqa: E731 - one use, one place
        *(f"{name} {exact(row.counts[name])}" for name in _COUNTS if row.counts.get(name)),
        f"elapsed {estimate(row.times['elapsed_ns'])}",
        f"system {estimate(row.times['system_ns'])}",
        *([f"others lost {estimate(row.times['lost_ns'])}"] if _lost(row) else []),
    ]
    for row in rows:
        lines.append(f"{row.arch} {row.platform} {row.kernel} {row.cpus} CPUs")
        told = facts(row) if row.supported else [_refusal(row)]
        told += row.remarks
        for fact in told:
            lines += paragraph(fact, max(width, 20), first="  ", rest="    ")
    return lines
