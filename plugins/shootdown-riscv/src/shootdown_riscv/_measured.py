"""How rows measured on riscv kernels map to what the model counts.

They were measured on QEMU's virt machine. Instructions are counted on all CPUs, those of the firmware too. In windows
of `fork` and `fork_storm` parent and children copy pages on write, load code and migrate: there the flushes of the
mechanism are predicted, and a range for what is added to them.
"""

from __future__ import annotations

from typing import Any

from shootdown.measured import Measured, Prediction, Row, Seen

#: Pages that the parent copies on write after a fork, each a flush_tlb_page() (measured: none to three).
_COPIED = 3
#: Pages that a child copies for itself meanwhile, each a fence on the CPUs that it ran on (measured: up to five).
_COPIED_BY_CHILD = 5
#: Entries that a child's first faults map, each fenced alone without Svvptc (measured: up to 88).
_MAPPED_PER_FORK = 100
#: Writes of satp by context switches: the tracer, timers, kernel threads (measured: up to five), more for each fork.
_SWITCHES, _SWITCHES_PER_FORK = 6, 6
#: FENCE.I of code that another CPU loaded: only after a fork (measured: up to one).
_NEW_CODE = 2
#: SBI calls besides fences and the sync's IPIs: wake-ups, rescheduling, timers without Sstc. Calls of one process
#: alone wake nobody (measured: up to four); processes that tell each other to go on do (nine), and so do threads.
_OTHER_CALLS_ALONE, _OTHER_CALLS, _OTHER_CALLS_PER_FORK, _OTHER_CALLS_PER_THREAD = 6, 12, 6, 3

_FULL = ("sfence_vma_asid", "m_sfence_vma_asid")
_BY_ADDRESS = ("sfence_vma_addr_asid", "m_sfence_vma_addr_asid", "sinval_vma_addr_asid")


def _newer_qemu(row: Row) -> bool:
    """Whether a row is from the newer QEMU, whose rows count SBI calls by kind and whose CPU has Svvptc."""
    return "sbi_rfence_calls" in row.counts


def _platform(row: Row) -> tuple[str, dict[str, str]]:
    """Name the platform: QEMU's virt machine with SBI or with IMSICs, and what else the row says of it."""
    settings = {
        "platform.satp_mode": str(row.integer("satp_mode", 57)),
        "platform.svinval": "true" if row.fields.get("svinval") else "false",
        "platform.svvptc": "true" if _newer_qemu(row) else "false",
    }
    harts = row.fields.get("hart_ids")
    if isinstance(harts, list):
        settings["platform.hart_ids"] = ",".join(map(str, harts))
    return "qemu-virt-aia" if row.fields.get("aia") == "imsic" else "qemu-virt", settings


def _predict(row: Row, seen: Seen, case: Any) -> dict[str, Any]:
    whole, actor = seen.whole, seen.actor
    forks = _forks(row)
    requests, pages = actor["flush_requests"], actor["flush_page_calls"]
    ranges, mms = actor["flush_range_calls"], actor["flush_whole_mm"]
    more = _COPIED * forks
    return {
        "sync_broadcasts": _sync(row, whole["sync_broadcasts"], 1, case),
        "sync_ipis": _sync(row, whole["sync_ipis"], case.cpus - 1, case),
        "shared_tables": whole["shared_tables"],
        "gathers": actor["gathers"],
        "gathers_vma": actor["gathers_vma"],
        "flush_requests": _up(requests - pages, more) if forks else requests,
        "flush_whole_mm": mms,
        "flush_tlb_range": ranges,
        "flush_tlb_page": _up(0, more) if forks else pages,
        "flush_tlb_mm_range": requests - mms - ranges - pages,
        "flush_ipis": _flush_ipis(seen, forks),
        "full_fences": sum(seen.instructions.get(name, 0) for name in _FULL),
        "address_fences": _by_address(seen, forks),
        "sbi_rfence_calls": _fence_calls(seen, forks),
        "instructions": _instructions(row, seen, case),
    }


