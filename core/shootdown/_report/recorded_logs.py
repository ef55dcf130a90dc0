"""The report of a kernel log: CSD locks that nobody answered, and soft lockups."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._records.lockups import LockupsPart
from shootdown._report.recorded_text import ROWS, UNTOLD, breakable, draw_table, remarks
from shootdown._report.text import Column, exact, paragraph


def lockups(part: LockupsPart, width: int) -> Iterator[str]:
    """Write the report of a kernel log."""
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
                wait.path or ("user pages" if wait.flushes else UNTOLD),
                wait.at or "-",
            ]
            for wait in waits[:ROWS]
        ]
        columns = [
            Column("waits"),
            Column("for"),
            Column("longest", right=True),
            Column("to run", wraps=True),
            Column("which is", wraps=True),
            Column("it was in", wraps=True),
        ]
        yield from draw_table(columns, [[breakable(cell) for cell in row] for row in rows], width)
        yield from remarks({wait.path for wait in waits}, width)
    for one in part.soft[:ROWS]:
        what = f", for {one['for']}" if one["for"] else ""
        where = f" in {one['at']}()" if one["at"] else ""
        yield from paragraph(
            f"Soft lockup: CPU {one['cpu']}, {one['seconds']} s, {one['task']}{where}{what}.",
            width,
            rest="  ",
        )
    yield from remarks({one["for"] for one in part.soft} - {wait.path for wait in part.waits}, width)
