"""The report of a trace: its shootdowns, flushes and calls."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._records import reasons
from shootdown._records.events_part import EventsPart
from shootdown._records.values import largest
from shootdown._report.recorded_text import (
    ROWS,
    UNTOLD,
    amount,
    count_of,
    draw_table,
    listed,
    of_pages,
    pages,
    range_of,
    reasons_of,
    remarks,
    targets,
    time,
)
from shootdown._report.text import Column, exact, paragraph


def events(part: EventsPart, width: int) -> Iterator[str]:
    """Write the report of a trace."""
    groups = part.groups
    if part.flushes:
        yield from paragraph(_shootdowns(part), width, rest="  ")
        yield ""
        cells = sorted(part.cells(), key=lambda cell: -cell.count)
        if cells:
            rows = [
                [cell.path or UNTOLD, pages(cell.pages), targets(cell.targets), amount(cell.count)]
                for cell in cells[:ROWS]
            ]
            if len(cells) > ROWS:
                rest = sum(cell.count for cell in cells[ROWS:])
                rows.append([f"({len(cells) - ROWS} more)", "", "", amount(rest)])
            columns = [
                Column("from", wraps=True),
                Column("pages", right=True),
                Column("targets each", right=True),
                Column("shootdowns", right=True),
            ]
            yield from draw_table(columns, rows, width)
            yield from remarks({cell.path for cell in cells}, width)
            who = largest(groups.who, 6)
            yield from listed("By:", (f"{task}: {exact(count)}" for task, count in who), width)
        alone = sorted(groups.alone_cells.items(), key=lambda pair: -pair[1])
        yield from listed(
            "Flushes of one CPU's own TLB:",
            (
                f"{exact(count)} x {of_pages(number)}, from {path or UNTOLD}"
                for (path, number), count in alone[:6]
            ),
            width,
        )
        yield from remarks({path for path, _ in groups.alone_cells} - {cell.path for cell in cells}, width)
        yield from listed("tlb_flush events:", reasons_of(part.flushes, exact, ""), width)
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
        sent = count_of(part.of_reason(reasons.SEND), "shootdown")
        got = count_of(part.of_reason(reasons.REMOTE, reasons.WRONG), "answer")
        return (
            f"{sent} sent and {got} in {time(part.span_ns)} ({part.form}); there is no CPU column, or no time, so that "
            "nothing tells which belong together."
        )
    answers = sum(cell.count * (cell.targets or 0) for cell in part.cells())
    found = [
        f"{exact(groups.whole)} whole shootdown{'' if groups.whole == 1 else 's'} in {time(part.span_ns)} ({part.form})"
    ]
    if groups.whole:
        answered = int(sum(cell.count for cell in part.cells() if cell.targets))
        mean = answers / max(answered, 1)
        noun = "target" if mean == 1 else "targets"
        each = f"{mean:.4g} {noun} each, {groups.most_targets} at most" if answered else ""
        if answered < groups.whole:
            none = f"{exact(groups.whole - answered)} had no answer"
            each = f"{none}, the others {each}" if answered else none
        found.append(f"{count_of(int(answers), 'answer')}; {each}")
    text = ": ".join(found) + "."
    if groups.unfinished:
        text += f" {exact(groups.unfinished)} unfinished at an end of the trace or of a gap, not counted."
    if groups.headless:
        text += f" {count_of(groups.headless, 'answer')} whose sender is not in the trace."
    if groups.last.count:
        text += (
            f" From sending to the first answer {range_of(groups.first)}, to the last one {range_of(groups.last)}, as "
            "the trace's clock has it."
        )
    if groups.alone:
        text += f" {count_of(groups.alone, 'flush', 'flushes')} of one CPU's own TLB, without an interrupt."
    if groups.own_handler:
        text += f" {exact(groups.own_handler)} senders ran the handler too, as before 5.13."
    if part.lost or part.lost_unknown:
        gaps = f" and {exact(part.lost_unknown)} gaps of unknown size" if part.lost_unknown else ""
        text += f" {exact(part.lost)} events were lost{gaps}."
    if part.jumps:
        text += f" The clock went back {exact(part.jumps)} times: several traces, or lines out of order."
    return text


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
            rows.append([what, name, part.called.get(name) or UNTOLD, exact(count)])
    columns = [
        Column("what"),
        Column("function", wraps=True),
        Column("path", wraps=True),
        Column("count", right=True),
    ]
    yield from draw_table(columns, rows, width)
    if calls.waits.count:
        waits = calls.waits
        yield from paragraph(
            f"From queueing a call to running it {range_of(waits)}; {exact(waits.count)} of them, joined by the "
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
    yield from remarks({row[2] for row in rows}, width)
