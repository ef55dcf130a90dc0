"""The report of a recording: what happened, from where, in which releases, and what can't be known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from shootdown._records import paths, reasons
from shootdown._records.benchmarks import BenchmarksPart
from shootdown._records.events import EventsPart
from shootdown._records.groups import Latencies
from shootdown._records.interrupts import InterruptsPart, Row
from shootdown._records.lockups import LockupsPart
from shootdown._records.perf_stat import PerfStatPart
from shootdown._records.recording import FileRead, Recording
from shootdown._records.shares import SharesPart, largest_shares
from shootdown._records.stacks import StacksPart
from shootdown._records.values import Check, largest
from shootdown._records.vmstat import MEANING, VmstatPart
from shootdown._report.text import Column, exact, lay_out, paragraph, share, widths

_ROWS = 12
_UNTOLD = "(not told)"


def lines(recording: Recording, width: int) -> Iterator[str]:
    """Write the report.

    Args:
        recording: what was read.
        width: columns of text that there are.
    """
    for part in recording.parts:
        yield from _WRITERS[type(part)](part, width)
        yield ""
    yield from _origin(recording, width)
    yield from _list("Checked:", (_check(one) for one in recording.checks), width)
    yield from _list("Not known from this:", recording.unknown, width)
    yield from _list("Read:", (_file(one) for one in recording.files), width)


def _origin(recording: Recording, width: int) -> Iterator[str]:
    found = recording.releases
    arch = " or ".join(recording.archs) or "an architecture that it does not tell"
    contradiction = found.contradiction
    release = (
        "no one release writes all of it: backports, or recordings of several kernels"
        if contradiction
        else f"release {found}"
        if str(found) != "any"
        else "any release"
    )
    yield from paragraph(f"From {arch}, {release}.", width, rest="  ")
    for one in found.seen:
        bounds = (
            f"{one.first} to {one.last}"
            if one.first and one.last and one.first != one.last
            else f"{one.first} or later"
            if one.first and not one.last
            else f"{one.last} or earlier"
            if one.last and not one.first
            else one.first or "any"
        )
        yield from paragraph(f"{bounds}: {one.doc} ({one.source})", width, first="  ", rest="    ")
    yield ""


def _list(heading: str, texts: Iterable[str], width: int) -> Iterator[str]:
    found = list(texts)
    if not found:
        return
    yield heading
    for text in found:
        yield from paragraph(text, width, first="  ", rest="    ")
    yield ""


def _check(one: Check) -> str:
    word = {True: "holds", False: "FAILS", None: "does not hold here, and need not"}[one.holds]
    return f"{word}: {one.what}: {one.text}"


def _file(one: FileRead) -> str:
    text = f"{one.path}: {exact(one.understood)} of {exact(one.lines)} line{'' if one.lines == 1 else 's'} understood"
    if one.damaged:
        text += f", {exact(one.damaged)} damaged"
    if one.others:
        text += f", {exact(one.others)} of no form that is known"
    if one.first is not None:
        text += f"; the first: line {exact(one.first[0])}, {one.first[1]!a}"
    return text + (f"; it ends too early: {one.fault}" if one.fault else "")


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    sizes = widths(columns, rows, width) or widths(columns, rows, 10_000)
    assert sizes is not None
    return [*lay_out(columns, rows, sizes), ""]


def time(ns: float) -> str:
    """Write a time that was recorded, which is no estimate: `36 us`."""
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if ns >= unit:
            return f"{ns / unit:.4g} {name}"
    return f"{ns:.4g} ns"


def _range(times: Latencies) -> str:
    if times.least == times.most:
        return time(times.least)
    half = f" (half of them within {time(times.below(0.5))})" if times.count >= 10 else ""
    return f"{time(times.least)} to {time(times.most)}{half}"


def pages(number: int | None) -> str:
    """Write a number of pages: -1 is the whole address space, None is unknown."""
    return "?" if number is None else "all" if number < 0 else exact(number)


def _number(count: float) -> str:
    return exact(int(count)) if count == int(count) else f"{count:,.2f}"


# --- traces


def _events(part: EventsPart, width: int) -> Iterator[str]:
    groups = part.groups
    if part.flushes:
        yield from paragraph(_shootdowns(part), width, rest="  ")
        yield ""
        cells = sorted(part.cells(), key=lambda cell: -cell.count)
        if cells:
            rows = [
                [cell.path or _UNTOLD, pages(cell.pages), _targets(cell.targets), _number(cell.count)]
                for cell in cells[:_ROWS]
            ]
            if len(cells) > _ROWS:
                rest = sum(cell.count for cell in cells[_ROWS:])
                rows.append([f"({len(cells) - _ROWS} more)", "", "", _number(rest)])
            columns = [
                Column("from", wraps=True),
                Column("pages", right=True),
                Column("targets each", right=True),
                Column("shootdowns", right=True),
            ]
            yield from _table(columns, rows, width)
            yield from _remarks({cell.path for cell in cells}, width)
            who = largest(groups.who, 6)
            yield from _list("By:", (f"{task}: {exact(count)}" for task, count in who), width)
        alone = sorted(groups.alone_cells.items(), key=lambda pair: -pair[1])
        yield from _list(
            "Flushes of one CPU's own TLB:",
            (
                f"{exact(count)} x {_of_pages(number)}, from {path or _UNTOLD}"
                for (path, number), count in alone[:6]
            ),
            width,
        )
        yield from _remarks({path for path, _ in groups.alone_cells} - {cell.path for cell in cells}, width)
        yield from _list("tlb_flush events:", _reasons(part.flushes, exact, ""), width)
    if part.calls:
        yield from _calls(part, width)
    if not part.flushes and not part.calls:
        shown = ", ".join(f"{name} {exact(count)}" for name, count in list(part.events.items())[:6])
        yield from paragraph(f"{part.form}: no event of a flush or a call; {shown}.", width, rest="  ")
    if part.system_calls:
        shown = ", ".join(f"{name} {exact(count)}" for name, count in list(part.system_calls.items())[:8])
        yield from paragraph(f"System calls in the trace: {shown}.", width, rest="  ")


def _shootdowns(part: EventsPart) -> str:
    groups = part.groups
    if part.no_cpu and not groups.whole:
        sent = _count(part.of_reason(reasons.SEND), "shootdown")
        got = _count(part.of_reason(reasons.REMOTE, reasons.WRONG), "answer")
        return (
            f"{sent} sent and {got} in {time(part.span_ns)} ({part.form}); there is no CPU column, so that nothing "
            "tells which belong together."
        )
    answers = sum(cell.count * (cell.targets or 0) for cell in part.cells())
    found = [
        f"{exact(groups.whole)} whole shootdown{'' if groups.whole == 1 else 's'} in {time(part.span_ns)} ({part.form})"
    ]
    if groups.whole:
        answered = int(sum(cell.count for cell in part.cells() if cell.targets))
        each = f"{answers / answered:.4g} targets each, {groups.most_targets} at most" if answered else ""
        if answered < groups.whole:
            none = f"{exact(groups.whole - answered)} had no answer"
            each = f"{none}, the others {each}" if answered else none
        found.append(f"{_count(int(answers), 'answer')}; {each}")
    text = ": ".join(found) + "."
    if groups.unfinished:
        text += f" {exact(groups.unfinished)} unfinished at an end of the trace or of a gap, not counted."
    if groups.headless:
        text += f" {_count(groups.headless, 'answer')} whose sender is not in the trace."
    if groups.last.count:
        text += (
            f" From sending to the first answer {_range(groups.first)}, to the last one {_range(groups.last)}, as the "
            "trace's clock has it."
        )
    if groups.alone:
        text += f" {_count(groups.alone, 'flush', 'flushes')} of one CPU's own TLB, without an interrupt."
    if groups.own_handler:
        text += f" {exact(groups.own_handler)} senders ran the handler too, as before 5.13."
    if part.lost or part.lost_unknown:
        gaps = f" and {exact(part.lost_unknown)} gaps of unknown size" if part.lost_unknown else ""
        text += f" {exact(part.lost)} events were lost{gaps}."
    if part.jumps:
        text += f" The clock went back {exact(part.jumps)} times: several traces, or lines out of order."
    return text


def _count(number: int, one: str, many: str = "") -> str:
    return f"{exact(number)} {one if number == 1 else many or one + 's'}"


def _reasons(flushes: Mapping[tuple[int, int], Any], write: Callable[[Any], str], unit: str) -> Iterator[str]:
    for reason, name in enumerate(reasons.NAMES):
        mine = {number: count for (why, number), count in flushes.items() if why == reason}
        if not mine:
            continue
        total = sum(mine.values())
        shown = ", ".join(
            f"{write(count)}{unit} x {_of_pages(number)}"
            for number, count in sorted(mine.items(), key=lambda pair: -pair[1])[:6]
        )
        more = f", {len(mine) - 6} more" if len(mine) > 6 else ""
        meaning = reasons.MEANING[reason]
        if reason == reasons.SWITCH and set(mine) == {0}:
            meaning += " and nothing had to be flushed"
        yield f"{write(total)}{unit} {name}: {meaning} ({shown}{more})"


def _targets(number: int | None) -> str:
    return "?" if number is None else exact(number)


def _of_pages(number: int) -> str:
    if number == -2:
        return "other sizes"
    return "all pages" if number < 0 else f"{exact(number)} page{'' if number == 1 else 's'}"


def _calls(part: EventsPart, width: int) -> Iterator[str]:
    calls = part.calls
    rows = []
    for table, what in (
        (calls.sent, "interrupts sent"),
        (calls.callbacks, "calls queued"),
        (calls.runs, "calls run"),
        (calls.own, "run by the caller"),
    ):
        for name, count in largest(table, 6):
            rows.append([what, name, part.called.get(name) or _UNTOLD, exact(count)])
    columns = [
        Column("what"),
        Column("function", wraps=True),
        Column("path", wraps=True),
        Column("count", right=True),
    ]
    yield from _table(columns, rows, width)
    if calls.waits.count:
        waits = calls.waits
        yield from paragraph(
            f"From queueing a call to running it {_range(waits)}; {exact(waits.count)} of them, joined by the "
            "call's pointer.",
            width,
            rest="  ",
        )
    if calls.told:
        same = f"; {calls.agreeing} of them as measured here" if calls.agreeing else ""
        yield from paragraph(
            f"The trace's own csd_latency events say {min(calls.told)} to {max(calls.told)}{same}.",
            width,
            rest="  ",
        )
    yield from _remarks({row[2] for row in rows}, width)


def _remarks(found: Iterable[str], width: int) -> Iterator[str]:
    for path in sorted(found):
        if text := paths.remark(path):
            yield from paragraph(f"{path}: {text}.", width, rest="  ")


# --- shares and stacks


def _shares(part: SharesPart, width: int) -> Iterator[str]:
    if part.flushes:
        total = sum(part.flushes.values())
        sent = part.of_reason(reasons.SEND)
        count = f" of about {exact(part.count)} events" if part.count else ""
        yield from paragraph(
            f"Shares of tlb_flush events: {total:.2f} %{count} are listed; {sent:.2f} % are sends, one for "
            "each shootdown.",
            width,
            rest="  ",
        )
        yield ""
        yield from _list(
            "tlb_flush events:", _reasons(part.flushes, lambda value: f"{value:.2f}", " %"), width
        )
    for number, profile in enumerate(part.profiles):
        which = f" (profile {number + 1} of {len(part.profiles)})" if len(part.profiles) > 1 else ""
        what = "tlb_flush events" if part.of_events else "Time"
        yield from paragraph(f"{what} in functions that send, wait or flush{which}:", width)
        rows = [[f"{value:.2f} %", name, doc] for name, (value, doc) in largest_shares(profile)]
        yield from _table(
            [Column("share", right=True), Column("function"), Column("what", wraps=True)], rows, width
        )


def _stacks(part: StacksPart, width: int) -> Iterator[str]:
    if part.stacks:
        yield from paragraph(
            f"{exact(part.total)} hits in {exact(part.stacks)} different stacks ({part.form}); innermost: "
            + ", ".join(f"{name} {exact(count)}" for name, count in part.by_first.items())
            + ".",
            width,
            rest="  ",
        )
        yield ""
        rows = [
            [
                path or _UNTOLD,
                {True: "user pages", False: "no", None: "?"}[flushes],
                exact(count),
                share(count, part.total),
            ]
            for (path, flushes), count in sorted(part.by_path.items(), key=lambda pair: -pair[1])
        ]
        columns = [
            Column("from", wraps=True),
            Column("flushes"),
            Column("hits", right=True),
            Column("share", right=True),
        ]
        yield from _table(columns, rows, width)
        yield from _remarks({path for path, _ in part.by_path}, width)
        calls = ", ".join(f"{name} {exact(count)}" for name, count in part.by_call.items())
        if calls:
            yield from paragraph(f"System calls in the stacks: {calls}.", width, rest="  ")
        if part.unattributed:
            shown = "; ".join(f"{stack} ({exact(count)})" for stack, count in part.unattributed.items())
            yield from paragraph(f"Nothing tells what these are for: {shown}", width, rest="  ")
    for name, table in part.scalars.items():
        shown = ", ".join(f"{key or name} {exact(count)}" for key, count in list(table.items())[:8])
        yield from paragraph(f"Map {name}: {shown}", width, rest="  ")
    for name, buckets in part.histograms.items():
        shown = ", ".join(f"from {exact(low)}: {exact(count)}" for low, count in list(buckets.items())[:16])
        yield from paragraph(f"Histogram {name}: {shown}", width, rest="  ")


# --- counters


def _interrupts(part: InterruptsPart, width: int) -> Iterator[str]:
    tlb = part.row("shootdown")
    since = "since boot" if part.snapshots == 1 else f"{part.snapshots} snapshots"
    if tlb is None:
        first = f"/proc/interrupts of {part.cpus} CPUs, {since}: no row counts shootdowns alone."
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
    yield from _table(columns, rows, width)
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


def _vmstat(part: VmstatPart, width: int) -> Iterator[str]:
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
    yield from _table(
        [Column("counter"), Column("what", wraps=True), Column("count", right=True)], rows, width
    )


def _perf_stat(part: PerfStatPart, width: int) -> Iterator[str]:
    names = list(dict.fromkeys(name for run in part.runs for name in run))
    runs = part.runs if len(part.runs) <= 4 else part.runs[-4:]
    yield from paragraph(f"perf stat, {len(part.runs)} output{'' if len(part.runs) == 1 else 's'}.", width)
    yield ""
    rows = [[name, *(exact(run[name]) if name in run else "-" for run in runs)] for name in names[:40]]
    seconds = [f"{value:g} s" for value in part.elapsed[-len(runs) :]]
    headings = seconds if len(seconds) == len(runs) else [str(i + 1) for i in range(len(runs))]
    yield from _table(
        [Column("event", wraps=True), *(Column(name, right=True) for name in headings)], rows, width
    )
    for name in ("tlb:tlb_flush",):
        counts = [run[name] for run in part.runs if name in run]
        if len(counts) == 2 and counts[0]:
            yield f"{name}: {100 * (counts[1] / counts[0] - 1):+.2f} %"


# --- logs and benchmarks


def _lockups(part: LockupsPart, width: int) -> Iterator[str]:
    if part.waits:
        waits = part.waits
        yield from paragraph(
            f"{len(waits)} CSD lock{'' if len(waits) == 1 else 's'} not answered in time: a CPU waited for another one "
            "to run a function.",
            width,
            rest="  ",
        )
        yield ""
        rows = [
            [
                f"CPU {wait.waiter}",
                f"CPU {wait.target}",
                f"{exact(wait.ns)} ns",
                wait.callback,
                wait.path or ("user pages" if wait.flushes else _UNTOLD),
                wait.at or "-",
            ]
            for wait in waits[:_ROWS]
        ]
        columns = [
            Column("waits"),
            Column("for"),
            Column("longest", right=True),
            Column("to run", wraps=True),
            Column("which is", wraps=True),
            Column("it was in", wraps=True),
        ]
        yield from _table(columns, [[_breakable(cell) for cell in row] for row in rows], width)
        yield from _remarks({wait.path for wait in waits}, width)
    for one in part.soft[:_ROWS]:
        what = f", for {one['for']}" if one["for"] else ""
        where = f" in {one['at']}()" if one["at"] else ""
        yield from paragraph(
            f"Soft lockup: CPU {one['cpu']}, {one['seconds']} s, {one['task']}{where}{what}.",
            width,
            rest="  ",
        )
    yield from _remarks({one["for"] for one in part.soft} - {wait.path for wait in part.waits}, width)


def _breakable(cell: str) -> str:
    """Let a long function's name wrap after an underscore where nothing else would fit."""
    return cell if len(cell) <= 18 else "\n".join(_wrapped(cell))


def _wrapped(name: str, room: int = 18) -> list[str]:
    found = [""]
    for piece in name.replace("_", "_\0").split("\0"):
        if found[-1] and len(found[-1]) + len(piece) > room:
            found.append("")
        found[-1] += piece
    return found


def _benchmarks(part: BenchmarksPart, width: int) -> Iterator[str]:
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
    yield from _table(columns, rows, width)


def _plain(value: float) -> str:
    return exact(int(value)) if value == int(value) else f"{value:,.6g}"


_WRITERS: Mapping[type, Callable[[Any, int], Iterator[str]]] = {
    EventsPart: _events,
    SharesPart: _shares,
    StacksPart: _stacks,
    InterruptsPart: _interrupts,
    VmstatPart: _vmstat,
    PerfStatPart: _perf_stat,
    LockupsPart: _lockups,
    BenchmarksPart: _benchmarks,
}
