"""How the measured rows of x86 kernels map to the model: names of counts, noise, understood differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shootdown.measured import Difference, Measured, Row, Seen

#: CR3 writes of context switches that a window may hold besides those of flushes: the tracer, timers, kthreads.
_OTHER_CR3_WRITES = 16


def _platform(row: Row) -> tuple[str, dict[str, str]]:
    """All rows were measured under qemu's TCG: no PCID, no hypervisor features."""
    del row
    return "qemu-tcg", {}


def _predict(row: Row, seen: Seen, case: Any) -> dict[str, Any]:
    whole, actor = seen.whole, seen.actor
    forks = _forks(row)
    noise = 3 * forks
    requests = actor["flush_requests"]
    copied = forks  # what the program's own copy-on-write adds in the model: one page for each fork
    invlpg = whole["page_invalidations"]
    loads = whole["full_flushes"] + whole["lazy_switches"]
    return {
        "sync_broadcasts": _sync(row, whole["sync_broadcasts"], 1, case),
        "sync_ipis": _sync(row, whole["sync_ipis"], case.cpus - 1, case),
        "unshared_tables": whole["unshared_tables"],
        "shared_tables": whole["shared_tables"],
        "gathers": actor["gathers"],
        "gathers_vma": actor["gathers_vma"],
        "flush_tlb_mm_range": (requests - copied, requests - copied + noise + 1) if forks else requests,
        "flush_tlb_mm_range_all": actor["flush_whole_mm"],
        "tlb_row": _tlb_row(whole),
        "instructions": {
            "invlpg": (0, invlpg + 8 * forks) if forks else invlpg,
            "mov_cr3": (max(loads - 2, 0), loads + _OTHER_CR3_WRITES + 16 * forks),
        },
    }


def _forks(row: Row) -> int:
    if row.workload == "fork_storm":
        return row.integer("M")
    return row.integer("k") if row.fields.get("step") == "fork" else 0


def _sync(row: Row, count: int, each: int, case: Any) -> int | tuple[int, int]:
    """Children that exit at the same time race for who unshares last, where only the last sharer synchronises."""
    racing = row.workload == "fork_storm" and row.integer("conc", 1) > 1
    if racing and count and case.kernel.unshare_sync == "last-sharer":
        return each, each * row.integer("M")
    return count


def _tlb_row(whole: Mapping[str, int]) -> int:
    """Count remote flush handlers, and the initiator's own where the kernel runs it (up to v5.12)."""
    return whole["flush_ipis"] + whole["transition_ipis"] + whole["own_handler_runs"]


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "sync_ipis",
        lambda row: row.workload == "fork_storm" and row.integer("conc", 1) > 1,
        "the handler runs were traced, and with several children at once the trace loses a few events "
        "(tests/oracle/README.md); broadcasts times the other CPUs is what was sent",
    ),
)

MEASURED = Measured(platform=_platform, predict=_predict, differences=DIFFERENCES)
