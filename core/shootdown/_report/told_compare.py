"""A saved comparison as the blocks of a report."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shootdown._plugins.registry import registry
from shootdown._report.assumptions import assumptions
from shootdown._report.comparison import Parts, parts, table_lines
from shootdown._report.document import Bar, Bars, Block, Drawing, Facts, Heading, Table, Text
from shootdown._report.naming import label
from shootdown._report.plotting import drawable
from shootdown._report.results import result_of
from shootdown._report.text import about, estimate, exact
from shootdown._values.errors import ShootdownError
from shootdown._values.frames import flat
from shootdown._values.result import Result

#: Of more rows a page has curves, and no bars.
_MOST_BARS = 16
#: From so many times on a difference of times is told.
_NOTABLE = 1.05
#: What a page says where matplotlib is not installed.
NO_PICTURE = "No curves here: they need matplotlib (pip install 'shootdown[plots]')."


def tell(value: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the report of what `compare --json` printed."""
    rows = [result_of(row) for row in value["rows"]]
    found = parts(rows, defaults=_defaults(rows[0].workload))
    kernels = list(dict.fromkeys(row.kernel for row in rows))
    yield Heading(f"What does {rows[0].workload} cost on {listed(kernels)}?", 2)
    yield Text(found.title, "soft")
    yield Text(found.answer or answer(rows), "answer")
    if changed := _slower(rows):
        yield Text(changed)
    yield row_table(found, rows)
    yield Facts([*found.legend, *found.notes])
    if bars := ipi_bars(rows):
        yield bars
    yield from pictures(value["rows"])
    yield from assumptions(
        ({**row, "remarks": ()} for row in value["rows"]), timed=True, remarks=[_certain(rows)]
    )


def _defaults(workload: str) -> Mapping[str, Any]:
    try:
        return registry().workload(workload).read({})
    except ShootdownError:
        return {}


def row_table(found: Parts, rows: Sequence[Result]) -> Table:
    """Return the table of a comparison."""
    empty = [""] * (len(found.headings) - 1)
    cells = [[cell, *empty] if isinstance(cell, str) else list(cell) for cell in found.cells]
    return Table(found.headings, cells, found.right, lines=functools.partial(table_lines, rows))


def _certain(rows: Sequence[Result]) -> str:
    refused = sum(not row.supported for row in rows)
    return f"{refused} of {len(rows)} rows can't be run, each for the reason in the table." if refused else ""


def ipis(row: Result) -> int:
    """Return how many IPIs a row sends, with the likely costs."""
    return sum(row.counts.get(name, 0) for name in ("flush_ipis", "sync_ipis", "transition_ipis"))


def answer(rows: Sequence[Result]) -> str:
    """Return one sentence on rows of which none sends clearly more IPIs than another."""
    there = [row for row in rows if row.supported]
    if not there:
        return f"Nothing can be run: {rows[0].reason}."
    if len(there) == 1:
        return of_one(there[0])
    sent = {ipis(row) for row in there}
    if sent == {0}:
        broadcasts = max(row.counts.get("broadcast_invalidations", 0) for row in there)
        more = f"; flushes are broadcast, up to {exact(broadcasts)} of them" if broadcasts else ""
        return f"None of the {len(there)} rows interrupts a CPU{more}."
    if len(sent) == 1:
        all_rows = "Both rows" if len(there) == 2 else f"All {len(there)} rows"
        return f"{all_rows} send {exact(sent.pop())} IPIs."
    return f"Between {exact(min(sent))} and {exact(max(sent))} IPIs are sent, by the likely costs."


def of_one(row: Result) -> str:
    """Return one sentence on one row."""
    time = estimate(row.times["elapsed_ns"]) if "elapsed_ns" in row.times else "an unknown time"
    sent = ipis(row)
    if not sent:
        return f"{row.kernel} interrupts nobody with it, and it takes {time}."
    redundant = row.counts.get("redundant_sync_ipis", 0)
    spare = f", {exact(redundant)} of them redundant," if redundant else ""
    hit = exact(row.counts.get("interrupted_cpus", 0))
    return (
        f"{row.kernel} sends {exact(sent)} IPI{'' if sent == 1 else 's'}{spare} to {hit} of {exact(row.cpus)} CPUs, "
        f"and it takes {time}."
    )


def _slower(rows: Sequence[Result]) -> str:
    """Return how a row compares with the fastest of its platform, size and parameters: those that are most apart."""
    groups: dict[str, list[Result]] = {}
    for row in rows:
        if row.supported and row.times.get("elapsed_ns"):
            alike = repr((row.arch, row.platform, row.cpus, sorted(row.parameters.items(), key=str)))
            groups.setdefault(alike, []).append(row)
    told = ""
    most = _NOTABLE
    for group in groups.values():
        slow = max(group, key=lambda row: row.times["elapsed_ns"].likely)
        fast = min(group, key=lambda row: row.times["elapsed_ns"].likely)
        a, b = slow.times["elapsed_ns"], fast.times["elapsed_ns"]
        if b.likely <= 0 or a.likely / b.likely < most:
            continue
        most = a.likely / b.likely
        sure = "" if a.low > b.high else "; their intervals overlap"
        told = (
            f"{label(slow, rows)} takes {about(a.likely)}, {label(fast, rows)} {about(b.likely)}: "
            f"x{most:.2g} by the likely costs{sure}."
        )
    return told


def ipi_bars(rows: Sequence[Result]) -> Bars | None:
    """Return a bar of IPIs for each row, the redundant ones hatched; None for many, or if nobody is interrupted."""
    there = [row for row in rows if row.supported]
    if not any(map(ipis, there)) or len(there) > _MOST_BARS:
        return None
    found = []
    for row in there:
        redundant = row.counts.get("redundant_sync_ipis", 0)
        spare = f", {exact(redundant)} redundant" if redundant else ""
        found.append(Bar(label(row, rows), ipis(row), f"{exact(ipis(row))}{spare}", part=redundant))
    return Bars("IPIs sent", found, hatched="redundant ones")


def pictures(rows: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Yield the picture of rows as JSON has them, or a line that says why there is none."""
    if not drawable():
        yield Text(NO_PICTURE, "soft")
        return
    from shootdown._report.plot_rows import picture_of_rows

    try:
        yield Drawing(picture_of_rows(map(flat, rows)))
    except ShootdownError as error:
        yield Text(str(error).removeprefix("--plot: ").capitalize(), "soft")


def listed(names: Sequence[str]) -> str:
    """Write a list as a sentence has it."""
    if len(names) > 8:
        return f"{', '.join(names[:6])} and {len(names) - 6} others"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