def _up(exact: int, more: int) -> Prediction:
    """Return a count to which up to so many may be added."""
    return (exact, exact + more) if more else exact


def _instructions(row: Row, seen: Seen, case: Any) -> dict[str, Prediction]:
    forks = _forks(row)
    counts: dict[str, Prediction] = {name: n for name, n in seen.instructions.items() if name != "ecall"}
    counts["csr_satp"] = (0, _SWITCHES + _SWITCHES_PER_FORK * forks)
    if forks:
        counts["fence_i"] = (0, _NEW_CODE * forks)
        copied = _COPIED + 2 * _COPIED_BY_CHILD
        for name in _BY_ADDRESS[:2]:
            if name in seen.instructions:
                counts[name] = (0, seen.instructions[name] + copied * forks)
        # Of the copies, a child alone on its CPU fences for itself where others take an SBI call.
        counts["sfence_vma_addr_asid"] = (
            0,
            seen.instructions.get("sfence_vma_addr_asid", 0) + copied * forks,
        )
        counts["sfence_vma_addr"] = 0 if case.platform.arch.svvptc else (0, _MAPPED_PER_FORK * forks)
    if case.platform.arch.native_ipis == "none":
        calls = _fence_calls(seen, forks)
        syncs = _sync(row, seen.whole["sync_ipis"], case.cpus - 1, case)
        other = (0, _other_calls(row, forks) * (case.cpus > 1))
        if _newer_qemu(row):
            counts["ecall_rfence_2"] = calls
            counts["ecall_ipi"] = _sum(syncs, other)
        else:
            counts["ecall"] = _sum(calls, syncs, other)
    return counts


def _other_calls(row: Row, forks: int) -> int:
    if row.workload == "anonymous":
        return _OTHER_CALLS_ALONE
    threads = row.integer("T", 0)
    return _OTHER_CALLS + _OTHER_CALLS_PER_FORK * forks + _OTHER_CALLS_PER_THREAD * threads


def _sum(*parts: Prediction) -> Prediction:
    ends = [part if isinstance(part, tuple) else (part, part) for part in parts]
    low, high = sum(end[0] for end in ends), sum(end[1] for end in ends)
    return low if low == high else (low, high)


def _fence_calls(seen: Seen, forks: int) -> Prediction:
    """Return the SBI calls for fences; those for pages copied after a fork are a range."""
    calls = seen.instructions.get("ecall", 0)
    if not forks or not calls:
        return calls
    return max(calls - seen.actor["flush_page_calls"], 0), calls + (_COPIED + _COPIED_BY_CHILD) * forks


def _by_address(seen: Seen, forks: int) -> Prediction:
    exact = sum(seen.instructions.get(name, 0) for name in _BY_ADDRESS)
    return (0, exact + (2 * _COPIED + 2 * _COPIED_BY_CHILD) * forks) if forks else exact


def _flush_ipis(seen: Seen, forks: int) -> Prediction:
    exact = seen.whole["flush_ipis"]
    if not forks or not exact:
        return exact
    return max(exact - seen.actor["flush_page_calls"], 0), exact + (_COPIED + _COPIED_BY_CHILD) * forks


def _forks(row: Row) -> int:
    """Return the number of forks in the window of a row."""
    if row.workload == "fork_storm":
        return row.integer("M")
    return row.integer("k") if row.fields.get("step") == "fork" else 0


def _sync(row: Row, count: int, each: int, case: Any) -> Prediction:
    """Return the syncs, as a range if only the last sharer sends one: children that exit at once race for that."""
    racing = row.workload == "fork_storm" and row.integer("conc", 1) > 1
    if racing and count and case.kernel.unshare_sync == "last-sharer":
        return each, each * row.integer("M")
    return count


MEASURED = Measured(platform=_platform, predict=_predict)
"""How `shootdown validate` compares rows of riscv kernels."""
