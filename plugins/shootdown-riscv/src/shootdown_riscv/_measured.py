"""How rows measured on riscv kernels map to what the model counts.

They were measured on QEMU's virt machine. Instructions are counted on all CPUs, those of the firmware too;
docs/reference/model.md says what forks leave open. A row counts the pages that the parent copies
(`flush_tlb_page`), and what each of them costs follows; children load code besides.
"""

from __future__ import annotations

from typing import Any

from shootdown.measured import (
    COPIES,
    PARENT_CPU,
    PARENT_FIRST,
    RACING_EXITS,
    Difference,
    Measured,
    Prediction,
    Row,
    Seen,
    Undisturbed,
    actor_cpu,
    forks_of,
    parent_wakes,
    syncs_of,
)

#: Pages that the parent copies on write after a fork, each a flush_tlb_page() (measured: none to three).
_COPIED = 3
#: Pages that a child copies for itself meanwhile, each a fence on the CPUs that it ran on (measured: up to six).
_COPIED_BY_CHILD = 6
#: Entries that a child's first faults map, each fenced alone without Svvptc (measured: up to 88).
_MAPPED_PER_FORK = 100
#: Writes of satp by context switches for each fork.
_SWITCHES_PER_FORK = 6
#: The same in a window of a program, whose threads have their CPUs to themselves.
_PROGRAM_SWITCHES = 6
#: Page tables with dirty pages that the runner's processes share: exit flushes for each of them before the end.
_RUNNERS_TABLES = 2
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
    forks = forks_of(row)
    requests, pages = actor["flush_requests"], actor["flush_page_calls"]
    ranges, mms = actor["flush_range_calls"], actor["flush_whole_mm"]
    copied = _copied(row, forks)
    return {
        "sync_broadcasts": syncs_of(row, whole["sync_broadcasts"], 1, case),
        "sync_ipis": syncs_of(row, whole["sync_ipis"], case.cpus - 1, case),
        "shared_tables": whole["shared_tables"],
        "gathers": actor["gathers"],
        "gathers_vma": actor["gathers_vma"],
        "flush_requests": _sum(requests - pages, copied) if forks else requests,
        "flush_whole_mm": mms,
        "flush_tlb_range": ranges,
        # The parent is pinned where its children begin: it copies the page that it writes before one of them runs.
        "flush_tlb_page": Undisturbed(pages, _COPIED * forks, 0) if forks else pages,
        "flush_tlb_mm_range": requests - mms - ranges - pages,
        "flush_ipis": _for_copies(row, seen, whole["flush_ipis"]),
        "full_fences": sum(seen.instructions.get(name, 0) for name in _FULL),
        "address_fences": _by_address(row, seen, _BY_ADDRESS),
        "sbi_rfence_calls": _for_copies(row, seen, seen.instructions.get("ecall", 0)),
        "instructions": _instructions(row, seen, case),
    }


def _copied(row: Row, forks: int) -> Prediction:
    """Return the pages that the parent copies: as many as the row counted, or up to `_COPIED` a fork."""
    low, high = row.measured("flush_tlb_page") or (0, _COPIED * forks)
    return low if low == high else (low, high)


