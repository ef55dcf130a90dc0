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
    kmaps = _kmaps(row, case)
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
        "flush_tlb_one_kernel": kmaps,
        "instructions": {
            "invlpg": (kmaps[0] + (0 if forks else invlpg), kmaps[1] + invlpg + 8 * forks),
            "mov_cr3": (max(loads - 2, 0), loads + _OTHER_CR3_WRITES + 16 * forks),
        },
    }


#: INVLPG of kunmap_local() in a window of a 32-bit kernel (arch_kmap_local_post_unmap() and flush_tlb_one_kernel()):
#: the measuring program's own, for what it writes and reads; what exit() of one of its processes takes; and what one
#: fork() with the child's first faults takes, which depends on the pages that it copies.
_KMAPS = 6
_EXIT_KMAPS = (24, 25)
_FORK_KMAPS = (45, 76)
#: Steps in which the parent writes a page of its own for the first time after fork(), and so maps that page's table.
_AFTER_FORK = ("parent_munmap_first", "punch_whole", "truncate0", "soft_offline_migrate")


def _kmaps(row: Row, case: Any) -> tuple[int, int]:
    """Say how often a 32-bit kernel unmaps a page of high memory in a window: one INVLPG each; others never do.

    With CONFIG_HIGHPTE every use of a user PTE table is one: a call on base pages uses one table, splitting a THP two.
    """
    if case.kernel.va_bits > 32:
        return 0, 0
    step = str(row.fields.get("step", ""))
    forks = _forks(row)
    if forks:
        low, high = (forks * each for each in _FORK_KMAPS)
    elif step.startswith("exit"):
        low, high = _EXIT_KMAPS
    elif row.workload == "anonymous":
        split = row.fields.get("op") == "thp_split_mprotect"
        low = high = _KMAPS + (2 if split else int(row.fields.get("kind") != "thp"))
    else:
        low = high = _KMAPS + int(step in _AFTER_FORK)
    return (low if case.kernel.arch.highpte else 0), high


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
