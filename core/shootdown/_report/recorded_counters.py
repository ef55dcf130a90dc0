"""The report of counters: of /proc/interrupts, /proc/vmstat, perf stat, and LKP's comparisons."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._records.benchmarks import BenchmarksPart
from shootdown._records.interrupts import InterruptsPart, Row
from shootdown._records.perf_stat import PerfStatPart
from shootdown._records.vmstat import MEANING, VmstatPart
from shootdown._report.recorded_text import draw_table
from shootdown._report.text import Column, exact, paragraph


def interrupts(part: InterruptsPart, width: int) -> Iterator[str]:
    """Write the report of snapshots of /proc/interrupts."""
    tlb = part.row("shootdown")
    since = "since boot" if part.snapshots == 1 else f"{part.snapshots} snapshots"
    if tlb is None:
        none = part.no_shootdowns if part.rows else "no row is known to tell of flushes or calls"
        first = f"/proc/interrupts of {part.cpus} CPUs, {since}: {none}."
    elif tlb.delta is None:
        first = (
            f"/proc/interrupts of {part.cpus} CPUs, {since}: CPUs were asked {_sums(tlb)} times to flush ({tlb.name}), "
            "counted since boot."
        )
    else:
        first = (
            f"/proc/interrupts of {part.cpus} CPUs, {since}: between the first and the last one CPUs were asked "
            f"{exact(tlb.total)} times to flush ({tlb.name})."
        )
    yield from paragraph(first, width, rest="  ")
    yield ""
    rows = []
    for row in part.rows:
        counts = row.last if row.delta is None else row.delta
        busy = max(counts, key=lambda cpu: counts[cpu], default=None)
        rows.append(
            [
                row.name,
                row.words,
                _sums(row, "\n"),
                "-" if row.delta is None else exact(row.total),
                "-" if busy is None else f"{exact(counts[busy])} on CPU {busy}",
            ]
        )
    columns = [
        Column("row"),
        Column("", wraps=True),
        Column("sum since boot", right=True),
        Column("difference", right=True),
        Column("most", right=True),
    ]
    if rows:
        yield from draw_table(columns, rows, width)
    for row in part.rows:
        if row.went_back and len(row.sums) > 1 and row.sums[0]:
            change = 100 * (row.sums[-1] / row.sums[0] - 1)
            yield from paragraph(
                f"{row.name} went down, from {exact(row.sums[0])} to {exact(row.sums[-1])} ({change:+.2f} %): the "
                "machine was booted in between, or the files are in the wrong order. These are two counts, each since "
                "its boot.",
                width,
                rest="  ",
            )
        if row.wrapped:
            yield from paragraph(
                f"{row.name}: {row.wrapped} counters began again at 0 after 2**32; that is taken into account.",
                width,
            )
        if row.cpus_apart:
            yield from paragraph(
                f"{row.name}: {row.cpus_apart} CPUs are in one of the snapshots alone, and left out.", width
            )


def _sums(row: Row, between: str = " and ") -> str:
    shown = row.sums if len(row.sums) <= 2 else (row.sums[0], row.sums[-1])
    return between.join(map(exact, shown))


def vmstat(part: VmstatPart, width: int) -> Iterator[str]:
    """Write the report of snapshots of /proc/vmstat."""
    since = "since boot" if part.delta is None else f"between {part.snapshots} snapshots"
    rows = [[name, MEANING[name], exact(count)] for name, count in part.values.items()]
    targets = part.targets
    text = f"/proc/vmstat, {since}"
    if targets is not None:
        text += (
            f": {exact(part.values['nr_tlb_remote_flush'])} shootdowns, {targets:.4g} targets each on average"
        )
    yield from paragraph(text + ".", width, rest="  ")
    yield ""
    yield from draw_table(
        [Column("counter"), Column("what", wraps=True), Column("count", right=True)], rows, width
    )


def perf_stat(part: PerfStatPart, width: int) -> Iterator[str]:
    """Write the report of outputs of perf stat."""
    names = list(dict.fromkeys(name for run in part.runs for name in run))
    runs = part.runs if len(part.runs) <= 4 else part.runs[-4:]
    yield from paragraph(f"perf stat, {len(part.runs)} output{'' if len(part.runs) == 1 else 's'}.", width)
    yield ""
    rows = [[name, *(exact(run[name]) if name in run else "-" for run in runs)] for name in names[:40]]
    seconds = [f"{value:g} s" for value in part.elapsed[-len(runs) :]]
    headings = seconds if len(seconds) == len(runs) else [str(i + 1) for i in range(len(runs))]
    if len(part.runs) == len(part.elapsed) == 1 and part.elapsed[0] > 0:
        headings.append("a second")
        rates = [part.runs[0][row[0]] / part.elapsed[0] for row in rows]
        rows = [
            [*row, _plain(round(rate, 1 if rate < 100 else 0))] for row, rate in zip(rows, rates, strict=True)
        ]
    yield from draw_table(
        [Column("event", wraps=True), *(Column(name, right=True) for name in headings)], rows, width
    )
    for name in ("tlb:tlb_flush",):
        counts = [run[name] for run in part.runs if name in run]
        if len(counts) == 2 and counts[0]:
            yield f"{name}: {100 * (counts[1] / counts[0] - 1):+.2f} %"


def benchmarks(part: BenchmarksPart, width: int) -> Iterator[str]:
    """Write the report of a comparison by LKP."""
    most = max(len(values) for _, values, _ in part.rows)
    yield from paragraph(
        f"A comparison by LKP: {len(part.rows)} metrics of a base and {most - 1} commit{'' if most == 2 else 's'}.",
        width,
    )
    yield ""
    rows = []
    for metric, values, changes in part.rows[:40]:
        cells = [_plain(values[0])]
        cells += [f"{_plain(value)}\n{change}" for value, change in zip(values[1:], changes, strict=True)]
        rows.append([metric, *cells, *[""] * (most - len(cells))])
    names = part.commits if len(part.commits) == most else ("base", *(f"commit {i}" for i in range(1, most)))
    columns = [Column("metric", wraps=True), *(Column(name[:12], right=True) for name in names)]
    yield from draw_table(columns, rows, width)


def _plain(value: float) -> str:
    return exact(int(value)) if value == int(value) else f"{value:,.6g}"