def _instructions(row: Row, seen: Seen, case: Any) -> dict[str, Prediction]:
    forks = forks_of(row)
    counts: dict[str, Prediction] = {name: n for name, n in seen.instructions.items() if name != "ecall"}
    counts["csr_satp"] = _switches(row, forks, case)
    if row.workload == "program":
        counts.pop("sfence_vma_addr", None)  # not measured: the kernel fences its own addresses so, too
    if row.workload == "program" and row.fields.get("actor_forked"):
        _where_it_was_forked(counts)
    if forks and row.workload == "program":
        for name in _FULL:
            counts[name] = (
                seen.instructions.get(name, 0),
                seen.instructions.get(name, 0) + _RUNNERS_TABLES * forks,
            )
    if forks:
        # Nothing loads code in the window: what is fenced is left over from before.
        counts["fence_i"] = Undisturbed(0, _NEW_CODE * forks)
        for name in _BY_ADDRESS[:2]:
            if name in seen.instructions:
                counts[name] = _by_address(row, seen, (name,))
        # Of the copies, a child alone on its CPU fences for itself where others take an SBI call.
        if "sfence_vma_addr_asid" not in counts:
            counts["sfence_vma_addr_asid"] = (0, 2 * _COPIED_BY_CHILD * forks)
        if row.workload != "program":
            counts["sfence_vma_addr"] = 0 if case.platform.arch.svvptc else (0, _MAPPED_PER_FORK * forks)
    if case.platform.arch.native_ipis == "none" and row.workload != "program":
        calls = _for_copies(row, seen, seen.instructions.get("ecall", 0))
        syncs = syncs_of(row, seen.whole["sync_ipis"], case.cpus - 1, case)
        if _newer_qemu(row):
            counts["ecall_rfence_2"] = calls
            counts["ecall_ipi"] = _sum(syncs, _other_calls(row, forks, case))
        else:
            counts["ecall"] = _sum(calls, syncs, _other_calls(row, forks, case))
    return counts


def _where_it_was_forked(counts: dict[str, Prediction]) -> None:
    """Note that the CPU that fork() chose for the actor before it moved stays in its mm_cpumask, or is its own.

    Then the fences that it does for itself alone are done by the firmware, on both CPUs.
    """
    for own, others in (_FULL, _BY_ADDRESS[:2]):
        alone, by_firmware = (_ends(counts.get(name, 0)) for name in (own, others))
        if alone[1]:
            counts[own] = (0, alone[1])
            counts[others] = (by_firmware[0], by_firmware[1] + 2 * alone[1])


def _switches(row: Row, forks: int, case: Any) -> Prediction:
    """Return the writes of satp in a window: those of context switches between processes of the measured program.

    The idle task keeps the mm that its CPU ran last (`context_switch()`: a kernel thread borrows `active_mm`), and
    `switch_mm()` writes satp only for another mm. A process that has its CPU to itself so writes none.
    """
    if forks:
        return 0, _SWITCHES_PER_FORK * (forks + 1)
    if row.workload == "program":
        return Undisturbed(0, _PROGRAM_SWITCHES)
    if row.workload == "anonymous":
        # To the process on CPU 0 and back to the one that told it to go, which shares that CPU. If that one is
        # preempted before it sleeps, it runs once more in between; where threads run everywhere, it may displace one.
        return Undisturbed(2, 4)
    if case.cpus == 1:  # all share it: to the actor and back at least
        return 2, 6
    cpu, step, actor = actor_cpu(row), str(row.fields.get("step", "")), row.integer("i", 0)
    if step in PARENT_FIRST:  # its CPU has the last child's mm, unless the parent has run there since
        return Undisturbed(1, 1, 0)
    if step == "exit_concurrent" and row.integer("k", 1) > 1:
        return 0, 6
    if actor and cpu == PARENT_CPU:  # to it, and to the parent that waits for it to exit
        return Undisturbed(2, 6) if step.startswith("exit") else (0, 6)
    if cpu == 0:  # to it and back, as above
        return (2, 5) if parent_wakes(row) else Undisturbed(2, 4)
    # The parent comes back to its CPU, which has the mm of the child that was forked last: of that one, or another's.
    return Undisturbed(int(row.integer("k", 1) == 1), 1, 0) if parent_wakes(row) else 0


def _other_calls(row: Row, forks: int, case: Any) -> Prediction:
    """Return the SBI calls besides fences and the sync's: IPIs that wake other CPUs."""
    if case.cpus == 1:
        return 0
    if row.workload == "anonymous":  # the processes that run share CPU 0: they wake nobody elsewhere
        return Undisturbed(0, _OTHER_CALLS_ALONE)
    least = int(not forks and actor_cpu(row) != 0)  # it is woken from CPU 0
    most = _OTHER_CALLS + _OTHER_CALLS_PER_FORK * forks + _OTHER_CALLS_PER_THREAD * row.integer("T", 0)
    return least, most


