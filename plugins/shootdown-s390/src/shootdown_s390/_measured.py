"""How rows measured on s390 kernels map to what the model counts; a window has instructions of all CPUs."""

from __future__ import annotations

from typing import Any

from shootdown.measured import COPIES, Difference, Measured, Prediction, Row, Seen, Undisturbed, forks_of

#: Pages that parent and child copy, or that a child's faults change, for each fork (measured: up to ten).
_COPIED_PER_FORK = 12
#: Entries that faults of the processes around change meanwhile, by ptep_set_access_flags() or ptep_clear_flush(), an
#: IPTE each (mm/memory.c; measured: up to four, in one run of three).
_FAULTS = 4


def _platform(row: Row) -> tuple[str, dict[str, str]]:
    del row
    return "qemu-tcg", {}


def _predict(row: Row, seen: Seen, case: Any) -> dict[str, Any]:
    del case
    whole, actor = seen.whole, seen.actor
    return {
        "sync_broadcasts": whole["sync_broadcasts"],
        "sync_ipis": whole["sync_ipis"],
        "gathers": actor["gathers"],
        "gathers_vma": actor["gathers_vma"],
        "instructions": _instructions(row, seen),
    }


def _instructions(row: Row, seen: Seen) -> dict[str, Prediction]:
    counts: dict[str, Prediction] = dict(seen.instructions)
    forks = forks_of(row)
    for name in ("ipte", "ipte_local"):
        exact = seen.instructions.get(name, 0)
        counts[name] = (
            (exact, exact + _COPIED_PER_FORK * forks) if forks else Undisturbed(exact, exact + _FAULTS)
        )
    if forks:  # a child's exit, and whoever loads an mm whose flush was put off
        exact = seen.instructions.get("idte_asce", 0)
        counts["idte_asce"] = exact, exact + 2 * forks
    return counts


_CATCHING_UP = "whether children exit while it is measured, and who loads an mm whose flush was put off"
OPEN = (
    *(
        Difference(f"instructions.{name}", lambda row: forks_of(row) > 0, COPIES)
        for name in ("ipte", "ipte_local")
    ),
    Difference("instructions.idte_asce", lambda row: forks_of(row) > 0, _CATCHING_UP),
)

#: copy_present_pte() marks the child's entries old (mm/memory.c), which on s390 makes them invalid (`pte_mkold()`,
#: arch/s390/include/asm/pgtable.h); ptep_xchg_direct() does nothing with an invalid one (arch/s390/mm/pgtable.c).
_OLD_ENTRIES = (
    "fork() gives the child old entries, which are invalid on s390: its copies on write have nothing to invalidate, "
    "unless they were read before; the model invalidates each"
)
DIFFERENCES = (
    Difference(
        "instructions.ipte_local",
        lambda row: forks_of(row) > 0 or bool(row.fields.get("actor_forked")),
        _OLD_ENTRIES,
    ),
)

MEASURED = Measured(platform=_platform, predict=_predict, differences=DIFFERENCES, open=OPEN, variants=(0,))
"""How `shootdown validate` compares rows of s390 kernels."""
