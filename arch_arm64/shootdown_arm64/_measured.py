"""How rows measured on arm64 kernels map to what the model counts.

Instructions are counted machine-wide in the window; docs/reference/model.md says what forks leave open in it.
"""

from __future__ import annotations

from typing import Any

from shootdown.measured import (
    COPIES,
    RACING_EXITS,
    Difference,
    Measured,
    Row,
    Seen,
    forks_of,
    parent_wakes,
    syncs_of,
)

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
        "sync_broadcasts": syncs_of(row, whole["sync_broadcasts"], 1, case),
        "sync_ipis": syncs_of(row, whole["sync_ipis"], case.cpus - 1, case),
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
    forks = forks_of(row)
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


def _shares_a_file(row: Row) -> bool:
    memory = row.fields.get("program", {}).get("memory", {}).values()
    return any(one.get("kind") == "file" and one.get("shared", True) for one in memory)


DIFFERENCES: tuple[Difference, ...] = tuple(
    Difference(
        f"instructions.{name}",
        _shares_a_file,
        "the runner's files lie in tmpfs, which hears of no write: a read maps a page that is dirty so, and a write to "
        "it then takes no fault (set_pte_range() of 7.0, and not of 6.4; the first release is UNVERIFIED)",
    )
    for name in _ONE_PAGE
)


def _after_forks(row: Row) -> bool:
    return forks_of(row) > 0


def _any(row: Row) -> bool:
    return True


OPEN: tuple[Difference, ...] = (
    *(
        Difference(
            f"instructions.{name}",
            _after_forks,
            COPIES,
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
    *RACING_EXITS,
)

MEASURED = Measured(platform=_platform, predict=_predict, differences=DIFFERENCES, open=OPEN)