def _sum(*parts: Prediction) -> Prediction:
    """Add predictions: a number only if all are, or one unless scheduling interferes if a part is."""
    ends = [_ends(part) for part in parts]
    low, high = sum(end[0] for end in ends), sum(end[1] for end in ends)
    if low == high:
        return low
    if any(isinstance(part, tuple) and part[0] != part[1] for part in parts):
        return low, high
    return Undisturbed(low, high)


def _ends(part: Prediction) -> tuple[int, int]:
    if isinstance(part, Undisturbed):
        return part.ends
    return part if isinstance(part, tuple) else (part, part)


def _for_copies(row: Row, seen: Seen, count: int) -> Prediction:
    """Return how often all flushes reached another CPU, each page copied after a fork among them.

    A child copies its own before it leaves the parent's CPU, and reaches nobody then; later it reaches that CPU.
    """
    forks, pages = forks_of(row), seen.actor["flush_page_calls"]
    if not forks or not count:
        return count
    later = _COPIED_BY_CHILD * forks
    if row.workload == "fork_storm":  # its children flush as well, and copy pages to the end
        return max(count - pages, 0), count + (_COPIED + _COPIED_BY_CHILD) * forks
    requests = seen.actor["flush_requests"]
    low, high = (count // requests * n for n in _ends(_sum(requests - pages, _copied(row, forks))))
    return Undisturbed(low, low + later) if low == high else (low, high + later)


def _by_address(row: Row, seen: Seen, names: tuple[str, ...]) -> Prediction:
    """Return the fences by address under these names: those of pages that parent and children copy after a fork."""
    forks, pages = forks_of(row), seen.actor["flush_page_calls"]
    exact = sum(seen.instructions.get(name, 0) for name in names)
    if not forks:
        return exact
    low, high = _ends(_copied(row, forks))
    each = exact // pages if pages else 0
    more = 2 * _COPIED_BY_CHILD * forks
    if low == high and names == ("m_sfence_vma_addr_asid",):  # of a child's copies only those after it moved
        return Undisturbed(each * low, each * low + more)
    return each * low, each * high + more


def _any(row: Row) -> bool:
    return True


_COPIES = f"{COPIES}, and where"
_WOKEN = "which wake-ups and timers send an IPI through the firmware, besides the fences and the sync"
_FORKED_ON = (
    "whether fork() chose the CPU that the process moved to later: another one stays in its mm_cpumask"
)
OPEN: tuple[Difference, ...] = (
    *(
        Difference(f"instructions.{name}", lambda row: bool(row.fields.get("actor_forked")), _FORKED_ON)
        for name in (*_FULL, *_BY_ADDRESS[:2])
    ),
    *(
        Difference(count, _any, _COPIES)
        for count in (
            "flush_requests",
            "flush_tlb_page",
            "flush_ipis",
            "address_fences",
            "sbi_rfence_calls",
            "instructions.ecall_rfence_2",
            *(f"instructions.{name}" for name in _BY_ADDRESS[:2]),
        )
    ),
    Difference(
        "instructions.sfence_vma_addr",
        _any,
        "how many entries the first faults after a fork map: each is fenced by its address without Svvptc",
    ),
    *(
        Difference(
            f"instructions.{name}",
            lambda row: row.workload == "program",
            "whether children exit while it is measured, which flush for dirty pages that the runner's processes share",
        )
        for name in _FULL
    ),
    Difference(
        "instructions.fence_i",
        _any,
        "whether a child runs code on a CPU that has not run it since it was loaded",
    ),
    Difference(
        "instructions.csr_satp",
        lambda row: row.workload == "anonymous",
        "whether the process that tells the actor to go is preempted before it sleeps, or displaces a thread: either "
        "is a switch and one back",
    ),
    Difference(
        "instructions.csr_satp",
        _any,
        "context switches between processes that share a CPU, and whether a child's mm is still on its parent's",
    ),
    Difference("instructions.ecall", _any, _WOKEN),
    Difference("instructions.ecall_ipi", _any, _WOKEN),
    *RACING_EXITS,
)

MEASURED = Measured(platform=_platform, predict=_predict, open=OPEN)
"""How `shootdown validate` compares rows of riscv kernels."""
