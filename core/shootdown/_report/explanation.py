"""One run explained: its row, its ledger by cause, the steps behind it, its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from shootdown._machine.machine import Machine
from shootdown._questions.building import built
from shootdown._questions.case import Case
from shootdown._questions.simulate import simulate
from shootdown._report.comparison import comparison
from shootdown._report.ledger import Entry, Node, entries, totals, tree, walk
from shootdown._report.sources import where
from shootdown._report.stale import Story, stale_lines, story
from shootdown._report.text import GAP, Column, about, exact, lay_out, paragraph, widths
from shootdown._report.timeline import Event, timeline
from shootdown._timed.run import Run, run_machine
from shootdown._values.displayed import Displayed
from shootdown._values.result import SCHEMA, Result
from shootdown._values.workload import Workload

#: Columns that numbers take in most tables of steps, and the narrowest column of steps that can be read.
_NUMBERS, _NARROWEST = 36, 24

#: What each counter of invalidations means, in words.
_DONE = {
    "full_flushes": "full flushes",
    "page_invalidations": "single pages invalidated",
    "broadcast_invalidations": "broadcast invalidations",
    "completion_waits": "waits for broadcasts to complete",
    "hypercalls": "flush hypercalls",
    "lazy_switches": "CPUs that left the mm instead of flushing",
    "stale_entries_left": "entries left that lead into a table given up",
}


@attrs.frozen(eq=False)
class Explanation(Displayed):
    """One run, and everything that explains it.

    Args:
        case: what was run.
        row: its row, as `compare` has it.
        machine, run: its programs, and the run with the likely costs; None if it is not supported.
    """

    case: Case[Workload]
    row: Result
    machine: Machine | None = None
    run: Run | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """All counters of the measured window, including those that rows don't show."""
        if self.run is None:
            return {}
        return self.run.windows[0] if self.run.windows else self.run.counts

    @property
    def entries(self) -> list[Entry]:
        """The ledger."""
        return entries(self.machine.code, self.run) if self.machine and self.run else []

    @property
    def stale(self) -> Story | None:
        """The story of entries that lead into an unshared table and survive; None if there are none."""
        return story(self.machine.code, self.run) if self.machine and self.run else None

    @property
    def steps(self) -> Node:
        """The steps, by kernel function."""
        return tree(self.machine.code, self.run) if self.machine and self.run else Node("")

    @property
    def events(self) -> Iterator[Event]:
        """The timeline of the events that were kept."""
        return timeline(self.machine.code, self.run.events) if self.machine and self.run else iter(())

    @property
    def events_lost(self) -> int:
        """The number of events that were not kept."""
        return self.run.events_lost if self.run else 0

    def to_dict(self, *, events: bool = False) -> dict[str, Any]:
        """Return it for JSON; with the events if asked."""
        found = self.entries
        value: dict[str, Any] = {
            "schema": SCHEMA,
            "row": self.row.to_dict(),
            "causes": [{"cause": cause, **sums} for cause, sums in totals(found).items()],
            "ledger": [entry.to_dict() for entry in found],
            "lazy_ipis": self.counts.get("lazy_ipis", 0),
            "trim_ipis": self.counts.get("trim_ipis", 0),
            "interrupts": list(self.row.interrupts),
            "stale": self.stale.to_dict() if self.stale else None,
            "steps": [child.to_dict() for child in self.steps.children.values()],
        }
        if events:
            value["events"] = [_event_dict(event) for event in self.events]
            value["events_lost"] = self.events_lost
        return value


def explain(case: Case[Workload], *, events: int = 0) -> Explanation:
    """Run a case and keep its events.

    Args:
        case: what to run.
        events: how many events of the timeline to keep.

    Raises:
        ShootdownError: the run hangs.
    """
    row = simulate(case)
    if not row.supported:
        return Explanation(case, row)
    machine = built(case, case.setup(), Machine)
    run = run_machine(machine, case.platform, seed=int(case.parameters["seed"]), events=events)
    return Explanation(case, row, machine, run)


def explanation(found: Explanation, width: int) -> Iterator[str]:
    """Write row, ledger and steps as lines of text; the events are `event_lines`.

    Args:
        found: what `explain` returned.
        width: columns of text that there are.
    """
    yield from comparison([found.row], width, defaults=found.case.program.read({}))
    if found.run is None:
        return
    yield ""
    yield "Ledger: who flushed and synchronised, by cause"
    yield from _ledger(found, width)
    yield from _done(found, width)
    if found.stale is not None:
        yield ""
        yield from stale_lines(found.stale, width)
    yield ""
    yield from paragraph(
        "Steps, in the order of the programs, under the kernel functions that they stand for", width
    )
    yield from _steps(found.steps, width, found.row.kernel)


def event_lines(found: Explanation) -> Iterator[str]:
    """Write all events that were kept, a line each, in order of their beginning."""
    yield ""
    yield f"{'time, us':>15}  {'us':>11}  {'CPU':>4}  event"
    for event in found.events:
        what = f"{event.name}: {event.text}" if event.text else event.name
        mark = "  " if event.kind == "step" else "! " if event.kind == "interrupt" else "~ "
        length = (event.end - event.begin) / 1e6
        yield f"{event.begin / 1e6:>15,.3f}  {length:>11,.3f}  {event.cpu:>4}  {mark}{what}"
    yield "!: an interrupt, ~: waiting for answers"
    if found.events_lost:
        yield f"{exact(found.events_lost)} more events were not kept (--keep)"


