"""The report of shares of a profile, and of stacks that were counted."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._records import reasons
from shootdown._records.shares import SharesPart, largest_shares
from shootdown._records.stacks import StacksPart
from shootdown._report.recorded_text import UNTOLD, count_of, draw_table, listed, reasons_of, remarks
from shootdown._report.text import Column, exact, paragraph, share


def shares(part: SharesPart, width: int) -> Iterator[str]:
    """Write the report of `perf report` or `perf top`."""
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
        yield from listed(
            "tlb_flush events:", reasons_of(part.flushes, lambda value: f"{value:.2f}", " %"), width
        )
    for number, profile in enumerate(part.profiles):
        which = f" (profile {number + 1} of {len(part.profiles)})" if len(part.profiles) > 1 else ""
        what = "tlb_flush events" if part.of_events else "Time"
        yield from paragraph(f"{what} in functions that send, wait or flush{which}:", width)
        rows = [[f"{value:.2f} %", name, doc] for name, (value, doc) in largest_shares(profile)]
        yield from draw_table(
            [Column("share", right=True), Column("function"), Column("what", wraps=True)], rows, width
        )


def stacks(part: StacksPart, width: int) -> Iterator[str]:
    """Write the report of stacks."""
    if part.stacks:
        yield from paragraph(
            f"{count_of(part.total, 'hit')} in {count_of(part.stacks, 'stack')} ({part.form}); innermost: "
            + ", ".join(f"{name} {exact(count)}" for name, count in part.by_first.items())
            + ".",
            width,
            rest="  ",
        )
        yield ""
        rows = [
            [
                path or UNTOLD,
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
        yield from draw_table(columns, rows, width)
        yield from remarks({path for path, _ in part.by_path}, width)
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
        shown = ", ".join(
            f"{'below 0' if low < 0 else f'from {exact(low)}'}: {exact(count)}"
            for low, count in list(buckets.items())[:16]
        )
        yield from paragraph(f"Histogram {name}: {shown}", width, rest="  ")
