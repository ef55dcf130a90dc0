"""The reasons of the trace event `tlb:tlb_flush`, in each spelling (include/trace/events/tlb.h)."""

from __future__ import annotations

import re
from collections.abc import Mapping

SWITCH, REMOTE, LOCAL, LOCAL_MM, SEND, WRONG = range(6)

NAMES = (
    "flush on task switch",
    "remote shootdown",
    "local shootdown",
    "local mm shootdown",
    "remote ipi send",
    "remote wrong cpu",
)
#: What an event of the reason stands for, for people.
MEANING = (
    "another address space was loaded",
    "a CPU flushed because another one asked it to",
    "this CPU flushed its own TLB",
    "this CPU flushed for its own process",
    "this CPU sent the interrupts of a shootdown",
    "a CPU was interrupted that ran something else",
)
_BY_NAME = {name: number for number, name in enumerate(NAMES)}

#: The capital letters came when the sixth reason got its name; before that it was printed as `0x5 (5)`.
NEW_SPELLING = ("local MM shootdown", "remote IPI send", "remote wrong CPU")
OLD_SPELLING = ("local mm shootdown", "remote ipi send")

#: `pages:1 reason:local mm shootdown (3)`; trace-cmd's plugin writes `=`, and no name for one that it does
#: not know.
PAYLOAD = re.compile(
    r"pages[:=] ?(-?\d{1,20})\s+reason[:=] ?((?:0x[0-9a-f]{1,8}|[A-Za-z ]*?)) ?\((\d{1,3})\)\s*$"
)
#: perf with `-F trace` of an event whose format it could not read, and bpftrace's `printf` as its manual has it.
RAW = re.compile(r"reason[:=] ?(\d{1,3}),? +pages[:=] ?(-?\d{1,20})\s*$")


def read(payload: str) -> tuple[int, int, str] | None:
    """Read the payload of the event.

    Returns:
        Pages, the reason's number and its spelling; None if it is damaged.
    """
    found = PAYLOAD.search(payload)
    if found is not None:
        pages, spelling, number = int(found[1]), found[2], int(found[3])
        named = _BY_NAME.get(spelling.lower())
        unnamed = not spelling or spelling == f"{number:#x}"  # so __print_symbolic() writes what has no name
        if number > WRONG or (not unnamed and named != number):
            return None
        return _signed(pages), number, spelling
    raw = RAW.search(payload)
    if raw is None or int(raw[1]) > WRONG:
        return None
    return _signed(int(raw[2])), int(raw[1]), ""


def _signed(pages: int) -> int:
    """All pages are written as -1, or as the largest unsigned number."""
    return -1 if pages < 0 or pages >= 1 << 52 else pages


def as_rows(flushes: Mapping[tuple[int, int], int]) -> list[dict[str, object]]:
    """Return counts of events, by reason and pages, as JSON has them; pages -2 stand for all other sizes."""
    return [
        {"reason": NAMES[reason], "number": reason, "pages": None if pages == -2 else pages, "count": count}
        for (reason, pages), count in sorted(flushes.items())
    ]
