"""How rows measured on arm64 kernels map to what the model counts.

Instructions are counted machine-wide in the window. The measured program's own copy-on-write faults after a fork add
flushes of single pages; how many pages a process still shares when the window opens depended on timing. Counts are
ranges where that matters.
"""

from __future__ import annotations

from typing import Any

from shootdown.measured import Difference, Measured, Row, Seen, parent_wakes

#: Pages that parent and child copy, or reuse without a copy, soon after a fork (measured: up to eight in total).
_COPIED_PER_FORK = 8
#: Pages that the parent still shares with its last child when it first runs after its forks (measured: up to one).
_COPIED_LATE = 1
#: TLBIs that a window may have besides those of the mechanism: all are of one page.
_ONE_PAGE = ("tlbi_vale1is", "tlbi_vale1")


def _platform(row: Row) -> tuple[str, dict[str, str]]:
    """Return a row's platform: qemu's TCG, as a cortex-a72 or as `max`, which has FEAT_TLBIRANGE."""
    name = "qemu-tcg-max" if row.fields.get("cpu_model") == "max" else "qemu-tcg"
    size = row.fields.get("page_size")
    return name, {} if size is None else {"kernel.page_size": str(size)}


def _predict(row: Row, seen: Seen, case: Any) -> dict[str, Any]:
    whole, actor = seen.whole, seen.actor
    return {
        "sync_broadcasts": _sync(row, whole["sync_broadcasts"], 1, case),
        "sync_ipis": _sync(row, whole["sync_ipis"], case.cpus - 1, case),
        "unshared_tables": whole["unshared_tables"],
        "shared_tables": whole["shared_tables"],
        "gathers": actor["gathers"],
        "gathers_vma": actor["gathers_vma"],
        "pmdp_collapse_flush": actor["flush_requests"],
        "instructions": _instructions(row, seen, case),
    }


def _instructions(row: Row, seen: Seen, case: Any) -> dict[str, int | tuple[int, int]]:
    """Return each TLBI's count; a range where copy-on-write faults of one page share the window."""
    counts: dict[str, int | tuple[int, int]] = dict(seen.instructions)
    forks = _forks(row)
    # The parent may write a page that it still shares; later windows find the page its own.
    most = _COPIED_PER_FORK * forks if forks else _COPIED_LATE if parent_wakes(row) else 0
    if not most:
        return counts
    names = _ONE_PAGE if case.kernel.arch.reuse_fault_flushes_locally else _ONE_PAGE[:1]
    for name in names:
        exact = seen.instructions.get(name, 0)
        counts[name] = (exact - forks, exact + most) if forks else (exact, exact + most)
    for name in names:
        low, high = counts[name]  # type: ignore[misc]
        counts[name] = (max(low, 0), high)
    return counts


def _forks(row: Row) -> int:
    if row.workload == "fork_storm":
        return row.integer("M")
    return row.integer("k") if row.fields.get("step") == "fork" else 0


def _sync(row: Row, count: int, each: int, case: Any) -> int | tuple[int, int]:
    """Return the syncs, as a range if only the last sharer sends one: children that exit at once race for that."""
    racing = row.workload == "fork_storm" and row.integer("conc", 1) > 1
    if racing and count and case.kernel.unshare_sync == "last-sharer":
        return each, each * row.integer("M")
    return count


DIFFERENCES: tuple[Difference, ...] = ()


def _after_forks(row: Row) -> bool:
    return _forks(row) > 0


def _any(row: Row) -> bool:
    return True


OPEN: tuple[Difference, ...] = (
    *(
        Difference(
            f"instructions.{name}",
            _after_forks,
            "which pages the parent copies on write after fork(), and which the child copies first",
        )
        for name in _ONE_PAGE
    ),
    *(
        Difference(
            f"instructions.{name}",
            _any,
            "whether the parent, which runs for the first time since its forks, still shares the page that it writes",
        )
        for name in _ONE_PAGE
    ),
    Difference("sync_broadcasts", _any, "which of the children that exit at the same time unshares last"),
    Difference("sync_ipis", _any, "which of the children that exit at the same time unshares last"),
)

MEASURED = Measured(platform=_platform, predict=_predict, differences=DIFFERENCES, open=OPEN)
