"""How rows measured on ppc64el kernels map to what the model counts.

Instructions are counted machine-wide in the window; docs/reference/model.md says what forks leave open in it.
"""

from __future__ import annotations

from typing import Any

from shootdown.measured import (
    COPIES,
    Difference,
    Measured,
    Row,
    Seen,
    forks_of,
)

#: Pages that parent and child copy, or reuse without a copy, soon after a fork (measured: up to eight in total).
_COPIED_PER_FORK = 8
#: The instructions that flush one page of a process that runs on one CPU.
_ONE_PAGE = "tlbiel_ric0_prs1_r1"


def _platform(row: Row) -> tuple[str, dict[str, str]]:
    """Return a row's platform: qemu's TCG as a POWER9, radix, with 4K pages unless the row differs."""
    size = row.fields.get("page_size")
    return "qemu-tcg", {} if size is None else {"kernel.page_size": str(size)}


def _predict(row: Row, seen: Seen, case: Any) -> dict[str, Any]:
    del case
    whole, actor = seen.whole, seen.actor
    return {
        "sync_broadcasts": whole["sync_broadcasts"],
        "sync_ipis": whole["sync_ipis"],
        "unshared_tables": whole["unshared_tables"],
        "shared_tables": whole["shared_tables"],
        "gathers": actor["gathers"],
        "gathers_vma": actor["gathers_vma"],
        "pmdp_collapse_flush": actor["flush_requests"],
        "instructions": _instructions(row, seen),
    }


def _instructions(row: Row, seen: Seen) -> dict[str, int | tuple[int, int]]:
    """Return each instruction's count; a range where copy-on-write faults of one page share the window."""
    counts: dict[str, int | tuple[int, int]] = dict(seen.instructions)
    forks = forks_of(row)
    if forks:
        exact = seen.instructions.get(_ONE_PAGE, 0)
        counts[_ONE_PAGE] = (exact - forks, exact + _COPIED_PER_FORK * forks)
    return counts


DIFFERENCES: tuple[Difference, ...] = ()
OPEN = (
    Difference(
        f"instructions.{_ONE_PAGE}",
        lambda row: forks_of(row) > 0,
        COPIES,
    ),
)

# The CPU on which a child was forked stays in its mm_cpumask, whatever runs there, until the child's first flush makes
# it leave: every schedule gives the same counts.
MEASURED = Measured(platform=_platform, predict=_predict, differences=DIFFERENCES, open=OPEN, variants=(0,))
