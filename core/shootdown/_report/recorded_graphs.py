"""The report of a trace of functions: how long those of flushes took, and what called them."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._records.graphs_part import GraphsPart
from shootdown._report.recorded_text import (
    ROWS,
    UNTOLD,
    breakable,
    count_of,
    draw_table,
    listed,
    of_pages,
    reasons_of,
    remarks,
    time,
)
from shootdown._report.text import Column, exact, paragraph


def graphs(part: GraphsPart, width: int) -> Iterator[str]:
    """Write the report of a trace of functions."""
    calls = sum(part.functions.values())
    known = sum(times.count for times in part.times.values())
    text = f"{count_of(calls, 'call')} of {count_of(len(part.functions), 'function')} (function_graph); "
    text += (
        f"{exact(known)} of them of functions that send, wait or flush, each from its beginning to its end."
    )
    if part.unfinished or part.headless:
        ends, begins = exact(part.unfinished), exact(part.headless)
        text += f" Not counted: {ends} without an end and {begins} without a beginning in the trace."
    if part.lost or part.gaps:
        gaps = f" and {exact(part.gaps)} gaps of unknown size" if part.gaps else ""
        text += f" {exact(part.lost)} events were lost{gaps}."
    yield from paragraph(text, width, rest="  ")
    yield ""
    ranked = sorted(part.times.items(), key=lambda pair: (-pair[1].total, pair[0]))
    rows = [
        [
            breakable(function),
            " ".join(filter(None, (breakable(caller), path and f"({path})"))) or UNTOLD,
            exact(times.count),
            time(times.total / times.count),
            time(times.below(0.5)) if times.count >= 10 else "-",
            time(times.most),
        ]
        for (function, caller, path), times in ranked[:ROWS]
    ]
    columns = [
        Column("function", wraps=True),
        Column("called by (for)", wraps=True),
        Column("calls", right=True),
        Column("mean", right=True),
        Column("half within", right=True),
        Column("longest", right=True),
    ]
    if rows:
        yield from draw_table(columns, rows, width)
        yield from remarks({path for _, _, path in part.times}, width)
    more = ranked[ROWS:]
    if more:
        count = sum(times.count for _, times in more)
        yield from paragraph(f"{len(more)} more rows with {count_of(count, 'call')} took less time.", width)
    if not rows:
        shown = ", ".join(f"{name} {exact(count)}" for name, count in list(part.functions.items())[:6])
        yield from paragraph(
            f"No function that sends, waits or flushes is among them: {shown}.", width, rest="  "
        )
    sends = sorted(part.sends.items(), key=lambda pair: -pair[1])
    yield from listed(
        "Shootdowns, as far as tlb_flush events stand among the functions:",
        (
            f"{exact(count)} x {of_pages(number)}, from {path or UNTOLD}"
            for (path, number), count in sends[:ROWS]
        ),
        width,
    )
    yield from listed("tlb_flush events:", reasons_of(part.flushes, exact, ""), width)
