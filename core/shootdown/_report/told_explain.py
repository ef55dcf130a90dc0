"""A saved explanation as the blocks of a report: ledger by cause as bars, steps with their lines, a timeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shootdown._report.assumptions import assumptions
from shootdown._report.comparison import parts
from shootdown._report.document import INDENT, Bar, Bars, Block, Drawing, Facts, Heading, Table, Text
from shootdown._report.plotting import drawable
from shootdown._report.results import result_of
from shootdown._report.sources import link, where
from shootdown._report.text import about, cpu_list, exact
from shootdown._report.told_compare import NO_PICTURE, of_one, row_table
from shootdown._values.result import Result

#: Counts of a ledger's entry, with the headings of a table.
_SUMS = {
    "requests": "flushes asked",
    "sends": "calls sent",
    "targets": "to CPUs",
    "ipis": "IPIs",
    "own_flushes": "own flushes",
}
_MOST_STEPS = 400


def tell(value: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the report of what `explain --json` printed."""
    row = result_of(value["row"])
    ledger: Sequence[Mapping[str, Any]] = value["ledger"]
    yield Heading(f"Who causes each interrupt of {row.workload} on {row.kernel}?", 2)
    found = parts([row])
    yield Text(found.title, "soft")
    yield Text(_answer(row, ledger), "answer")
    yield row_table(found, [row])
    yield Facts([*found.legend, *found.notes, *_who(value["interrupts"])])
    if ledger:
        yield Heading("Ledger: who flushed and synchronised, by cause")
        yield from ledger_blocks(ledger, row.kernel)
    if isinstance(value.get("stale"), Mapping):
        yield Text(
            "Entries that lead into a table given up are left in TLBs: `shootdown explain` tells how.", "bad"
        )
    yield from _timeline(value)
    steps = list(_steps(value["steps"], row.kernel))
    if steps:
        yield Heading("Steps, under the kernel functions that they stand for")
        yield Table(
            ("kernel function, step", "where", "times", "to CPUs", "time"),
            [cells for cells, _ in steps[:_MOST_STEPS]],
            frozenset((2, 3, 4)),
            [(cells[1], to) for cells, to in steps if to],
        )
        if len(steps) > _MOST_STEPS:
            yield Text(f"{exact(len(steps) - _MOST_STEPS)} more lines are left out.", "soft")
    yield from assumptions([{**value["row"], "remarks": ()}], timed=True)


def _answer(row: Result, ledger: Sequence[Mapping[str, Any]]) -> str:
    total = sum(entry["ipis"] for entry in ledger)
    if not row.supported or not total:
        return of_one(row) if row.supported else f"It can't be run: {row.reason}."
    most = max(ledger, key=lambda entry: entry["ipis"])
    caller = f" for {most['caller']}" if most["caller"] else ""
    redundant = row.counts.get("redundant_sync_ipis", 0)
    spare = f"; {exact(redundant)} of all are redundant" if redundant else ""
    every = "all" if most["ipis"] == total else f"{exact(most['ipis'])} of the"
    return f"{most['function']}() sends {every} {exact(total)} IPIs{caller}{spare}."


def _who(interrupts: Sequence[int]) -> Iterator[str]:
    hit = [cpu for cpu, count in enumerate(interrupts) if count]
    if hit:
        counts = [interrupts[cpu] for cpu in hit]
        many = (
            f"{exact(min(counts))} to {exact(max(counts))}"
            if min(counts) != max(counts)
            else exact(counts[0])
        )
        yield f"Interrupted: CPUs {cpu_list(hit)}, {'once' if many == '1' else f'{many} times'} each."


def ledger_blocks(ledger: Sequence[Mapping[str, Any]], kernel: str) -> Iterator[Block]:
    """Yield the ledger as bars of IPIs and of time, and as a table."""
    for caption, name, shown in (
        ("IPIs, by the kernel function that sends them", "ipis", lambda count: exact(int(count))),
        ("CPU time of who flushes and waits, an estimate", "time_ns", about),
    ):
        bars = [
            Bar(
                f"{entry['function']}(){_reason(entry)}",
                entry[name],
                shown(entry[name]),
                note=f"{entry['cause']}, {where(kernel, entry['function'], entry['where'])}",
                link=link(kernel, entry["function"], entry["where"]),
            )
            for entry in ledger
            if entry[name]
        ]
        if bars:
            yield Bars(caption, sorted(bars, key=lambda bar: -bar.value))
    shown_sums = [name for name in _SUMS if any(entry[name] for entry in ledger)]
    yield Table(
        ("cause", "kernel function", "its caller, reason", *(_SUMS[name] for name in shown_sums), "time"),
        [
            [
                entry["cause"],
                f"{entry['function']}()",
                ", ".join(filter(None, (entry["called_by"], entry["caller"]))),
                *(exact(entry[name]) if entry[name] else "" for name in shown_sums),
                about(entry["time_ns"]) if entry["time_ns"] else "",
            ]
            for entry in ledger
        ],
        frozenset(range(3, 4 + len(shown_sums))),
        [(f"{entry['function']}()", link(kernel, entry["function"], entry["where"])) for entry in ledger
         if link(kernel, entry["function"], entry["where"])],
    )  # fmt: skip


def _reason(entry: Mapping[str, Any]) -> str:
    return f", for {entry['caller']}" if entry["caller"] else ""


def _steps(
    nodes: Sequence[Mapping[str, Any]], kernel: str, depth: int = 0
) -> Iterator[tuple[list[str], str]]:
    """Yield a row of cells for each function and step, and the address of the function."""
    indent = INDENT * min(depth, 10)
    for node in nodes:
        time = about(node["time_ns"]) if node["time_ns"] else ""
        if "function" in node:
            at = where(kernel, node["function"], node["where"])
            yield (
                [f"{indent}{node['function']}", at, "", "", time],
                link(kernel, node["function"], node["where"]),
            )
            yield from _steps(node["steps"], kernel, depth + 1)
        else:
            targets = exact(node["targets"]) if node["targets"] else ""
            yield [f"{indent}- {node['text']}", "", exact(node["count"]), targets, time], ""


def _timeline(value: Mapping[str, Any]) -> Iterator[Block]:
    events = value.get("events")
    if not events:
        return
    if not drawable():
        yield Text(NO_PICTURE, "soft")
        return
    from shootdown._report.plot_timeline import picture_of_events

    yield Drawing(picture_of_events(events))
    if value.get("events_lost"):
        yield Text(f"{exact(value['events_lost'])} more events were not kept (explain --keep).", "soft")