def _ledger(found: Explanation, width: int) -> Iterator[str]:
    ledger = found.entries
    if not ledger:
        yield "  nobody flushed or synchronised"
        return
    headings = {
        "requests": "flushes asked",
        "sends": "calls sent",
        "targets": "to CPUs",
        "ipis": "IPIs",
        "own_flushes": "own flushes",
    }
    shown = [name for name in headings if any(getattr(entry, name) for entry in ledger)]
    if all(entry.targets == entry.ipis for entry in ledger):
        shown = [name for name in shown if name != "targets"]
    rows: list[tuple[str, list[str]]] = []
    for cause, sums in totals(ledger).items():
        rows.append((cause, [*(_number(sums[name]) for name in shown), _time(sums["time_ns"])]))
        if cause == "TLB flush" and "ipis" in shown:
            rows += [
                (f"  of these {text}", [*(_number(count if name == "ipis" else 0) for name in shown), ""])
                for text, count in (
                    ("lazy: the CPU only keeps the mm", found.counts["lazy_ipis"]),
                    ("trim: the CPU runs another mm", found.counts["trim_ipis"]),
                )
                if count
            ]
        for entry in ledger:
            if entry.cause == cause:
                numbers = [_number(getattr(entry, name)) for name in shown]
                rows.append((_who(entry), [*numbers, _time(entry.time_ns)]))
    numbers_only = [Column(headings[name], right=True) for name in shown] + [Column("time", right=True)]
    sizes = widths(numbers_only, [row for _, row in rows], 10_000) or []
    room = max(width - sum(sizes) - GAP * len(sizes), len("function"))
    columns = [Column("cause, kernel function < its caller"), *numbers_only]
    cells: list[list[str] | str] = []
    apart = any(_narrowest(name) > room for name, _ in rows)
    for name, row in rows:
        indent = _indent(name)
        lines = paragraph(name.strip(), width if apart else room, first=" " * indent, rest=" " * (indent + 4))
        cells += ["\n".join(lines), ["", *row]] if apart else [["\n".join(lines), *row]]
    chosen = (
        [room, *sizes]
        if apart
        else widths(columns, [row for row in cells if not isinstance(row, str)], 10_000)
    )
    assert chosen is not None
    yield from lay_out(columns, cells, chosen)


def _narrowest(name: str) -> int:
    """Return in how many columns a name can be wrapped."""
    indent = _indent(name)
    first, *rest = map(len, name.split())
    return max([indent + first, *(indent + 4 + length for length in rest)])


def _who(entry: Entry) -> str:
    caller = f" < {entry.called_by}" if entry.called_by else ""
    reason = f", for {entry.caller}" if entry.caller else ""
    return f"  {entry.function}{caller}{reason}"


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _done(found: Explanation, width: int) -> Iterator[str]:
    """Return the lines that say which translations were dropped, on all CPUs together."""
    done = [f"{text} {exact(found.counts[name])}" for name, text in _DONE.items() if found.counts.get(name)]
    if found.run is not None and found.run.instructions:
        executed = found.run.window_instructions[0] if found.run.windows else found.run.instructions
        done += [f"{name} {exact(count)}" for name, count in executed.items() if count]
    if done:
        yield from paragraph(f"Done on all CPUs: {', '.join(done)}.", width, rest="  ")


def _steps(root: Node, width: int, kernel: str) -> Iterator[str]:
    numbers_only = [Column(text, right=True) for text in ("times", "to CPUs", "time")]
    found = [
        (depth, node, ["", "", _time(node.total_ns)])
        if node.children
        else (depth, node, [exact(node.count), _number(node.targets), _time(node.time_ns)])
        for depth, node in walk(root)
    ]
    sizes = widths(numbers_only, [numbers for _, _, numbers in found], 10_000)
    assert sizes is not None
    room = max(width - sum(sizes) - GAP * len(sizes), _NARROWEST)
    for_steps = max(min(room, width - _NUMBERS), _NARROWEST)
    columns = [Column("kernel function, step"), *numbers_only]
    for indent, deepest in (("  ", 10), (" ", 10), (" ", 3)):
        rows = [
            [
                "\n".join(
                    _step(indent * min(depth, deepest), node, room if node.children else for_steps, kernel)
                ),
                *numbers,
            ]
            for depth, node, numbers in found
        ]
        chosen = widths(columns, rows, width)
        if chosen is not None:
            break
    chosen = chosen or widths(columns, rows, 10_000)
    assert chosen is not None
    yield from lay_out(columns, rows, chosen)


def _step(indent: str, node: Node, room: int, kernel: str) -> list[str]:
    """Write a step, or a function and the file and line that it is at, below the function that calls it."""
    if not node.children:
        return paragraph(node.name, room, first=f"{indent}- ")
    at = where(kernel, node.name, node.where)
    line = f"{indent}{node.name}  {at}" if at else f"{indent}{node.name}"
    if len(line) <= room:
        return [line]
    return [*paragraph(node.name, room, first=indent, rest=f"{indent}    ")] + (
        paragraph(at, room, first=f"{indent}    ") if at else []
    )


def _number(value: float) -> str:
    return exact(int(value)) if value else ""


def _time(nanoseconds: float) -> str:
    return about(nanoseconds) if nanoseconds else ""


def _event_dict(event: Event) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "begin_ns": event.begin / 1000,
        "end_ns": event.end / 1000,
        "cpu": event.cpu,
        "function": event.name,
        "text": event.text,
        "from_cpu": event.sender,
        "task": event.task,
    }
