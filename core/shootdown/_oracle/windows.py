"""What forks and exits that race leave open in a measured window on any architecture: see docs/reference/model.md."""

from __future__ import annotations

from typing import Any

from shootdown._oracle.measured import Difference
from shootdown._oracle.rows import Row

#: Why counts of a window with forks are ranges.
COPIES = "which pages the parent copies on write after fork(), and which the child copies first"


def forks_of(row: Row) -> int:
    """Return how many forks a row's window has."""
    if row.workload == "fork_storm":
        return row.integer("M")
    if row.workload == "program":
        return row.integer("forks", 0)
    return row.integer("k") if row.fields.get("step") == "fork" else 0


def syncs_of(row: Row, count: int, each: int, case: Any) -> int | tuple[int, int]:
    """Return a count of syncs; a range where children exit at once, of which only the last sharer sends one.

    Args:
        row: the row.
        count: as the model counted it.
        each: what one sync adds to it.
        case: the row's case.
    """
    racing = row.workload == "fork_storm" and row.integer("conc", 1) > 1
    if racing and count and case.kernel.unshare_sync == "last-sharer":
        return each, each * row.integer("M")
    return count


#: Why counts of syncs are ranges there.
RACING_EXITS = tuple(
    Difference(count, lambda _: True, "which of the children that exit at the same time unshares last")
    for count in ("sync_broadcasts", "sync_ipis")
)
